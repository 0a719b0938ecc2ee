"""The real backend, end to end: models, chat, tools, pictures, effort, messages, responses, counting, the known hang.

About twenty requests of a few dozen tokens each, to the cheapest model; `AOP_LIVE_MODEL` names another. No answer is
waited for longer than `SECONDS`. What a model says differs each time, so only what must be in it is looked for.
"""

import os
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

from tests.clients.test_openai_python import png

MODEL = os.environ.get("AOP_LIVE_MODEL", "claude-haiku-4-5")
HANGING = os.environ.get("AOP_LIVE_HANGING_MODEL", "claude-sonnet-4-6")
SECONDS = 90.0
MOST_TOKENS = 200
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

pytestmark = pytest.mark.timeout(2 * SECONDS)


@pytest.fixture(scope="module")
def chat(url: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0, timeout=SECONDS) as client:
        yield client


@pytest.fixture(scope="module")
def messages(url: str) -> Iterator[Anthropic]:
    with Anthropic(base_url=url, api_key="any", max_retries=0, timeout=SECONDS) as client:
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


def test_a_picture_is_seen(chat: OpenAI) -> None:
    question = "Is this picture bright or dark? Answer with one of these two words: bright, dark."
    url = f"data:image/png;base64,{png(64, 64)}"
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
    assert "dark" in (reply.choices[0].message.content or "").lower()


def test_an_effort_is_taken(chat: OpenAI) -> None:
    """By a model that has levels, where the account has one; its name with a level is a model of its own."""
    ids = [model.id for model in chat.models.list()]
    bases = [id_.removesuffix("-medium") for id_ in ids if id_.endswith("-medium")]
    model = next((base for base in bases if base in ids), MODEL)
    reply = chat.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": SAY}],
        reasoning_effort="medium",
        max_completion_tokens=MOST_TOKENS,
    )
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
        model=MODEL,
        input=f"Which word was it, {WORD} or sparrow? Answer with the word alone.",
        previous_response_id=first.id,
        max_output_tokens=MOST_TOKENS,
    )
    assert WORD in second.output_text.lower()


def test_a_streamed_response(chat: OpenAI) -> None:
    stream = chat.responses.create(model=MODEL, input=SAY, max_output_tokens=MOST_TOKENS, stream=True)
    events = list(stream)
    assert events[0].type == "response.created"
    last = events[-1]
    assert last.type == "response.completed"
    assert WORD in last.response.output_text.lower()


# --------------------------------------------------------------- the known hang


def test_the_model_that_may_hang_answers_or_says_so(messages: Anthropic) -> None:
    """Never in silence: an answer, or an error that names the trouble. The README tells of it."""
    try:
        reply = messages.messages.create(
            model=HANGING, max_tokens=MOST_TOKENS, messages=[{"role": "user", "content": SAY}]
        )
    except anthropic.APIStatusError as error:
        assert "other model" in str(error) or "another model" in str(error)
    else:
        assert WORD in "".join(block.text for block in reply.content if block.type == "text").lower()


def test_the_account_is_not_asked_for_what_the_proxy_knows(url: str) -> None:
    assert httpx.get(f"{url}/livez").status_code == 200
    assert httpx.get(f"{url}/readyz").status_code == 200
