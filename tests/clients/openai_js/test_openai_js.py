"""The official `openai` package for JavaScript through the proxy on the simulator: Responses and Chat Completions."""

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from augment_open_proxy.simulator import ChatStreamRequest, Status
from augment_open_proxy.upstream.wire import ImageFormat
from tests.clients.openai_js import sdk
from tests.clients.test_openai_python import png
from tests.servers import Proxy, running_proxy

MODEL = "gpt-5.4"
SCHEMA = {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]}
ABOUT: dict[str, Any] = {"name": "get_weather", "description": "Show the weather at a place.", "parameters": SCHEMA}
WEATHER: dict[str, Any] = {"type": "function", **ABOUT, "strict": False}
CHAT_WEATHER: dict[str, Any] = {"type": "function", "function": ABOUT}
PATCH: dict[str, Any] = {"type": "custom", "name": "apply_patch", "description": "Edits files."}
LOOK = {"name": "get_weather", "input": {"place": "Bern"}}
ENCRYPTED = {"include": ["reasoning.encrypted_content"], "reasoning": {"summary": "auto"}}
FAILED_CODES = [
    ("no-such-model", "NotFoundError", 404, "model_not_found"),
    ("claude-sim-error-400", "BadRequestError", 400, None),
    ("claude-sim-error-401", "AuthenticationError", 401, "invalid_api_key"),
    ("claude-sim-error-402", "RateLimitError", 429, "insufficient_quota"),
    ("claude-sim-error-403", "PermissionDeniedError", 403, None),
    ("claude-sim-error-413", "BadRequestError", 400, "context_length_exceeded"),
    ("claude-sim-error-429", "RateLimitError", 429, "rate_limit_exceeded"),
    ("claude-sim-error-500", "InternalServerError", 502, "server_error"),
    ("claude-sim-error-529", "InternalServerError", 503, "server_error"),
]

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
    return lambda name, **given: sdk.run(proxy.base_url, name, tmp_path, **given)


def ask(words: str, /, **directive: Any) -> list[dict[str, Any]]:
    """A user's message; `directive` tells the simulator what to answer."""
    return [{"role": "user", "content": f"{words} @@{json.dumps(directive)}@@" if directive else words}]


def body(given: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {"model": MODEL, "input": given, **more}


def chat(messages: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {"model": MODEL, "messages": messages, **more}


def requests(proxy: Proxy) -> list[ChatStreamRequest]:
    """What the backend was asked."""
    assert all(received.request for received in proxy.simulator.requests), "the backend refused a request as malformed"
    return [received.request for received in proxy.simulator.requests if received.request]


def kinds(items: list[dict[str, Any]]) -> list[str]:
    return [item["type"] for item in items]


# ---------------------------------------------------------------- Responses


def test_a_whole_response(case: Case) -> None:
    given = ask("Hi.", text=["It is ", "sunny."])
    made = case("create", params=body(given, instructions="Be brief.", metadata={"a": "b"}))
    response = made["response"]
    assert made["text"] == "It is sunny."
    assert made["status"] == 200
    assert made["requestId"] == response["id"]
    assert (response["status"], response["error"], response["model"]) == ("completed", None, MODEL)
    assert (response["instructions"], response["metadata"]) == ("Be brief.", {"a": "b"})
    usage = response["usage"]
    assert usage["input_tokens"] > 0
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


def test_a_string_is_an_input(case: Case) -> None:
    assert "You said: Hi." in case("create", params={"model": MODEL, "input": "Hi."})["text"]


def test_the_events_of_a_stream(case: Case) -> None:
    events = case("createStreamed", params=body(ask("Hi.", text=["It is ", "sunny."])))["events"]
    assert kinds(events) == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))


def test_the_stream_helper_gives_the_whole_response(case: Case) -> None:
    given = ask("Hi.", thinking=["Let me ", "see."], text=["I ", "look."], tool=LOOK)
    made = case("helper", params=body(given, tools=[WEATHER], **ENCRYPTED))
    assert (made["heard"][0], made["heard"][-1]) == ("response.created", "response.completed")
    reasoning, message, call = made["response"]["output"]
    assert [part["text"] for part in reasoning["summary"]] == ["Let me see."]
    assert reasoning["encrypted_content"]
    assert made["text"] == message["content"][0]["text"] == made["deltas"]["response.output_text.delta"] == "I look."
    assert call["arguments"] == made["deltas"]["response.function_call_arguments.delta"]
    assert json.loads(call["arguments"]) == {"place": "Bern"}
    assert made["response"]["usage"]["output_tokens_details"]["reasoning_tokens"] > 0


