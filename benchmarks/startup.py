"""How long the proxy takes to start: until it answers, and until its banner says so."""

import subprocess
import tempfile
import threading
import time
from pathlib import Path
from statistics import median

from msgspec import Struct

from benchmarks.accounts import tree_memory, tree_seconds
from benchmarks.figures import Figure, Goal
from benchmarks.model import BenchmarkError
from benchmarks.plan import Plan
from benchmarks.servers import (
    START_SECONDS,
    ending,
    free_port,
    has_answered,
    proxy_command,
    proxy_environment,
    running_backend,
)

ABOUT = "the proxy's start: until it answers, and until its banner"
GOAL = 0.35
"""Seconds until it answers."""
_STARTS = 11


class Start(Struct, frozen=True):
    """Seconds until the answer and the banner, seconds of CPU time, and bytes of memory when both were there."""

    answer: float
    banner: float
    cpu: float
    memory: int


def run(plan: Plan) -> list[Figure]:
    """Raises `BenchmarkError`. The first start, which may have to compile, does not count."""
    starts: list[Start] = []
    with running_backend([]) as backend, tempfile.TemporaryDirectory(prefix="aop-bench-") as folder:
        for _ in range(1 + (5 if plan.quick else _STARTS)):
            starts.append(_start(Path(folder), backend.port))
            plan.say(f"startup: answers after {starts[-1].answer:.3f} s")
    counted = starts[1:]
    return [
        Figure("startup", "proxy", "until it answers", median(one.answer for one in counted), "s", goal=Goal(GOAL)),
        Figure("startup", "proxy", "until its banner", median(one.banner for one in counted), "s"),
        Figure("startup", "proxy", "CPU", median(one.cpu for one in counted), "s"),
        Figure("startup", "proxy", "memory", median(one.memory for one in counted) / 1e6, "MB"),
    ]


def _start(home: Path, backend: int) -> Start:
    port = free_port()
    began = time.perf_counter()
    process = subprocess.Popen(
        [*proxy_command(), "--port", str(port)],
        cwd=home,
        env=proxy_environment(home, backend),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    with ending(process):
        banner: list[float] = []
        reading = threading.Thread(target=_await_banner, args=(process, banner), daemon=True)
        reading.start()
        if not has_answered(process, port):
            raise BenchmarkError("the proxy does not start")
        answer = time.perf_counter() - began
        reading.join(START_SECONDS)
        if not banner:
            raise BenchmarkError("the proxy shows no banner")
        return Start(answer, banner[0] - began, tree_seconds(process.pid), tree_memory(process.pid))


def _await_banner(process: subprocess.Popen[bytes], seen: list[float]) -> None:
    """Note when the first line of the banner comes."""
    assert process.stderr is not None
    if process.stderr.readline():
        seen.append(time.perf_counter())
