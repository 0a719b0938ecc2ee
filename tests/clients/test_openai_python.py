"""The official `openai` package for Python, with strict response validation, through the proxy on the simulator."""

import base64
import json
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam

from tests.servers import Proxy

MODEL = "claude-sonnet-4-5"
WEATHER: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Show the weather at a place.",
        "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
    },
}


@pytest.fixture(scope="module")
def client(proxy: Proxy) -> Iterator[OpenAI]:
    with OpenAI(
        base_url=proxy.base_url, api_key="any", max_retries=0, timeout=20, _strict_response_validation=True
    ) as made:
        yield made


def ask(prompt: str, /, **directive: Any) -> list[ChatCompletionMessageParam]:
    """A user's message; `directive` tells the simulator what to answer."""
    words = f"{prompt} @@{json.dumps(directive)}@@" if directive else prompt
    return [{"role": "user", "content": words}]


def test_a_whole_chat(client: OpenAI) -> None:
    completion = client.chat.completions.create(model=MODEL, messages=ask("Hi.", text=["It is ", "sunny."]))
    choice = completion.choices[0]
    assert choice.message.content == "It is sunny."
    assert choice.finish_reason == "stop"
    assert completion.model == MODEL
    assert completion.usage is not None
    assert completion.usage.prompt_tokens > 0
    assert completion.usage.total_tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens


def test_a_streamed_chat(client: OpenAI) -> None:
    stream = client.chat.completions.create(
        model=MODEL,
        messages=ask("Hi.", thinking=["Weather ", "talk."], text=["It is ", "sunny."]),
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[0].choices[0].delta.content == ""
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    assert "".join(delta.content or "" for delta in deltas) == "It is sunny."
    assert "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas) == "Weather talk."
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens > 0
    assert len({chunk.id for chunk in chunks}) == 1


def test_the_stream_helper_gives_the_whole_completion(client: OpenAI) -> None:
    messages = ask("Hi.", text="Look.", tool=[{"name": "get_weather", "input": {"place": "Bern"}}])
    with client.chat.completions.stream(model=MODEL, messages=messages, tools=[WEATHER]) as stream:
        for _ in stream:
            pass
        completion = stream.get_final_completion()
    message = completion.choices[0].message
    assert completion.choices[0].finish_reason == "tool_calls"
    assert message.content == "Look."
    assert message.tool_calls is not None
    assert message.tool_calls[0].function.name == "get_weather"
    assert json.loads(message.tool_calls[0].function.arguments) == {"place": "Bern"}


@pytest.mark.parametrize("stream", [False, True])
def test_an_agent_calls_a_tool_and_finishes_on_its_result(client: OpenAI, stream: bool) -> None:
    messages = ask("Show the weather in Bern.")
    call = first_call(client, messages, stream)
    assert call["function"]["name"] == "get_weather"
    messages = [
        *messages,
        {"role": "assistant", "content": None, "tool_calls": [call]},  # type: ignore[list-item]  # a dict of its shape
        {"role": "tool", "tool_call_id": call["id"], "content": "sunny, 21 degrees"},
    ]
    completion = client.chat.completions.create(model=MODEL, messages=messages, tools=[WEATHER])
    assert completion.choices[0].finish_reason == "stop"
    assert "sunny, 21 degrees" in (completion.choices[0].message.content or "")


def first_call(client: OpenAI, messages: list[ChatCompletionMessageParam], stream: bool) -> dict[str, Any]:
    if not stream:
        completion = client.chat.completions.create(model=MODEL, messages=messages, tools=[WEATHER])
        calls = completion.choices[0].message.tool_calls
        assert calls is not None
        return calls[0].model_dump()
    pieces = [
        piece
        for chunk in client.chat.completions.create(model=MODEL, messages=messages, tools=[WEATHER], stream=True)
        for choice in chunk.choices
        for piece in choice.delta.tool_calls or []
    ]
    assert [piece.id for piece in pieces][1:] == [None] * (len(pieces) - 1), "the id comes once"
    function = pieces[0].function
    assert function is not None
    arguments = "".join(piece.function.arguments or "" for piece in pieces if piece.function)
    return {
        "id": pieces[0].id,
        "type": "function",
        "function": {"name": function.name, "arguments": arguments},
    }


def test_parallel_calls_have_their_own_index(client: OpenAI) -> None:
    calls = [{"name": "get_weather", "input": {"place": place}} for place in ("Bern", "Basel")]
    stream = client.chat.completions.create(
        model=MODEL, messages=ask("Both.", tool=calls), tools=[WEATHER], stream=True
    )
    arguments: dict[int, str] = {}
    for chunk in stream:
        for piece in chunk.choices[0].delta.tool_calls or []:
            arguments[piece.index] = arguments.get(piece.index, "") + (
                (piece.function and piece.function.arguments) or ""
            )
    assert [json.loads(arguments[index]) for index in (0, 1)] == [{"place": "Bern"}, {"place": "Basel"}]


def png(width: int, height: int) -> str:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + b"\x10\x20\x30" * width for _ in range(height)))
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    return base64.b64encode(data).decode()


def test_a_picture_reaches_the_model(client: OpenAI, proxy: Proxy) -> None:
    data = png(3, 2)
    completion = client.chat.completions.create(
        model=MODEL,
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is it?"},
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}},
                ],
            }
        ],
    )
    text = completion.choices[0].message.content or ""
    assert "png" in text.lower()
    assert str(len(base64.b64decode(data))) in text


