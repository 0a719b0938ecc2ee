"""The benchmark measures, and does not measure wrong answers. No time is asserted."""

import shutil
import subprocess
import sys
import time

import msgspec
import pytest
from benchmarks.__main__ import main, run
from benchmarks.backend import rendered
from benchmarks.cpu import tree_seconds
from benchmarks.model import BenchmarkError, Measurement, Scenario, Seen, Surface
from benchmarks.reading import fault, read
from benchmarks.report import Report, as_json, as_text, machine, results
from benchmarks.rounds import measure
from benchmarks.scenarios import SCENARIOS
from benchmarks.servers import find_nginx, running
from msgspec.structs import replace

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the benchmark reads Linux's accounts")
per_scenario = pytest.mark.parametrize("name", SCENARIOS)
SURFACES: tuple[Surface, ...] = ("chat", "backend")


def small(name: str) -> Scenario:
    return replace(SCENARIOS[name], count=4, concurrency=2)


def with_expected(scenario: Scenario, surface: Surface, expected: Seen) -> Scenario:
    exchange = replace(scenario.exchanges[surface], expected=expected)
    return replace(scenario, exchanges={**scenario.exchanges, surface: exchange})


def silent(message: str) -> None:
    """Takes the progress."""


def test_each_scenario_is_measured_on_each_target() -> None:
    scenarios = [small(name) for name in SCENARIOS]
    report = run(scenarios, rounds=1)
    targets = ["proxy", "nginx"] if find_nginx() else ["proxy"]
    assert [(one.scenario, one.target) for one in report.results] == [(s, t) for s in SCENARIOS for t in targets]
    assert all(one.cpu_us > 0 and one.wall_us > 0 for one in report.measurements)
    assert all((one.ratio is None) == (one.target == "nginx" or len(targets) == 1) for one in report.results)


@per_scenario
def test_a_wrong_answer_ends_the_measuring(name: str) -> None:
    scenario = small(name)
    cut_short = replace(scenario, lines=scenario.lines[:-1])
    with running([cut_short]) as targets:
        for target in targets:
            with pytest.raises(BenchmarkError, match=f"{name} on {target.name}"):
                list(measure(cut_short, [target], 1, silent))


def test_an_answer_to_another_question_ends_the_measuring() -> None:
    scenario = small("burst")
    with running([scenario]) as targets:
        for target in targets:
            expected = scenario.exchanges[target.surface].expected
            other = with_expected(scenario, target.surface, replace(expected, text=expected.text[:-1] + "?"))
            with pytest.raises(BenchmarkError, match="another text"):
                list(measure(other, [target], 1, silent))


def test_a_request_that_the_backend_does_not_know_is_an_error() -> None:
    with running([replace(small("unary"), name="other")]) as targets, pytest.raises(BenchmarkError, match="status"):
        list(measure(small("unary"), targets, 1, silent))


