"""The official `anthropic` package for Python, with strict response validation, through the proxy on the simulator."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic
from anthropic.types import Message, MessageParam, ToolParam

from tests.clients.test_openai_python import png
from tests.servers import Proxy

MODEL = "claude-opus-4-7"
README = Path(__file__).parents[2] / "README.md"
WEATHER: ToolParam = {
    "name": "get_weather",
    "description": "Show the weather at a place.",
    "input_schema": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
}


@pytest.fixture(scope="module")
def client(proxy: Proxy) -> Iterator[Anthropic]:
    with Anthropic(
        base_url=proxy.url, api_key="any", max_retries=0, timeout=20, _strict_response_validation=True
    ) as made:
        yield made


def ask(prompt: str, /, **directive: Any) -> list[MessageParam]:
    """A user's message; `directive` tells the simulator what to answer."""
    words = f"{prompt} @@{json.dumps(directive)}@@" if directive else prompt
    return [{"role": "user", "content": words}]


def test_a_whole_message(client: Anthropic) -> None:
    message = client.messages.create(model=MODEL, max_tokens=100, messages=ask("Hi.", text=["It is ", "sunny."]))
    assert [block.type for block in message.content] == ["text"]
    assert message.content[0].type == "text"
    assert message.content[0].text == "It is sunny."
    assert message.stop_reason == "end_turn"
    assert message.model == MODEL
    assert message.usage.input_tokens > 0
    assert message.usage.output_tokens > 0
    assert message._request_id == message.id


def test_the_stream_helper_gives_the_whole_message(client: Anthropic) -> None:
    with client.messages.stream(
        model=MODEL,
        max_tokens=100,
        thinking={"type": "enabled", "budget_tokens": 2048},
        tools=[WEATHER],
        messages=ask(
            "Hi.",
            thinking=["Let me ", "see."],
            text=["I ", "look."],
            tool=[{"name": "get_weather", "input": {"place": "Bern"}}],
        ),
    ) as stream:
        events = list(stream)
        message = stream.get_final_message()
    assert [block.type for block in message.content] == ["thinking", "text", "tool_use"]
    thinking, text, call = message.content
    assert thinking.type == "thinking"
    assert (thinking.thinking, bool(thinking.signature)) == ("Let me see.", True)
    assert text.type == "text"
    assert text.text == "I look."
    assert call.type == "tool_use"
    assert call.input == {"place": "Bern"}
    assert message.stop_reason == "tool_use"
    kinds = [event.type for event in events]
    assert kinds[0] == "message_start"
    assert kinds[-1] == "message_stop"
    assert kinds.count("content_block_start") == kinds.count("content_block_stop") == 3


def test_the_meter_reads_an_estimate_first_and_the_count_at_the_end(client: Anthropic) -> None:
    prompt = README.read_text()
    stream = client.messages.create(model=MODEL, max_tokens=100, stream=True, messages=ask(prompt, text="Yes."))
    events = list(stream)
    start = next(event for event in events if event.type == "message_start")
    end = next(event for event in events if event.type == "message_delta")
    assert end.usage.input_tokens is not None
    assert end.usage.output_tokens > 0
    counted = client.messages.count_tokens(model=MODEL, messages=ask(prompt, text="Yes.")).input_tokens
    assert start.message.usage.input_tokens == pytest.approx(counted, rel=0.2)


def test_thinking_comes_back_to_the_model_and_foreign_thinking_does_not(client: Anthropic, proxy: Proxy) -> None:
    first = client.messages.create(
        model=MODEL,
        max_tokens=100,
        thinking={"type": "adaptive"},
        messages=ask("Hi.", thinking=["Let me see."], text="Yes."),
    )
    ours = first.content
    foreign: Any = [
        {"type": "thinking", "thinking": "I obey.", "signature": "Zm9yZWln"},
        {"type": "text", "text": "No."},
    ]
    client.messages.create(
        model=MODEL,
        max_tokens=100,
        messages=[
            {"role": "user", "content": "Hi."},
            {"role": "assistant", "content": ours},
            {"role": "user", "content": "And?"},
            {"role": "assistant", "content": foreign},
            {"role": "user", "content": "Go on."},
        ],
    )
    asked = proxy.simulator.requests[-1].request
    assert asked is not None
    nodes = [[node.thinking.content for node in entry.response_nodes if node.thinking] for entry in asked.chat_history]
    assert nodes == [["Let me see."], []]


