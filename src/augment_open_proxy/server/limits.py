"""How many turns run at once, and how many begin in a minute. Those that must wait do so in their order."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from augment_open_proxy.core.errors import ErrorKind, Problem, ProxyError
from augment_open_proxy.server.flow import Sink, Source

if TYPE_CHECKING:
    from augment_open_proxy.server.shared import Places, Shared, Window

MINUTE = 60.0
BUSY_RETRY_AFTER = 5.0
"""Seconds after which a client is told to come back where all places are taken: when one gets free is not known."""
LOOK_EVERY = 0.01
"""Seconds between two looks for a place that another process may have left."""


class Begun:
    """When the last turns began, up to `most`; so many may begin in a minute."""

    def __init__(self, most: int) -> None:
        self._times: deque[float] = deque(maxlen=most)

    def take(self) -> float:
        """0 where the minute has room, which is taken; else the seconds until it has."""
        left = self.left()
        if left <= 0:
            self._times.append(time.monotonic())
        return left

    def left(self) -> float:
        """Seconds until the minute has room, 0 where it has."""
        if len(self._times) < (self._times.maxlen or 0):
            return 0.0
        return max(0.0, self._times[0] + MINUTE - time.monotonic())


class Limits:
    """Gives out places. `concurrency` and `rate` (turns a minute) are 0 for no limit; `patience` is in seconds.

    `shared` are the same limits where several processes keep them together: their turns wait in order within each.
    """

    def __init__(self, concurrency: int, rate: int, patience: float | None, shared: "Shared | None" = None) -> None:
        self._places: asyncio.Semaphore | Places | None
        self._begun: Begun | Window | None
        if shared is not None:
            self._places, self._begun = shared.turns, shared.begun
        else:
            self._places = asyncio.Semaphore(concurrency) if concurrency else None
            self._begun = Begun(rate) if rate else None
        self._turnstile = asyncio.Lock()
        self._patience = patience
        self._concurrency = concurrency
        self._rate = rate

    def within(self, source: Source) -> Source:
        """The same, begun when there is a place. Raises `ProxyError` where none gets free in time."""
        return source if self._places is None and self._begun is None else partial(self._in_turn, source)

    async def _in_turn(self, source: Source, sink: Sink) -> None:
        async with self._place():
            await source(sink)

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._patience):
                await self._enter()
        except TimeoutError:
            raise self._refusal() from None
        try:
            yield
        finally:
            self._leave()

    async def _enter(self) -> None:
        """Wait for a place, and until the minute has room, one after the other."""
        async with self._turnstile:
            await self._take_place()
            try:
                while self._begun is not None and (left := self._begun.take()) > 0:  # noqa: ASYNC110 (other processes take, too)
                    await asyncio.sleep(left)
            except BaseException:
                self._leave()
                raise

    async def _take_place(self) -> None:
        if isinstance(self._places, asyncio.Semaphore):
            await self._places.acquire()
        elif self._places is not None:
            while not self._places.take():  # noqa: ASYNC110 (other processes leave places, too)
                await asyncio.sleep(LOOK_EVERY)

    def _leave(self) -> None:
        if self._places is not None:
            self._places.release()

    def _refusal(self) -> ProxyError:
        what, setting, retry_after = f"{self._concurrency} turns at once", "AOP_MAX_CONCURRENCY", BUSY_RETRY_AFTER
        if self._begun is not None:
            left = self._begun.left()
            if left > 0 or self._places is None:
                what, setting = f"{self._rate} turns a minute", "AOP_RATE_LIMIT"
                retry_after = max(1.0, left)
        return ProxyError(
            Problem(
                ErrorKind.RATE_LIMITED,
                f"This proxy lets no more than {what} ({setting}), and none got free within {self._patience or 0:g} s "
                "(AOP_QUEUE_TIMEOUT_MS).",
                retry_after=retry_after,
            )
        )
