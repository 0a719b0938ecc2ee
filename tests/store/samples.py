"""Things to store, and places to store them in."""

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, ParamSpec
from unittest.mock import patch

from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncEngine

from augment_open_proxy.core.conversation import Text
from augment_open_proxy.core.events import BlockDelta, BlockStart, BlockStop, Event, Finish, Opening, Usage
from augment_open_proxy.journal.store.database import Database
from augment_open_proxy.journal.store.opening import Stores
from augment_open_proxy.journal.store.records import Batch, BatchRequest, Item, Turn

P = ParamSpec("P")

DAY = 86400.0
OWNER = "owner"


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class Place:
    """A database that is empty at first, at `url`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.clock = Clock()

    def stores(self, *, instance: str = "one", ttl: float = 30 * DAY, size_limit: int = 10**9) -> Stores:
        return Stores(self.url, ttl=ttl, size_limit=size_limit, instance=instance, clock=self.clock)

    @asynccontextmanager
    async def open(self, **options: Any) -> AsyncIterator[Database]:
        """The database, opened as one process does it. Options are those of `stores`."""
        stores = self.stores(**options)
        try:
            yield await stores.open()
        finally:
            await stores.close()

    @contextmanager
    def away(self, seconds: float) -> Iterator[None]:
        """The database takes no connection for so long."""
        self.clock.now += seconds
        with patch.object(AsyncEngine, "connect", side_effect=ConnectionRefusedError):
            yield


def asynchronous(test: Callable[P, Awaitable[None]]) -> Callable[P, None]:
    """Runs a test in an event loop of its own."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        asyncio.run(_within(50, test(*args, **kwargs)))

    return run


async def _within(seconds: float, test: Awaitable[None]) -> None:
    async with asyncio.timeout(seconds):
        await test


def events_of(text: str, id_: str = "resp_1") -> tuple[Event, ...]:
    """A whole reply."""
    return (
        Opening(id_, 1_800_000_000, "claude", 3),
        BlockStart(0, Text("")),
        BlockDelta(0, text),
        BlockStop(0),
        Finish("stop", 1, Usage(3, 4)),
    )


def turn(id_: str = "resp_1", **changes: Any) -> Turn:
    """A turn that is over, the first of its chain."""
    plain = Turn(
        id=id_,
        kind="response",
        owner=OWNER,
        root=id_,
        created=1_800_000_000,
        model="claude",
        request=b'{"model":"claude","input":"Hi."}',
        replies=(events_of("Hello.", id_),),
    )
    return replace(plain, **changes)


def running(id_: str = "resp_1", **changes: Any) -> Turn:
    """A turn in the background that has given nothing yet."""
    return turn(id_, **{"background": True, "is_running": True, "replies": ((),)} | changes)


def after(previous: Turn, id_: str, **changes: Any) -> Turn:
    """A turn that goes on from `previous`."""
    return turn(id_, **{"root": previous.root, "previous": previous.id} | changes)


def items(*ids: str) -> list[Item]:
    return [Item(id_, f'{{"id":"{id_}"}}'.encode()) for id_ in ids]


def batch(clock: Clock, id_: str = "batch_1", **changes: Any) -> Batch:
    return replace(Batch(id=id_, owner=OWNER, created=clock.now, expires=clock.now + DAY), **changes)


def requests(count: int, batch_id: str = "batch_1") -> list[BatchRequest]:
    return [
        BatchRequest(
            batch=batch_id,
            number=number,
            custom_id=f"request {number}",
            params=b'{"n":%d}' % number,
            owner=OWNER,
            headers=b"{}",
        )
        for number in range(count)
    ]
