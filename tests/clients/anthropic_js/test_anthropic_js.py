"""The official `@anthropic-ai/sdk` for JavaScript through the proxy on the simulator."""

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from augment_open_proxy.simulator import ChatStreamRequest, Status
from augment_open_proxy.upstream.wire import ImageFormat
from tests.clients.anthropic_js import sdk
from tests.clients.test_openai_python import png
from tests.servers import Proxy, running_proxy

MODEL = "claude-opus-4-7"
WEATHER: dict[str, Any] = {
    "name": "get_weather",
    "description": "Show the weather at a place.",
    "input_schema": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
}
THINKING = {"type": "enabled", "budget_tokens": 2048}
LOOK = {"name": "get_weather", "input": {"place": "Bern"}}

Case = Callable[..., Any]


@pytest.fixture(scope="module")
def proxy() -> Iterator[Proxy]:
    sdk.require()
    with running_proxy() as running:
        yield running


@pytest.fixture
def case(proxy: Proxy, tmp_path: Path) -> Case:
    """Runs a case of `run.mjs`; the simulator's list has the requests of this test only."""
    proxy.call(proxy.simulator.requests.clear)
    return lambda name, **given: sdk.run(proxy.url, name, tmp_path, **given)


def ask(words: str, /, **directive: Any) -> list[dict[str, Any]]:
    """A user's message; `directive` tells the simulator what to answer."""
    return [{"role": "user", "content": f"{words} @@{json.dumps(directive)}@@" if directive else words}]


