"""Figures → a table for people, or JSON."""

import datetime
import os
import platform
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from augment_open_proxy import __version__
from benchmarks.figures import Figure
from benchmarks.linear import Series
from benchmarks.model import Measurement
from benchmarks.nginx import nginx_version
from benchmarks.servers import PROXY_LOG

_HEAD = ("scenario", "target", "", "value", "unit", "x nginx", "x chat", "goal", "")
_LEFT = (0, 1, 2, 4, 7, 8)


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


class Report(Struct, frozen=True):
    machine: Machine
    command: str
    rounds: int
    figures: list[Figure]
    measurements: list[Measurement]
    series: list[Series] = []


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


def as_json(report: Report) -> str:
    return msgspec.json.format(msgspec.json.encode(report)).decode()


def as_text(report: Report) -> str:
    """A table, and below it where and how the figures were taken."""
    rows = [_HEAD, *(row(figure) for figure in report.figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    table = "\n".join(_aligned(row, widths) for row in rows)
    about = report.machine
    return (
        f"{table}\n\n"
        f"augment-open-proxy {about.proxy}, log {about.log}; {about.python}; {about.nginx}\n"
        f"{about.date}; {about.system}; {about.processor}, {about.cores} cores; "
        f"medians of {report.rounds} interleaved rounds, every answer verified\n"
    )


def row(figure: Figure) -> tuple[str, ...]:
    """The figure as the cells of a table."""
    return (
        figure.scenario,
        figure.target,
        figure.quantity,
        f"{figure.value:,.2f}",
        figure.unit,
        "" if figure.ratio is None else f"{figure.ratio:.1f}",
        "" if figure.to_chat is None else f"{figure.to_chat:.2f}",
        goal_of(figure),
        {None: "", True: "met", False: "missed"}[figure.is_met],
    )


def goal_of(figure: Figure) -> str:
    if figure.goal is None:
        return ""
    return f"≤ {figure.goal.most:g}" + ("x nginx" if figure.goal.of == "ratio" else f" {figure.unit}")


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    words = (
        w.ljust(n) if column in _LEFT else w.rjust(n) for column, (w, n) in enumerate(zip(cells, widths, strict=True))
    )
    return "  ".join(words).rstrip()


def _processor() -> str:
    with Path("/proc/cpuinfo").open(encoding="utf-8") as lines:
        named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
        return next(named, "") or platform.processor() or "unknown processor"