@pytest.mark.parametrize("streamed", [False, True])
def test_a_loop_of_calls_and_their_outputs(case: Case, proxy: Proxy, streamed: bool) -> None:
    given = ask("Weather?", thinking="I must look.", tool=LOOK, then="Sunny.")
    answers = {"get_weather": "sunny, 21 degrees"}
    made = case("loop", params=body(given, tools=[WEATHER], **ENCRYPTED), answers=answers, streamed=streamed)
    assert made["text"] == "Sunny."
    types = [item.get("type", "message") for item in made["input"]]
    assert types == ["message", "reasoning", "function_call", "function_call_output", "message"]
    _, answered = requests(proxy)
    result = answered.nodes[0].tool_result_node
    assert result is not None
    assert result.content == "sunny, 21 degrees"
    thought, called = answered.chat_history[0].response_nodes
    assert thought.thinking is not None
    assert thought.thinking.content == "I must look."
    assert called.tool_use is not None
    assert json.loads(called.tool_use.input_json) == {"place": "Bern"}


@pytest.mark.parametrize("streamed", [False, True])
def test_a_loop_with_a_custom_tool_and_a_picture_as_its_output(case: Case, proxy: Proxy, streamed: bool) -> None:
    patch = "*** Begin Patch\n*** End Patch\n"
    given = ask("Patch.", tool={"name": "apply_patch", "input": {"input": patch}}, then="Done.")
    output = [
        {"type": "input_text", "text": "It looks so:"},
        {"type": "input_image", "image_url": f"data:image/png;base64,{png(3, 2)}", "detail": "auto"},
    ]
    made = case("loop", params=body(given, tools=[PATCH]), answers={"apply_patch": output}, streamed=streamed)
    assert made["text"] == "Done."
    (call,) = [item for item in made["input"] if item.get("type") == "custom_tool_call"]
    assert call["input"] == patch
    result = requests(proxy)[-1].nodes[0].tool_result_node
    assert result is not None
    images = [node.image_content for node in result.content_nodes if node.image_content is not None]
    assert [image.image_data for image in images] == [png(3, 2)]


def test_a_picture_reaches_the_model(case: Case, proxy: Proxy) -> None:
    content = [
        {"type": "input_text", "text": "What is it?"},
        {"type": "input_image", "image_url": f"data:image/png;base64,{png(3, 2)}", "detail": "auto"},
    ]
    assert "1 image" in case("create", params=body([{"role": "user", "content": content}]))["text"]
    must_show(proxy)


def must_show(proxy: Proxy) -> None:
    (request,) = requests(proxy)
    images = [node.image_node for node in request.nodes if node.image_node is not None]
    shown = [(image.format, base64.b64decode(image.image_data)) for image in images]
    assert shown == [(ImageFormat.PNG, base64.b64decode(png(3, 2)))]


@pytest.mark.parametrize("stream", [False, True])
def test_errors_have_their_class(case: Case, stream: bool) -> None:
    bodies = [{"model": model, "input": "Hi.", "stream": stream} for model, *_ in FAILED_CODES]
    must_raise(case("errors", requests=bodies))


def must_raise(outcomes: list[dict[str, Any]]) -> None:
    raised = [outcome["raised"] for outcome in outcomes]
    told = [(each["class"], each["status"], each["code"]) for each in raised]
    assert told == [(name, status, code) for _, name, status, code in FAILED_CODES]
    assert all(each["requestId"] for each in raised)


def test_an_error_names_the_field(case: Case) -> None:
    (outcome,) = case("errors", requests=[body(ask("Hi."), previous_response_id="resp_1")])
    assert outcome["raised"]["class"] == "BadRequestError"
    assert outcome["raised"]["param"] == "previous_response_id"


def test_a_failure_amid_a_stream_is_its_last_event(case: Case) -> None:
    made = case("createStreamed", params=body(ask("Hi.", scenario="cut")))
    assert "raised" not in made
    last = made["events"][-1]
    assert last["type"] == "response.failed"
    assert last["response"]["error"]["code"] == "server_error"