def body(messages: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {"model": MODEL, "max_tokens": 1000, "messages": messages, **more}


def requests(proxy: Proxy) -> list[ChatStreamRequest]:
    """What the backend was asked."""
    assert all(received.request for received in proxy.simulator.requests), "the backend refused a request as malformed"
    return [received.request for received in proxy.simulator.requests if received.request]


def kinds(message: dict[str, Any]) -> list[str]:
    return [block["type"] for block in message["content"]]


# ---------------------------------------------------------------------- replies


def test_a_whole_message(case: Case) -> None:
    outcome = case("create", params=body(ask("Hi.", text=["It is ", "sunny."])))
    message = outcome["message"]
    assert kinds(message) == ["text"]
    assert message["content"][0]["text"] == "It is sunny."
    assert (message["type"], message["role"], message["model"]) == ("message", "assistant", MODEL)
    assert (message["stop_reason"], message["stop_sequence"]) == ("end_turn", None)
    assert message["usage"]["input_tokens"] > 0
    assert message["usage"]["output_tokens"] > 0
    assert outcome["requestId"] == message["id"]


def test_a_streamed_message_comes_in_order(case: Case) -> None:
    messages = ask("Hi.", thinking=["Weather ", "talk."], text=["I ", "look."], tool=LOOK)
    events = case("createStreamed", params=body(messages, tools=[WEATHER], thinking=THINKING))["events"]
    order = [event["type"] for event in events if event["type"] != "ping"]
    block = ["content_block_start", "content_block_delta", "content_block_stop"]
    assert list(dict.fromkeys(order)) == ["message_start", *block, "message_delta", "message_stop"]
    assert [event["index"] for event in events if event["type"] == "content_block_start"] == [0, 1, 2]
    started = [event["content_block"]["type"] for event in events if event["type"] == "content_block_start"]
    assert started == ["thinking", "text", "tool_use"]
    usages = [event["usage"] for event in events if event["type"] == "message_delta"]
    assert events[0]["message"]["usage"]["input_tokens"] > 0
    assert usages[-1]["input_tokens"] > 0
    assert usages[-1]["output_tokens"] > 0


def test_the_stream_helper_tells_each_part_and_the_whole(case: Case) -> None:
    messages = ask("Hi.", thinking=["Weather ", "talk."], text=["I ", "look."], tool=LOOK)
    outcome = case("helper", params=body(messages, tools=[WEATHER], thinking=THINKING))
    thinking, text, call = outcome["message"]["content"]
    assert outcome["message"]["stop_reason"] == "tool_use"
    assert thinking["thinking"] == "".join(outcome["heard"]["thinking"]) == "Weather talk."
    assert outcome["heard"]["signature"] == [thinking["signature"]]
    assert text["text"] == "".join(outcome["heard"]["text"]) == outcome["text"] == "I look."
    assert (call["name"], call["input"]) == ("get_weather", {"place": "Bern"})
    assert json.loads("".join(outcome["heard"]["inputJson"])) == {"place": "Bern"}
    assert outcome["heard"]["contentBlock"] == outcome["message"]["content"]


def test_structured_output_is_parsed(case: Case) -> None:
    schema = {**WEATHER["input_schema"], "additionalProperties": False}
    assert case("parse", params=body(ask("Where?", text='{"place": "Bern"}')), schema=schema) == {"place": "Bern"}


# ------------------------------------------------------------------------ turns


@pytest.mark.parametrize("streamed", [False, True])
def test_a_loop_calls_tools_and_finishes_on_their_results(case: Case, proxy: Proxy, streamed: bool) -> None:
    calls = [{"name": "get_weather", "input": {"place": place}} for place in ("Bern", "Basel")]
    params = body(ask("Look.", tool=calls, then="It is sunny."), tools=[WEATHER])
    messages = case("loop", params=params, answers={"get_weather": "sunny"}, streamed=streamed)["messages"]
    assert [call["input"] for call in messages[1]["content"]] == [{"place": "Bern"}, {"place": "Basel"}]
    assert [block["text"] for block in messages[-1]["content"]] == ["It is sunny."]
    second = requests(proxy)[1]
    results = [node.tool_result_node for node in second.nodes if node.tool_result_node is not None]
    assert [result.tool_use_id for result in results] == [call["id"] for call in messages[1]["content"]]
    assert [result.content for result in results] == ["sunny", "sunny"]
    assert len({received.headers["conversation-id"] for received in proxy.simulator.requests}) == 1


def test_the_tool_runner_of_the_sdk_finishes(case: Case) -> None:
    params = body(ask("Look.", tool=LOOK, then="It is sunny."), tools=[WEATHER])
    outcome = case("runner", params=params, answer="sunny")
    assert "raised" not in outcome, outcome
    assert outcome["inputs"] == [{"place": "Bern"}]
    assert [block["text"] for block in outcome["message"]["content"]] == ["It is sunny."]


@pytest.mark.parametrize("display", ["summarized", "omitted"])
@pytest.mark.parametrize("streamed", [False, True])
def test_thinking_goes_back_into_the_history(case: Case, proxy: Proxy, display: str, streamed: bool) -> None:
    messages = ask("Look.", thinking="Weather talk.", tool=LOOK, then="It is sunny.")
    params = body(messages, tools=[WEATHER], thinking={**THINKING, "display": display})
    turns = case("loop", params=params, answers={"get_weather": "sunny"}, streamed=streamed)["messages"]
    assert kinds(turns[1]) == ["thinking", "tool_use"]
    assert turns[1]["content"][0]["thinking"] == ("Weather talk." if display == "summarized" else "")
    assert turns[1]["content"][0]["signature"]
    assert thoughts(requests(proxy)[1]) == ["Weather talk."]


def test_thinking_that_is_not_ours_is_left_out(case: Case, proxy: Proxy) -> None:
    foreign = {"type": "thinking", "thinking": "Forged.", "signature": base64.b64encode(b"not ours").decode()}
    messages = [*ask("Hi."), {"role": "assistant", "content": [foreign, {"type": "text", "text": "Hello."}]}]
    outcome = case("create", params=body([*messages, *ask("And?", text="Well.")], thinking=THINKING))
    assert kinds(outcome["message"])[-1] == "text"
    (request,) = requests(proxy)
    assert thoughts(request) == []
    assert [entry.response_text for entry in request.chat_history] == ["Hello."]


def thoughts(request: ChatStreamRequest) -> list[str]:
    nodes = [node for entry in request.chat_history for node in entry.response_nodes]
    return [node.thinking.content for node in nodes if node.thinking is not None]


@pytest.mark.parametrize("in_result", [False, True])
def test_a_picture_reaches_the_model(case: Case, proxy: Proxy, in_result: bool) -> None:
    data = png(3, 2)
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}
    if in_result:
        params = body(ask("Look.", tool=LOOK), tools=[WEATHER])
        text = case("loop", params=params, answers={"get_weather": [image]}, streamed=True)["messages"][-1]["content"]
        results = [node.tool_result_node for node in requests(proxy)[1].nodes if node.tool_result_node is not None]
        images = [node.image_content for result in results for node in result.content_nodes]
    else:
        content = [image, {"type": "text", "text": "What is it?"}]
        text = case("create", params=body([{"role": "user", "content": content}]))["message"]["content"]
        images = [node.image_node for node in requests(proxy)[0].nodes if node.image_node is not None]
    assert f"image/png of {len(base64.b64decode(data))} bytes" in text[0]["text"]
    assert [(image.format, image.image_data) for image in images if image] == [(ImageFormat.PNG, data)]


# ----------------------------------------------------------- counting and models


def test_tokens_are_counted_with_tools_and_pictures(case: Case) -> None:
    plain: dict[str, Any] = {"model": MODEL, "messages": ask("What is the weather in Bern today?")}
    source = {"type": "base64", "media_type": "image/png", "data": png(300, 200)}
    seen = {"model": MODEL, "messages": [{"role": "user", "content": [{"type": "image", "source": source}]}]}
    counts = [
        case("countTokens", params=params)["input_tokens"]
        for params in (plain, {**plain, "system": "You know the weather."}, {**plain, "tools": [WEATHER]}, seen)
    ]
    assert 5 < counts[0] < 40
    assert counts[1] > counts[0]
    assert counts[2] > counts[0] + 10
    assert counts[3] >= 300 * 200 // 750


