"""The benchmark measures, and does not measure wrong answers. No time is asserted."""

import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from benchmarks import gap, hold, peer, startup, stored, ttft
from benchmarks.__main__ import main
from benchmarks.accounts import tree_memory, tree_seconds
from benchmarks.figures import Figure
from benchmarks.linear import LINES, MESSAGES, Series, run
from benchmarks.load import drive
from benchmarks.model import DIALECTS, BenchmarkError, Dialect, Job, Scenario, Seen, Surface, Target
from benchmarks.nginx import find_nginx
from benchmarks.plan import Plan
from benchmarks.report import Report
from benchmarks.rounds import measure
from benchmarks.scenarios import SCENARIOS
from benchmarks.servers import running
from msgspec.structs import replace

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the benchmark reads Linux's accounts"),
    pytest.mark.timeout(180),  # each starts servers and a process for each load, on a machine that may be busy
]
per_scenario = pytest.mark.parametrize("name", SCENARIOS)


def silent(message: str) -> None:
    """Takes the progress."""


def plan(*dialects: Dialect) -> Plan:
    return Plan(silent, rounds=1, dialects=dialects or DIALECTS, quick=True)


def small(name: str) -> Scenario:
    return replace(SCENARIOS[name], count=4, concurrency=2)


def with_expected(scenario: Scenario, surface: Surface, expected: Seen) -> Scenario:
    exchange = replace(scenario.exchanges[surface], expected=expected)
    return replace(scenario, exchanges={**scenario.exchanges, surface: exchange})


def by_quantity(figures: Sequence[Figure], target: str) -> dict[str, float]:
    return {one.quantity: one.value for one in figures if one.target == target}


# --- CPU time --------------------------------------------------------------------------------------------------------


