"""From a URL to SQLAlchemy's engine, and from drivers' errors to one line."""

import asyncio
import os
import re
import sqlite3
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import StaticPool

from augment_open_proxy.journal.store.opening import MEMORY, SQLITE, StoreUnavailable, describe

BUSY_TIMEOUT = 10.0
"""Seconds to wait for another process that writes to the SQLite file."""
CONNECT_TIMEOUT = 10.0
COMMAND_TIMEOUT = 60.0
READERS = 4

_PRAGMAS = (
    f"PRAGMA busy_timeout = {BUSY_TIMEOUT * 1000:.0f}",
    "PRAGMA auto_vacuum = INCREMENTAL",  # heard only before the first page is written, so before WAL
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA wal_autocheckpoint = 4000",  # 16 MB: a page that is written often goes to the file less often
    f"PRAGMA journal_size_limit = {2**24}",
)

Steps = Sequence[tuple[str, Sequence[tuple[Any, ...]]]]
"""SQL, each executed once with each of its rows."""


class _Connection(sqlite3.Connection):
    """One that makes a transaction in one call: each that goes through aiosqlite changes threads twice."""

    def executescript(self, transaction: Any, /) -> Any:
        """Begin with `Steps`, and commit where they are all. aiosqlite passes on what it is given for a script."""
        steps, is_all = transaction
        self.execute("BEGIN IMMEDIATE")  # at the first write is too late for what was read before it
        for sql, rows in steps:
            self.executemany(sql, rows)
        if is_all:
            self.commit()


_SQLITE = {"factory": _Connection}


def create_engine(url: str) -> AsyncEngine:
    """An engine that has not connected yet. Raises `StoreUnavailable`."""
    if url in MEMORY:
        engine = create_async_engine("sqlite+aiosqlite://", poolclass=StaticPool, connect_args=_SQLITE)
    elif url.startswith(SQLITE):
        path = Path(url.removeprefix(SQLITE))
        _prepare(path)
        place = URL.create("sqlite+aiosqlite", database=str(path))
        engine = create_async_engine(place, pool_size=READERS + 1, max_overflow=0, connect_args=_SQLITE)
    else:
        return _postgresql(url)
    event.listen(engine.sync_engine, "connect", _set_pragmas)
    return engine


def _prepare(path: Path) -> None:
    """The file and its folder, for their owner alone; SQLite gives the files beside it the same mode."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))
        if not path.is_file():
            raise StoreUnavailable(f"the store {path} cannot be used: it is not a file")
        with suppress(PermissionError):  # not ours to change
            path.chmod(0o600)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise StoreUnavailable(f"the store {path} cannot be used: {reason}") from None


def _set_pragmas(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(pragma)
    cursor.close()


def _postgresql(url: str) -> AsyncEngine:
    scheme, colon, rest = url.partition(":")
    if not colon or scheme.removesuffix("+asyncpg") not in ("postgresql", "postgres"):
        raise StoreUnavailable(f"the store's URL {describe(url)} is neither memory, sqlite:/// nor postgresql://")
    try:
        connect = import_module("asyncpg").connect
    except ImportError:
        raise StoreUnavailable(
            "the store needs asyncpg for PostgreSQL: install it with pip install 'augment-open-proxy[postgres]'"
        ) from None

    async def create() -> Any:
        # The driver itself reads the URL, as libpq does; SQLAlchemy knows less of what may be in one.
        return await connect(f"postgresql:{rest}", timeout=CONNECT_TIMEOUT, command_timeout=COMMAND_TIMEOUT)

    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=create,
        pool_size=READERS + 1,
        max_overflow=0,
        pool_pre_ping=True,
    )


async def connect(engine: AsyncEngine) -> None:
    """Make the first connection, which makes the file and its WAL: for that, SQLite does not wait for its turn."""
    end = time.monotonic() + BUSY_TIMEOUT
    while True:
        try:
            async with engine.connect():
                return
        except OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > end:
                raise
        await asyncio.sleep(0.02)


# On SQLite a transaction goes past SQLAlchemy, which for each statement goes to the driver's thread three times.


async def begin(connection: AsyncConnection, steps: Steps, *, is_all: bool) -> None:
    """Begin a transaction with `steps`, and commit it where they are all."""
    if _is_sqlite(connection):
        await _driver(connection).executescript((steps, is_all))
        return
    for sql, rows in steps:
        await execute_many(connection, sql, rows)
    if is_all:
        await connection.commit()


async def commit(connection: AsyncConnection) -> None:
    if _is_sqlite(connection) and not connection.in_transaction():
        await _driver(connection).commit()
    else:
        await connection.commit()


async def rollback(connection: AsyncConnection) -> None:
    if _is_sqlite(connection) and not connection.in_transaction():
        await _driver(connection).rollback()
    else:
        await connection.rollback()


async def execute_many(connection: AsyncConnection, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Execute `sql` with each row."""
    if _is_sqlite(connection):
        await _driver(connection).executemany(sql, rows)
    else:
        await connection.exec_driver_sql(sql, list(rows))


async def free_pages(connection: AsyncConnection, most: int) -> None:
    """Give up to `most` free pages of an SQLite file back to the file system."""
    # Each row that is fetched frees one, and SQLAlchemy takes it that this has no rows.
    await _driver(connection).execute_fetchall(f"PRAGMA incremental_vacuum({most:d})")


def _is_sqlite(connection: AsyncConnection) -> bool:
    return connection.dialect.name == "sqlite"


def _driver(connection: AsyncConnection) -> Any:
    connected: Any = connection.sync_connection
    return connected.connection.driver_connection


class ErrorsAsUnavailable:
    """A context in which what SQLAlchemy, the drivers and the network raise becomes `StoreUnavailable`."""

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        pass

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, SQLAlchemyError | sqlite3.Error | OSError):
            raise StoreUnavailable(f"the store {self._where} cannot be used: {_reason(error)}") from error


def is_disconnect(error: BaseException) -> bool:
    """Whether the connection is dead: the server went away."""
    return isinstance(error, DBAPIError) and error.connection_invalidated


def is_busy(error: BaseException) -> bool:
    """Whether `begin` has waited in vain for another process that writes, and would again."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY  # its extended codes, too


def _reason(error: BaseException) -> str:
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    if isinstance(cause, TimeoutError) and not str(cause):
        return "it does not answer"
    if isinstance(cause, ConnectionError) and cause.errno:
        return os.strerror(cause.errno)  # asyncio has put a Python tuple into its own text
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    line = (str(cause) or type(cause).__name__).splitlines()[0]
    return re.sub(r"^<class '[^']*'>: ", "", line)
