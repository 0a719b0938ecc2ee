"""A whole reply, folded from its events: what a stream gives in pieces, in one piece."""

from collections.abc import Iterable

from msgspec import Struct

from augment_open_proxy.core.conversation import Text, Thinking, ToolCall
from augment_open_proxy.core.events import (
    Block,
    BlockDelta,
    BlockStart,
    BlockStop,
    Event,
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

    __slots__ = ("_open", "_opening", "_pieces", "blocks", "reply")

    def __init__(self) -> None:
        self._opening: Opening | None = None
        self.blocks: list[Block] = []
        self._open: Block | None = None
        self._pieces: list[str] = []
        self.reply: Reply | None = None

    def feed(self, events: Iterable[Event]) -> None:
        for event in events:
            if type(event) is BlockDelta:
                self._pieces.append(event.text)
            elif type(event) is BlockStart:
                self._open = event.block
                self._pieces = []
            elif type(event) is BlockStop:
                if not event.is_cut:
                    self.blocks.append(self._closed(event.opaque))
                self._open = None
            elif type(event) is Opening:
                self._opening = event
            elif isinstance(event, Terminal):
                if self._opening is None:
                    raise ValueError("a reply must begin with its Opening")
                self.reply = Reply(self._opening, tuple(self.blocks), event)

    def _closed(self, opaque: str | None) -> Block:
        text, block = "".join(self._pieces), self._open
        if type(block) is Text:
            return Text(text)
        if type(block) is Thinking:
            return Thinking(text, opaque)
        if type(block) is ToolCall:
            return ToolCall(block.id, block.name, text, block.custom)
        raise ValueError("BlockStop without an open block")


def fold(events: Iterable[Event]) -> Reply:
    """The whole reply of a complete run of events."""
    folding = Fold()
    folding.feed(events)
    if folding.reply is None:
        raise ValueError("a reply must end with a terminal event")
    return folding.reply
