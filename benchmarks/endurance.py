"""Whether memory stays flat over many requests."""

from itertools import cycle

from msgspec.structs import replace

from benchmarks.accounts import tree_memory
from benchmarks.figures import Figure, Goal
from benchmarks.plan import Plan
from benchmarks.rounds import measure_once
from benchmarks.scenarios import SCENARIOS
from benchmarks.servers import running

ABOUT = "memory over 200,000 requests, in blocks of each dialect in turn"
GOAL = 5.0
"""MB that it may have grown by at the end, from the time when each dialect has had its first blocks."""
_BLOCK = 10_000
_BLOCKS = 20
_FIRST_BLOCKS = 2


def run(plan: Plan) -> list[Figure]:
    """Raises `BenchmarkError`."""
    asked = replace(SCENARIOS["unary"], count=plan.scaled(_BLOCK))
    memory: list[float] = []
    with running([asked]) as servers:
        proxies = [target for target in servers.targets(plan.dialects) if target.server == "proxy"]
        for number, target in zip(range(1, _BLOCKS + 1), cycle(proxies), strict=False):
            measure_once(asked, target, number)
            memory.append(tree_memory(target.pid) / 1e6)
            plan.say(f"long {number}/{_BLOCKS} {target.name}: {memory[-1]:.1f} MB")
    first = memory[_FIRST_BLOCKS * len(proxies) - 1]
    return [
        Figure("long", "proxy", f"memory, {_BLOCKS * asked.count:,} requests", memory[-1], "MB"),
        Figure("long", "proxy", "growth", memory[-1] - first, "MB", goal=Goal(GOAL)),
    ]
