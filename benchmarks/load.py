"""Puts a load on a target, from a process of its own."""

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress

import msgspec

from benchmarks.driver import TIME_LIMIT
from benchmarks.model import BenchmarkError, Job, Outcome
from benchmarks.servers import ROOT

_SAMPLED_EVERY = 0.1
_HEAP = {"MALLOC_MMAP_THRESHOLD_": str(2**25), "MALLOC_TRIM_THRESHOLD_": str(2**31)}
"""What lets glibc keep the memory that the driver takes before its clock starts."""


class Load:
    """A load that is under way."""

    def __init__(self, job: Job, what: str) -> None:
        """`what` tells in an error what was measured."""
        self._what = what
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.driver"],
            cwd=ROOT,
            env={**os.environ, **_HEAP},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(job))
        self._process.stdin.close()
        self._process.stdin = None

    def outcome(self, meanwhile: Callable[[], object] | None = None) -> Outcome:
        """Wait for its end, and do something again and again until then. Raises `BenchmarkError`."""
        try:
            while meanwhile is not None and self._process.poll() is None:
                meanwhile()
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(_SAMPLED_EVERY)
            printed, _ = self._process.communicate(timeout=2 * TIME_LIMIT)
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise
        if self._process.returncode:
            raise BenchmarkError(f"the load driver failed with exit code {self._process.returncode}")
        outcome = msgspec.json.decode(printed, type=Outcome)
        if outcome.error is not None:
            raise BenchmarkError(f"{self._what}: {outcome.error}")
        return outcome


def drive(job: Job, what: str) -> Outcome:
    """Put the load on, and wait for its end. Raises `BenchmarkError`."""
    return Load(job, what).outcome()