def test_models_are_listed_page_by_page_and_found(case: Case) -> None:
    outcome = case("models", limit=7, model=MODEL)
    ids = [model["id"] for model in outcome["listed"]]
    assert MODEL in ids
    assert len(ids) == len(set(ids)) > 7
    for model in outcome["listed"]:
        assert model["type"] == "model"
        assert model["display_name"]
        assert model["created_at"]
    assert outcome["found"]["id"] == MODEL
    assert outcome["found"]["max_input_tokens"] > 0
    assert outcome["found"]["max_tokens"] > 0
    assert outcome["missing"]["raised"]["class"] == "NotFoundError"
    assert outcome["missing"]["raised"]["type"] == "not_found_error"


# ------------------------------------------------------------------------ errors

ERRORS = {
    "claude-sim-error-400": ("BadRequestError", 400, "invalid_request_error"),
    "claude-sim-error-401": ("AuthenticationError", 401, "authentication_error"),
    "claude-sim-error-402": ("PaymentRequiredError", 402, "billing_error"),
    "claude-sim-error-credits": ("PaymentRequiredError", 402, "billing_error"),
    "claude-sim-error-403": ("PermissionDeniedError", 403, "permission_error"),
    "claude-sim-error-404": ("NotFoundError", 404, "not_found_error"),
    "no-such-model": ("NotFoundError", 404, "not_found_error"),
    "claude-sim-error-413": ("BadRequestError", 400, "invalid_request_error"),
    "claude-sim-error-429": ("RateLimitError", 429, "rate_limit_error"),
    "claude-sim-error-500": ("InternalServerError", 502, "api_error"),
    "claude-sim-error-503": ("OverloadedError", 529, "overloaded_error"),
    "claude-sim-error-529": ("OverloadedError", 529, "overloaded_error"),
    "claude-sim-error-html-502": ("InternalServerError", 502, "api_error"),
    "claude-sim-empty-completion": ("InternalServerError", 502, "api_error"),
    "claude-sim-reset-before": ("InternalServerError", 502, "api_error"),
}


@pytest.mark.parametrize("stream", [False, True])
def test_errors_have_their_class_status_and_type(case: Case, stream: bool) -> None:
    given = [body(ask("Hi."), model=model, stream=stream) for model in ERRORS]
    raised = [outcome["raised"] for outcome in case("errors", requests=given)]
    told = [(error["class"], error["status"], error["type"]) for error in raised]
    assert dict(zip(ERRORS, told, strict=True)) == ERRORS
    for error in raised:
        assert error["requestId"] == error["body"]["request_id"]
        assert error["body"]["type"] == "error"
        assert error["body"]["error"]["message"]


def test_a_context_that_is_too_long_is_named_so(case: Case) -> None:
    (outcome,) = case("errors", requests=[body(ask("Hi."), model="claude-sim-error-413")])
    assert "prompt is too long" in outcome["raised"]["text"]


def test_a_malformed_request_is_refused(case: Case, proxy: Proxy) -> None:
    search = {"type": "web_search_20250305", "name": "web_search"}
    given = [body([]), body(ask("Hi."), tools=[search]), body([{"role": "user", "content": [{"type": "image"}]}])]
    for outcome in case("errors", requests=given):
        raised = outcome["raised"]
        assert (raised["class"], raised["type"]) == ("BadRequestError", "invalid_request_error")
    assert not proxy.simulator.requests


@pytest.mark.parametrize("scenario", ["truncated", "cut", "reset", "error-in-stream", "tool-start-only"])
def test_what_fails_after_content_raises_and_is_never_a_success(case: Case, scenario: str) -> None:
    messages = ask("Hi.", scenario=scenario, delay=0.02)
    outcome = case("createStreamed", params=body(messages, tools=[WEATHER]))
    assert outcome["raised"]["type"] in ("api_error", "overloaded_error")
    assert outcome["raised"]["body"]["error"]["message"]
    types = {event["type"] for event in outcome["events"]}
    assert "content_block_delta" in types
    assert types.isdisjoint({"message_delta", "message_stop"})
    helper = case("helper", params=body(messages, tools=[WEATHER]))
    assert helper["raised"]["type"] == outcome["raised"]["type"]


def test_the_sdk_tries_again_what_may_pass(case: Case, proxy: Proxy) -> None:
    proxy.simulator.script([Status(529, b'{"error":"Overloaded"}')], times=2)
    outcome = case("retries", params=body(ask("Hi.", text="Hello.")), maxRetries=2)
    assert [block["text"] for block in outcome["content"]] == ["Hello."]
