"""What storing a reply costs on top: the proxy as a user has it, on SQLite in its state folder."""

from statistics import median

from msgspec.structs import replace

from benchmarks.conversation import Conversation
from benchmarks.figures import FLOOR, Figure, Goal
from benchmarks.model import Dialect, Measurement, Scenario
from benchmarks.plan import Plan
from benchmarks.rounds import measure
from benchmarks.scenarios import SCENARIOS, SHORT, exchanges, question
from benchmarks.servers import running

ABOUT = "what it costs to store a short whole reply, on top of answering it"
GOAL = 2.1
"""The most that it may cost, as a multiple of nginx's whole `unary`: 60 µs where that takes 29 µs."""
_PAIRS = 4
"""Plain and stored rounds, so much shorter, for each round: a machine that changes its speed meets both alike."""
_DIALECTS: tuple[Dialect, ...] = ("chat", "responses")
"""Those whose replies can be stored."""


def stored_scenario() -> Scenario:
    """As `unary`, each of them stored."""
    stored = exchanges(Conversation((question("stored"),)), SHORT, stream=False, store=True)
    return replace(SCENARIOS["unary"], name="stored", about=ABOUT, exchanges=stored)


def run(plan: Plan) -> list[Figure]:
    """Raises `BenchmarkError`."""
    asked = [replace(one, count=plan.scaled(one.count) // _PAIRS) for one in (SCENARIOS["unary"], stored_scenario())]
    found: list[Measurement] = []
    with running(asked) as servers:
        dialects = [dialect for dialect in _DIALECTS if dialect in plan.dialects]
        targets = servers.targets(dialects)
        for number in range(1, plan.rounds * _PAIRS + 1):
            for target in targets:
                for scenario in asked:  # one after the other, since what is told is their difference
                    found += (replace(one, round=number) for one in measure(scenario, [target], 1, plan.say))
    return [_figure(f"proxy {dialect}", found) for dialect in dialects]


def _figure(target: str, found: list[Measurement]) -> Figure:
    times = {(one.scenario, one.target, one.round): one.cpu_us for one in found}
    rounds = sorted({one.round for one in found})
    added = [times["stored", target, number] - times["unary", target, number] for number in rounds]
    floors = [times.get(("unary", FLOOR, number)) for number in rounds]
    ratios = [extra / floor for extra, floor in zip(added, floors, strict=True) if floor]
    ratio = median(ratios) if ratios else None
    return Figure("stored", target, "CPU added", median(added), "µs/request", ratio, goal=Goal(GOAL, "ratio"))
