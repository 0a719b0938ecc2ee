"""What fails before its first content is tried again: the same, another model, the history in another form."""

import random
import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import pytest

from augment_open_proxy.simulator import Cut, Pause, Reset, Send, Status, Step
from augment_open_proxy.upstream import budget, recovery
from tests.asking import CHAT, MESSAGES, RESPONSES, Answer, Api, Json, ask, every_api, streamed_and_whole
from tests.servers import Proxy, running_proxy

SAID = "This is the augment-open-proxy simulation, no model. You said: Hi."
GEMINI_CALL = "toolu_aug_vrtx_gemini_1"


@pytest.fixture(scope="module")
def patient() -> Iterator[Proxy]:
    """A proxy that many tests may let try again, and that does so quickly."""
    with pytest.MonkeyPatch.context() as patch, running_proxy() as proxy:
        patch.setattr(budget, "ALWAYS", 10**6)
        patch.setattr(recovery, "FIRST_DELAY", 0.002)
        yield proxy


class Asked:
    """One request of a client, and the requests that the backend saw of it; the first ones get the `scripts`."""

    def __init__(
        self, proxy: Proxy, api: Api, stream: bool, model: str, *scripts: Sequence[Step | bytes], **fields: Any
    ) -> None:
        for script in scripts:
            proxy.call(partial(proxy.simulator.script, script))
        proxy.simulator.requests.clear()
        logged = len(proxy.lines)
        self.answer: Answer = ask(proxy, api, model, stream, **fields)
        proxy.wait_for(lambda: len(proxy.lines) > logged)  # the record comes after the last byte
        self.log = proxy.lines[-1]
        self.requests = list(proxy.simulator.requests)

    @property
    def ids(self) -> set[str]:
        return {request.headers["x-request-id"] for request in self.requests}

    @property
    def models(self) -> list[str]:
        return [request.request.model for request in self.requests if request.request]

    def is_told(self, notice: str) -> bool:
        """Whether both the header and the log have the notice."""
        return notice in self.answer.headers.get("x-aop-notice", "") and notice in self.log


# --- The same again ---

TEMPORARY: dict[str, list[Step | bytes]] = {
    **{str(status): [Status(status)] for status in (408, 499, 500, 502, 503, 504, 529)},
    "429": [Status(429, headers={"Retry-After": "0"})],
    "html": [Status(502, b"<html><h1>Bad gateway</h1></html>", {"Content-Type": "text/html"})],
    "reset": [Reset()],
    "closed": [Cut()],
    "reset after the head": [Send(b""), Pause(0.02), Reset()],
    "closed after the head": [Send(b""), Cut()],
    "closed after lines without content": [Send(b'{"text":""}\n{"nodes":[]}\n'), Cut()],
    "ended without a stop reason": [Send(b'{"nodes":[{"id":0,"type":10,"token_usage":{"input_tokens":5}}]}\n')],
}


@every_api
@streamed_and_whole
@pytest.mark.parametrize("fault", TEMPORARY)
def test_a_temporary_failure_is_tried_again_unseen(patient: Proxy, api: Api, stream: bool, fault: str) -> None:
    asked = Asked(patient, api, stream, "claude-sonnet-4-5", TEMPORARY[fault])
    assert (asked.answer.status, asked.answer.text, asked.answer.error) == (200, SAID, None)
    assert len(asked.requests) == 2
    assert len(asked.ids) == 1, "a retry has the id of the first try"
    assert asked.requests[0].body == asked.requests[1].body
    assert "x-aop-notice" not in asked.answer.headers
    assert " 200 " in asked.log


@every_api
@streamed_and_whole
def test_three_tries_are_all(patient: Proxy, api: Api, stream: bool) -> None:
    asked = Asked(patient, api, stream, "claude-sim-error-503")
    assert asked.answer.status == api.overloaded
    assert "temporarily unavailable" in (asked.answer.error or "")
    assert len(asked.requests) == 3
    assert len(asked.ids) == 1


def test_a_backend_that_comes_back_at_the_third_try(patient: Proxy) -> None:
    asked = Asked(patient, CHAT, True, "claude-sonnet-4-5", [Status(503)], [Reset()])
    assert (asked.answer.text, len(asked.requests)) == (SAID, 3)


