"""Many streams that are open at once: their memory, and the CPU time of their lines."""

from msgspec import Struct

from benchmarks.accounts import tree_memory, tree_seconds
from benchmarks.answers import Answer, text_pieces
from benchmarks.figures import Figure, Goal
from benchmarks.load import Load, drive
from benchmarks.model import BenchmarkError, Job, Scenario, Surface, Target
from benchmarks.plan import Plan
from benchmarks.scenarios import streams
from benchmarks.servers import Servers, running
from benchmarks.soak.processes import allow_files

ABOUT = "2,000 open streams with a line each second: memory, and CPU time by the line"
GOAL = 120.0
"""MB of memory for all of the proxy with its 2,000 streams."""
_STREAMS = 2000
_LINES = 10
_PAUSE = 1.0
_QUICK_STREAMS, _QUICK_LINES = 500, 4
_MB = 1e6


class Held(Struct, frozen=True):
    """What a server took: its memory before, and at most; and CPU time for each line."""

    before: int
    most: int
    cpu_us: float


def scenario(streams_: int, lines: int, pause: float = _PAUSE, name: str = "hold") -> Scenario:
    """So many streams of so many lines."""
    return streams(name, ABOUT, Answer(text_pieces(lines - 1)), concurrency=streams_, count=streams_, pause=pause)


def run(plan: Plan) -> list[Figure]:
    """Raises `BenchmarkError`."""
    asked = scenario(_QUICK_STREAMS, _QUICK_LINES) if plan.quick else scenario(_STREAMS, _LINES)
    allow_files(asked.count)
    found: dict[str, Held] = {}
    surfaces: list[Surface] = [*plan.dialects, "backend"]
    for surface in surfaces:
        with running([asked]) as servers:  # new ones for each, for memory that was once taken is rarely given back
            target = _target(servers, surface)
            if target is not None:
                found[target.name] = hold(asked, target)
                plan.say(f"hold {target.name}: {found[target.name].most / _MB:.1f} MB with {asked.count} streams")
    return _figures(found, asked.count)


def _target(servers: Servers, surface: Surface) -> Target | None:
    return next((target for target in servers.targets() if target.surface == surface), None)


def hold(asked: Scenario, target: Target) -> Held:
    """Open the streams, all at once, and keep them to their end. Raises `BenchmarkError`."""
    what = f"{asked.name} on {target.name}"
    exchange = asked.exchanges[target.surface]
    drive(Job(target.port, exchange, 1, 1), what)
    before = most = tree_memory(target.pid)
    cpu = tree_seconds(target.pid)

    def sample() -> None:
        nonlocal most
        most = max(most, tree_memory(target.pid))

    outcome = Load(Job(target.port, exchange, asked.count, asked.concurrency), what).outcome(sample)
    if outcome.most_open < asked.count:
        raise BenchmarkError(f"{what}: no more than {outcome.most_open} of {asked.count} streams were open at once")
    cpu = tree_seconds(target.pid) - cpu
    return Held(before, most, 1e6 * cpu / (asked.count * asked.units))


def _figures(found: dict[str, Held], count: int) -> list[Figure]:
    figures: list[Figure] = []
    nginx = found.get("nginx")
    for target, held in found.items():
        floor = None if nginx is held else nginx
        goal = Goal(GOAL) if target.startswith("proxy ") and count == _STREAMS else None
        figures.append(Figure("hold", target, f"memory, {count:,} streams", held.most / _MB, "MB", goal=goal))
        each = (held.most - held.before) / count / 1e3
        floor_each = (floor.most - floor.before) / count / 1e3 if floor else None
        figures.append(
            Figure("hold", target, "memory of a stream", each, "kB", each / floor_each if floor_each else None)
        )
        ratio = held.cpu_us / floor.cpu_us if floor else None
        figures.append(Figure("hold", target, "CPU", held.cpu_us, "µs/line", ratio))
    return figures
