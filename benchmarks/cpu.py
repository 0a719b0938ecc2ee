"""CPU time of a process and all its descendants, from Linux's accounts (`proc(5)`, `clock_getcpuclockid(3)`)."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

_TICK = 1 / os.sysconf("SC_CLK_TCK")
_PPID, _CUTIME, _CSTIME = 1, 13, 14
"""Places in /proc/<pid>/stat, counted from the state, which follows the command in its brackets."""


def tree_seconds(pid: int) -> float:
    """User and system time of `pid` and its descendants, those that have ended included. Raises `OSError`."""
    children: dict[int, list[int]] = {}
    stats: dict[int, list[str]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            stat = path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        process = int(path.parent.name)
        stats[process] = stat
        children.setdefault(int(stat[_PPID]), []).append(process)
    total = _own_seconds(pid) + _ended_children(stats[pid])
    for one in _descend(pid, children):
        with contextlib.suppress(OSError):  # it has just ended; its parent's account has it from now on
            total += 0 if one == pid else _own_seconds(one) + _ended_children(stats[one])
    return total


def _descend(pid: int, children: dict[int, list[int]]) -> Iterator[int]:
    yield pid
    for child in children.get(pid, ()):
        yield from _descend(child, children)


def _own_seconds(pid: int) -> float:
    """utime + stime, to the nanosecond: the clock whose id is made of `pid` (stat has hundredths of a second)."""
    return time.clock_gettime((~pid << 3) | 2)


def _ended_children(stat: list[str]) -> float:
    return (int(stat[_CUTIME]) + int(stat[_CSTIME])) * _TICK
