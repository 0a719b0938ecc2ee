"""Events → named frames: `message_start`, for each block `content_block_start`, its deltas and `content_block_stop`,
then `message_delta` with the final usage, and `message_stop`. After a failure comes its `error` and nothing else.
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
)
from augment_open_proxy.dialects.anthropic_messages import wire
from augment_open_proxy.dialects.anthropic_messages.errors import render_error
from augment_open_proxy.dialects.anthropic_messages.reply import STOP_REASONS, usage
from augment_open_proxy.dialects.dialect import Delivery
from augment_open_proxy.dialects.framing import Frame

_json = msgspec.json.Encoder().encode
_DELTA = b"content_block_delta"
_PING: Frame = (b"ping", b'{"type":"ping"}')
_STOP: Frame = (b"message_stop", b'{"type":"message_stop"}')


class MessagesStream:
    """The renderer of one stream. A delta is an encoded string between constant bytes."""

    __slots__ = ("_before", "_id")

    def __init__(self, delivery: Delivery) -> None:
        self._id = ""
        self._before = b""

    def feed(self, events: list[Event], choice: int = 0) -> list[Frame]:
        frames: list[Frame] = []
        for event in events:
            if type(event) is BlockDelta:  # as most are; a pattern takes longer
                frames.append((_DELTA, self._before + _json(event.text) + b"}}"))
                continue
            match event:
                case BlockStart(index=index, block=block):
                    frames.append(self._start(index, block))
                case BlockStop(index=index, opaque=opaque):
                    if opaque is not None:
                        frames.append((_DELTA, _delta(index, b"signature_delta", b"signature") + _json(opaque) + b"}}"))
                    frames.append((b"content_block_stop", b'{"type":"content_block_stop","index":%d}' % index))
                case Opening():
                    frames += (self._open(event), _PING)
                case Finish():
                    frames += (_finish(event), _STOP)
                case Failure(problem=problem):
                    frames.append((b"error", render_error(problem, self._id)))
                case Cancelled():
                    pass
                case _ as unreachable:
                    assert_never(unreachable)
        return frames

    def heartbeat(self) -> list[Frame]:
        return [_PING]

    def _open(self, opening: Opening) -> Frame:
        self._id = opening.id
        message = wire.ReplyMessage(
            id=opening.id,
            model=opening.model,
            content=[],
            stop_reason=None,
            usage=wire.Usage(opening.input_estimate, 0, 0, 1),
        )
        return (b"message_start", _json(wire.MessageStart(message=message)))

    def _start(self, index: int, block: Block) -> Frame:
        kind, field, content = _parts_of(block)
        self._before = _delta(index, kind, field)
        data = b'{"type":"content_block_start","index":%d,"content_block":%b}' % (index, content)
        return (b"content_block_start", data)


def _parts_of(block: Block) -> tuple[bytes, bytes, bytes]:
    """The type of a block's deltas, the field of their text, and the block as it begins."""
    match block:
        case Text():
            return b"text_delta", b"text", b'{"type":"text","text":""}'
        case Thinking():
            return b"thinking_delta", b"thinking", b'{"type":"thinking","thinking":"","signature":""}'
        case ToolCall(id=id_, name=name):
            content = b'{"type":"tool_use","id":%b,"name":%b,"input":{}}' % (_json(id_), _json(name))
            return b"input_json_delta", b"partial_json", content


def _delta(index: int, kind: bytes, field: bytes) -> bytes:
    """What precedes the string of a delta."""
    return b'{"type":"content_block_delta","index":%d,"delta":{"type":"%b","%b":' % (index, kind, field)


def _finish(finish: Finish) -> Frame:
    delta = wire.MessageDeltaBody(STOP_REASONS[finish.reason], finish.stop_sequence)
    return (b"message_delta", _json(wire.MessageDelta(delta=delta, usage=usage(finish.usage))))
