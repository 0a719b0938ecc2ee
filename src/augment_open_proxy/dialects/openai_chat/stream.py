"""Events → `chat.completion.chunk` frames.

Order: the role with empty content, the deltas, the finish reason, the usage if asked for, `[DONE]`. After a failure
comes its error and nothing else.
"""

from typing import assert_never

import msgspec

from augment_open_proxy.core.conversation import Text, Thinking, ToolCall
from augment_open_proxy.core.events import (
    BlockDelta,
    BlockStart,
    BlockStop,
    Cancelled,
    Event,
    Failure,
    Finish,
    Opening,
)
from augment_open_proxy.dialects.dialect import Delivery
from augment_open_proxy.dialects.framing import COMMENT, Frame
from augment_open_proxy.dialects.openai_chat.reply import FINISH_REASONS, usage
from augment_open_proxy.dialects.openai_errors import render_problem

_json = msgspec.json.Encoder().encode
_DONE: Frame = (b"", b"[DONE]")
_HEARTBEAT: Frame = (COMMENT, b"keep-alive")


class ChatStream:
    """The renderer of one stream. A delta is an encoded string between constant bytes."""

    def __init__(self, delivery: Delivery) -> None:
        self._include_usage = delivery.include_usage
        self._head = self._tail = b""
        self._before = self._between = self._after = b""
        self._calls = -1

    def feed(self, events: list[Event]) -> list[Frame]:
        frames: list[Frame] = []
        for event in events:
            match event:
                case BlockDelta(text=text):
                    piece = _json(text)
                    between = self._between
                    data = self._before + piece + (between + piece if between else b"") + self._after
                    frames.append((b"", data))
                case BlockStart(block=block):
                    self._start(block, frames)
                case BlockStop():
                    pass
                case Opening():
                    self._open(event)
                    frames.append(self._chunk(b'{"role":"assistant","content":""}'))
                case Finish():
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

    def _chunk(self, delta: bytes, finish_reason: bytes = b"null") -> Frame:
        choice = b'{"index":0,"delta":%b,"logprobs":null,"finish_reason":%b}' % (delta, finish_reason)
        return (b"", self._head + choice + self._tail)

    def _start(self, block: Text | Thinking | ToolCall, frames: list[Frame]) -> None:
        match block:
            case Text():
                self._template(b'{"content":', b"}")
            case Thinking():
                # Clients read one of two names; the second string repeats the first.
                self._template(b'{"reasoning_content":', b"}", between=b',"reasoning":')
            case ToolCall(id=id_, name=name, custom=custom):
                self._calls += 1
                kind, field = (b"custom", b"input") if custom else (b"function", b"arguments")
                frames.append(
                    self._chunk(
                        b'{"tool_calls":[{"index":%d,"id":%b,"type":"%b","%b":{"name":%b,"%b":""}}]}'
                        % (self._calls, _json(id_), kind, kind, _json(name), field)
                    )
                )
                self._template(b'{"tool_calls":[{"index":%d,"%b":{"%b":' % (self._calls, kind, field), b"}}]}")

    def _template(self, before: bytes, after: bytes, between: bytes = b"") -> None:
        """The bytes around the deltas of the block that begins."""
        self._before = self._head + b'{"index":0,"delta":' + before
        self._between = between
        self._after = after + b',"logprobs":null,"finish_reason":null}' + self._tail

    def _finish(self, finish: Finish, frames: list[Frame]) -> None:
        frames.append(self._chunk(b"{}", _json(FINISH_REASONS[finish.reason])))
        if self._include_usage:
            frames.append((b"", self._head + b'],"usage":' + _json(usage(finish.usage)) + b"}"))
        frames.append(_DONE)