@pytest.mark.parametrize(
    ("model", "error", "status", "code"),
    [
        ("no-such-model", openai.NotFoundError, 404, "model_not_found"),
        ("claude-sim-error-400", openai.BadRequestError, 400, None),
        ("claude-sim-error-401", openai.AuthenticationError, 401, "invalid_api_key"),
        ("claude-sim-error-402", openai.RateLimitError, 429, "insufficient_quota"),
        ("claude-sim-error-403", openai.PermissionDeniedError, 403, None),
        ("claude-sim-error-404", openai.NotFoundError, 404, "model_not_found"),
        ("claude-sim-error-413", openai.BadRequestError, 400, "context_length_exceeded"),
        ("claude-sim-error-429", openai.RateLimitError, 429, "rate_limit_exceeded"),
        ("claude-sim-error-credits", openai.RateLimitError, 429, "insufficient_quota"),
        ("claude-sim-error-500", openai.InternalServerError, 502, "server_error"),
        ("claude-sim-error-503", openai.InternalServerError, 503, "server_error"),
        ("claude-sim-error-529", openai.InternalServerError, 503, "server_error"),
        ("claude-sim-error-html-502", openai.InternalServerError, 502, "server_error"),
        ("claude-sim-empty-completion", openai.InternalServerError, 502, "server_error"),
        ("claude-sim-reset-before", openai.InternalServerError, 502, "server_error"),
        ("claude-sim-redirect", openai.InternalServerError, 502, "server_error"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_fails_before_content_has_its_status(
    client: OpenAI, model: str, error: type[openai.APIStatusError], status: int, code: str | None, stream: bool
) -> None:
    with pytest.raises(error) as raised:
        client.chat.completions.create(model=model, messages=ask("Hi."), stream=stream)
    assert raised.value.status_code == status
    assert raised.value.code == code
    assert raised.value.request_id


@pytest.mark.parametrize("scenario", ["truncated", "cut", "reset", "error-in-stream", "tool-start-only"])
def test_what_fails_after_content_raises_and_is_never_a_success(client: OpenAI, scenario: str) -> None:
    finish_reasons: list[str | None] = []
    with pytest.raises(openai.APIError):
        for chunk in client.chat.completions.create(model=f"claude-sim-{scenario}", messages=ask("Hi."), stream=True):
            finish_reasons += [choice.finish_reason for choice in chunk.choices]
    assert not any(finish_reasons)


def test_models_are_listed_and_found(client: OpenAI) -> None:
    ids = [model.id for model in client.models.list()]
    assert "claude-opus-4-7-high" in ids
    assert ids.index("claude-opus-4-7-medium") == ids.index("claude-opus-4-7") + 1
    assert client.models.retrieve("claude-sonnet-4-5").owned_by == "augment"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("no-such-model")


def test_stop_limit_and_choices(client: OpenAI) -> None:
    messages = ask("Hi.", text=["one two ", "three four"])
    stopped = client.chat.completions.create(model=MODEL, messages=messages, stop=["three"], n=2)
    assert [choice.message.content for choice in stopped.choices] == ["one two ", "one two "]
    assert [choice.index for choice in stopped.choices] == [0, 1]
    assert {choice.finish_reason for choice in stopped.choices} == {"stop"}
    limited = client.chat.completions.create(model="gpt-5.4", messages=messages, max_completion_tokens=2)
    assert (limited.choices[0].message.content, limited.choices[0].finish_reason) == ("one two", "length")
    assert limited.usage is not None
    assert limited.usage.completion_tokens == 2


def test_one_named_tool_must_be_called(client: OpenAI, proxy: Proxy) -> None:
    other: ChatCompletionToolParam = {"type": "function", "function": {"name": "other", "parameters": {}}}
    call = [{"name": "get_weather", "input": {"place": "Bern"}}]
    completion = client.chat.completions.create(
        model=MODEL,
        messages=ask("Hi.", tool=call),
        tools=[WEATHER, other],
        tool_choice={"type": "function", "function": {"name": "get_weather"}},
    )
    assert completion.choices[0].message.tool_calls
    asked = proxy.simulator.requests[-1].request
    assert asked is not None
    assert [tool.name for tool in asked.tools] == ["get_weather"]


@pytest.mark.parametrize(
    "fields", [{"logprobs": True}, {"modalities": ["text", "audio"]}, {"audio": {"format": "wav", "voice": "alloy"}}]
)
def test_what_cannot_be_had_is_refused(client: OpenAI, fields: Any) -> None:
    with pytest.raises(openai.BadRequestError, match="Augment backend gives nothing"):
        client.chat.completions.create(model=MODEL, messages=ask("Hi."), **fields)


def test_thinking_can_be_left_out(client: OpenAI) -> None:
    messages = ask("Hi.", thinking=["Hm."], text="Yes.")
    shown = client.chat.completions.create(model=MODEL, messages=messages)
    assert getattr(shown.choices[0].message, "reasoning_content", None) == "Hm."
    for extra in ({"include_reasoning": False}, {"reasoning": {"exclude": True}}):
        hidden = client.chat.completions.create(model=MODEL, messages=messages, extra_body=extra)
        assert getattr(hidden.choices[0].message, "reasoning_content", None) is None
        assert hidden.choices[0].message.content == "Yes."
