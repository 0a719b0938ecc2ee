"""What all queries share: reading, writing in groups, the clock, who we are."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeVar

from sqlalchemy import Executable, Select, Table
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.pool import StaticPool

from augment_open_proxy.journal.store.engine import ErrorsAsUnavailable, rollback
from augment_open_proxy.journal.store.opening import StoreUnavailable
from augment_open_proxy.journal.store.writer import Prepared, Step, Work, Writer

T = TypeVar("T")

SPACING = 0.004
"""Seconds from one commit to the next: each costs as much as several turns, which gather meanwhile."""
LEASE = 10.0
"""Seconds that an instance is taken to be alive after it last said so."""


class Insert(Protocol):
    """`insert` of a dialect: both that we know have `on_conflict_do_update`, in the same form."""

    def __call__(self, table: Table) -> Any: ...


class Access:
    """A database that is open. Every method raises `StoreUnavailable` where it can't be used."""

    def __init__(
        self, engine: AsyncEngine, where: str, *, ttl: float, instance: str, clock: Callable[[], float]
    ) -> None:
        self.engine = engine
        is_sqlite = engine.dialect.name == "sqlite"
        # For PostgreSQL a transaction around each reading would be two more messages to the server.
        self._reader = engine if is_sqlite else engine.execution_options(isolation_level="AUTOCOMMIT")
        self.is_sqlite = is_sqlite
        self.ttl = ttl
        self.instance = instance
        self.clock = clock
        self.insert: Insert = _insert_of(engine.dialect.name)
        self._errors = ErrorsAsUnavailable(where)
        self._has_one_connection = isinstance(engine.pool, StaticPool)
        self._kept: AsyncConnection | None = None
        self.unsure_until = 0.0
        """Before this time a lease may have run out because the store was away: its holder could not prolong it."""
        self.writer = Writer(self._connect, 0.0 if self._has_one_connection else SPACING)

    def prepare(self, statement: Executable) -> Prepared:
        return Prepared(statement, self.engine.dialect)

    @property
    def lapsed(self) -> float:
        """The time before which a lease must end for its holder to be dead; what waits has one that ends at 0."""
        now = self.clock()
        return now if now > self.unsure_until else 1.0

    async def read(self, statement: Select[Any], **values: Any) -> Sequence[Row[Any]]:
        """All rows of `statement`, whose parameters have these values."""

        async def fetch(connection: AsyncConnection) -> Sequence[Row[Any]]:
            rows: Sequence[Row[Any]] = (await connection.execute(statement, values)).all()
            return rows

        if self._has_one_connection:
            return await self.change(fetch)  # takes its turn among what is written
        began = self.clock()
        try:
            with self._errors:
                async with self._reader.connect() as connection:
                    return await fetch(connection)
        except StoreUnavailable:
            began = 0.0  # it counts as one that took long
            raise
        finally:
            if self.clock() - began > LEASE / 2:
                self.unsure_until = self.clock() + LEASE

    async def write(self, *steps: Step) -> None:
        """Execute `steps`, in one commit with what others write."""
        with self._errors:
            await self.writer.write(steps)

    async def change(self, work: Work[T]) -> T:
        """Do `work` in a transaction, which on SQLite nobody else writes in."""
        with self._errors:
            return await self.writer.do(work)

    async def close(self) -> None:
        await self.writer.close()
        if self._kept is not None:
            await self._kept.close()
        await self.engine.dispose()

    @asynccontextmanager
    async def _connect(self) -> AsyncIterator[AsyncConnection]:
        """The writer's own connection, which is a new one after an error."""
        connection, self._kept = self._kept or await self.engine.connect(), None
        try:
            yield connection
        except BaseException:
            try:
                await rollback(connection)
            finally:
                await connection.close()
            raise
        self._kept = connection


def _insert_of(dialect: str) -> Insert:
    if dialect == "sqlite":
        from sqlalchemy.dialects.sqlite import insert as insert_sqlite

        return insert_sqlite
    from sqlalchemy.dialects.postgresql import insert as insert_postgresql

    return insert_postgresql
