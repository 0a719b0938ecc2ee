"""The events of a reply, and their grammar.

1. `Opening` comes first, once.
2. Then blocks: `BlockStart`, any number of `BlockDelta`, `BlockStop`; one open at a time; indices count from 0.
3. Then exactly one terminal: `Finish`, `Failure` or `Cancelled`. It closes an open block first. Nothing follows it.
"""

from typing import Literal, final

from msgspec import Struct
from msgspec.structs import astuple

from augment_open_proxy.core.conversation import Text, Thinking, ToolCall
from augment_open_proxy.core.errors import Problem

FinishReason = Literal["stop", "stop_sequence", "length", "tool_use", "content_filter"]
Block = Text | Thinking | ToolCall


class Usage(Struct, frozen=True, gc=False):
    """Tokens of one turn, `None` where unknown.

    `input` is what was neither read from nor written to the cache; `reasoning` is what of `output` was thinking.
    """

    input: int | None = None
    output: int | None = None
    cache_read: int | None = None
    cache_creation: int | None = None
    reasoning: int | None = None

    def __add__(self, other: "Usage") -> "Usage":
        """What both turns took; what is unknown of one counts as nothing."""
        pairs = zip(astuple(self), astuple(other), strict=True)
        return Usage(*(None if a is None and b is None else (a or 0) + (b or 0) for a, b in pairs))

    @property
    def prompt(self) -> int | None:
        """All tokens of the prompt, cached or not."""
        if self.input is None:
            return None
        return self.input + (self.cache_read or 0) + (self.cache_creation or 0)

    @property
    def total(self) -> int | None:
        """Prompt and output together."""
        if self.input is None or self.output is None:
            return None
        return self.input + (self.cache_read or 0) + (self.cache_creation or 0) + self.output


class Opening(Struct, frozen=True, gc=False, tag="opening"):
    """The reply begins. `created` is in Unix seconds, `model` the client's name for it.

    `input_estimate` is in tokens, and 0 where the client is not told of it before the end.
    """

    id: str
    created: int
    model: str
    input_estimate: int


class BlockStart(Struct, frozen=True, gc=False, tag="block_start"):
    """A block begins; the text or arguments of `block` are empty and follow as deltas."""

    index: int
    block: Block


@final  # so that `type(event) is BlockDelta`, which is fast, tells a type checker as much as `isinstance`
class BlockDelta(Struct, frozen=True, gc=False, tag="block_delta"):
    """More text (or arguments) of the open block; never empty."""

    index: int
    text: str


class BlockStop(Struct, frozen=True, gc=False, tag="block_stop"):
    """The open block is at its end; `is_cut` where a failure cut it off, and what it holds is not whole."""

    index: int
    opaque: str | None = None
    is_cut: bool = False


class Finish(Struct, frozen=True, gc=False, tag="finish"):
    """The turn ended well. `raw_reason` is the backend's stop reason.

    The server sets `at`, in Unix seconds, and `is_unstored` where the turn should have been stored and could not be.
    """

    reason: FinishReason
    raw_reason: int | None
    usage: Usage
    at: int | None = None
    stop_sequence: str | None = None
    is_unstored: bool = False


class Failure(Struct, frozen=True, gc=False, tag="failure"):
    """The turn failed; what was given out before it is not a whole answer. `usage` is what it took all the same."""

    problem: Problem
    usage: Usage = Usage()


class Cancelled(Struct, frozen=True, gc=False, tag="cancelled"):
    """The client left before the end."""


def closing(last: "Event | None") -> list["Event"]:
    """What closes the block that is open after `last`, where one is: as cut off."""
    return [BlockStop(last.index, is_cut=True)] if isinstance(last, BlockStart | BlockDelta) else []


def prompt_of(events: "list[Event]") -> Usage:
    """What the prompt of the turn took, where its end is among the `events` of which the rest is cut off."""
    end = events[-1]
    if not isinstance(end, Finish):
        return Usage()
    return Usage(end.usage.input, None, end.usage.cache_read, end.usage.cache_creation)


def begins(events: "list[Event]", kind: type[Block]) -> bool:
    """Whether a block of this kind begins in `events`: a machine for a rare kind lets most batches pass as they are."""
    return kind in [type(event.block) for event in events if type(event) is BlockStart]


Event = Opening | BlockStart | BlockDelta | BlockStop | Finish | Failure | Cancelled
Terminal = Finish | Failure | Cancelled
