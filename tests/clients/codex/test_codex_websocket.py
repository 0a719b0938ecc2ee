"""Codex itself over a WebSocket: `supports_websockets = true` in its provider's settings."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from augment_open_proxy.server import websocket
from augment_open_proxy.simulator import Cut, Pause
from tests.clients.claude_code.program import trap
from tests.clients.codex.program import KEY, SECONDS, Codex, Run, require
from tests.clients.codex.test_codex import AT_ONCE, TEXT, call, prompt, result_of, thoughts
from tests.servers import Proxy, running_proxy

pytestmark = pytest.mark.timeout(4 * SECONDS)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    require()
    with running_proxy(log_format="json", logging="body", store="memory") as running:
        yield running


@pytest.fixture
def codex(proxy: Proxy, tmp_path: Path) -> Iterator[Codex]:
    with trap() as trapped:
        yield Codex(proxy, tmp_path, trapped, websockets=True)


@pytest.fixture
def hasty(proxy: Proxy, tmp_path: Path) -> Iterator[Codex]:
    """One that tries nothing again."""
    with trap() as trapped:
        yield Codex(proxy, tmp_path, trapped, websockets=True, key=f"{KEY}\n{AT_ONCE}")


def sent(run: Run) -> list[dict[str, Any]]:
    """What Codex asked for; all of it over a WebSocket."""
    assert {line["method"] for line in run.lines} == {"WS"}
    return [line["request"] for line in run.lines]


def test_it_runs_a_command_and_sends_the_result_alone(codex: Codex) -> None:
    shell = call("exec_command", cmd="echo proof-4711 > proof.txt && cat proof.txt")
    run = codex.ask(prompt("Write the proof.", text="I write.", tool=shell, then="It is written."))
    run.must_succeed()
    assert (codex.work / "proof.txt").read_text() == "proof-4711\n"
    assert [item["text"] for item in run.items("agent_message")] == ["I write.", "It is written."]
    warm_up, first, second = sent(run)
    assert {request["store"] for request in (warm_up, first, second)} == {False}
    ids = [line["requestId"] for line in run.lines]
    assert [request.get("previous_response_id") for request in (warm_up, first, second)] == [None, *ids[:2]]
    assert [item["type"] for item in second["input"]] == ["function_call_output"]
    assert run.lines[0]["usage"]["total_tokens"] == 0
    _, answered = run.requests
    assert "proof-4711" in result_of(answered).content
    assert "Write the proof." in str(answered.chat_history[0].request_nodes)
    assert len({request.conversation_id for request in run.requests}) == 1


def test_a_resumed_thread_has_its_history_on_a_new_connection(codex: Codex) -> None:
    first = codex.ask(prompt("My name is Ada.", tool=call("exec_command", cmd="echo x"), then="Hello, Ada."))
    first.must_succeed()
    second = codex.resume("What is my name?")
    second.must_succeed()
    sent(second)
    (request,) = second.requests
    assert request.chat_history[-1].response_text == "Hello, Ada."
    assert {received.headers["conversation-id"] for received in first.received + second.received} == {
        request.conversation_id
    }


def test_its_thoughts_come_back_to_the_model(codex: Codex) -> None:
    shell = call("exec_command", cmd="echo x")
    run = codex.ask(prompt("Think.", thinking="I need a shell.", tool=shell, then="Done."))
    run.must_succeed()
    assert "I need a shell." not in json.dumps(sent(run)[-1]["input"])
    assert thoughts(run.requests[-1]) == ["I need a shell."]


def test_it_opens_another_connection_when_one_is_too_old(codex: Codex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "LIFETIME", 0.5)
    run = codex.ask(prompt("Wait.", tool=call("exec_command", cmd="sleep 1"), then="I waited."))
    run.must_succeed()
    assert run.text == "I waited."
    asked = sent(run)
    assert "previous_response_id" not in asked[-1]
    assert len(asked[-1]["input"]) > 1


def test_an_answer_that_breaks_off_is_taken_up_again(codex: Codex, proxy: Proxy) -> None:
    proxy.simulator.script([TEXT, Pause(0.2), Cut()])
    proxy.simulator.script(b'{"text":"42."}\n{"text":"","nodes":[],"stop_reason":1}\n')
    run = codex.ask("What is it?")
    run.must_succeed()
    assert run.text == "42."


@pytest.mark.parametrize(
    ("scenario", "status", "words"),
    [
        ("error-400", 400, "The Augment backend answered with status 400: Invalid request"),
        ("error-402", 429, "Quota exceeded. Check your plan and billing details."),
        ("error-404", 404, "The Augment backend does not know this model or address"),
        ("error-413", 400, "Codex ran out of room in the model's context window."),
    ],
)
def test_what_it_says_of_failures(hasty: Codex, scenario: str, status: int, words: str) -> None:
    run = hasty.ask(prompt("Hi.", scenario=scenario), refused=(status,))
    assert run.code == 1
    assert words in run.failure


def test_what_it_cannot_have_over_a_websocket_it_posts(hasty: Codex) -> None:
    run = hasty.ask(prompt("Hi.", scenario="error-401"), refused=(401, 401))
    assert run.code == 1
    assert "The Augment backend refused the credentials" in run.failure
    assert [line["method"] for line in run.lines] == ["WS", "WS", "POST"]
