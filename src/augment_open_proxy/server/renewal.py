"""Signs of life: as long as something runs here, its leases in the store are prolonged; those of the dead run out."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from augment_open_proxy.journal.store.opening import Stores, StoreUnavailable

if TYPE_CHECKING:
    from augment_open_proxy.journal.store.database import Database

RENEWAL = 2.0
"""Seconds between two signs of life."""
_log = logging.getLogger(__name__)


class Worker(Protocol):
    """Something that runs what it has claimed in the store."""

    @property
    def is_busy(self) -> bool:
        """Whether anything runs."""

    async def renewed(self, store: "Database", asked: Sequence[str]) -> None:
        """Is called after each sign of life: `asked` are the turns here whose end was asked for elsewhere."""


class Renewal:
    """One task for all workers, which lives as long as any of them is busy."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._workers: list[Worker] = []
        self._task: asyncio.Task[None] | None = None

    def cover(self, worker: Worker) -> None:
        """Prolong what `worker` has claimed, until it is busy no more."""
        if worker not in self._workers:
            self._workers.append(worker)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._renew())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _renew(self) -> None:
        while self._workers:
            await asyncio.sleep(RENEWAL)
            self._workers = [worker for worker in self._workers if worker.is_busy]
            try:
                store = await self._stores.open()
                asked = await store.turns.renew()
                for worker in list(self._workers):
                    await worker.renewed(store, asked)
            except StoreUnavailable as error:
                _log.warning("the store could not be told what runs here: %s", error)
            except Exception:
                _log.exception("the store could not be told what runs here")