def test_without_nginx_there_are_figures_without_ratios(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    monkeypatch.setitem(SCENARIOS, "unary", small("unary"))
    assert main(["--scenario", "unary", "--rounds", "1"]) == 0
    told = capsys.readouterr()
    assert "apt-get install nginx-light" in told.err
    assert "unary" in told.out
    assert "no nginx" in told.out


def test_a_server_that_does_not_start_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("benchmarks.servers._proxy_command", lambda: shutil.which("false"))
    assert main(["--quick"]) == 1
    assert "the proxy did not start" in capsys.readouterr().err


# --- Reading answers -------------------------------------------------------------------------------------------------

CHAT_STREAM = (
    b'data: {"choices":[{"delta":{"role":"assistant","content":""},"finish_reason":null}]}\n\n'
    b'data: {"choices":[{"delta":{"content":"a"},"finish_reason":null}]}\n\n'
    b'data: {"choices":[{"delta":{"content":"b"},"finish_reason":null}]}\n\n'
    b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
    b'data: {"choices":[],"usage":{}}\n\n'
    b"data: [DONE]\n\n"
)
CHAT_REPLY = b'{"choices":[{"message":{"content":"ab"},"finish_reason":"stop"}]}'
NDJSON = b'{"text":"a"}\n{"text":"b"}\n{"text":"","stop_reason":1}\n'


def test_good_answers_pass() -> None:
    two_pieces = Seen(2, "ab", ended=True)
    assert read("chat_stream", CHAT_STREAM) == two_pieces
    assert read("ndjson", NDJSON) == two_pieces
    assert read("chat_reply", CHAT_REPLY) == Seen(1, "ab", ended=True)
    assert fault("ndjson", 200, NDJSON, two_pieces) is None


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        (CHAT_STREAM.removesuffix(b"data: [DONE]\n\n"), "the end"),
        (CHAT_STREAM + b"data: more", "the end"),
        (CHAT_STREAM.replace(b'"stop"', b'"length"'), "the end"),
        (CHAT_STREAM.replace(b'"b"', b'"c"'), "another text"),
        (CHAT_STREAM.replace(b'"b"', b'""'), "1 pieces"),
        (CHAT_STREAM.replace(b"data: {", b"event: {", 1), "not a chat_stream"),
        (CHAT_STREAM.replace(b'"choices"', b'"error"', 1), "not a chat_stream"),
        (b"", "not a chat_stream"),
    ],
)
def test_spoiled_streams_fail(body: bytes, wrong: str) -> None:
    assert wrong in (fault("chat_stream", 200, body, Seen(2, "ab", ended=True)) or "")


def test_spoiled_replies_and_lines_fail() -> None:
    one, two = Seen(1, "ab", ended=True), Seen(2, "ab", ended=True)
    assert "the status is 502" in (fault("chat_reply", 502, CHAT_REPLY, one) or "")
    assert "the end" in (fault("chat_reply", 200, CHAT_REPLY.replace(b"stop", b"length"), one) or "")
    assert "not a chat_reply" in (fault("chat_reply", 200, b'{"choices":[]}', one) or "")
    assert "the end" in (fault("ndjson", 200, NDJSON[:-1], two) or "")
    assert "the end" in (fault("ndjson", 200, NDJSON[:26], two) or "")


@per_scenario
def test_a_scenario_expects_what_its_backend_answers(name: str) -> None:
    scenario = SCENARIOS[name]
    body = "".join(f"{line}\n" for line in scenario.lines).encode()
    assert read("ndjson", body) == scenario.exchanges["backend"].expected
    assert {exchange.expected.text for exchange in scenario.exchanges.values()} == {read("ndjson", body).text}
    assert all(scenario.marker.encode() in exchange.body for exchange in scenario.exchanges.values())


def test_the_backend_sends_a_chunk_for_each_line() -> None:
    assert rendered(["{}", "ü"]).endswith(b"\r\n\r\n3\r\n{}\n\r\n3\r\n\xc3\xbc\n\r\n0\r\n\r\n")


# --- Figures ---------------------------------------------------------------------------------------------------------


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


def test_ratios_are_of_the_same_round_and_medians_of_all() -> None:
    taken = [
        Measurement("unary", target, number, cpu_us, 2 * cpu_us)
        for number, figures in enumerate(((80, 10), (300, 100), (50, 5)), 1)
        for target, cpu_us in zip(("proxy", "nginx"), figures, strict=True)
    ]
    proxy, nginx = results(SCENARIOS.values(), taken)
    assert (proxy.cpu_us, proxy.wall_us, proxy.ratio, proxy.goal) == (80, 160, 8, 8)
    assert (nginx.cpu_us, nginx.ratio, nginx.goal) == (10, None, None)
    report = Report(machine(), 3, [proxy, nginx], taken)
    assert "8.0" in as_text(report).splitlines()[1]
    assert msgspec.json.decode(as_json(report), type=Report) == report
