"""The store as the rest of the proxy has it: a URL, opened when first used.

Only `Stores.open` imports SQLAlchemy, in a thread: a proxy that stores nothing pays nothing.
"""

import asyncio
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from augment_open_proxy.journal.store.database import Database

SQLITE = "sqlite:///"
MEMORY = ("memory", "sqlite://", "sqlite:///:memory:")


class StoreUnavailable(Exception):  # noqa: N818 (a state, named as such)
    """The database cannot be used. The message says why, in one line for the user, without passwords."""


def default_url(state_dir: Path) -> str:
    """The SQLite file in the state folder."""
    return f"{SQLITE}{state_dir / 'store.db'}"


def describe(url: str) -> str:
    """Where `url` keeps things, in words: a path, or the URL without its password."""
    if url in MEMORY:
        return "in memory only"
    if url.startswith(SQLITE):
        return url.removeprefix(SQLITE)
    try:
        parts = urlsplit(url)
    except ValueError:
        return "a URL that cannot be read"
    user, at, host = parts.netloc.rpartition("@")
    query = re.sub(r"(?i)(^|&)(password|passfile)=[^&]*", r"\1\2=***", parts.query)
    return f"{parts.scheme}://{user.partition(':')[0]}{at}{host}{parts.path}{query and '?'}{query}"


class Stores:
    """Opens the one store of a process at its first use. `ttl` is in seconds, `size_limit` in bytes.

    `instance` names this process among those that share the database.
    """

    def __init__(
        self, url: str, *, ttl: float, size_limit: int, instance: str, clock: Callable[[], float] = time.time
    ) -> None:
        self._url = url
        self._ttl = ttl
        self._size_limit = size_limit
        self._instance = instance
        self._clock = clock
        self._opening: asyncio.Task[Database] | None = None
        self._database: Database | None = None

    @property
    def is_open(self) -> bool:
        return self._database is not None

    async def open(self) -> "Database":
        """The database, migrated and ready. Raises `StoreUnavailable`; a later call then tries anew."""
        if self._database is not None:
            return self._database
        if self._opening is None or self._opening.done():
            self._opening = asyncio.create_task(self._open())
            self._opening.add_done_callback(_look_at)
        # A caller that is cancelled takes the opening away from nobody.
        return await asyncio.shield(self._opening)

    async def close(self) -> None:
        """Write what waits, and close. A later `open` opens anew."""
        task, self._opening, self._database = self._opening, None, None
        if task is not None:
            await asyncio.wait([task])
            if not task.cancelled() and task.exception() is None:
                await task.result().close()

    async def _open(self) -> "Database":
        database = await asyncio.to_thread(_import)
        self._database = await database.open(
            self._url, ttl=self._ttl, size_limit=self._size_limit, instance=self._instance, clock=self._clock
        )
        return self._database


def _look_at(task: "asyncio.Task[Database]") -> None:
    """Where all who waited were cancelled, nobody else does, and asyncio would complain."""
    if not task.cancelled():
        task.exception()


def _import() -> "type[Database]":
    from augment_open_proxy.journal.store.database import Database

    return Database
