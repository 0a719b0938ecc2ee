"""Connections that are kept for the next request: the one used last first, each for a minute, so many at most."""

import asyncio

from augment_open_proxy.upstream.http.connection import Connection

IDLE_SECONDS = 60.0
IDLE_LIMIT = 256
"""Idle connections that are kept for each origin; those whose answer is being read do not count."""


class Pool:
    """To be made, used and closed inside one event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._idle: dict[str, list[Connection]] = {}
        self._all: set[Connection] = set()
        self._timer: asyncio.TimerHandle | None = None

    def new(self, origin: str) -> Connection:
        """A connection to `origin` that is yet to be opened."""
        return Connection(origin, self._forget)

    def add(self, connection: Connection) -> None:
        """One that was opened, and is in use."""
        if connection.is_open():
            self._all.add(connection)

    def take(self, origin: str) -> Connection | None:
        """An idle connection to `origin`, the one that was used last."""
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if connection.can_be_kept():
                return connection
            connection.close()
        return None

    def give_back(self, connection: Connection) -> None:
        """Of no more use to its caller: keep it if its answer came whole, and close it otherwise."""
        idle = self._idle.setdefault(connection.origin, [])
        if len(idle) >= IDLE_LIMIT or not connection.can_be_kept():
            connection.close()
            return
        connection.reset()
        connection.idle_since = self._loop.time()
        idle.append(connection)
        if self._timer is None:
            self._timer = self._loop.call_later(IDLE_SECONDS, self._sweep)

    async def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._idle.clear()
        for connection in list(self._all):
            connection.close()
        await asyncio.sleep(0)  # the sockets are closed in the next round of the event loop

    def _forget(self, connection: Connection) -> None:
        """The connection is lost: no one must be given it."""
        self._all.discard(connection)
        idle = self._idle.get(connection.origin)
        if idle and connection in idle:
            idle.remove(connection)

    def _sweep(self) -> None:
        """Close what has been idle too long; what was used last is at the end of each list."""
        self._timer = None
        now = self._loop.time()
        next_time: float | None = None
        for origin, idle in list(self._idle.items()):
            while idle and now - idle[0].idle_since >= IDLE_SECONDS:
                idle.pop(0).close()
            if not idle:
                del self._idle[origin]
            elif next_time is None or idle[0].idle_since < next_time:
                next_time = idle[0].idle_since
        if next_time is not None:
            self._timer = self._loop.call_at(next_time + IDLE_SECONDS, self._sweep)