def test_a_backend_that_cannot_be_reached_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused connection leaves no trace at the simulator; the budget has one."""
    monkeypatch.setattr(recovery, "FIRST_DELAY", 0.002)
    taken: list[bool] = []

    def take(_: budget.RetryBudget) -> bool:
        taken.append(True)
        return True

    monkeypatch.setattr(budget.RetryBudget, "take", take)
    with running_proxy(augment_api_url="http://127.0.0.1:9") as proxy:
        answer = ask(proxy, CHAT, "claude-sonnet-4-5", False)
    assert answer.status == 502
    assert taken == [True, True]


def test_the_delays_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "random", lambda: 1.0)
    monkeypatch.setattr(recovery, "FIRST_DELAY", 0.1)
    with running_proxy() as proxy:
        started = time.monotonic()
        Asked(proxy, CHAT, False, "claude-sim-error-503")
        assert 0.3 <= time.monotonic() - started < 2


# --- Waits that the backend asks for ---


@every_api
@streamed_and_whole
def test_a_short_retry_after_is_waited_for(patient: Proxy, api: Api, stream: bool) -> None:
    limited = Status(429, headers={"Retry-After": "0.2"})
    started = time.monotonic()
    asked = Asked(patient, api, stream, "claude-sonnet-4-5", [limited])
    assert (asked.answer.text, len(asked.requests)) == (SAID, 2)
    assert time.monotonic() - started >= 0.2


@every_api
@streamed_and_whole
@pytest.mark.parametrize("status", [429, 503])
def test_a_longer_one_is_passed_on_at_once(patient: Proxy, api: Api, stream: bool, status: int) -> None:
    limited = Status(status, headers={"Retry-After": "17"})
    asked = Asked(patient, api, stream, "claude-sonnet-4-5", [limited])
    assert asked.answer.status == (429 if status == 429 else api.overloaded)
    assert asked.answer.headers["retry-after"] == "17"
    assert len(asked.requests) == 1


@every_api
def test_a_limited_rate_without_a_time_is_passed_on_at_once_with_one(patient: Proxy, api: Api) -> None:
    """Codex ends its turn at a 429 that does not say when to ask again."""
    asked = Asked(patient, api, True, "claude-sonnet-4-5", [Status(429)])
    assert (asked.answer.status, len(asked.requests)) == (429, 1)
    assert asked.answer.headers["retry-after"] == "5"


# --- What is never tried again ---


@every_api
@streamed_and_whole
@pytest.mark.parametrize("fault", ["400", "401", "402", "403", "404", "413", "credits", "redirect"])
def test_what_is_for_good_is_told_at_once(patient: Proxy, api: Api, stream: bool, fault: str) -> None:
    asked = Asked(patient, api, stream, f"claude-sim-{fault if fault == 'redirect' else f'error-{fault}'}")
    assert asked.answer.status >= 400
    assert asked.answer.error
    assert len(asked.requests) == 1


BREAKS: dict[str, list[Step | bytes]] = {
    "closed": [Cut()],
    "reset": [Reset()],
    "ended without a stop reason": [],
    "an error": [b'{"error":"broken"}\n'],
}


@every_api
@streamed_and_whole
@pytest.mark.parametrize("fault", BREAKS)
def test_nothing_is_tried_again_after_the_first_content(patient: Proxy, api: Api, stream: bool, fault: str) -> None:
    content: list[Step | bytes] = [b'{"text":"Well,"}\n', Pause(0.05)]
    asked = Asked(patient, api, stream, "claude-sonnet-4-5", [*content, *BREAKS[fault]])
    assert asked.answer.status == (200 if stream else 502)
    assert asked.answer.text == ("Well," if stream else "")
    assert asked.answer.error
    assert len(asked.requests) == 1


def test_thinking_is_content(patient: Proxy) -> None:
    thought = b'{"nodes":[{"id":0,"type":8,"thinking":{"content":"Hm."}}]}\n'
    asked = Asked(patient, CHAT, True, "claude-sonnet-4-5", [Send(thought), Pause(0.05), Cut()])
    assert "broke" in (asked.answer.error or "")
    assert len(asked.requests) == 1


@every_api
@streamed_and_whole
def test_an_error_in_a_200_is_told_as_it_is(patient: Proxy, api: Api, stream: bool) -> None:
    asked = Asked(patient, api, stream, "claude-sonnet-4-5", [b'{"error":"the model is broken"}\n'])
    assert asked.answer.status == 502
    assert "the model is broken" in (asked.answer.error or "")
    assert len(asked.requests) == 1


# --- A sick backend ---


def test_a_sick_backend_is_not_stormed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "ALWAYS", 3)
    monkeypatch.setattr(recovery, "FIRST_DELAY", 0.002)
    with running_proxy() as proxy:
        for _ in range(10):
            assert ask(proxy, CHAT, "claude-sim-error-503", False).status == 503
        assert len(proxy.simulator.requests) == 13, "three retries in ten seconds, for all requests together"


# --- An effort variant that is not there ---


@every_api
@streamed_and_whole
def test_a_missing_effort_variant_is_tried_as_its_base_model(patient: Proxy, api: Api, stream: bool) -> None:
    asked = Asked(patient, api, stream, "claude-opus-4-6-high")
    assert asked.answer.text == SAID
    assert asked.models == ["claude-opus-4-6-high", "claude-opus-4-6"]
    assert asked.is_told("claude-opus-4-6-high does not exist at the backend, claude-opus-4-6 answers instead")
    assert "effective=claude-opus-4-6 " in asked.log


@pytest.mark.parametrize(
    ("api", "fields"),
    [
        (CHAT, {"reasoning_effort": "high"}),
        (MESSAGES, {"output_config": {"effort": "high"}}),
        (RESPONSES, {"reasoning": {"effort": "high"}}),
    ],
    ids=lambda value: value.name if isinstance(value, Api) else "",
)
def test_so_is_one_that_the_client_s_effort_chose(patient: Proxy, api: Api, fields: Json) -> None:
    asked = Asked(patient, api, False, "claude-opus-4-7", [Status(404)], **fields)
    assert asked.answer.text
    assert asked.models == ["claude-opus-4-7-high", "claude-opus-4-7"]
    assert asked.is_told("claude-opus-4-7-high does not exist")
    assert "effective=" not in asked.log, "the model that answered is the one that was asked for"


def test_a_base_model_that_is_not_there_either_is_a_404(patient: Proxy) -> None:
    asked = Asked(patient, CHAT, False, "claude-opus-4-7-high", [Status(404)], [Status(404)])
    assert asked.answer.status == 404
    assert len(asked.requests) == 2


# --- A history that Gemini's signatures break ---

HISTORIES: dict[str, list[Json]] = {
    "chat": [
        {"role": "user", "content": "Look."},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": GEMINI_CALL, "type": "function", "function": {"name": "bash", "arguments": '{"command":"ls"}'}}
            ],
        },
        {"role": "tool", "tool_call_id": GEMINI_CALL, "content": "a.txt"},
    ],
    "messages": [
        {"role": "user", "content": "Look."},
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": GEMINI_CALL, "name": "bash", "input": {"command": "ls"}}],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": GEMINI_CALL, "content": "a.txt"}]},
    ],
    "responses": [
        {"role": "user", "content": "Look."},
        {"type": "function_call", "call_id": GEMINI_CALL, "name": "bash", "arguments": '{"command":"ls"}'},
        {"type": "function_call_output", "call_id": GEMINI_CALL, "output": "a.txt"},
    ],
}


@every_api
@streamed_and_whole
def test_a_history_that_gemini_refuses_is_sent_once_more_as_text(patient: Proxy, api: Api, stream: bool) -> None:
    asked = Asked(patient, api, stream, "gemini-3-1-pro-preview", turns=HISTORIES[api.name])
    assert asked.answer.status == 200
    assert len(asked.requests) == 2
    assert len(asked.ids) == 1
    assert GEMINI_CALL.encode() in asked.requests[0].body
    assert GEMINI_CALL.encode() not in asked.requests[1].body
    for written in (b"[I called the tool bash with", b"[The tool bash returned:]", b"a.txt"):
        assert written in asked.requests[1].body
    assert asked.is_told("written out as text")


def test_a_history_without_calls_is_not_sent_again(patient: Proxy) -> None:
    refusal = Status(400, b'{"error":"Thought signature is not valid"}')
    asked = Asked(patient, CHAT, False, "gemini-3-1-pro-preview", [refusal])
    assert asked.answer.status == 400
    assert len(asked.requests) == 1
    assert "notices=" not in asked.log


def test_one_that_is_refused_as_text_too_is_told(patient: Proxy) -> None:
    refusal = [Status(400, b'{"error":"Thought signature is not valid"}')]
    asked = Asked(patient, CHAT, False, "gemini-3-1-pro-preview", refusal, refusal, turns=HISTORIES["chat"])
    assert asked.answer.status == 400
    assert len(asked.requests) == 2
