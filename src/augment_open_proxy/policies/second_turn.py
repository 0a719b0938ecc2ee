"""What policies share that may need another turn: the first is held back, and both are paid."""

from collections.abc import Iterable

import msgspec

from augment_open_proxy.core.conversation import Message, Part, Text, Thinking
from augment_open_proxy.core.events import BlockDelta, BlockStart, BlockStop, Event, Finish, Usage
from augment_open_proxy.core.reply import Fold


class SecondTurn:
    """Holds events back, and asks once more; `again` is then what the conversation goes on with."""

    def __init__(self) -> None:
        self.again: tuple[Message, ...] | None = None
        self._held: list[Event] = []
        self._spent = Usage()
        self._has_asked = False

    def hold(self, events: Iterable[Event]) -> None:
        self._held += events

    def released(self) -> list[Event]:
        """What was held, which is held no more."""
        held, self._held = self._held, []
        return held

    def ask(self, turn: list[Event], finish: Finish, nudge: str) -> bool:
        """Ask for another turn after the text of `turn`; false where it has been done already."""
        if self._has_asked:
            return False
        self._has_asked = True
        self._spent = finish.usage
        said = Message("assistant", tuple(part for part in said_in(turn) if isinstance(part, Text)))
        told = Message("user", (Text(nudge),))
        self.again = (said, told) if said.content else (told,)
        return True

    def paid(self, events: list[Event]) -> list[Event]:
        """The events with the usage of both turns in their finish."""
        last = events[-1]
        if isinstance(last, Finish) and self._has_asked:
            return [*events[:-1], msgspec.structs.replace(last, usage=self._spent + last.usage)]
        return events


def said_in(turn: list[Event]) -> tuple[Part, ...]:
    """The parts of a turn, less its thinking."""
    folding = Fold()
    folding.feed(event for event in turn if isinstance(event, BlockStart | BlockDelta | BlockStop))
    return tuple(block for block in folding.blocks if not isinstance(block, Thinking))
