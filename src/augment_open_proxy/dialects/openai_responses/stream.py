"""Events → named frames with a running number: `response.created`, `response.in_progress`, for each block its item and
parts, their deltas and ends, then `response.completed`, `response.incomplete` or `response.failed`.
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
    Terminal,
)
from augment_open_proxy.dialects.dialect import Delivery
from augment_open_proxy.dialects.framing import Frame, Pieces
from augment_open_proxy.dialects.openai_responses import wire
from augment_open_proxy.dialects.openai_responses.reply import INCOMPLETE, Responses, shape_of, status_before

_json = msgspec.json.Encoder().encode
_EMPTY_PART = _json(wire.OutputText(text=""))
_EMPTY_SUMMARY = _json(wire.SummaryText(text=""))


class ResponsesStream:
    """The renderer of one stream. A delta is an encoded string between constant bytes."""

    __slots__ = ("_ended", "_number", "_open", "_output", "_responses", "_shape", "_skip")

    def __init__(self, delivery: Delivery, skip: int = 0) -> None:
        """The first `skip` events are left out: the client has them."""
        self._skip = skip
        self._shape = shape_of(delivery)
        self._number = 0
        self._output: list[wire.OutputItem] = []
        self._open: _OpenItem | None = None
        self._ended: tuple[bytes, wire.OutputItem] | None = None
        """The place of a message, and the message: the next event says whether it is complete."""

    def feed(self, events: list[Event], choice: int = 0) -> list[Frame]:
        before = self._number
        frames = self._frames(events)
        return frames if before >= self._skip else frames[self._skip - before :]

    def _frames(self, events: list[Event]) -> list[Frame]:
        frames: list[Frame] = []
        for event in events:
            if type(event) is BlockDelta:  # as most are; a pattern, or a call, takes longer
                item, text = self._open, event.text
                if item is None or not item.flows:
                    self._delta(text, frames)
                else:
                    item.pieces.append(text)
                    number = self._number
                    frames.append((item.delta_name, item.delta % (number, _json(text))))
                    self._number = number + 1
                continue
            if self._ended is not None:
                place, message = self._ended
                self._ended = None
                self._tell(place, msgspec.structs.replace(message, status=status_before(event)), frames)
            match event:
                case BlockStart(index=index, block=block):
                    self._start(index, block, frames)
                case BlockStop(is_cut=True):
                    self._open = None  # Codex keeps, and runs, whatever is told as done
                case BlockStop(opaque=opaque):
                    self._stop(opaque, frames)
                case Opening():
                    self._responses = Responses(event, self._shape)
                    self._begin(frames)
                case Finish() | Failure() | Cancelled():
                    self._end(event, frames)
                case _ as unreachable:
                    assert_never(unreachable)
        return frames

    def heartbeat(self) -> list[Frame]:
        """An event, since Codex takes comments for silence; of a type that OpenAI sends, too, and nobody acts on.

        It has the number of the event before it: a stream that is taken up after it goes on with the next.
        """
        return [(b"keepalive", b'{"type":"keepalive","sequence_number":%d}' % max(self._number - 1, 0))]

    def _begin(self, frames: list[Frame]) -> None:
        in_progress = self._responses.begun("in_progress")
        created = in_progress
        if self._shape.echo.background:
            created = self._responses.begun("queued")
        self._add_response(frames, b"response.created", created)
        if self._shape.echo.background:
            self._add_response(frames, b"response.queued", created)
        self._add_response(frames, b"response.in_progress", in_progress)

    # ---------------------------------------------------------------- blocks

    def _start(self, index: int, block: Block, frames: list[Frame]) -> None:
        item = self._open = _OpenItem(self._responses, index, block)
        if not item.is_silent:
            added = self._responses.item(block, item.id, "in_progress")
            self._add(frames, b"response.output_item.added", item.place + b',"item":' + _json(added))
        if isinstance(block, Text):
            self._add(frames, b"response.content_part.added", item.address + b',"part":' + _EMPTY_PART)

    def _delta(self, text: str, frames: list[Frame]) -> None:
        item = self._open
        if item is None:
            raise ValueError("a delta needs an open block")
        if isinstance(item.block, Thinking) and not item.pieces:
            part = item.address + b',"part":' + _EMPTY_SUMMARY
            self._add(frames, b"response.reasoning_summary_part.added", part)
        item.pieces.append(text)
        item.flows = not item.is_silent
        if item.flows:
            frames.append((item.delta_name, item.delta % (self._number, _json(text))))
            self._number += 1

    def _stop(self, opaque: str | None, frames: list[Frame]) -> None:
        item, self._open = self._open, None
        if item is None:
            raise ValueError("a stop needs an open block")
        text = "".join(item.pieces)
        whole = item.whole(text, opaque)
        done = self._responses.item(whole, item.id)
        self._add_ends(item, text, frames)
        if item.is_silent:
            begun = self._responses.item(whole, item.id, "in_progress")
            self._add(frames, b"response.output_item.added", item.place + b',"item":' + _json(begun))
        if isinstance(whole, Text):
            self._ended = item.place, done
        else:
            self._tell(item.place, done, frames)

    def _tell(self, place: bytes, done: wire.OutputItem, frames: list[Frame]) -> None:
        """The end of an item."""
        self._output.append(done)
        if self._shape.compacts:
            self._add(frames, b"response.compaction.compacting", b'"item_id":%b,' % _json(done.id) + place)
        self._add(frames, b"response.output_item.done", place + b',"item":' + _json(done))

    def _add_ends(self, item: "_OpenItem", text: str, frames: list[Frame]) -> None:
        """The events that repeat what the deltas gave."""
        encoded = _json(text)
        match item.block:
            case Text():
                ended = item.address + b',"text":' + encoded + b',"logprobs":[]'
                self._add(frames, b"response.output_text.done", ended)
                part = _json(wire.OutputText(text=text))
                self._add(frames, b"response.content_part.done", item.address + b',"part":' + part)
            case Thinking() if item.pieces:
                self._add(frames, b"response.reasoning_summary_text.done", item.address + b',"text":' + encoded)
                part = _json(wire.SummaryText(text=text))
                self._add(frames, b"response.reasoning_summary_part.done", item.address + b',"part":' + part)
            case ToolCall(custom=True):
                self._add(frames, b"response.custom_tool_call_input.done", item.address + b',"input":' + encoded)
            case ToolCall() if not item.is_silent:
                self._add(frames, b"response.function_call_arguments.done", item.address + b',"arguments":' + encoded)
            case _:
                pass

    def _end(self, end: Terminal, frames: list[Frame]) -> None:
        if not isinstance(end, Cancelled):
            self._add_response(frames, _name_of_end(end), self._responses.ended(end, self._output))

    def _add(self, frames: list[Frame], name: bytes, fields: bytes) -> None:
        frames.append((name, b'{"type":"%b","sequence_number":%d,%b}' % (name, self._number, fields)))
        self._number += 1

    def _add_response(self, frames: list[Frame], name: bytes, response: Pieces) -> None:
        head = b'{"type":"%b","sequence_number":%d,"response":' % (name, self._number)
        frames.append((name, (head, *response, b"}")))
        self._number += 1


def _name_of_end(end: Finish | Failure) -> bytes:
    if isinstance(end, Failure):
        return b"response.failed"
    return b"response.incomplete" if end.reason in INCOMPLETE else b"response.completed"


class _OpenItem:
    """The item that is being built: its constant bytes, and its text so far."""

    __slots__ = ("address", "block", "delta", "delta_name", "flows", "id", "is_silent", "pieces", "place")

    def __init__(self, responses: Responses, index: int, block: Block) -> None:
        self.id = responses.item_id(block, index)
        self.block = block
        self.pieces: list[str] = []
        self.is_silent = responses.comes_whole(block)
        self.flows = False
        self.place = b'"output_index":%d' % index
        self.address = b'"item_id":%b,' % _json(self.id) + self.place
        delta_end = b"}"
        match block:
            case Text():
                self.delta_name = b"response.output_text.delta"
                self.address += b',"content_index":0'
                delta_end = b',"logprobs":[]}'
            case Thinking():
                self.delta_name = b"response.reasoning_summary_text.delta"
                self.address += b',"summary_index":0'
            case ToolCall(custom=True):
                self.delta_name = b"response.custom_tool_call_input.delta"
            case ToolCall():
                self.delta_name = b"response.function_call_arguments.delta"
        head = b'{"type":"%b","sequence_number":' % self.delta_name
        address = self.address.replace(b"%", b"%%")  # an id may have a percent sign
        self.delta = head + b"%d," + address + b',"delta":%b' + delta_end
        """The event of a delta, for its number and its text."""

    def whole(self, text: str, opaque: str | None) -> Block:
        match self.block:
            case Text():
                return Text(text)
            case Thinking():
                return Thinking(text, opaque)
            case ToolCall() as call:
                return msgspec.structs.replace(call, arguments=text)
