"""Events → `text_completion` frames.

Order in each choice: the prompt if it is to be echoed, the text, an empty text with the finish reason. Then the usage
if asked for, and `[DONE]`. After a failure comes its error and nothing else.
"""

from typing import assert_never

import msgspec

from augment_open_proxy.core.conversation import Text
from augment_open_proxy.core.events import (
    BlockDelta,
    BlockStart,
    BlockStop,
    Cancelled,
    Event,
    Failure,
    Finish,
    Opening,
    Usage,
)
from augment_open_proxy.dialects.dialect import Delivery
from augment_open_proxy.dialects.framing import COMMENT, Frame
from augment_open_proxy.dialects.openai_completions.reply import FINISH_REASONS, echoed
from augment_open_proxy.dialects.openai_errors import render_problem
from augment_open_proxy.dialects.openai_usage import usage

_json = msgspec.json.Encoder().encode
_DONE: Frame = (b"", b"[DONE]")
_HEARTBEAT: Frame = (COMMENT, b"keep-alive")


class CompletionStream:
    """The renderer of one stream, its choices interleaved. The usage of all comes when the last one has finished."""

    def __init__(self, delivery: Delivery) -> None:
        self._include_usage = delivery.include_usage
        self._echo = echoed(delivery)
        self._left = delivery.choices
        self._used = Usage()
        self._head = self._tail = b""
        self._choices = [_Choice(index) for index in range(delivery.choices)]

    def feed(self, events: list[Event], choice: int = 0) -> list[Frame]:
        frames: list[Frame] = []
        of = self._choices[choice]
        for event in events:
            match event:
                case BlockDelta(text=text):
                    if of.is_text:
                        frames.append(of.delta(text))
                case BlockStart(block=block):
                    of.is_text = isinstance(block, Text)  # thinking and calls have no place in this API
                case BlockStop():
                    pass
                case Opening():
                    self._open(event)
                    of.open(self._head, self._tail)
                    if self._echo:
                        frames.append(of.delta(self._echo))
                case Finish():
                    frames.append(of.chunk(b'""', _json(FINISH_REASONS[event.reason])))
                    self._finish(event, frames)
                case Failure(problem=problem):
                    frames.append((b"", render_problem(problem)))
                case Cancelled():
                    pass
                case _ as unreachable:
                    assert_never(unreachable)
        return frames

    def heartbeat(self) -> list[Frame]:
        return [_HEARTBEAT]

    def _open(self, opening: Opening) -> None:
        head = {"id": opening.id, "object": "text_completion", "created": opening.created, "model": opening.model}
        self._head = _json(head)[:-1] + b',"choices":['
        self._tail = b'],"usage":null}' if self._include_usage else b"]}"

    def _finish(self, finish: Finish, frames: list[Frame]) -> None:
        self._left -= 1
        self._used += finish.usage
        if self._left == 0:
            if self._include_usage:
                frames.append((b"", self._head + b'],"usage":' + _json(usage(self._used)) + b"}"))
            frames.append(_DONE)


class _Choice:
    """One choice: the constant bytes around its deltas, and whether its open block is text."""

    def __init__(self, index: int) -> None:
        self._index = index
        self._before = self._middle = self._tail = self._after = b""
        self.is_text = False

    def open(self, head: bytes, tail: bytes) -> None:
        self._before = head + b'{"text":'
        self._middle = b',"index":%d,"logprobs":null,"finish_reason":' % self._index
        self._tail = b"}" + tail
        self._after = self._middle + b"null" + self._tail

    def chunk(self, text: bytes, finish_reason: bytes) -> Frame:
        """A chunk of two JSON values."""
        return (b"", self._before + text + self._middle + finish_reason + self._tail)

    def delta(self, text: str) -> Frame:
        return (b"", self._before + _json(text) + self._after)
