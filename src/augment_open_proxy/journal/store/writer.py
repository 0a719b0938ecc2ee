"""Commits in groups: while one transaction runs, what is to be written gathers, and goes into the next together.

A write is durable when it returns. One that fails fails alone; a waiter that is cancelled takes nothing from others.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from operator import itemgetter
from typing import Any, TypeVar

from msgspec import Struct
from sqlalchemy import Executable
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.asyncio import AsyncConnection

from augment_open_proxy.journal.store.engine import Steps, begin, commit, is_busy, is_disconnect
from augment_open_proxy.journal.store.opening import StoreUnavailable

T = TypeVar("T")
Row = tuple[Any, ...]
Work = Callable[[AsyncConnection], Awaitable[T]]
"""What is done in a transaction. It may be done again, when the transaction was rolled back."""

LARGEST_GROUP = 256


class Prepared:
    """A statement compiled once: executing it costs what the driver takes, and nothing for SQLAlchemy's compiler."""

    def __init__(self, statement: Executable, dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect)  # type: ignore[attr-defined]  # every statement has it; their common type does not say so
        self.sql = str(compiled)
        names: list[str] = compiled.positiontup
        self._pick = itemgetter(*names)
        self._is_single = len(names) == 1

    def row(self, **values: Any) -> Row:
        """The parameters in their order."""
        picked = self._pick(values)
        return (picked,) if self._is_single else picked


Step = tuple[Prepared, Sequence[Row]]
"""A statement, executed once with each row. Writes with the same statements in the same order are executed as one."""


class _Job(Struct, frozen=True, eq=False):
    """Steps or work; `done` is what its waiter waits for."""

    done: asyncio.Future[Any]
    steps: Sequence[Step]
    work: Work[Any] | None = None


class Writer:
    """The one task that writes. `connect` gives it a connection, and rolls back where its body raises."""

    def __init__(self, connect: Callable[[], AbstractAsyncContextManager[AsyncConnection]], spacing: float) -> None:
        """`spacing`: seconds from one commit to the next."""
        self._connect = connect
        self._spacing = spacing
        self._loop = asyncio.get_running_loop()
        self._waiting: list[_Job] = []
        self._wake = asyncio.Event()
        self._is_closing = False
        self._task = asyncio.create_task(self._run())
        self.commits = 0
        """How many transactions were committed."""

    def write(self, steps: Sequence[Step]) -> asyncio.Future[None]:
        """Execute `steps` in their order; done when that is committed."""
        return self._submit(_Job(self._loop.create_future(), steps))

    def do(self, work: Work[T]) -> asyncio.Future[T]:
        """Do `work` in a transaction; what it returns, once that is committed."""
        return self._submit(_Job(self._loop.create_future(), (), work))

    async def close(self) -> None:
        """Write what waits; refuse what comes."""
        self._is_closing = True
        self._wake.set()
        await self._task

    def _submit(self, job: _Job) -> asyncio.Future[Any]:
        if self._is_closing:
            raise StoreUnavailable("the store is closed")
        self._waiting.append(job)
        self._wake.set()
        return job.done

    async def _run(self) -> None:
        next_commit = self._loop.time()
        while self._waiting or not self._is_closing:
            if not self._waiting:
                self._wake.clear()
                await self._wake.wait()
            await asyncio.sleep(next_commit - self._loop.time())
            group, self._waiting = self._waiting[:LARGEST_GROUP], self._waiting[LARGEST_GROUP:]
            if group := [job for job in group if not job.done.done()]:
                await self._settle(group)
                next_commit = self._loop.time() + self._spacing

    async def _settle(self, group: list[_Job], *, is_repeated: bool = False) -> None:
        is_connected = False
        try:
            async with self._connect() as connection:
                is_connected = True
                has_work = any(job.work for job in group)
                await begin(connection, _merged(group), is_all=not has_work)
                results = [await job.work(connection) if job.work else None for job in group]
                if has_work:
                    await commit(connection)
        except Exception as error:
            if is_connected and is_disconnect(error) and not is_repeated:
                await self._settle(group, is_repeated=True)
            elif is_connected and len(group) > 1 and not is_busy(error):
                for job in group:
                    await self._settle([job])
            else:
                _fail(group, error)
            return
        self.commits += 1
        for job, result in zip(group, results, strict=True):
            if not job.done.done():
                job.done.set_result(result)


def _fail(group: list[_Job], error: Exception) -> None:
    for job in group:
        if not job.done.done():
            job.done.set_exception(error)


def _merged(group: list[_Job]) -> Steps:
    merged: dict[tuple[Prepared, ...], list[Sequence[Step]]] = {}
    for job in group:
        merged.setdefault(tuple([prepared for prepared, _ in job.steps]), []).append(job.steps)
    return [
        (prepared.sql, rows)
        for plan, writes in merged.items()
        for place, prepared in enumerate(plan)
        if (rows := [row for steps in writes for row in steps[place][1]])
    ]
