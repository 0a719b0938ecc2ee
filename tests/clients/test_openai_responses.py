"""The Responses API with the official `openai` package for Python, strictly validated, through the proxy."""

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI

from tests.clients.test_openai_python import png
from tests.servers import Proxy

MODEL = "gpt-5.4"
WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "Show the weather at a place.",
    "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
    "strict": False,
}
PATCH: Any = {
    "type": "custom",
    "name": "apply_patch",
    "description": "Edits files.",
    "format": {"type": "grammar", "syntax": "lark", "definition": 'start: "*** Begin Patch"'},
}


@pytest.fixture(scope="module")
def client(proxy: Proxy) -> Iterator[OpenAI]:
    with OpenAI(
        base_url=proxy.base_url, api_key="any", max_retries=0, timeout=20, _strict_response_validation=True
    ) as made:
        yield made


def ask(prompt: str, /, **directive: Any) -> str:
    return f"{prompt} @@{json.dumps(directive)}@@" if directive else prompt


def test_a_whole_response(client: OpenAI) -> None:
    response = client.responses.create(
        model=MODEL, input=ask("Hi.", text=["It is ", "sunny."]), instructions="Be brief.", metadata={"a": "b"}
    )
    assert response.output_text == "It is sunny."
    assert response.status == "completed"
    assert response.completed_at is not None
    assert (response.model, response.instructions, response.metadata) == (MODEL, "Be brief.", {"a": "b"})
    assert response.usage is not None
    assert response.usage.input_tokens > 0
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens


def test_the_stream_helper_gives_the_whole_response(client: OpenAI) -> None:
    with client.responses.stream(
        model=MODEL,
        reasoning={"summary": "auto"},
        include=["reasoning.encrypted_content"],
        tools=[WEATHER],
        input=ask(
            "Hi.",
            thinking=["Let me ", "see."],
            text=["I ", "look."],
            tool=[{"name": "get_weather", "input": {"place": "Bern"}}],
        ),
    ) as stream:
        kinds = [event.type for event in stream]
        response = stream.get_final_response()
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] == "response.completed"
    assert [item.type for item in response.output] == ["reasoning", "message", "function_call"]
    reasoning, _, call = response.output
    assert reasoning.type == "reasoning"
    assert reasoning.summary[0].text == "Let me see."
    assert reasoning.encrypted_content
    assert response.output_text == "I look."
    assert call.type == "function_call"
    assert json.loads(call.arguments) == {"place": "Bern"}


def test_an_agent_calls_a_tool_and_finishes_on_its_result(client: OpenAI, proxy: Proxy) -> None:
    history: list[Any] = [{"role": "user", "content": "Show the weather in Bern."}]
    first = client.responses.create(model=MODEL, input=history, tools=[WEATHER])
    history += [item.model_dump() for item in first.output]
    call = next(item for item in first.output if item.type == "function_call")
    result = [
        {"type": "input_text", "text": "sunny, 21 degrees"},
        {"type": "input_image", "image_url": f"data:image/png;base64,{png(3, 2)}", "detail": "auto"},
    ]
    history.append({"type": "function_call_output", "call_id": call.call_id, "output": result})
    last = client.responses.create(model=MODEL, input=history, tools=[WEATHER])
    assert "sunny, 21 degrees" in last.output_text
    asked = proxy.simulator.requests[-1].request
    assert asked is not None
    node = asked.nodes[0].tool_result_node
    assert node is not None
    assert node.content_nodes


@pytest.mark.parametrize("stream", [False, True])
def test_a_custom_tool_is_called_with_text_and_replayed(client: OpenAI, proxy: Proxy, stream: bool) -> None:
    patch = "*** Begin Patch\n*** End Patch\n"
    content = ask("Patch.", tool=[{"name": "apply_patch", "input": {"input": patch}}])
    question: Any = {"role": "user", "content": content}
    if stream:
        with client.responses.stream(model=MODEL, input=[question], tools=[PATCH]) as made:
            deltas = [event.delta for event in made if event.type == "response.custom_tool_call_input.delta"]
            output: list[Any] = list(made.get_final_response().output)
        assert "".join(deltas) == patch
    else:
        output = list(client.responses.create(model=MODEL, input=[question], tools=[PATCH]).output)
    call = next(item for item in output if item.type == "custom_tool_call")
    assert call.input == patch
    history: Any = [
        question,
        *(item.model_dump(exclude_none=True) for item in output),
        {"type": "custom_tool_call_output", "call_id": call.call_id, "output": "Done."},
    ]
    client.responses.create(model=MODEL, input=history, tools=[PATCH])
    asked = proxy.simulator.requests[-1].request
    assert asked is not None
    use = asked.chat_history[0].response_nodes[-1].tool_use
    assert use is not None
    assert json.loads(use.input_json) == {"input": patch}


