"""What each client key has had of its share of the day, in UTC. It is kept, so that a restart gives no new share."""

from collections.abc import Callable

import msgspec
from msgspec import Struct

from augment_open_proxy.core.jsontext import UNREADABLE
from augment_open_proxy.state import StateFolder

FILE = "key-shares.json"
DAY = 86400
SAVE_EVERY = 30.0
"""Seconds between two writes of the file, at least: so much may be lost where the process is killed."""


class Had(Struct):
    """What a key has had on `day`."""

    day: int
    requests: int = 0
    tokens: int = 0


class Shares:
    """The counts of one process, by the digest of the key."""

    def __init__(self, state: StateFolder, now: Callable[[], float], monotonic: Callable[[], float]) -> None:
        self._state = state
        self._now = now
        self._monotonic = monotonic
        self._had = _read(state)
        self._saved = monotonic() - SAVE_EVERY
        self._is_changed = False

    def of(self, digest: str) -> Had:
        """What it has had today."""
        today = int(self._now() // DAY)
        had = self._had.get(digest)
        if had is None or had.day != today:
            had = self._had[digest] = Had(today)
        return had

    def add(self, digest: str, requests: int, tokens: int) -> None:
        had = self.of(digest)
        had.requests += requests
        had.tokens += tokens
        self._is_changed = True
        if self._monotonic() - self._saved >= SAVE_EVERY:
            self.save()

    def save(self) -> None:
        """Write what was counted since the last time, if anything was."""
        if not self._is_changed:
            return
        self._saved, self._is_changed = self._monotonic(), False
        today = int(self._now() // DAY)
        self._state.write(FILE, msgspec.json.encode({key: had for key, had in self._had.items() if had.day == today}))


def _read(state: StateFolder) -> dict[str, Had]:
    """A file that cannot be read is begun anew: it opens nothing to anybody, and holds no more than a day's counts."""
    try:
        return msgspec.json.decode(state.read(FILE) or b"{}", type=dict[str, Had])
    except UNREADABLE:
        return {}
