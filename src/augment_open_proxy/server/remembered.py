"""What a connection remembers of its turns, so that `previous_response_id` works on it without the store."""

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from augment_open_proxy.core.events import BlockDelta, BlockStop, Event
from augment_open_proxy.dialects.openai_responses.websocket import Lane
from augment_open_proxy.journal.store.records import Turn

_EVENT = 200
"""Bytes that an event takes, beside its text."""


class Remembered(Mapping[str, Turn]):
    """Turns by their ids: the newest one of each lane, with all that it goes on from.

    Beyond `limit` bytes, lanes are forgotten whole, the one first that was quiet for the longest time: half a
    conversation is of no use.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._turns: dict[str, Turn] = {}
        self._sizes: dict[str, int] = {}
        self._newest: dict[Lane, str] = {}

    def __getitem__(self, id_: str) -> Turn:
        return self._turns[id_]

    def __iter__(self) -> Iterator[str]:
        return iter(self._turns)

    def __len__(self) -> int:
        return len(self._turns)

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(self._sizes.values())

    def add(self, lane: Lane, turn: Turn) -> None:
        """`turn` is the newest of `lane` now; what only the one before it went on from is forgotten."""
        kept = msgspec.structs.replace(turn, replies=tuple(tuple(_joined(events)) for events in turn.replies))
        self._turns[turn.id] = kept
        self._sizes[turn.id] = len(turn.request) + sum(_size(event) for events in kept.replies for event in events)
        self._newest.pop(lane, None)
        self._newest[lane] = turn.id
        self._drop_loose_ends()
        while self.size > self._limit:
            del self._newest[next(iter(self._newest))]
            self._drop_loose_ends()

    def forget(self, lane: Lane, id_: str | None) -> None:
        """`lane` could not go on from the turn `id_`: Open Responses wants it not to be tried again from there."""
        if id_ is not None and self._newest.get(lane) == id_:
            del self._newest[lane]
            self._drop_loose_ends()

    def _drop_loose_ends(self) -> None:
        wanted: set[str] = set()
        for newest in self._newest.values():
            id_: str | None = newest
            while id_ in self._turns and id_ not in wanted:
                wanted.add(id_)
                id_ = self._turns[id_].previous
        for id_ in self._turns.keys() - wanted:
            del self._turns[id_], self._sizes[id_]


def _joined(events: Iterable[Event]) -> list[Event]:
    """The same events, with one delta for each block: a stream of many small ones takes ten times the memory."""
    joined: list[Event] = []
    pieces: list[str] = []
    for event in events:
        if isinstance(event, BlockDelta):
            pieces.append(event.text)
            continue
        if pieces and isinstance(event, BlockStop):
            joined.append(BlockDelta(event.index, "".join(pieces)))
            pieces = []
        joined.append(event)
    return joined


def _size(event: Event) -> int:
    match event:
        case BlockDelta(text=text):
            return _EVENT + len(text)
        case BlockStop(opaque=str(opaque)):
            return _EVENT + len(opaque)
    return _EVENT