def test_reasoning_comes_back_by_its_encrypted_content(client: OpenAI, proxy: Proxy) -> None:
    question: Any = {"role": "user", "content": ask("Hi.", thinking=["A secret."], text="Yes.")}
    first = client.responses.create(model=MODEL, input=[question], include=["reasoning.encrypted_content"])
    reasoning = first.output[0]
    assert reasoning.type == "reasoning"
    assert reasoning.summary == [], "no summary was asked for"
    assert reasoning.encrypted_content
    history: Any = [question, *(item.model_dump() for item in first.output), {"role": "user", "content": "And?"}]
    client.responses.create(model=MODEL, input=history, include=["reasoning.encrypted_content"])
    asked = proxy.simulator.requests[-1].request
    assert asked is not None
    node = asked.chat_history[0].response_nodes[0]
    assert node.thinking is not None
    assert node.thinking.content == "A secret."


def test_a_limit_of_the_model_makes_the_response_incomplete(client: OpenAI) -> None:
    response = client.responses.create(model="claude-sim-max-tokens", input="Hi.")
    assert response.status == "incomplete"
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"


@pytest.mark.parametrize(
    ("model", "error", "status", "code"),
    [
        ("no-such-model", openai.NotFoundError, 404, "model_not_found"),
        ("claude-sim-error-401", openai.AuthenticationError, 401, "invalid_api_key"),
        ("claude-sim-error-402", openai.RateLimitError, 429, "insufficient_quota"),
        ("claude-sim-error-413", openai.BadRequestError, 400, "context_length_exceeded"),
        ("claude-sim-error-429", openai.RateLimitError, 429, "rate_limit_exceeded"),
        ("claude-sim-error-500", openai.InternalServerError, 502, "server_error"),
        ("claude-sim-error-529", openai.InternalServerError, 503, "server_error"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_fails_before_content_has_its_status(
    client: OpenAI, model: str, error: type[openai.APIStatusError], status: int, code: str, stream: bool
) -> None:
    with pytest.raises(error) as raised:
        client.responses.create(model=model, input="Hi.", stream=stream)
    assert (raised.value.status_code, raised.value.code) == (status, code)


@pytest.mark.parametrize("scenario", ["truncated", "cut", "reset", "tool-start-only"])
def test_what_fails_after_content_ends_with_failed(client: OpenAI, scenario: str) -> None:
    events = list(client.responses.create(model=f"claude-sim-{scenario}", input="Hi.", stream=True))
    last = events[-1]
    assert last.type == "response.failed"
    assert last.response.error is not None
    assert last.response.error.code == "server_error"


@pytest.mark.parametrize(
    "fields",
    [
        {"previous_response_id": "resp_1"},
        {"tools": [{"type": "web_search"}]},
        {"tools": [WEATHER, {"type": "web_search"}], "tool_choice": {"type": "web_search"}},
    ],
)
def test_what_is_not_there_is_refused(client: OpenAI, fields: Any) -> None:
    with pytest.raises(openai.BadRequestError):
        client.responses.create(model=MODEL, input="Hi.", **fields)


def test_server_tools_among_others_are_left_out_and_named(client: OpenAI) -> None:
    tools: Any = [WEATHER, {"type": "web_search"}]
    answer = client.responses.with_raw_response.create(model=MODEL, input="Hi.", tools=tools)
    assert answer.headers["x-aop-left-out-tools"] == "web_search"


def test_a_responses_body_on_the_chat_path_is_answered_as_a_chat(client: OpenAI) -> None:
    """Cursor does so."""
    answer: Any = client.post(
        "/chat/completions",
        cast_to=object,
        body={"model": MODEL, "input": [{"role": "user", "content": ask("Hi.", text="Hello.")}], "stream": False},
    )
    assert answer["object"] == "chat.completion"
    assert answer["choices"][0]["message"]["content"] == "Hello."