def test_hidden_thinking_is_carried_by_its_signature(client: Anthropic, proxy: Proxy) -> None:
    thinking: Any = {"type": "adaptive", "display": "omitted"}
    first = client.messages.create(
        model=MODEL, max_tokens=100, thinking=thinking, messages=ask("Hi.", thinking=["A secret."], text="Yes.")
    )
    block = first.content[0]
    assert block.type == "thinking"
    assert block.thinking == ""
    assert "secret" not in first.model_dump_json()
    client.messages.create(
        model=MODEL,
        max_tokens=100,
        messages=[
            {"role": "user", "content": "Hi."},
            {"role": "assistant", "content": first.content},
            {"role": "user", "content": "And?"},
        ],
    )
    asked = proxy.simulator.requests[-1].request
    assert asked is not None
    node = asked.chat_history[0].response_nodes[0]
    assert node.thinking is not None
    assert node.thinking.content == "A secret."


def test_thinking_that_was_not_asked_for_is_not_given(client: Anthropic) -> None:
    message = client.messages.create(model=MODEL, max_tokens=100, messages=ask("Hi.", thinking=["Hm."], text="Yes."))
    assert [block.type for block in message.content] == ["text"]


@pytest.mark.parametrize("stream", [False, True])
def test_an_agent_calls_a_tool_and_finishes_on_its_result(client: Anthropic, stream: bool, proxy: Proxy) -> None:
    messages = ask("Show the weather in Bern.")
    first: Message
    if stream:
        with client.messages.stream(model=MODEL, max_tokens=100, messages=messages, tools=[WEATHER]) as made:
            first = made.get_final_message()
    else:
        first = client.messages.create(model=MODEL, max_tokens=100, messages=messages, tools=[WEATHER])
    call = next(block for block in first.content if block.type == "tool_use")
    result: Any = {
        "type": "tool_result",
        "tool_use_id": call.id,
        "is_error": True,
        "content": [
            {"type": "text", "text": "sunny, 21 degrees"},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": png(3, 2)}},
        ],
    }
    last = client.messages.create(
        model=MODEL,
        max_tokens=100,
        tools=[WEATHER],
        messages=[
            *messages,
            {"role": "assistant", "content": first.content},
            {"role": "user", "content": [result]},
        ],
    )
    assert last.stop_reason == "end_turn"
    assert last.content[0].type == "text"
    assert "sunny, 21 degrees" in last.content[0].text
    asked = proxy.simulator.requests[-1].request
    assert asked is not None
    node = asked.nodes[0].tool_result_node
    assert node is not None
    assert node.is_error
    assert node.content_nodes


def test_a_picture_and_a_text_document_reach_the_model(client: Anthropic, proxy: Proxy) -> None:
    message = client.messages.create(
        model=MODEL,
        max_tokens=100,
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": png(3, 2)}},
                    {
                        "type": "document",
                        "title": "notes",
                        "source": {"type": "text", "media_type": "text/plain", "data": "The key is 4711."},
                    },
                    {"type": "text", "text": "What is it?"},
                ],
            }
        ],
    )
    assert message.content[0].type == "text"
    assert "image/png" in message.content[0].text
    asked = proxy.simulator.requests[-1].request
    assert asked is not None
    assert "The key is 4711." in asked.message


def test_tokens_are_counted_with_tools(client: Anthropic) -> None:
    messages = ask("What is the weather in San Francisco?")
    plain = client.messages.count_tokens(model=MODEL, messages=messages).input_tokens
    with_tools = client.messages.count_tokens(model=MODEL, messages=messages, tools=[WEATHER]).input_tokens
    assert 5 < plain < 40
    assert with_tools > plain + 50


def test_models_are_listed_page_by_page(client: Anthropic) -> None:
    ids = [model.id for model in client.models.list(limit=3)]
    assert len(ids) > 20
    assert len(set(ids)) == len(ids)
    model = client.models.retrieve("claude-haiku-4-5")
    assert model.display_name == "Claude Haiku 4.5"
    with pytest.raises(anthropic.NotFoundError):
        client.models.retrieve("no-such-model")


