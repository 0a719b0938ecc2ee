"""The signals that stop the proxy. They are heard from before the port listens, so that none kills the process."""

import signal
from collections.abc import Callable
from types import FrameType
from typing import Any, Self

SIGNALS = {signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGBREAK", signal.SIGTERM)}  # the last is Windows'


class Stop:
    """Counts the requests to stop: the first asks for an end in good order, the second for one at once.

    Within `with`, each signal is one. Only the main thread may enter it.
    """

    def __init__(self) -> None:
        self.count = 0
        self._handle: Callable[[], object] = _wait
        self._old: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        self._old = {number: signal.signal(number, self._hear) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)

    def tell(self, handle: Callable[[], object]) -> None:
        """Call `handle` for each request to stop: for those that came before, and for those to come.

        It is called in a signal handler, between any two steps of the main thread.
        """
        self._handle = handle
        for _ in range(self.count):
            handle()

    def ask(self) -> None:
        """Count a request to stop."""
        self.count += 1
        self._handle()

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self.ask()


def _wait() -> None:
    """Nobody to tell yet."""
