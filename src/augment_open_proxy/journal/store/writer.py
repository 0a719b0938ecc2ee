"""Commits in groups: while one transaction runs, what is to be written gathers, and goes into the next together.

A write is durable when it returns. One that fails fails alone; a waiter that is cancelled takes nothing from others.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from operator import itemgetter
from typing import Any, TypeVar

from msgspec import Struct
from sqlalchemy import Executable
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.asyncio import AsyncConnection

from augment_open_proxy.journal.store.engine import execute_many, is_disconnect
from augment_open_proxy.journal.store.opening import StoreUnavailable

T = TypeVar("T")
Row = tuple[Any, ...]
Work = Callable[[AsyncConnection], Awaitable[T]]
"""What is done in a transaction. It may be done again, when the transaction was rolled back."""

ENOUGH = 16
"""How many writes make up for a commit, which costs as much as five: when so many wait, none waits for more."""
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
    """The one task that writes. `begin` opens a transaction and commits it, or rolls it back where its body raises."""

    def __init__(self, begin: Callable[[], AbstractAsyncContextManager[AsyncConnection]], spacing: float = 0.0) -> None:
        """`spacing`: seconds from one commit to the next, where fewer than `ENOUGH` wait."""
        self._begin = begin
        self._spacing = spacing
        self._loop = asyncio.get_running_loop()
        self._waiting: list[_Job] = []
        self._wake = asyncio.Event()
        self._due = asyncio.Event()
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
        self._due.set()
        await self._task

    def _submit(self, job: _Job) -> asyncio.Future[Any]:
        if self._is_closing:
            raise StoreUnavailable("the store is closed")
        self._waiting.append(job)
        self._wake.set()
        if len(self._waiting) == ENOUGH:
            self._due.set()
        return job.done

    async def _run(self) -> None:
        next_commit = self._loop.time()
        while self._waiting or not self._is_closing:
            if not self._waiting:
                self._wake.clear()
                await self._wake.wait()
            if len(self._waiting) < ENOUGH and not self._is_closing:
                self._due.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(next_commit):
                        await self._due.wait()
            group, self._waiting = self._waiting[:LARGEST_GROUP], self._waiting[LARGEST_GROUP:]
            if group := [job for job in group if not job.done.done()]:
                await self._settle(group)
                next_commit = self._loop.time() + self._spacing

    async def _settle(self, group: list[_Job], *, is_repeated: bool = False) -> None:
        has_begun = False
        try:
            async with self._begin() as connection:
                has_begun = True
                results = await _execute(connection, group)
        except Exception as error:
            if has_begun and is_disconnect(error) and not is_repeated:
                await self._settle(group, is_repeated=True)
            elif has_begun and len(group) > 1:
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


async def _execute(connection: AsyncConnection, group: list[_Job]) -> list[Any]:
    merged: dict[tuple[Prepared, ...], list[Sequence[Step]]] = {}
    for job in group:
        merged.setdefault(tuple([prepared for prepared, _ in job.steps]), []).append(job.steps)
    for plan, writes in merged.items():
        for place, prepared in enumerate(plan):
            if rows := [row for steps in writes for row in steps[place][1]]:
                await execute_many(connection, prepared.sql, rows)
    return [await job.work(connection) if job.work else None for job in group]
