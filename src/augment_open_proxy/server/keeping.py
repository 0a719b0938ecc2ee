"""Storing turns as they go out: a reply that is to be stored is saved before its last event is given on."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from augment_open_proxy.core.errors import ErrorKind, Problem, ProxyError
from augment_open_proxy.core.events import BlockDelta, BlockStart, Event, Failure, Finish
from augment_open_proxy.dialects.dialect import Dialect
from augment_open_proxy.journal.store.opening import Stores, StoreUnavailable
from augment_open_proxy.journal.store.records import Item, Turn
from augment_open_proxy.server.alarms import Deadline
from augment_open_proxy.server.flow import Sink, Source, Waiting, put

if TYPE_CHECKING:
    from augment_open_proxy.journal.store.database import Database

_log = logging.getLogger(__name__)
SAVE_SECONDS = 10.0
"""The most that the end of a reply waits for the store."""
OPENING_SECONDS = 30.0
"""The same where the store is not open yet: to load what it needs takes seconds of a machine that is busy."""
SAVE_AGAIN = 1.0
"""Seconds between two tries of one who waits longer."""
ItemsOf = Callable[[Turn], Sequence[Item]]
"""What a turn that ended well adds to its conversation."""


async def opened(stores: Stores) -> "Database":
    """The store. Raises `ProxyError` where it can't be had."""
    try:
        return await stores.open()
    except StoreUnavailable as error:
        raise ProxyError(store_problem(error)) from error


def items_of(dialect: Dialect, turn: Turn) -> Sequence[Item]:
    """What a turn of `dialect` that ended well adds to its conversation."""
    items = dialect.items(turn.request, turn.folded()[0])
    return (*items.given, *items.made)


def store_problem(error: StoreUnavailable) -> Problem:
    """How a client is told that the store can't be had."""
    return Problem(ErrorKind.STORE, f"What is stored cannot be reached: {error}")


def kept(
    source: Source,
    turn: Turn,
    choices: int,
    stores: Stores,
    items_of: ItemsOf,
    notices: list[str],
    has_begun: Callable[[], bool] = bool,
) -> Source:
    """The same; its last batch comes when `turn` is stored with all of them.

    A response that fails after its first content, or when its client `has_begun` to get it, is stored as failed;
    before, and in other APIs, nothing is there to be shown. Where the store fails, the reply still goes out, and its
    end and `notices` say that it is not stored.
    """
    return partial(_Keeper(turn, choices, stores, items_of, notices, has_begun).run, source)


class _Keeper:
    """The sink of a reply that is stored. It does not know its source, which knows it."""

    __slots__ = ("_has_begun", "_items_of", "_left", "_notices", "_replies", "_sink", "_stores", "_turn")

    def __init__(
        self,
        turn: Turn,
        choices: int,
        stores: Stores,
        items_of: ItemsOf,
        notices: list[str],
        has_begun: Callable[[], bool],
    ) -> None:
        self._turn = turn
        self._stores = stores
        self._items_of = items_of
        self._notices = notices
        self._has_begun = has_begun
        self._replies: list[list[Event]] = [[] for _ in range(choices)]
        self._left = choices
        self._sink: Sink

    async def run(self, source: Source, sink: Sink) -> None:
        """All of `source`, into the store and into `sink`."""
        self._sink = sink
        begin_opening(self._stores)
        await source(self.feed)

    def feed(self, choice: int, events: list[Event]) -> Waiting:
        reply = self._replies[choice]
        reply += events
        last = events[-1]
        if type(last) is not BlockDelta:
            self._left -= isinstance(last, Finish)
            if not self._left or (isinstance(last, Failure) and self._shows_failure(reply)):
                return self._end(choice, events)
        return self._sink(choice, events)

    def _shows_failure(self, reply: list[Event]) -> bool:
        is_shown = self._has_begun() or any(isinstance(event, BlockStart) for event in reply)
        return self._turn.kind == "response" and is_shown

    async def _end(self, choice: int, events: list[Event]) -> None:
        if not await save(self._stores, with_replies(self._turn, self._replies), self._items_of, is_new=True):
            self._notices.append("the reply could not be stored")
            events = _marked(events)
        await put(self._sink, choice, events)


def begin_opening(stores: Stores) -> None:
    """Open the store while the backend thinks: the first time takes a moment."""
    if not stores.is_open:
        opening = asyncio.ensure_future(stores.open())
        opening.add_done_callback(lambda done: done.cancelled() or done.exception())  # whoever saves will see it


def with_replies(turn: Turn, replies: Sequence[Sequence[Event]], *, is_running: bool = False) -> Turn:
    """`turn` with what has been given out."""
    return msgspec.structs.replace(turn, replies=tuple(map(tuple, replies)), is_running=is_running)


async def save(stores: Stores, turn: Turn, items_of: ItemsOf, *, is_new: bool = False, patience: float = 0.0) -> bool:
    """Whether `turn` is stored; the log says why it is not. `is_new`: as `Turns.save` has it.

    A store that is away is tried again for `patience` seconds; the lease of the turn is kept meanwhile.
    """
    end = time.monotonic() + patience
    while True:
        try:
            with Deadline(SAVE_SECONDS if stores.is_open else OPENING_SECONDS):
                store = await stores.open()
                items = items_of(turn) if turn.conversation and turn.is_whole else ()
                await store.turns.save(turn, items, is_new=is_new)
        except (StoreUnavailable, TimeoutError) as error:
            if time.monotonic() >= end:
                _log.error("%s could not be stored: %s", turn.id, str(error) or "the store does not answer")
                return False
        except Exception:
            _log.exception("%s could not be stored", turn.id)
            return False
        else:
            return True
        (await stores.open()).turns.hold(turn.id)
        await asyncio.sleep(SAVE_AGAIN)


def _marked(events: list[Event]) -> list[Event]:
    last = events[-1]
    return [*events[:-1], msgspec.structs.replace(last, is_unstored=True)] if isinstance(last, Finish) else events
