"""The retry budget: a backend that is sick for all is not stormed by all trying again."""

from collections import deque
from collections.abc import Callable

WINDOW = 10.0
"""Seconds."""
SHARE = 0.2
"""Of the requests in the window, so many may be retries."""
ALWAYS = 3
"""So many retries may be in a window in any case."""


class RetryBudget:
    """Counts requests and retries of the last seconds. `now` is a monotonic clock.

    `spare` is given where several processes share what is free in any case: it takes one, and says whether there was.
    """

    def __init__(self, now: Callable[[], float], spare: Callable[[], bool] | None = None) -> None:
        self._now = now
        self._spare = spare
        self._requests: deque[list[float]] = deque()
        """Pairs of a time and how many requests came within the second after it."""
        self._retries: deque[float] = deque()

    def count(self) -> None:
        """A request is sent for the first time."""
        now = self._now()
        if self._requests and now - self._requests[-1][0] < 1.0:
            self._requests[-1][1] += 1
            return
        self._forget(now)
        self._requests.append([now, 1])

    def take(self) -> bool:
        """Whether a request may be sent again; if so, that is counted."""
        now = self._now()
        self._forget(now)
        while self._retries and now - self._retries[0] >= WINDOW:
            self._retries.popleft()
        is_free = self._spare() if self._spare is not None else len(self._retries) < ALWAYS
        if not is_free and len(self._retries) + 1 > SHARE * sum(count for _, count in self._requests):
            return False
        self._retries.append(now)
        return True

    def _forget(self, now: float) -> None:
        while self._requests and now - self._requests[0][0] >= WINDOW:
            self._requests.popleft()
