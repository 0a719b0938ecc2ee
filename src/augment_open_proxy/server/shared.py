"""Limits that hold for all workers together: numbers in memory that their processes share.

Each change is made under a lock that the system frees where its holder dies. Nothing here waits for longer than
another process needs to change a number.
"""

import errno
import fcntl
import mmap
import os
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.reduction import DupFd
from typing import Any

import msgspec

from augment_open_proxy.server.limits import MINUTE
from augment_open_proxy.server.shares import DAY, FILE, Had, Limit, read_counts
from augment_open_proxy.settings import Settings
from augment_open_proxy.state import StateFolder
from augment_open_proxy.upstream.budget import ALWAYS, WINDOW

SEATS = 256
"""Processes that may use the same `Places` at once: the workers, and those that are still ending."""
MOST_KEYS = 16384
"""Keys with a share of the day that may be used in one day."""
_SIZE = 8


class Cells:
    """Whole numbers of 64 bits. A child process that is given them has the same ones, not a copy."""

    def __init__(self, number: int, file: int | None = None) -> None:
        """`file` is an open descriptor, which is kept; all numbers are 0 without one."""
        if file is None:
            with tempfile.TemporaryFile() as made:
                made.truncate(number * _SIZE)
                file = os.dup(made.fileno())
        self._number = number
        self._file = file
        self._cells = memoryview(mmap.mmap(file, number * _SIZE)).cast("q")

    def __reduce__(self) -> tuple[Any, ...]:
        return _attached, (self._number, DupFd(self._file))

    @contextmanager
    def held(self) -> Iterator["memoryview[int]"]:
        """The numbers, while no other process has them."""
        # A lock of lockf belongs to the process, whichever descriptor it came by: it is freed when the process ends.
        fcntl.lockf(self._file, fcntl.LOCK_EX, 1, 0)
        try:
            yield self._cells
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, 0)

    def sit(self, seat: int) -> bool:
        """Take a seat until this process ends or leaves it; whether no other process has it."""
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 1 + seat)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            return False
        return True

    def leave(self, seat: int) -> None:
        fcntl.lockf(self._file, fcntl.LOCK_UN, 1, 1 + seat)


def _attached(number: int, handle: Any) -> Cells:
    return Cells(number, handle.detach())


