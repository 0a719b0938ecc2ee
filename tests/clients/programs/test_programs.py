"""One whole turn of each program: it calls its tool, the tool changes a file, the answer is shown."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from augment_open_proxy.simulator.answer import Content
from augment_open_proxy.simulator.request import results
from augment_open_proxy.upstream.wire import ToolUse
from tests.clients.agents.programs import Place
from tests.clients.claude_code.program import trap
from tests.clients.programs.programs import PROGRAMS, SECONDS, Program, require, run
from tests.clients.spoken import OUTPUT_TOKENS, PROMPT_TOKENS, spoken
from tests.servers import Proxy, running_proxy

pytestmark = pytest.mark.timeout(2 * SECONDS)
COMMAND = "echo proof-4711 > proof.txt && cat proof.txt"


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """One of its own for each test, whose log is JSON."""
    with running_proxy(log_format="json") as running:
        yield running


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_it_runs_a_command_reads_the_result_and_finishes(program: Program, proxy: Proxy, tmp_path: Path) -> None:
    require(program)
    place = Place(proxy, tmp_path / "home", tmp_path / "work")
    place.home.mkdir()
    place.work.mkdir()
    program.settings(place)
    call = ToolUse("toolu_proof", program.tool, json.dumps({"command": COMMAND}))
    proxy.simulator.script(spoken(Content(("I write.",), calls=(call,))))
    end = [ToolUse("toolu_end", program.ends, "{}")] if program.ends else []
    proxy.simulator.script(spoken(Content(("It is written.",), calls=tuple(end))))
    with trap() as trapped:
        code, out, err = run(program, place, trapped, "Write the proof.")
    proxy.call(lambda: None)  # the server has written its lines by now
    logged = [json.loads(line) for line in proxy.lines]
    assert code == 0, (out, err, logged)
    assert (place.work / "proof.txt").is_file(), (out, err, logged)
    assert (place.work / "proof.txt").read_text() == "proof-4711\n"
    assert "It is written." in out
    prompts, outputs = zip(*program.usage(place, out + err), strict=True)
    assert sum(prompts) > 500 if program.is_estimate else sum(prompts) == 2 * PROMPT_TOKENS
    assert sum(outputs) == 2 * OUTPUT_TOKENS
    assert [line for line in logged if line["status"] is None or line["status"] >= 400] == []
    assert [line["path"] for line in logged if line["method"] == "POST"] == [program.path] * 2
    _, second = [received.request for received in proxy.simulator.requests]
    assert second is not None
    (told,) = results(second.nodes)
    assert "proof-4711" in told.content, "the result did not reach the model"
    assert {_host(line) for line in trapped.called} <= program.missed, "it called somebody else than the proxy"


def _host(line: str) -> str:
    """The host in the first line of a request to an HTTP proxy."""
    return line.split()[1].removeprefix("http://").partition("/")[0].partition(":")[0]
