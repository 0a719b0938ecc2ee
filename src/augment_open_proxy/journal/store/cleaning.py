"""What is over is deleted, and the oldest where the store is too large: a little at a time, between other writes."""

import asyncio
from contextlib import suppress

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from augment_open_proxy.journal.store.access import Access
from augment_open_proxy.journal.store.engine import free_pages
from augment_open_proxy.journal.store.lives import delete_some, oldest
from augment_open_proxy.journal.store.opening import StoreUnavailable
from augment_open_proxy.journal.store.schema import lives

FIRST = 5.0
"""Seconds after the store was opened."""
EVERY = 120.0
LIVES_AT_ONCE = 50
ROWS_AT_ONCE = 1000
"""Of each table, in one transaction."""
PAGES_AT_ONCE = 1000
"""Of the SQLite file, 4 KiB each."""


class Cleaner:
    """`size_limit` is in bytes."""

    def __init__(self, access: Access, size_limit: int) -> None:
        self._access = access
        self._size_limit = size_limit
        self._task = asyncio.create_task(self._run())

    async def clean(self) -> None:
        """Delete what is to be deleted now."""
        now = self._access.clock()
        excess = await self._excess()
        has_deleted = False
        while (freed := await self._delete_some(now, excess)) is not None:
            excess -= freed
            has_deleted = True
        if has_deleted and self._access.is_sqlite:
            await self._shrink()

    async def close(self) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        await asyncio.sleep(FIRST)
        while True:
            with suppress(StoreUnavailable):  # whoever uses the store learns of it
                await self.clean()
            await asyncio.sleep(EVERY)

    async def _excess(self) -> int:
        size = await self._access.read(select(func.coalesce(func.sum(lives.c.bytes), 0)))
        return int(size[0][0]) - self._size_limit

    async def _delete_some(self, now: float, excess: int) -> int | None:
        """How many bytes that will free; None where there is nothing to delete."""

        async def work(connection: AsyncConnection) -> int | None:
            numbers, freed = [], 0
            for life in await connection.execute(oldest(LIVES_AT_ONCE)):
                if life.expires > now and freed >= excess:
                    break
                numbers.append(life.number)
                freed += life.bytes
            if not numbers:
                return None
            await delete_some(connection, numbers, ROWS_AT_ONCE)
            return freed

        return await self._access.change(work)

    async def _shrink(self) -> None:
        """Give the pages that are free back to the file system."""

        async def work(connection: AsyncConnection) -> int:
            await free_pages(connection, PAGES_AT_ONCE)
            left: int = (await connection.exec_driver_sql("PRAGMA freelist_count")).scalar_one()
            return left

        left = None
        while left != (left := await self._access.change(work)) and left:
            pass
