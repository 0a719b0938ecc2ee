"""Measurements → a table for people, or JSON."""

import datetime
import os
import platform
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median

import msgspec
from msgspec import Struct

from augment_open_proxy import __version__
from benchmarks.model import Measurement, Scenario
from benchmarks.servers import PROXY_LOG, nginx_version

FLOOR = "nginx"


class Machine(Struct, frozen=True):
    """Where and when the figures were taken, and of what."""

    date: str
    system: str
    processor: str
    cores: int
    python: str
    nginx: str
    proxy: str = __version__
    log: str = PROXY_LOG


class Result(Struct, frozen=True):
    """A scenario on a target: medians over the rounds, in microseconds for each unit."""

    scenario: str
    target: str
    unit: str
    cpu_us: float
    wall_us: float
    ratio: float | None
    """CPU time as a multiple of nginx's in the same round; `None` without nginx, and for nginx itself."""
    goal: float | None


class Report(Struct, frozen=True):
    machine: Machine
    rounds: int
    results: list[Result]
    measurements: list[Measurement]


def machine() -> Machine:
    """This machine, now."""
    return Machine(
        date=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        nginx=nginx_version(),
    )


def results(scenarios: Iterable[Scenario], measurements: Sequence[Measurement]) -> list[Result]:
    """The medians, in the order in which scenarios and targets were measured."""
    found: list[Result] = []
    for scenario in scenarios:
        own = [one for one in measurements if one.scenario == scenario.name]
        floor = {one.round: one.cpu_us for one in own if one.target == FLOOR}
        for target in dict.fromkeys(one.target for one in own):
            taken = [one for one in own if one.target == target]
            ratios = [one.cpu_us / floor[one.round] for one in taken if target != FLOOR and floor.get(one.round)]
            found.append(
                Result(
                    scenario=scenario.name,
                    target=target,
                    unit=scenario.unit,
                    cpu_us=median(one.cpu_us for one in taken),
                    wall_us=median(one.wall_us for one in taken),
                    ratio=median(ratios) if ratios else None,
                    goal=None if target == FLOOR else scenario.goal,
                )
            )
    return found


def as_json(report: Report) -> str:
    return msgspec.json.format(msgspec.json.encode(report)).decode()


def as_text(report: Report) -> str:
    """A table, and below it where and how the figures were taken."""
    rows: list[tuple[str, ...]] = [("scenario", "target", "CPU µs", "wall µs", "per", "ratio", "goal")]
    rows += (_row(result) for result in report.results)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    table = "\n".join(_aligned(row, widths) for row in rows)
    about = report.machine
    return (
        f"{table}\n\n"
        f"augment-open-proxy {about.proxy}, log {about.log}; {about.python}; {about.nginx}\n"
        f"{about.date}; {about.system}; {about.processor}, {about.cores} cores; "
        f"medians of {report.rounds} interleaved rounds, every answer verified\n"
    )


def _row(result: Result) -> tuple[str, ...]:
    return (
        result.scenario,
        result.target,
        f"{result.cpu_us:.2f}",
        f"{result.wall_us:.2f}",
        result.unit,
        "" if result.ratio is None else f"{result.ratio:.1f}",
        "" if result.goal is None else f"≤ {result.goal:g}",
    )


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    words = (
        w.rjust(n) if 2 <= column != 4 else w.ljust(n) for column, (w, n) in enumerate(zip(row, widths, strict=True))
    )
    return "  ".join(words).rstrip()


def _processor() -> str:
    with Path("/proc/cpuinfo").open(encoding="utf-8") as lines:
        named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
        return next(named, "") or platform.processor() or "unknown processor"
