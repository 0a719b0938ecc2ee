"""What each client key has had of its share of the day, in UTC. It is kept, so that a restart gives no new share."""

from collections.abc import Callable
from typing import Literal, Protocol

import msgspec
from msgspec import Struct

from augment_open_proxy.core.jsontext import UNREADABLE
from augment_open_proxy.state import StateFolder

FILE = "key-shares.json"
DAY = 86400
SAVE_EVERY = 30.0
"""Seconds between two writes of the file, at least: so much may be lost where the process is killed."""

Limit = Literal["requests", "tokens"]


class Had(Struct):
    """What a key has had on `day`."""

    day: int
    requests: int = 0
    tokens: int = 0

    def spent(self, requests: int | None, tokens: int | None) -> Limit | None:
        """Which of these limits is used up, if one is."""
        if requests is not None and self.requests >= requests:
            return "requests"
        if tokens is not None and self.tokens >= tokens:
            return "tokens"
        return None


class DayCounts(Protocol):
    """What a key ring counts by: `Shares`, or with several workers what they share."""

    def admit(self, digest: str, requests: int | None, tokens: int | None) -> Limit | None:
        """Count a request of a key, unless one of its limits is used up: then which."""

    def add(self, digest: str, requests: int, tokens: int) -> None:
        """Count what a key has had."""

    def save(self) -> None:
        """Keep what was counted since the last time, if anything was."""


class Shares:
    """The counts of one process, by the digest of the key."""

    def __init__(self, state: StateFolder, now: Callable[[], float], monotonic: Callable[[], float]) -> None:
        self._state = state
        self._now = now
        self._monotonic = monotonic
        self._had = read_counts(state)
        self._saved = monotonic() - SAVE_EVERY
        self._is_changed = False

    def of(self, digest: str) -> Had:
        """What it has had today."""
        today = int(self._now() // DAY)
        had = self._had.get(digest)
        if had is None or had.day != today:
            had = self._had[digest] = Had(today)
        return had

    def admit(self, digest: str, requests: int | None, tokens: int | None) -> Limit | None:
        spent = self.of(digest).spent(requests, tokens)
        if spent is None:
            self.add(digest, 1, 0)
        return spent

    def add(self, digest: str, requests: int, tokens: int) -> None:
        had = self.of(digest)
        had.requests += requests
        had.tokens += tokens
        self._is_changed = True
        if self._monotonic() - self._saved >= SAVE_EVERY:
            self.save()

    def save(self) -> None:
        if not self._is_changed:
            return
        self._saved, self._is_changed = self._monotonic(), False
        today = int(self._now() // DAY)
        self._state.write(FILE, msgspec.json.encode({key: had for key, had in self._had.items() if had.day == today}))


def read_counts(state: StateFolder) -> dict[str, Had]:
    """What was kept, by the digest of the key.

    A file that cannot be read is begun anew: it opens nothing to anybody, and holds no more than a day's counts.
    """
    try:
        return msgspec.json.decode(state.read(FILE) or b"{}", type=dict[str, Had])
    except UNREADABLE:
        return {}
