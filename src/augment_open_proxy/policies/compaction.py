"""Compaction: the model is asked for a summary of the conversation, and the client gets it sealed, in place of text."""

import msgspec

from augment_open_proxy.core.conversation import ChatRequest, Message, Text, Thinking, ToolChoice
from augment_open_proxy.core.errors import ErrorKind, Problem
from augment_open_proxy.core.events import BlockDelta, BlockStart, BlockStop, Event, Failure, Finish
from augment_open_proxy.policies.seal import SUMMARY, seal

INSTRUCTION = """\
The conversation so far is about to be replaced by a summary that you write now. Another model will go on from it, and \
will see nothing else of what came before. Write down everything that it needs: what the user wants, and in which \
words where they matter; what was decided, and why; what has been done, with the names of files, functions, commands \
and their results; what failed; what is left to do, and what comes next. Leave out what no longer matters. Answer with \
the summary alone."""


def prepare(request: ChatRequest, secret: bytes) -> tuple[ChatRequest, "Compacting | None"]:
    """Asks for the summary, where the client asks for compaction. The seal is made with `secret`."""
    if not request.compacts:
        return request, None
    asked = msgspec.structs.replace(
        request,
        messages=(*request.messages, Message("user", (Text(INSTRUCTION),))),
        tools=(),
        tool_choice=ToolChoice(),
        output_format=None,
        thinking="none",
    )
    return asked, Compacting(secret)


class Compacting:
    """Collects the text of the reply, and gives it out as one sealed block."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._pieces: list[str] = []

    def feed(self, events: list[Event]) -> list[Event]:
        out: list[Event] = []
        for event in events:
            match event:
                case BlockDelta(text=text):
                    self._pieces.append(text)
                case BlockStart() | BlockStop():
                    pass
                case Finish():
                    out += self._end(event)
                case _:
                    out.append(event)
        return out

    def _end(self, finish: Finish) -> list[Event]:
        text = "".join(self._pieces)
        if not text.strip():
            return [Failure(Problem(ErrorKind.BACKEND, "The model gave no summary of the conversation."))]
        if finish.reason != "stop":
            return [Failure(Problem(ErrorKind.BACKEND, "The model did not come to the end of its summary."))]
        sealed = seal(self._secret, text, carried=True, purpose=SUMMARY)
        return [BlockStart(0, Thinking("")), BlockStop(0, sealed), finish]
