"""One whole turn of each agent program: it calls its tool, the tool changes a file, the answer is shown."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from augment_open_proxy.simulator.answer import Content
from augment_open_proxy.simulator.request import results
from tests.clients.agents.programs import AGENTS, SECONDS, Agent, Place, require, run
from tests.clients.claude_code.program import trap
from tests.clients.spoken import PROMPT_TOKENS, spoken
from tests.servers import Proxy, running_proxy

pytestmark = pytest.mark.timeout(3 * SECONDS)
PROMPT = "Write the proof."
COMMAND = "echo proof-4711 > proof.txt && cat proof.txt"


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """One of its own for each test, whose log is JSON."""
    with running_proxy(log_format="json") as running:
        yield running


@pytest.mark.parametrize("agent", AGENTS, ids=lambda agent: agent.name)
def test_it_runs_a_command_reads_the_result_and_finishes(agent: Agent, proxy: Proxy, tmp_path: Path) -> None:
    require(agent)
    place = Place(proxy, tmp_path / "home", tmp_path / "work")
    place.home.mkdir()
    place.work.mkdir()
    agent.settings(place)
    proxy.simulator.script(spoken(Content(("I write.",), calls=(agent.call(COMMAND),))))
    proxy.simulator.script(spoken(Content(("It is written.",))))
    with trap() as trapped:
        for before in agent.before:
            code, out, err = run(agent, place, trapped, before(place, PROMPT))
            assert code == 0, (out, err)
        code, out, err = run(agent, place, trapped, agent.arguments(place, PROMPT))
    proxy.call(lambda: None)  # the server has written its lines by now
    logged = [json.loads(line) for line in proxy.lines]
    assert code == 0, (out, err, logged)
    assert (place.work / "proof.txt").is_file(), (out, err, logged)
    assert (place.work / "proof.txt").read_text() == "proof-4711\n"
    assert "It is written." in out
    if agent.shows_usage:
        assert str(PROMPT_TOKENS) in out or str(2 * PROMPT_TOKENS) in out
    assert [line for line in logged if line["status"] is None or line["status"] >= 400] == []
    assert {line["path"] for line in logged if line["method"] == "POST"} == {agent.path}
    asked = [received.request for received in proxy.simulator.requests if received.request]
    told = [result for request in asked for result in results(request.nodes)]
    assert [result.content for result in told if "proof-4711" in result.content], "the result did not reach the model"
