"""Alarms that nearly never ring: what each request waits for has its bound, and a timer for each would cost 2 µs.

All that are to ring after the same time ring in the order in which they were set, so one timer serves them.
"""

import asyncio
from typing import Protocol


class Rings(Protocol):
    """Something with an alarm; told from others by its identity."""

    def ring(self) -> None: ...


class Alarms:
    """Those of one event loop that ring so many `seconds` after they were set."""

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self.loop = loop
        self._seconds = seconds
        self._due: dict[Rings, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def set(self, one: Rings) -> None:
        """`one` has no alarm here yet."""
        due = self._due[one] = self.loop.time() + self._seconds
        if self._timer is None:
            self._timer = self.loop.call_at(due, self._ring)

    def unset(self, one: Rings) -> None:
        """Nothing happens where it has rung."""
        self._due.pop(one, None)

    def _ring(self) -> None:
        self._timer = None
        now = self.loop.time()
        while self._due:
            one, due = next(iter(self._due.items()))
            if due > now:
                self._timer = self.loop.call_at(due, self._ring)
                return
            del self._due[one]
            one.ring()


_known: dict[float, Alarms] = {}


def alarms(loop: asyncio.AbstractEventLoop, seconds: float) -> Alarms:
    """Those of this loop, which is the running one."""
    known = _known.get(seconds)
    if known is None or known.loop is not loop:
        known = _known[seconds] = Alarms(loop, seconds)
    return known