def test_a_response_at_the_limit_is_incomplete(case: Case) -> None:
    response = case("helper", params=body(ask("Hi.", scenario="max-tokens")))["response"]
    assert response["status"] == "incomplete"
    assert response["incomplete_details"] == {"reason": "max_output_tokens"}


def test_what_passes_is_tried_again_and_no_credits_are_not(case: Case, proxy: Proxy) -> None:
    proxy.simulator.script([Status(429, b'{"error":"Too many requests"}', {"Retry-After": "0"})])
    made = case("retries", params=body(ask("Hi.", text="Hello.")), maxRetries=2)
    assert made["output_text"] == "Hello."
    proxy.call(proxy.simulator.requests.clear)
    refused = case("retries", params=body(ask("Hi.", scenario="error-402")), maxRetries=2)["raised"]
    assert refused["code"] == "insufficient_quota"
    assert "no credits left" in refused["text"]
    assert len(requests(proxy)) == 1


# --------------------------------------------------------- Chat Completions


def test_a_whole_completion(case: Case) -> None:
    made = case("chat", params=chat(ask("Hi.", text=["It is ", "sunny."])))
    completion = made["completion"]
    assert made["requestId"]
    (choice,) = completion["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("It is sunny.", "stop")
    assert completion["usage"]["prompt_tokens"] > 0


def test_the_chunks_of_a_completion(case: Case) -> None:
    params = chat(ask("Hi.", text=["It is ", "sunny."]), stream_options={"include_usage": True})
    chunks = case("chatStreamed", params=params)["events"]
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]]
    assert (deltas[0]["role"], deltas[0]["content"]) == ("assistant", "")
    assert "".join(delta.get("content") or "" for delta in deltas) == "It is sunny."
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["total_tokens"] > 0
    assert all(chunk["usage"] is None for chunk in chunks[:-1])


def test_the_chat_helper_gives_the_whole_completion(case: Case) -> None:
    params = chat(
        ask("Hi.", text=["I ", "look."], tool=LOOK), tools=[CHAT_WEATHER], stream_options={"include_usage": True}
    )
    made = case("chatHelper", params=params)
    (choice,) = made["completion"]["choices"]
    assert choice["message"]["content"] == made["content"] == "I look."
    assert choice["finish_reason"] == "tool_calls"
    (call,) = choice["message"]["tool_calls"]
    assert json.loads(call["function"]["arguments"]) == {"place": "Bern"}
    assert made["usage"]["completion_tokens"] > 0


@pytest.mark.parametrize("streamed", [False, True])
def test_the_chat_runner_calls_the_tool_and_finishes(case: Case, proxy: Proxy, streamed: bool) -> None:
    params = chat(ask("Weather?", tool=LOOK, then="Sunny."), tools=[CHAT_WEATHER])
    made = case("chatRunner", params=params, answer="sunny, 21 degrees", streamed=streamed)
    assert made["content"] == "Sunny."
    assert made["inputs"] == [{"place": "Bern"}]
    assert made["roles"] == ["user", "assistant", "tool", "assistant"]
    result = requests(proxy)[-1].nodes[0].tool_result_node
    assert result is not None
    assert result.content == "sunny, 21 degrees"


def test_a_picture_in_a_chat_reaches_the_model(case: Case, proxy: Proxy) -> None:
    content = [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{png(3, 2)}"}},
    ]
    case("chat", params=chat([{"role": "user", "content": content}]))
    must_show(proxy)


@pytest.mark.parametrize("stream", [False, True])
def test_errors_of_a_chat_have_their_class(case: Case, stream: bool) -> None:
    must_raise(
        case("chatErrors", requests=[{**chat(ask("Hi.")), "model": m, "stream": stream} for m, *_ in FAILED_CODES])
    )


def test_a_failure_amid_a_chat_is_raised(case: Case) -> None:
    made = case("chatStreamed", params=chat(ask("Hi.", scenario="cut")))
    assert made["events"]
    assert made["raised"]["class"] == "APIError"
    assert made["raised"]["code"] == "server_error"


# ------------------------------------------------------------------ models


def test_models_are_listed_and_found(case: Case) -> None:
    made = case("models", model=MODEL)
    assert "gpt-5-4" in {model["id"] for model in made["listed"]}
    assert made["found"]["id"] == MODEL
    assert made["missing"]["raised"]["class"] == "NotFoundError"