def test_each_scenario_is_measured_on_each_target(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in SCENARIOS:
        monkeypatch.setitem(SCENARIOS, name, small(name))
    assert main(["--scenario", *SCENARIOS, "--rounds", "1", "--json"]) == 0
    report = msgspec.json.decode(capsys.readouterr().out, type=Report)
    targets = ["proxy chat", "proxy messages", "proxy responses", *(["nginx"] if find_nginx() else [])]
    assert [(one.scenario, one.target) for one in report.figures] == [(s, t) for s in SCENARIOS for t in targets]
    assert all(one.cpu_us > 0 and one.wall_us > 0 for one in report.measurements)
    assert all((one.ratio is None) == (one.target == "nginx" or len(targets) == 3) for one in report.figures)


@per_scenario
def test_a_wrong_answer_ends_the_measuring(name: str) -> None:
    scenario = small(name)
    script = scenario.script
    cut_short = replace(scenario, script=replace(script, lines=script.lines[:-1], pause=0))
    with running([cut_short]) as servers:
        for target in servers.targets():
            with pytest.raises(BenchmarkError, match=f"{name} on {target.name}"):
                list(measure(cut_short, [target], 1, silent))


def test_an_answer_to_another_question_ends_the_measuring() -> None:
    scenario = small("agent")
    with running([scenario]) as servers:
        for target in servers.targets():
            expected = scenario.exchanges[target.surface].expected
            for wrong, told in (
                (replace(expected, text=expected.text[:-1] + "?"), "another text"),
                (replace(expected, thinking=""), "another thinking"),
                (replace(expected, calls=()), "other calls"),
            ):
                with pytest.raises(BenchmarkError, match=told):
                    list(measure(with_expected(scenario, target.surface, wrong), [target], 1, silent))


def test_a_request_that_the_backend_does_not_know_is_an_error() -> None:
    with running([replace(small("unary"), name="other")]) as servers, pytest.raises(BenchmarkError, match="status"):
        list(measure(small("unary"), servers.targets(), 1, silent))


def test_without_nginx_there_are_figures_without_ratios(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    monkeypatch.setitem(SCENARIOS, "unary", small("unary"))
    assert main(["--scenario", "unary", "--rounds", "1", "--dialect", "chat"]) == 0
    told = capsys.readouterr()
    assert "apt-get install nginx-light" in told.err
    assert "unary" in told.out
    assert "messages" not in told.out
    assert "no nginx" in told.out


def test_a_server_that_does_not_start_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("benchmarks.servers.proxy_command", lambda: [shutil.which("false")])
    assert main(["--quick"]) == 1
    assert "the proxy did not start" in capsys.readouterr().err


def test_a_peer_gets_the_answers_in_openais_shape() -> None:
    """The stand-in is asked itself: no peer is needed for that."""
    for name in ("unary", "agent"):
        scenario = small(name)
        exchange = replace(scenario.exchanges["chat"], path="/v1/chat/completions")
        with running([scenario]) as servers:
            assert drive(Job(servers.backend.port, exchange, 2, 1), name).answers == 2


def test_a_peer_that_cannot_be_installed_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(peer, "_UV", tmp_path / "uv")
    monkeypatch.setattr(peer, "_INSTALLED", tmp_path / "installed")
    assert main(["--scenario", "unary", "--peer", "litellm"]) == 1
    assert "litellm cannot be installed" in capsys.readouterr().err


# --- What is measured in ways of its own -----------------------------------------------------------------------------


def test_the_first_content_is_timed() -> None:
    scenario = ttft.scenario()
    with running([scenario]) as servers:
        for target in (servers.backend, *servers.targets()):
            job = Job(
                target.port,
                scenario.exchanges[target.surface],
                3,
                1,
                first_content=scenario.exchanges["chat"].expected.text[:9],
            )
            outcome = drive(job, "ttft")
            assert len(outcome.first_content) == 3
            assert min(outcome.first_content) > 0
            assert max(outcome.first_content) < outcome.wall_seconds


def test_the_first_content_is_compared_to_the_backends_own() -> None:
    figures = ttft.run(plan("chat"))
    direct, proxy = (by_quantity(figures, target) for target in ("backend", "proxy chat"))
    assert proxy["p50 added"] == pytest.approx(proxy["p50"] - direct["p50"])
    assert proxy["p99"] >= proxy["p50"]


def test_streams_are_held_open_at_once() -> None:
    scenario = hold.scenario(streams_=30, lines=4, pause=0.2)
    with running([scenario]) as servers:
        (target,) = servers.targets(["messages"])[:1]
        held = hold.hold(scenario, target)
    assert held.most >= held.before > 10e6
    assert held.cpu_us > 0


def test_streams_that_were_not_open_at_once_are_an_error() -> None:
    scenario = replace(hold.scenario(streams_=30, lines=2, pause=0), concurrency=1)
    with running([scenario]) as servers, pytest.raises(BenchmarkError, match="1 of 30"):
        hold.hold(scenario, servers.proxy)


def test_gaps_within_a_stream_are_timed() -> None:
    scenario = hold.scenario(streams_=1, lines=3, pause=0.3)
    with running([scenario]) as servers:
        for target in servers.targets(["chat"]):
            job = Job(target.port, scenario.exchanges[target.surface], 2, 1)
            assert drive(job, "gap").longest_gap >= 0.25


def test_large_bodies_are_of_10_mb() -> None:
    _, large = gap.scenarios()
    sizes = [len(bodies.exchanges[dialect].body) for bodies in large for dialect in DIALECTS]
    assert all(9.5e6 < size < 12e6 for size in sizes), sizes


def test_a_stream_is_watched_while_large_bodies_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gap, "_LINES", 40)
    figures = by_quantity(gap.run(plan("responses")), "proxy responses")
    assert list(figures) == [
        f"{what}, {bodies}"
        for bodies in ("4 texts", "2,000 messages")
        for what in ("longest wait", "without the proxy")
    ]


def test_the_start_is_timed() -> None:
    figures = by_quantity(startup.run(replace(plan(), quick=True)), "proxy")
    assert 0 < figures["until it answers"] < 20
    assert 0 < figures["until its banner"] < 20
    assert figures["CPU"] > 0
    assert figures["memory"] > 10


def test_storing_is_compared_to_the_same_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.stored._PAIRS", 1)
    monkeypatch.setitem(SCENARIOS, "unary", replace(SCENARIOS["unary"], count=50))
    figures = stored.run(plan())
    assert [one.target for one in figures] == ["proxy chat", "proxy responses"]
    assert all((one.ratio is None) == (find_nginx() is None) for one in figures)


def test_growth_is_measured_by_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.linear.LINES", LINES[:3])
    monkeypatch.setattr("benchmarks.linear.MESSAGES", MESSAGES[:3])
    monkeypatch.setattr("benchmarks.linear.STREAMS", (2, 4, 6))
    for name, value in (("_LINES_IN_A_ROUND", 1000), ("_MESSAGES_IN_A_ROUND", 100), ("_HELD_LINES", 2)):
        monkeypatch.setattr(f"benchmarks.linear.{name}", value)
    figures, series = run(plan("chat"))
    proxy = {one.name: one for one in series if one.target == "proxy chat"}
    assert list(proxy) == ["lines", "messages", "streams"]
    assert [point.units for point in proxy["lines"].points] == [10, 100, 1000]
    assert all(point.cost > 0 for one in proxy.values() for point in one.points)
    assert by_quantity(figures, "proxy chat")["a further line"] == pytest.approx(proxy["lines"].slopes()[-1])


def test_the_slope_is_the_cost_of_a_further_unit() -> None:
    points = [(10, 30.0), (20, 50.0), (40, 130.0)]
    series = msgspec.convert(
        {"name": "lines", "target": "x", "unit": "µs", "points": [{"units": n, "cost": cost} for n, cost in points]},
        Series,
    )
    assert series.slopes() == [2.0, 4.0]


# --- The system's accounts -------------------------------------------------------------------------------------------


def test_cpu_time_counts_children_alive_and_ended() -> None:
    busy = "import time\nend = time.process_time() + 0.1\nwhile time.process_time() < end: pass\n"
    ended = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {busy!r}])"
    alive = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {busy + 'input()'!r}])"
    with subprocess.Popen([sys.executable, "-c", f"{ended}\n{alive}\ninput()"], stdin=subprocess.PIPE) as process:
        deadline = time.monotonic() + 20
        while tree_seconds(process.pid) < 0.2 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert tree_seconds(process.pid) >= 0.2
    with pytest.raises(OSError):
        tree_seconds(process.pid)


def test_memory_counts_children() -> None:
    large = "kept = b'x' * 50_000_000\nprint(flush=True)\ninput()"
    code = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {large!r}]).wait()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert tree_memory(process.pid) > 50_000_000
        assert process.stdin is not None
        process.stdin.close()


def test_a_target_says_what_it_speaks() -> None:
    assert Target("nginx", "backend", 1, 1).name == "nginx"
    assert Target("proxy", "messages", 1, 1).name == "proxy messages"