class Places:
    """At most `most` are taken at once. A process that died has none."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._cells = Cells(SEATS)
        self._seat: int | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_seat": None}  # another process sits elsewhere

    def take(self, wanted: int = 1) -> int:
        """How many of those wanted are free; they are taken."""
        with self._cells.held() as taken:
            seat = self._seated(taken)
            free = self._most - sum(taken)
            if free < wanted:
                self._clear(taken)
                free = self._most - sum(taken)
            number = max(0, min(wanted, free))
            taken[seat] += number
        return number

    def release(self, number: int = 1) -> None:
        with self._cells.held() as taken:
            taken[self._seated(taken)] -= number

    def _seated(self, taken: "memoryview[int]") -> int:
        if self._seat is None:
            self._seat = next(seat for seat in range(SEATS) if self._cells.sit(seat))
            taken[self._seat] = 0
        return self._seat

    def _clear(self, taken: "memoryview[int]") -> None:
        """Free what the dead had taken."""
        for seat in range(SEATS):
            if taken[seat] and seat != self._seat and self._cells.sit(seat):
                taken[seat] = 0
                self._cells.leave(seat)


class Window:
    """At most `most` begin within a time. The clock must be the same in all processes, as the monotonic one is."""

    def __init__(self, most: int, seconds: float, now: Callable[[], int] = time.monotonic_ns) -> None:
        self._most = most
        self._length = int(seconds * 1e9)
        self._cells = Cells(1 + most)
        """How many began, and when each of the last `most` did, in turn."""
        self._now = now

    def take(self) -> float:
        """0 where there was room, which is taken; else the seconds until there is."""
        with self._cells.held() as cells:
            now = self._now()
            left = self._left(cells, now)
            if left <= 0:
                cells[1 + cells[0] % self._most] = now
                cells[0] += 1
        return left

    def left(self) -> float:
        """Seconds until there is room, 0 where there is."""
        with self._cells.held() as cells:
            return self._left(cells, self._now())

    def _left(self, cells: "memoryview[int]", now: int) -> float:
        if cells[0] < self._most:
            return 0.0
        return max(0, cells[1 + cells[0] % self._most] + self._length - now) / 1e9


class SharedShares:
    """What each client key has had of its share of the day, by the digest of the key. See `shares.py`."""

    _ROW = 6
    """Cells of a key: four of its digest, its requests, its tokens."""
    _FIRST = 2
    """Before the rows: the day, and how many rows there are."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._cells = Cells(self._FIRST + self._ROW * MOST_KEYS)
        self._rows: dict[tuple[int, ...], int] = {}
        """Where the keys that were met stand, on `_day`."""
        self._day = 0

    def admit(self, digest: str, requests: int | None, tokens: int | None) -> Limit | None:
        with self._cells.held() as cells:
            row = self._row(cells, digest)
            spent = Had(self._day, cells[row], cells[row + 1]).spent(requests, tokens)
            if spent is None:
                cells[row] += 1
        return spent

    def add(self, digest: str, requests: int, tokens: int) -> None:
        with self._cells.held() as cells:
            row = self._row(cells, digest)
            cells[row] += requests
            cells[row + 1] += tokens

    def save(self) -> None:
        """The parent keeps them, by `save_in`."""

    def load_from(self, state: StateFolder) -> None:
        """Begin with what was kept."""
        today = int(self._now() // DAY)
        for digest, had in read_counts(state).items():
            if had.day == today:
                self.add(digest, had.requests, had.tokens)

    def save_in(self, state: StateFolder) -> None:
        """Keep what was counted, for the next start."""
        with self._cells.held() as cells:
            self._turn_to_today(cells)
            rows = [self._FIRST + self._ROW * number for number in range(cells[1])]
            counts = {
                struct.pack("4q", *cells[row : row + 4]).hex(): Had(self._day, cells[row + 4], cells[row + 5])
                for row in rows
            }
        if counts:
            state.write(FILE, msgspec.json.encode(counts))

    def _row(self, cells: "memoryview[int]", digest: str) -> int:
        """Where the requests of a key stand; its tokens follow."""
        self._turn_to_today(cells)
        name = struct.unpack("4q", bytes.fromhex(digest))
        for number in range(len(self._rows), cells[1]):  # those that others have met
            row = self._FIRST + self._ROW * number
            self._rows[tuple(cells[row : row + 4])] = row + 4
        if name not in self._rows:
            if cells[1] == MOST_KEYS:
                raise RuntimeError(f"more than {MOST_KEYS} keys with a share were used today")
            row = self._FIRST + self._ROW * cells[1]
            for place, value in enumerate((*name, 0, 0)):
                cells[row + place] = value
            cells[1] += 1
            self._rows[name] = row + 4
        return self._rows[name]

    def _turn_to_today(self, cells: "memoryview[int]") -> None:
        today = int(self._now() // DAY)
        if today > cells[0]:
            cells[0], cells[1] = today, 0
        if self._day != cells[0]:
            self._day = cells[0]
            self._rows.clear()


class Output:
    """Standard output: each text is written whole, whatever its length, before another process writes the next."""

    def __init__(self) -> None:
        self._turn = Cells(1)

    def write(self, text: str) -> None:
        """A reader that went away, or a full disk, must not end the requests."""
        stdout = sys.stdout
        if stdout is None:
            return
        data = memoryview(text.encode(stdout.encoding or "ascii", "backslashreplace"))
        with suppress(OSError, ValueError), self._turn.held():
            while data:
                data = data[os.write(stdout.fileno(), data) :]


class Shared:
    """All that the workers of one proxy share. `turns` and `begun` are `None` where the settings set no such limit.

    `asks_for_key` is decided once: a worker that takes another's place may find other keys.
    """

    def __init__(self, settings: Settings, *, asks_for_key: bool = False) -> None:
        self.asks_for_key = asks_for_key
        self.turns = Places(settings.max_concurrency) if settings.max_concurrency else None
        self.begun = Window(settings.rate_limit, MINUTE) if settings.rate_limit else None
        self.batches = Places(settings.batch_concurrency)
        self.shares = SharedShares()
        self.output = Output()
        self._retries = Window(ALWAYS, WINDOW)

    def may_retry(self) -> bool:
        """Whether one of the retries that are free in any case is left, which is taken."""
        return self._retries.take() <= 0
