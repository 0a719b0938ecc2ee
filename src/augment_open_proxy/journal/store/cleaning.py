"""What is over is deleted, and the oldest where the store is too large: a little at a time, between other writes."""

import asyncio
from contextlib import suppress

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from augment_open_proxy.journal.store.access import Access
from augment_open_proxy.journal.store.lives import delete_lives, oldest
from augment_open_proxy.journal.store.opening import StoreUnavailable
from augment_open_proxy.journal.store.schema import lives

FIRST = 5.0
"""Seconds after the store was opened."""
EVERY = 300.0
DELETED_AT_ONCE = 50
PAGES_AT_ONCE = 1000
"""Of the SQLite file, 4 KiB each."""


class Cleaner:
    """`size_limit` is in bytes."""

    def __init__(self, access: Access, size_limit: int) -> None:
        self._access = access
        self._size_limit = size_limit
        self._task = asyncio.create_task(self._run())

    async def clean(self) -> int:
        """Delete what is to be deleted now; how many lives that was."""
        now = self._access.clock()
        deleted = 0
        while count := await self._delete_some(now):
            deleted += count
        if deleted and self._access.is_sqlite:
            await self._shrink()
        return deleted

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

    async def _delete_some(self, now: float) -> int:
        size = await self._access.read(select(func.coalesce(func.sum(lives.c.bytes), 0)))
        excess = int(size[0][0]) - self._size_limit

        async def work(connection: AsyncConnection) -> int:
            numbers, freed = [], 0
            for life in await connection.execute(oldest(DELETED_AT_ONCE)):
                if life.expires > now and freed >= excess:
                    break
                numbers.append(life.number)
                freed += life.bytes
            if numbers:
                await delete_lives(connection, numbers)
            return len(numbers)

        return await self._access.change(work)

    async def _shrink(self) -> None:
        """Give the pages that are free back to the file system."""

        async def work(connection: AsyncConnection) -> int:
            # Each row that is fetched frees a page.
            (await connection.exec_driver_sql(f"PRAGMA incremental_vacuum({PAGES_AT_ONCE})")).all()
            left: int = (await connection.exec_driver_sql("PRAGMA freelist_count")).scalar_one()
            return left

        left = None
        while left != (left := await self._access.change(work)) and left:
            pass
