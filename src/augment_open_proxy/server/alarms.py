"""Alarms that nearly never ring: what each request waits for has its bound, and a timer for each would cost 2 µs.

All that are to ring after the same time ring in the order in which they were set, so one timer serves them.
"""

import asyncio
from types import TracebackType
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


class Deadline:
    """A context whose body is cancelled after so many seconds, and then raises `TimeoutError`: `asyncio.timeout` at a
    fifth of its cost, for waits that every request has.
    """

    __slots__ = ("_alarms", "_before", "_is_over", "_seconds", "_task")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._is_over = False

    def __enter__(self) -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        if task is None:
            raise RuntimeError("only a task can have a deadline")
        self._task = task
        self._before = task.cancelling()
        self._alarms = alarms(loop, self._seconds)
        self._alarms.set(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._alarms.unset(self)
        # As asyncio.timeout does it: who else has cancelled the task meanwhile is obeyed.
        if self._is_over and self._task.uncancel() <= self._before and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def ring(self) -> None:
        """The time is over."""
        self._is_over = True
        self._task.cancel()
