"""From measurements to figures, the page with its plots, and the check against the baseline."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import msgspec
import pytest
from benchmarks.check import baseline, instructions, ratios
from benchmarks.check.__main__ import main
from benchmarks.check.baseline import Baseline
from benchmarks.check.loads import loads
from benchmarks.figures import Figure, Goal, cpu_figures
from benchmarks.linear import Point, Series
from benchmarks.model import Measurement
from benchmarks.page import write_page
from benchmarks.plots import Bar, Line, bars, lines
from benchmarks.report import Report, as_json, as_text, machine
from benchmarks.scenarios import SCENARIOS
from benchmarks.ttft import percentile

ROUNDS = ((80, 160, 10), (300, 330, 100), (50, 70, 5))
"""For each round, µs of CPU time of the targets."""
TARGETS = ("proxy chat", "proxy messages", "nginx")


def measurements() -> list[Measurement]:
    return [
        Measurement("unary", target, number, cpu_us, 2 * cpu_us)
        for number, taken in enumerate(ROUNDS, 1)
        for target, cpu_us in zip(TARGETS, taken, strict=True)
    ]


def test_ratios_are_of_the_same_round_and_medians_of_all() -> None:
    chat, messages, nginx = cpu_figures(SCENARIOS.values(), measurements())
    assert (chat.value, chat.ratio, chat.to_chat, chat.is_met) == (80, 8, None, True)
    assert (messages.value, messages.ratio, messages.to_chat, messages.is_met) == (160, 14, 1.4, False)
    assert (nginx.value, nginx.ratio, nginx.to_chat, nginx.is_met) == (10, None, None, None)


def test_goals_are_of_the_value_or_the_ratio() -> None:
    figure = Figure("x", "proxy chat", "CPU", 5.0, "ms", ratio=2.0)
    for goal, is_met in ((None, None), (Goal(5), True), (Goal(4.9), False), (Goal(2, "ratio"), True)):
        assert msgspec.structs.replace(figure, goal=goal).is_met is is_met
    assert msgspec.structs.replace(figure, goal=Goal(1.9, "ratio")).is_met is False
    to_chat = Goal(2, "ratio", to_chat=1.3)
    assert msgspec.structs.replace(figure, goal=to_chat, to_chat=1.3).is_met is True
    assert msgspec.structs.replace(figure, goal=to_chat, to_chat=1.31).is_met is False
    assert msgspec.structs.replace(figure, goal=Goal(2, "ratio"), ratio=None).is_met is None


def test_percentiles_are_values_that_were_measured() -> None:
    assert percentile([3, 1, 2, 4], 0.5) == 2
    assert percentile(range(1, 201), 0.99) == 198
    assert percentile([7], 0.99) == 7


def report(*, series: bool = True) -> Report:
    grown = [Series("lines", target, "µs", [Point(10, 100), Point(100, 1_000)]) for target in ("proxy chat", "nginx")]
    figures = [
        *cpu_figures(SCENARIOS.values(), measurements()),
        Figure("linear", "proxy chat", "a further line", 10.0, "µs"),
    ]
    return Report(machine(), "python -m benchmarks", 3, figures, measurements(), grown if series else [])


def test_a_report_is_a_table_or_json() -> None:
    made = report()
    head, chat, messages, *_ = as_text(made).splitlines()
    assert chat.split() == ["unary", "proxy", "chat", "CPU", "80.00", "µs/request", "8.0", "≤", "8x", "nginx", "met"]
    assert messages.split()[-5:] == ["1.40", "≤", "8x", "nginx", "missed"]
    assert head.index("x nginx") < head.index("x chat")
    assert msgspec.json.decode(as_json(made), type=Report) == made


def test_the_page_shows_what_was_measured_and_its_plots(tmp_path: Path) -> None:
    write_page(report(), tmp_path)
    page = (tmp_path / "performance.md").read_text(encoding="utf-8")
    assert "| `unary` proxy messages | CPU | 160.00 | µs/request | 14.0 | 1.40 | ≤ 8x nginx | missed |" in page
    assert "| proxy chat | 100 | 1,000 |" in page
    assert "## Storing" not in page
    linked = {name for name in ("ratios", "lines", "messages", "streams") if f"(performance/{name}.svg)" in page}
    assert linked == {path.stem for path in (tmp_path / "performance").iterdir()} == {"ratios", "lines"}
    for path in (tmp_path / "performance").iterdir():
        assert ElementTree.parse(path).getroot().tag.endswith("svg")  # noqa: S314 (we wrote it)


def test_bars_are_as_long_as_their_values_logarithms() -> None:
    drawn = ElementTree.fromstring(bars("t", [Bar("a", "x", 10, 5), Bar("a", "y", 100)]))  # noqa: S314 (we wrote it)
    short, long = (float(one.attrib["width"]) for one in drawn.iter("{http://www.w3.org/2000/svg}rect"))
    assert long == pytest.approx(2 * short, rel=0.01)


def test_lines_go_through_their_points() -> None:
    drawn = ElementTree.fromstring(lines("t", "x", "y", [Line("a & b", [(0, 0), (5, 5), (10, 10)])]))  # noqa: S314
    (joined,) = (one.attrib["points"] for one in drawn.iter("{http://www.w3.org/2000/svg}polyline"))
    (x0, y0), (x1, y1), (x2, y2) = (tuple(map(float, point.split(","))) for point in joined.split())
    assert (x1, y1) == pytest.approx(((x0 + x2) / 2, (y0 + y2) / 2), abs=0.1)
    assert y0 > y2


# --- The check -------------------------------------------------------------------------------------------------------

NAMES = [load.name for load in loads()]


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, float]:
    """What is counted, as in the baseline; and so is the ratio, in hundredths."""
    found = dict.fromkeys(NAMES, 1000.0)
    file = tmp_path / "baseline.json"
    baseline.save(Baseline(baseline.this_python(), dict.fromkeys(NAMES, 1000), dict.fromkeys(NAMES, 10.0)), file)
    monkeypatch.setattr(baseline, "FILE", file)
    monkeypatch.setattr(instructions, "find_valgrind", lambda: "valgrind")
    monkeypatch.setattr(instructions, "count", lambda *_: found)
    monkeypatch.setattr(ratios, "measure", lambda _: {name: value / 100 for name, value in found.items()})
    return found


@pytest.mark.parametrize(("value", "code"), [(1000, 0), (1029, 0), (1031, 1), (971, 0), (969, 1)])
def test_instructions_may_differ_by_3_percent(
    counted: dict[str, float], value: float, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    counted["burst messages"] = value
    assert main([]) == code
    assert ("WRONG" in capsys.readouterr().out) == bool(code)


@pytest.mark.parametrize(("value", "code"), [(1000, 0), (1240, 0), (1260, 1), (500, 0)])
def test_without_valgrind_cpu_time_may_be_a_quarter_more(
    counted: dict[str, float],
    monkeypatch: pytest.MonkeyPatch,
    value: float,
    code: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(instructions, "find_valgrind", lambda: None)
    counted["unary chat"] = value
    assert main([]) == code
    assert "apt-get install valgrind" in capsys.readouterr().err


def test_another_python_is_not_compared_by_instructions(
    counted: dict[str, float], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(baseline, "this_python", lambda: "another")
    counted["unary chat"] = 1100
    assert main([]) == 0
    assert "and this is another" in capsys.readouterr().err


def test_an_update_writes_what_was_counted(counted: dict[str, float]) -> None:
    counted["unary chat"] = 1100
    assert main(["--update"]) == 0
    assert baseline.load(baseline.FILE).instructions["unary chat"] == 1100
    assert main([]) == 0


def test_an_update_needs_valgrind(counted: dict[str, float], monkeypatch: pytest.MonkeyPatch) -> None:
    before = baseline.FILE.read_bytes()
    monkeypatch.setattr(instructions, "find_valgrind", lambda: None)
    assert main(["--update"]) == 2
    assert baseline.FILE.read_bytes() == before


def test_the_committed_baseline_knows_each_load() -> None:
    committed = baseline.load(baseline.FILE)
    assert sorted(committed.instructions) == sorted(committed.ratios) == sorted(NAMES)
