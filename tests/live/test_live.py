"""The real backend, end to end: models, chat, tools, pictures, effort, messages, responses, counting, the known hang.

It costs 13 requests of a few dozen tokens, whose answers end at 200 tokens: ten to `AOP_LIVE_MODEL`, the cheapest; two
to `AOP_LIVE_EFFORT_MODEL`, the first that has levels of effort, with room for 1000; one to `AOP_LIVE_HANGING_MODEL`.
A silence ends after `SECONDS` at the latest. What a model says differs each time: what must be in it is looked for.
"""

import json
import os
import re
import struct
import zlib
from base64 import b64encode
from collections.abc import Iterator

import anthropic
import httpx2 as httpx
import openai
import pytest
from anthropic import Anthropic
from openai import OpenAI
from openai.types.chat import (
    ChatCompletionMessageFunctionToolCallParam,
    ChatCompletionMessageParam,
    ChatCompletionToolParam,
)

MODEL = os.environ.get("AOP_LIVE_MODEL", "claude-haiku-4-5")
EFFORT = os.environ.get("AOP_LIVE_EFFORT_MODEL", "")
HANGING = os.environ.get("AOP_LIVE_HANGING_MODEL", "claude-sonnet-4-6")
HANGING_PROMPT = "build a 3d rubiks cube in an html file"
"""One that did it, by the README."""
SECONDS = 90.0
MOST_TOKENS = 200
MOST_TOKENS_WITH_THOUGHT = 1000
WORD = "bluebird"
SAY = f"Answer with this one word and nothing else: {WORD}"
TOOL: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "get_temperature",
        "description": "The temperature at a place, in degrees Celsius.",
        "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
    },
}
ASK: ChatCompletionMessageParam = {"role": "user", "content": "How warm is it in Bern? Use the tool."}

SIMULATED = "augment-open-proxy simulation"
"""What the simulator says instead of what only a model could answer."""

pytestmark = pytest.mark.timeout(3 * SECONDS, method="signal")


@pytest.fixture(scope="module")
def chat(url: str) -> Iterator[OpenAI]:
    straight = openai.DefaultHttpxClient(trust_env=False)
    with OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0, timeout=SECONDS, http_client=straight) as client:
        yield client


@pytest.fixture(scope="module")
def messages(url: str) -> Iterator[Anthropic]:
    straight = anthropic.DefaultHttpxClient(trust_env=False)
    with Anthropic(base_url=url, api_key="any", max_retries=0, timeout=SECONDS, http_client=straight) as client:
        yield client


# ---------------------------------------------------------------------- models


def test_the_models_are_listed_and_shown(chat: OpenAI) -> None:
    ids = [model.id for model in chat.models.list()]
    assert MODEL in ids
    assert chat.models.retrieve(MODEL).id == MODEL


def test_a_model_that_does_not_exist_is_a_404(chat: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="does not exist"):
        chat.chat.completions.create(model="no-such-model", messages=[{"role": "user", "content": SAY}])


# ------------------------------------------------------------------------ chat


def test_a_whole_chat(chat: OpenAI) -> None:
    reply = chat.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": SAY}], max_completion_tokens=MOST_TOKENS
    )
    assert WORD in (reply.choices[0].message.content or "").lower()
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage is not None
    assert reply.usage.prompt_tokens > 0
    assert reply.usage.completion_tokens > 0


def test_a_streamed_chat(chat: OpenAI) -> None:
    stream = chat.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": SAY}],
        max_completion_tokens=MOST_TOKENS,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert WORD in text.lower()
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    usage = chunks[-1].usage
    assert usage is not None
    assert usage.prompt_tokens > 0


def test_a_tool_is_called_and_its_result_is_read(chat: OpenAI) -> None:
    first = chat.chat.completions.create(
        model=MODEL, messages=[ASK], tools=[TOOL], tool_choice="required", max_completion_tokens=MOST_TOKENS
    )
    assert first.choices[0].finish_reason == "tool_calls"
    (call,) = first.choices[0].message.tool_calls or []
    assert call.type == "function"
    assert call.function.name == "get_temperature"
    assert json.loads(call.function.arguments).keys() == {"place"}
    called: ChatCompletionMessageFunctionToolCallParam = {
        "id": call.id,
        "type": "function",
        "function": {"name": call.function.name, "arguments": call.function.arguments},
    }
    said: ChatCompletionMessageParam = {"role": "assistant", "tool_calls": [called]}
    result: ChatCompletionMessageParam = {"role": "tool", "tool_call_id": call.id, "content": "37 degrees"}
    second = chat.chat.completions.create(
        model=MODEL, messages=[ASK, said, result], tools=[TOOL], max_completion_tokens=MOST_TOKENS
    )
    assert "37" in (second.choices[0].message.content or "")


