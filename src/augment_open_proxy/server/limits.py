"""How many turns run at once, and how many begin in a minute. Those that must wait do so in their order."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

from augment_open_proxy.core.errors import ErrorKind, Problem, ProxyError
from augment_open_proxy.server.choices import Batch

MINUTE = 60.0
BUSY_RETRY_AFTER = 5.0
"""Seconds after which a client is told to come back where all places are taken: when one gets free is not known."""


class Limits:
    """Gives out places. `concurrency` and `rate` (turns a minute) are 0 for no limit; `patience` is in seconds."""

    def __init__(self, concurrency: int, rate: int, patience: float | None) -> None:
        self._places = asyncio.Semaphore(concurrency) if concurrency else None
        self._begun: deque[float] | None = deque(maxlen=rate) if rate else None
        self._turnstile = asyncio.Lock()
        self._patience = patience
        self._concurrency = concurrency
        self._rate = rate

    def within(self, batches: AsyncGenerator[Batch]) -> AsyncGenerator[Batch]:
        """The same batches, begun when there is a place. Raises `ProxyError` where none gets free in time."""
        return batches if self._places is None and self._begun is None else self._in_turn(batches)

    async def _in_turn(self, batches: AsyncGenerator[Batch]) -> AsyncGenerator[Batch]:
        async with self._place(), aclosing(batches):
            async for batch in batches:
                yield batch

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
            if self._places is not None:
                self._places.release()

    async def _enter(self) -> None:
        if self._places is not None:
            await self._places.acquire()
        try:
            await self._pass()
        except BaseException:
            if self._places is not None:
                self._places.release()
            raise

    async def _pass(self) -> None:
        """Wait until the minute has room, one after the other."""
        if self._begun is None:
            return
        async with self._turnstile:
            if len(self._begun) == self._begun.maxlen:
                await asyncio.sleep(self._begun[0] + MINUTE - time.monotonic())
            self._begun.append(time.monotonic())

    def _refusal(self) -> ProxyError:
        what, setting, retry_after = f"{self._concurrency} turns at once", "AOP_MAX_CONCURRENCY", BUSY_RETRY_AFTER
        if self._begun is not None and len(self._begun) == self._begun.maxlen:
            minute_left = self._begun[0] + MINUTE - time.monotonic()
            if minute_left > 0 or self._places is None:
                what, setting = f"{self._rate} turns a minute", "AOP_RATE_LIMIT"
                retry_after = max(1.0, minute_left)
        return ProxyError(
            Problem(
                ErrorKind.RATE_LIMITED,
                f"This proxy lets no more than {what} ({setting}), and none got free within {self._patience or 0:g} s "
                "(AOP_QUEUE_TIMEOUT_MS).",
                retry_after=retry_after,
            )
        )
