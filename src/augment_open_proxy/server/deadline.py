"""`asyncio.timeout` at a fifth of its cost, for waits that every request has."""

import asyncio
from types import TracebackType

from augment_open_proxy.server.alarms import alarms


class Deadline:
    """A context whose body is cancelled after so many seconds, and then raises `TimeoutError`."""

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