def red_square(side: int) -> str:
    """A PNG of `side` times `side` red pixels, in base64."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    pixels = zlib.compress((b"\0" + b"\xff\0\0" * side) * side)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    return b64encode(b"\x89PNG\r\n\x1a\n" + chunks).decode()


def test_a_picture_is_seen(chat: OpenAI) -> None:
    question = "Which colour fills this picture? Answer with the word alone."
    url = f"data:image/png;base64,{red_square(64)}"
    reply = chat.chat.completions.create(
        model=MODEL,
        messages=[
            {
                "role": "user",
                "content": [{"type": "text", "text": question}, {"type": "image_url", "image_url": {"url": url}}],
            }
        ],
        max_completion_tokens=MOST_TOKENS,
    )
    text = (reply.choices[0].message.content or "").lower()
    assert re.search(r"\bred\b", text) or (SIMULATED in text and "1 image: image/png" in text)


def test_an_effort_is_taken_as_a_parameter_and_as_a_part_of_the_name(chat: OpenAI) -> None:
    ids = [model.id for model in chat.models.list()]
    with_levels = [id_.removesuffix("-medium") for id_ in ids if id_.endswith("-medium")]
    assert EFFORT or with_levels, "no model has levels of effort"
    model = EFFORT or with_levels[0]
    asked: list[ChatCompletionMessageParam] = [{"role": "user", "content": SAY}]
    by_parameter = chat.chat.completions.create(
        model=model, messages=asked, reasoning_effort="medium", max_completion_tokens=MOST_TOKENS_WITH_THOUGHT
    )
    by_name = chat.chat.completions.create(
        model=f"{model}-medium", messages=asked, max_completion_tokens=MOST_TOKENS_WITH_THOUGHT
    )
    for reply in (by_parameter, by_name):
        assert WORD in (reply.choices[0].message.content or "").lower()


# -------------------------------------------------------------------- messages


def test_a_whole_message(messages: Anthropic) -> None:
    reply = messages.messages.create(model=MODEL, max_tokens=MOST_TOKENS, messages=[{"role": "user", "content": SAY}])
    assert reply.content[-1].type == "text"
    assert WORD in reply.content[-1].text.lower()
    assert reply.stop_reason == "end_turn"
    assert reply.usage.input_tokens > 0
    assert reply.usage.output_tokens > 0


def test_a_streamed_message(messages: Anthropic) -> None:
    with messages.messages.stream(
        model=MODEL, max_tokens=MOST_TOKENS, messages=[{"role": "user", "content": SAY}]
    ) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert WORD in text.lower()
    assert final.stop_reason == "end_turn"
    assert final.usage.input_tokens > 0
    assert final.usage.output_tokens > 0


def test_tokens_are_counted(messages: Anthropic) -> None:
    """Without asking the backend."""
    counted = messages.messages.count_tokens(model=MODEL, messages=[{"role": "user", "content": SAY}])
    assert 5 < counted.input_tokens < 100


# ------------------------------------------------------------------- responses


def test_a_whole_response_and_one_that_goes_on_from_it(chat: OpenAI) -> None:
    first = chat.responses.create(model=MODEL, input=f"Remember this word: {WORD}.", max_output_tokens=MOST_TOKENS)
    assert first.status == "completed"
    assert first.usage is not None
    assert first.usage.input_tokens > 0
    second = chat.responses.create(
        model=MODEL, input="Which word was it?", previous_response_id=first.id, max_output_tokens=MOST_TOKENS
    )
    assert second.usage is not None
    assert second.usage.input_tokens > first.usage.input_tokens, "what was said before goes along"
    assert WORD in second.output_text.lower() or SIMULATED in second.output_text


def test_a_streamed_response(chat: OpenAI) -> None:
    stream = chat.responses.create(model=MODEL, input=SAY, max_output_tokens=MOST_TOKENS, stream=True)
    events = list(stream)
    assert events[0].type == "response.created"
    last = events[-1]
    assert last.type == "response.completed"
    assert WORD in last.response.output_text.lower()
    assert last.response.usage is not None
    assert last.response.usage.output_tokens > 0


# --------------------------------------------------------------- the known hang


def test_the_model_that_may_hang_answers_or_says_so(messages: Anthropic) -> None:
    """Never in silence, and never with an empty answer: some text, or the error that the README tells of."""
    asked = messages.messages.stream(
        model=HANGING, max_tokens=MOST_TOKENS, messages=[{"role": "user", "content": HANGING_PROMPT}]
    )
    try:
        with asked as stream:
            text = "".join(stream.text_stream)
    except anthropic.APIStatusError as error:
        assert "use another model" in str(error)
    else:
        assert text


# ----------------------------------------------------------------------- health


def test_the_proxy_is_ready(url: str) -> None:
    assert httpx.get(f"{url}/readyz", timeout=SECONDS, trust_env=False).status_code == 200
