"""What other streams feel while bodies of 10 MB are parsed and encoded: the longest wait for a line."""

import time
from statistics import median

from msgspec import Struct

from benchmarks.answers import Answer, text_pieces
from benchmarks.conversation import Conversation, Message, agent_history, prose
from benchmarks.figures import Figure, Goal
from benchmarks.load import Load, drive
from benchmarks.model import Job, Scenario, Target
from benchmarks.plan import Plan
from benchmarks.scenarios import question, requests, streams
from benchmarks.servers import running

ABOUT = "the longest wait for a line of a stream, a line each 5 ms, while bodies of 10 MB come one after another"
GOAL = 20.0
"""Milliseconds that no stream may wait beyond the pause between its lines."""
_PAUSE = 0.005
_LINES = 600
_AHEAD = 1.0
"""Seconds in which the load's processes get ready, so that their own start is not what makes a stream wait."""


class Waits(Struct, frozen=True):
    """The longest waits beyond the pause in one round, in ms: of a stream through the proxy, and of one without it; and
    how many bodies were posted meanwhile.
    """

    through: float
    direct: float
    bodies: int


def scenarios() -> tuple[Scenario, list[Scenario]]:
    """The stream that is watched, and the large requests: four huge texts, and 2,000 messages."""
    watched = streams("gap", ABOUT, Answer(text_pieces(_LINES - 1)), concurrency=1, count=1, pause=_PAUSE)
    text = prose(2_400_000)
    texts = [Message(role, text) for role in ("user", "assistant", "user", "assistant")]
    bodies = {"4 texts": texts, "2,000 messages": list(agent_history(2000, 4900))}
    return watched, [
        requests(
            f"gap_{len(messages)}",
            name,
            Conversation((*messages, question(f"gap_{len(messages)}"))),
            concurrency=1,
            count=1,
        )
        for name, messages in bodies.items()
    ]


def run(plan: Plan) -> list[Figure]:
    """Raises `BenchmarkError`."""
    watched, large = scenarios()
    waits: dict[tuple[str, str], list[Waits]] = {}
    with running([watched, *large]) as servers:
        proxies = [target for target in servers.targets(plan.dialects) if target.server == "proxy"]
        for number in range(1, plan.rounds + 1):
            for target in proxies:
                for bodies in large:
                    seen = _watch(watched, bodies, target, servers.backend)
                    waits.setdefault((target.name, bodies.about), []).append(seen)
                    what = f"gap {number}/{plan.rounds} {target.name}, {seen.bodies} bodies of {bodies.about}"
                    plan.say(f"{what}: {seen.through:.1f} ms, {seen.direct:.1f} ms without the proxy")
    return [figure for (target, about), taken in waits.items() for figure in _figures(target, about, taken)]


def _watch(watched: Scenario, bodies: Scenario, target: Target, backend: Target) -> Waits:
    what = f"gap on {target.name}, {bodies.about}"
    exchange = bodies.exchanges[target.surface]
    drive(Job(target.port, exchange, 1, 1), what)
    start = time.monotonic() + _AHEAD
    through = Load(Job(target.port, watched.exchanges[target.surface], 1, 1, start), what)
    direct = Load(Job(backend.port, watched.exchanges["backend"], 1, 1, start), what)
    posting = Load(Job(target.port, exchange, 10**6, 1, start, seconds=_PAUSE * _LINES), what)
    ours, bare = (1000 * (load.outcome().longest_gap - _PAUSE) for load in (through, direct))
    return Waits(ours, bare, posting.outcome().answers)


def _figures(target: str, about: str, rounds: list[Waits]) -> list[Figure]:
    """Of the calmer half of the rounds: a machine that is busy with something else keeps every stream waiting."""
    calm = sorted(rounds, key=lambda one: one.direct)[: (len(rounds) + 1) // 2]
    return [
        Figure("gap", target, f"longest wait, {about}", median(one.through for one in calm), "ms", goal=Goal(GOAL)),
        Figure("gap", target, f"without the proxy, {about}", median(one.direct for one in calm), "ms"),
    ]
