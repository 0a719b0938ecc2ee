"""Events → `chat.completion.chunk` frames.

Order in each choice: the role with empty content, the deltas, the finish reason. Then the usage if asked for, and
`[DONE]`. After a failure comes its error and nothing else.
"""

from typing import assert_never

import msgspec

from augment_open_proxy.core.conversation import Text, Thinking, ToolCall
from augment_open_proxy.core.events import (
    Block,
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
from augment_open_proxy.dialects.openai_chat.reply import FINISH_REASONS
from augment_open_proxy.dialects.openai_errors import render_problem
from augment_open_proxy.dialects.openai_usage import usage

_json = msgspec.json.Encoder().encode
_DONE: Frame = (b"", b"[DONE]")
_HEARTBEAT: Frame = (COMMENT, b"keep-alive")


class ChatStream:
    """The renderer of one stream, its choices interleaved. The usage of all comes when the last one has finished."""

    __slots__ = ("_choices", "_head", "_include_usage", "_left", "_tail", "_used")

    def __init__(self, delivery: Delivery) -> None:
        self._include_usage = delivery.include_usage
        self._left = delivery.choices
        self._used = Usage()
        self._head = self._tail = b""
        self._choices = [_Choice(index) for index in range(delivery.choices)]

    def feed(self, events: list[Event], choice: int = 0) -> list[Frame]:
        frames: list[Frame] = []
        of = self._choices[choice]
        for event in events:
            if type(event) is BlockDelta:  # as most are; a pattern takes longer
                text = _json(event.text)
                frames.append((b"", of.before + (text + of.between + text if of.between else text) + of.after))
                continue
            match event:
                case BlockStart(block=block):
                    if isinstance(block, ToolCall):
                        frames.append((b"", of.call(block)))
                    of.begin(block)
                case BlockStop():
                    pass
                case Opening():
                    self._open(event)
                    of.open(self._head, self._tail)
                    frames.append((b"", of.chunk(b'{"role":"assistant","content":""}')))
                case Finish():
                    frames.append((b"", of.chunk(b"{}", _json(FINISH_REASONS[event.reason]))))
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
        head = {
            "id": opening.id,
            "object": "chat.completion.chunk",
            "created": opening.created,
            "model": opening.model,
        }
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
    """One choice: the constant bytes around the deltas of its open block."""

    __slots__ = ("_calls", "_head", "_index", "_tail", "after", "before", "between")

    def __init__(self, index: int) -> None:
        self._index = index
        self._head = self._tail = b""
        self.before = self.between = self.after = b""
        """What stands around the string of a delta; between the two, where it comes twice."""
        self._calls = -1

    def open(self, head: bytes, tail: bytes) -> None:
        self._head = b'%b{"index":%d,"delta":' % (head, self._index)
        self._tail = tail

    def chunk(self, delta: bytes, finish_reason: bytes = b"null") -> bytes:
        return b'%b%b,"logprobs":null,"finish_reason":%b}%b' % (self._head, delta, finish_reason, self._tail)

    def begin(self, block: Block) -> None:
        match block:
            case Text():
                self._template(b'{"content":', b"}")
            case Thinking():
                # Clients read one of two names; the second string repeats the first.
                self._template(b'{"reasoning_content":', b"}", between=b',"reasoning":')
            case ToolCall(custom=custom):
                kind, field = (b"custom", b"input") if custom else (b"function", b"arguments")
                self._template(b'{"tool_calls":[{"index":%d,"%b":{"%b":' % (self._calls, kind, field), b"}}]}")

    def call(self, call: ToolCall) -> bytes:
        """The chunk that begins a call."""
        self._calls += 1
        kind, field = (b"custom", b"input") if call.custom else (b"function", b"arguments")
        return self.chunk(
            b'{"tool_calls":[{"index":%d,"id":%b,"type":"%b","%b":{"name":%b,"%b":""}}]}'
            % (self._calls, _json(call.id), kind, kind, _json(call.name), field)
        )

    def _template(self, before: bytes, after: bytes, between: bytes = b"") -> None:
        self.before = self._head + before
        self.between = between
        self.after = after + b',"logprobs":null,"finish_reason":null}' + self._tail
