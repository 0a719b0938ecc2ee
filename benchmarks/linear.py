"""Whether cost grows linearly: with the lines of an answer, with the messages of a history, with open streams."""

from collections.abc import Iterator
from itertools import pairwise
from statistics import median

from msgspec import Struct
from msgspec.structs import replace

from benchmarks.answers import Answer, text_pieces
from benchmarks.conversation import Conversation, agent_history
from benchmarks.figures import Figure, Goal
from benchmarks.hold import hold
from benchmarks.hold import scenario as held_streams
from benchmarks.model import Scenario, Target
from benchmarks.plan import Plan
from benchmarks.rounds import measure
from benchmarks.scenarios import question, requests, streams
from benchmarks.servers import running
from benchmarks.soak.processes import allow_files

ABOUT = "cost by 10 to 10,000 lines, 10 to 1,000 messages, 10 to 2,000 open streams"
GOAL = 1.3
"""The most that the last step may cost for each unit, as a multiple of what the step before it costs."""
LINES = (10, 100, 1000, 10_000)
MESSAGES = (10, 30, 100, 300, 1000)
STREAMS = (10, 100, 500, 1000, 2000)
_LINES_IN_A_ROUND, _MESSAGES_IN_A_ROUND = 50_000, 20_000
_MESSAGE_SIZE = 500
_MOST_ROUNDS = 3
_HELD_LINES, _HELD_PAUSE = 8, 0.5
_MANY_TOKENS = 1_000_000
"""A limit that is out of reach, so that the tokenizer is not what is measured."""


class Point(Struct, frozen=True):
    """What so many units cost together."""

    units: int
    cost: float


class Series(Struct, frozen=True):
    """What one target costs by size."""

    name: str
    target: str
    unit: str
    points: list[Point]

    def slopes(self) -> list[float]:
        """What each further unit costs, from each point to the next."""
        return [(after.cost - before.cost) / (after.units - before.units) for before, after in pairwise(self.points)]


def run(plan: Plan) -> tuple[list[Figure], list[Series]]:
    """Raises `BenchmarkError`."""
    series = [*_requests("lines", _by_lines(), plan), *_requests("messages", _by_messages(), plan), *_by_streams(plan)]
    return [figure for one in series for figure in _figures(one)], series


def _by_lines() -> Iterator[tuple[int, Scenario]]:
    for lines in LINES:
        answer = Answer(text_pieces(lines - 1))
        count = max(10, min(1000, _LINES_IN_A_ROUND // lines))
        yield lines, streams(f"lines_{lines}", ABOUT, answer, concurrency=4, count=count, max_tokens=_MANY_TOKENS)


def _by_messages() -> Iterator[tuple[int, Scenario]]:
    for messages in MESSAGES:
        name = f"messages_{messages}"
        conversation = Conversation((*agent_history(messages, _MESSAGE_SIZE), question(name)))
        count = max(20, min(500, _MESSAGES_IN_A_ROUND // messages))
        yield messages, requests(name, ABOUT, conversation, concurrency=4, count=count)


def _requests(name: str, sizes: Iterator[tuple[int, Scenario]], plan: Plan) -> list[Series]:
    """CPU time of a whole request by its size."""
    by_size = {
        size: replace(scenario, count=max(scenario.concurrency, plan.scaled(scenario.count)))
        for size, scenario in sizes
    }
    points: dict[str, list[Point]] = {}
    with running(by_size.values()) as servers:
        for size, scenario in by_size.items():
            taken = list(measure(scenario, servers.targets(plan.dialects), min(plan.rounds, _MOST_ROUNDS), plan.say))
            for target in dict.fromkeys(one.target for one in taken):
                cpu = median(one.cpu_us for one in taken if one.target == target)
                points.setdefault(target, []).append(Point(size, cpu * scenario.units))
    return [Series(name, target, "µs", found) for target, found in points.items()]


def _by_streams(plan: Plan) -> list[Series]:
    """Memory by open streams: of a server of its own, which is asked for more and more."""
    sizes = [size for size in STREAMS if not plan.quick or size <= 500]
    scenarios = [held_streams(size, _HELD_LINES, _HELD_PAUSE, f"streams_{size}") for size in sizes]
    allow_files(sizes[-1])
    series: list[Series] = []
    for dialect in plan.dialects:
        with running(scenarios) as servers:
            (proxy,) = (target for target in servers.targets([dialect]) if target.server == "proxy")
            series.append(_held(scenarios, proxy, plan))
    return series


def _held(scenarios: list[Scenario], target: Target, plan: Plan) -> Series:
    points: list[Point] = []
    for scenario in scenarios:
        most = hold(scenario, target).most / 1e3
        points.append(Point(scenario.count, most))
        plan.say(f"{scenario.name} on {target.name}: {most:,.0f} kB")
    return Series("streams", target.name, "kB", points)


def _figures(series: Series) -> Iterator[Figure]:
    """What a further unit costs at the end, and how much more that is than before."""
    before, last = series.slopes()[-2:]
    one = series.name.removesuffix("s")
    yield Figure("linear", series.target, f"a further {one}", last, series.unit)
    goal = Goal(GOAL) if series.target.startswith("proxy ") else None
    yield Figure("linear", series.target, f"the last {series.name} to those before", last / before, "times", goal=goal)
