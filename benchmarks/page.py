"""The results page: `performance.md`, and its plots in a folder beside it."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks import endurance, gap, hold, linear, startup, stored, ttft
from benchmarks.figures import TO_CHAT, Figure
from benchmarks.linear import Series
from benchmarks.plots import Bar, Line, bars, lines
from benchmarks.report import Report, goal_of, row
from benchmarks.scenarios import SCENARIOS

FOLDER = "performance"
_ABOUTS = {
    "ttft": ("The first content", ttft.ABOUT),
    "hold": ("Open streams", hold.ABOUT),
    "gap": ("Large requests", gap.ABOUT),
    "startup": ("The start", startup.ABOUT),
    "stored": ("Storing", stored.ABOUT),
    "long": ("Many requests", endurance.ABOUT),
    "linear": ("Growth", linear.ABOUT),
}
_UNITS = {
    "lines": ("lines of the answer", "µs of CPU time for a request"),
    "messages": ("messages of the history", "µs of CPU time for a request"),
    "streams": ("open streams", "kB of memory in all"),
}


def write_page(report: Report, folder: Path) -> None:
    """Write page and plots of what was measured into `folder`; what was not has no section."""
    plots = folder / FOLDER
    plots.mkdir(parents=True, exist_ok=True)
    for name, plot in _plots(report):
        (plots / f"{name}.svg").write_text(plot, encoding="utf-8")
    (folder / "performance.md").write_text("\n".join(_page(report)), encoding="utf-8")


def _page(report: Report) -> Iterator[str]:
    about = report.machine
    yield f"""# Performance

What the proxy costs, with everything on that a user has by default. Where nginx does the same, passing the backend's
own bytes through, figures are shown as a multiple of nginx's in the same run: they depend less on the machine. This
page is written by `{report.command}`.

| | |
|---|---|
| Date | {about.date} |
| Machine | {about.processor}, {about.cores} cores; {about.system} |
| Software | augment-open-proxy {about.proxy} (log {about.log}), {about.python}, {about.nginx} |
| Rounds | {report.rounds}, interleaved over all targets; medians; every answer verified |
"""
    if _ratios(report):
        yield from _section("CPU time", _of(report, *SCENARIOS))
        yield from (f"- `{name}`: {scenario.about}" for name, scenario in SCENARIOS.items())
        yield "\nCPU time is that of the whole process tree, load and backend excepted."
        yield f"The other APIs are to stay within {TO_CHAT} of chat's figures.\n"
        yield f"![CPU time as a multiple of nginx's]({FOLDER}/ratios.svg)\n\nThe strokes mark the goals.\n"
    for name, (title, what) in _ABOUTS.items():
        if figures := _of(report, name):
            yield from _section(title, figures)
            yield f"`{name}`: {what}.\n"
            if name == "linear":
                yield from _growth(report.series)


def _of(report: Report, *scenarios: str) -> list[Figure]:
    return [one for one in report.figures if one.scenario in scenarios]


def _section(title: str, figures: Sequence[Figure]) -> Iterator[str]:
    yield f"## {title}\n"
    yield from _table(
        ("", "", "", "", "nginx = 1", "chat = 1", "goal", ""),
        (
            (
                f"`{figure.scenario}` {figure.target}",
                figure.quantity,
                value,
                figure.unit,
                ratio,
                to_chat,
                goal_of(figure),
                met,
            )
            for figure in figures
            for _, _, _, value, _, ratio, to_chat, _, met in [row(figure)]
        ),
    )
    yield ""


def _growth(series: Sequence[Series]) -> Iterator[str]:
    for name in dict.fromkeys(one.name for one in series):
        own = [one for one in series if one.name == name]
        x_name, y_name = _UNITS[name]
        yield f"### By {x_name}: {y_name}\n"
        head = ("", *(f"{point.units:,}" for point in own[0].points))
        yield from _table(head, ((one.target, *(f"{point.cost:,.0f}" for point in one.points)) for one in own))
        yield f"\n![{y_name} by {x_name}]({FOLDER}/{name}.svg)\n"


def _table(head: Sequence[str], rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|---" + "|---:" * (len(head) - 1) + "|"
    for cells in rows:
        yield f"| {' | '.join(cells)} |"


def _plots(report: Report) -> Iterator[tuple[str, str]]:
    if ratios := _ratios(report):
        yield "ratios", bars("CPU time as a multiple of nginx's", ratios)
    for name in dict.fromkeys(one.name for one in report.series):
        own = [one for one in report.series if one.name == name]
        x_name, y_name = _UNITS[name]
        curves = [Line(one.target, [(point.units, point.cost) for point in one.points]) for one in own]
        yield name, lines(f"{y_name} by {x_name}", x_name, y_name, curves)


def _ratios(report: Report) -> list[Bar]:
    return [
        Bar(one.scenario, one.target, one.ratio, one.goal.most if one.goal else None)
        for one in _of(report, *SCENARIOS)
        if one.ratio is not None
    ]
