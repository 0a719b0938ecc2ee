"""A whole reply, folded from its events: what a stream gives in pieces, in one piece."""

from collections.abc import Iterable

from msgspec import Struct

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


class Reply(Struct, frozen=True):
    """`blocks` in their order, without one that was cut off; `end` tells whether they are a whole answer."""

    opening: Opening
    blocks: tuple[Block, ...]
    end: Terminal


class Fold:
    """Collects events until the terminal one; `reply` is then the whole."""

    def __init__(self) -> None:
        self._opening: Opening | None = None
        self.blocks: list[Block] = []
        self._open: Block | None = None
        self._pieces: list[str] = []
        self.reply: Reply | None = None

    def feed(self, events: Iterable[Event]) -> None:
        for event in events:
            match event:
                case BlockDelta():
                    self._pieces.append(event.text)
                case BlockStart():
                    self._open = event.block
                    self._pieces = []
                case BlockStop(is_cut=True):
                    self._open = None
                case BlockStop():
                    self._close_block(event.opaque)
                case Opening():
                    self._opening = event
                case Finish() | Failure() | Cancelled():
                    if self._opening is None:
                        raise ValueError("a reply must begin with its Opening")
                    self.reply = Reply(self._opening, tuple(self.blocks), event)

    def _close_block(self, opaque: str | None) -> None:
        text = "".join(self._pieces)
        match self._open:
            case Text():
                self.blocks.append(Text(text))
            case Thinking():
                self.blocks.append(Thinking(text, opaque))
            case ToolCall(id=id_, name=name, custom=custom):
                self.blocks.append(ToolCall(id_, name, text, custom))
            case None:
                raise ValueError("BlockStop without an open block")
        self._open = None


def fold(events: Iterable[Event]) -> Reply:
    """The whole reply of a complete run of events."""
    folding = Fold()
    folding.feed(events)
    if folding.reply is None:
        raise ValueError("a reply must end with a terminal event")
    return folding.reply