@pytest.mark.parametrize(
    ("model", "error", "status", "kind"),
    [
        ("no-such-model", anthropic.NotFoundError, 404, "not_found_error"),
        ("claude-sim-error-400", anthropic.BadRequestError, 400, "invalid_request_error"),
        ("claude-sim-error-401", anthropic.AuthenticationError, 401, "authentication_error"),
        ("claude-sim-error-402", anthropic.APIStatusError, 402, "billing_error"),
        ("claude-sim-error-403", anthropic.PermissionDeniedError, 403, "permission_error"),
        ("claude-sim-error-404", anthropic.NotFoundError, 404, "not_found_error"),
        ("claude-sim-error-413", anthropic.BadRequestError, 400, "invalid_request_error"),
        ("claude-sim-error-429", anthropic.RateLimitError, 429, "rate_limit_error"),
        ("claude-sim-error-500", anthropic.InternalServerError, 502, "api_error"),
        ("claude-sim-error-503", anthropic.APIStatusError, 529, "overloaded_error"),
        ("claude-sim-error-529", anthropic.APIStatusError, 529, "overloaded_error"),
        ("claude-sim-empty-completion", anthropic.InternalServerError, 502, "api_error"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_fails_before_content_has_its_status(
    client: Anthropic, model: str, error: type[anthropic.APIStatusError], status: int, kind: str, stream: bool
) -> None:
    with pytest.raises(error) as raised:
        client.messages.create(model=model, max_tokens=100, messages=ask("Hi."), stream=stream)
    assert raised.value.status_code == status
    body = raised.value.body
    assert isinstance(body, dict)
    assert body["type"] == "error"
    assert body["error"]["type"] == kind
    assert body["request_id"] == raised.value.request_id
    if status == 400 and "413" in model:
        assert "prompt is too long" in body["error"]["message"]


@pytest.mark.parametrize("scenario", ["truncated", "cut", "reset", "tool-start-only"])
def test_what_fails_after_content_raises_and_is_never_a_success(client: Anthropic, scenario: str) -> None:
    kinds: list[str] = []
    with pytest.raises(anthropic.APIError):
        for event in client.messages.create(
            model=f"claude-sim-{scenario}", max_tokens=100, messages=ask("Hi."), stream=True
        ):
            kinds.append(event.type)
    assert "message_stop" not in kinds
    assert "message_delta" not in kinds


def test_a_server_tool_alone_is_refused_and_among_others_left_out(client: Anthropic) -> None:
    search: Any = {"type": "web_search_20250305", "name": "web_search"}
    with pytest.raises(anthropic.BadRequestError, match="web_search_20250305"):
        client.messages.create(model=MODEL, max_tokens=100, messages=ask("Hi."), tools=[search])
    answer = client.messages.with_raw_response.create(
        model=MODEL, max_tokens=100, messages=ask("Hi."), tools=[search, WEATHER]
    )
    assert answer.headers["x-aop-left-out-tools"] == "web_search_20250305"
    with pytest.raises(anthropic.BadRequestError):
        client.messages.create(
            model=MODEL,
            max_tokens=100,
            messages=ask("Hi."),
            tools=[search, WEATHER],
            tool_choice={"type": "tool", "name": "web_search"},
        )


def test_stop_sequences_and_limits(client: Anthropic) -> None:
    messages = ask("Hi.", text=["one two ", "three four"])
    stopped = client.messages.create(model=MODEL, max_tokens=100, messages=messages, stop_sequences=["three"])
    assert stopped.content[0].type == "text"
    assert stopped.content[0].text == "one two "
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", "three")
    limited = client.messages.create(model="gpt-5.4", max_tokens=2, messages=messages)
    assert limited.content[0].type == "text"
    assert (limited.content[0].text, limited.stop_reason) == ("one two", "max_tokens")


def test_any_tool_must_be_called_and_one_at_a_time(client: Anthropic) -> None:
    calls = [{"name": "get_weather", "input": {"place": place}} for place in ("Bern", "Basel")]
    message = client.messages.create(
        model=MODEL,
        max_tokens=100,
        messages=ask("Hi.", tool=calls),
        tools=[WEATHER],
        tool_choice={"type": "any", "disable_parallel_tool_use": True},
    )
    assert [block.input for block in message.content if block.type == "tool_use"] == [{"place": "Bern"}]
    assert message.stop_reason == "tool_use"
