"""The time to the first content of a stream, one request at a time: what the proxy adds to the backend's own."""

import math
from collections.abc import Sequence

from benchmarks.answers import Answer
from benchmarks.figures import FLOOR, Figure, Goal
from benchmarks.load import drive
from benchmarks.model import Job, Scenario, Target
from benchmarks.plan import Plan
from benchmarks.scenarios import streams
from benchmarks.servers import running

ABOUT = "time to the first content of a stream, one request at a time, over the time without the proxy"
GOAL = 0.6
"""Milliseconds that half of the requests may take longer."""
_COUNT = 200
_FIRST = "Bonjour, "
"""No request has it."""


def scenario() -> Scenario:
    return streams("ttft", ABOUT, Answer((_FIRST, "and goodbye.")), concurrency=1, count=_COUNT, pause=0.002)


def run(plan: Plan) -> list[Figure]:
    """Raises `BenchmarkError`."""
    asked = scenario()
    waits: dict[str, list[float]] = {}
    with running([asked], with_peer=plan.with_peer) as servers:
        targets = [servers.backend, *servers.targets(plan.dialects)]
        for target in targets:
            _wait(asked, target, 10)
        for number in range(1, plan.rounds + 1):
            for target in targets:
                taken = _wait(asked, target, plan.scaled(_COUNT))
                waits.setdefault(target.name, []).extend(taken)
                plan.say(f"ttft {number}/{plan.rounds} {target.name}: {percentile(taken, 0.5):.2f} ms")
    return _figures(waits, servers.backend.name)


def _wait(asked: Scenario, target: Target, count: int) -> list[float]:
    """The waits of so many requests, in milliseconds."""
    job = Job(target.port, asked.exchanges[target.surface], count, 1, first_content=_FIRST)
    return [1000 * wait for wait in drive(job, f"ttft on {target.name}").first_content]


def _figures(waits: dict[str, list[float]], direct: str) -> list[Figure]:
    figures: list[Figure] = []
    for target, taken in waits.items():
        for share in (0.5, 0.99):
            name, wait = f"p{100 * share:g}", percentile(taken, share)
            figures.append(Figure("ttft", target, name, wait, "ms"))
            if target == direct:
                continue
            goal = Goal(GOAL) if share == 0.5 and target.startswith("proxy ") else None
            added = wait - percentile(waits[direct], share)
            figures.append(Figure("ttft", target, f"{name} added", added, "ms", goal=goal))
            if target != FLOOR and FLOOR in waits:
                over = wait - percentile(waits[FLOOR], share)
                figures.append(Figure("ttft", target, f"{name} over nginx", over, "ms"))
    return figures


def percentile(values: Sequence[float], share: float) -> float:
    """The least value that so large a share of them does not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
