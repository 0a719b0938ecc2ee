"""What a process and all its descendants take, from Linux's accounts (`proc(5)`, `clock_getcpuclockid(3)`)."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

_TICK = 1 / os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_PPID, _CUTIME, _CSTIME = 1, 13, 14
"""Places in /proc/<pid>/stat, counted from the state, which follows the command in its brackets."""


def tree_seconds(pid: int) -> float:
    """User and system time of `pid` and its descendants, those that have ended included. Raises `OSError`."""
    stats = _stats()
    total = _own_seconds(pid) + _ended_children(stats[pid])
    for one in _descendants(pid, stats):
        with contextlib.suppress(OSError):  # it has just ended; its parent's account has it from now on
            total += _own_seconds(one) + _ended_children(stats[one])
    return total


def tree_memory(pid: int) -> int:
    """Resident bytes of `pid` and its descendants; what they share is counted for each. Raises `OSError`."""
    total = _own_memory(pid)
    for one in _descendants(pid, _stats()):
        with contextlib.suppress(OSError):
            total += _own_memory(one)
    return total


def _stats() -> dict[int, list[str]]:
    """The fields of each process, from its state on."""
    stats: dict[int, list[str]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has just ended
            stat = path.read_text(encoding="utf-8", errors="replace")
            stats[int(path.parent.name)] = stat.rpartition(")")[2].split()
    return stats


def _descendants(pid: int, stats: dict[int, list[str]]) -> Iterator[int]:
    for one, stat in stats.items():
        if int(stat[_PPID]) == pid:
            yield one
            yield from _descendants(one, stats)


def _own_seconds(pid: int) -> float:
    """utime + stime, to the nanosecond: the clock whose id is made of `pid` (stat has hundredths of a second)."""
    return time.clock_gettime((~pid << 3) | 2)


def _ended_children(stat: list[str]) -> float:
    return (int(stat[_CUTIME]) + int(stat[_CSTIME])) * _TICK


def _own_memory(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * _PAGE
