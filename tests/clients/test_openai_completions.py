"""`client.completions` of the official `openai` package for Python, through the proxy on the simulator.

Whole replies go through its strict validation. Chunks can't: the type that the package has for both says that
`finish_reason` is never null, and OpenAI's own chunks have null. They are validated with a reason put in its place.
"""

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI
from openai.types import Completion

from tests.servers import Proxy

MODEL = "claude-sonnet-4-5"


@pytest.fixture(scope="module")
def client(proxy: Proxy) -> Iterator[OpenAI]:
    with OpenAI(
        base_url=proxy.base_url, api_key="any", max_retries=0, timeout=20, _strict_response_validation=True
    ) as made:
        yield made


@pytest.fixture(scope="module")
def streaming(proxy: Proxy) -> Iterator[OpenAI]:
    with OpenAI(base_url=proxy.base_url, api_key="any", max_retries=0, timeout=20) as made:
        yield made


def prompt(words: str, /, **directive: Any) -> str:
    """A prompt; `directive` tells the simulator what to answer."""
    return f"{words} @@{json.dumps(directive)}@@"


def stream(client: OpenAI, **fields: Any) -> list[Completion]:
    chunks = list(client.completions.create(model=MODEL, stream=True, **fields))
    for chunk in chunks:
        shown = chunk.model_dump()
        for choice in shown["choices"]:
            choice["finish_reason"] = choice["finish_reason"] or "stop"
        Completion.model_validate(shown, strict=True)
    return chunks


def texts(chunks: list[Completion]) -> list[str]:
    return [choice.text for chunk in chunks for choice in chunk.choices]


def test_a_whole_completion(client: OpenAI) -> None:
    completion = client.completions.create(model=MODEL, prompt=prompt("Today", text=[" it is ", "sunny."]))
    (choice,) = completion.choices
    assert (choice.text, choice.index, choice.finish_reason) == (" it is sunny.", 0, "stop")
    assert completion.id.startswith("cmpl-")
    assert completion.model == MODEL
    assert completion.usage is not None
    assert completion.usage.prompt_tokens > 0
    assert completion.usage.total_tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens


def test_a_streamed_completion(streaming: OpenAI) -> None:
    given = prompt("Today", thinking=["Weather ", "talk."], text=[" it is ", "sunny."])
    chunks = stream(streaming, prompt=given, stream_options={"include_usage": True})
    assert texts(chunks) == [" it is ", "sunny.", ""]
    assert [chunk.choices[0].finish_reason for chunk in chunks[:-1]] == [None, None, "stop"]
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens > 0
    assert len({chunk.id for chunk in chunks}) == 1


def test_a_list_of_one_prompt(client: OpenAI) -> None:
    completion = client.completions.create(model=MODEL, prompt=[prompt("Today", text=" it rains.")])
    assert completion.choices[0].text == " it rains."


def test_the_prompt_is_echoed_before_the_completion(client: OpenAI, streaming: OpenAI) -> None:
    given = prompt("Today", text=[" it is ", "sunny."])
    completion = client.completions.create(model=MODEL, prompt=given, echo=True)
    assert completion.choices[0].text == f"{given} it is sunny."
    assert texts(stream(streaming, prompt=given, echo=True)) == [given, " it is ", "sunny.", ""]


def test_a_stop_sequence_ends_the_completion_and_the_echo_does_not(client: OpenAI, streaming: OpenAI) -> None:
    given = prompt("for x in y:", text=["    pri", "nt(x)\n", "\nprint(y)"])
    completion = client.completions.create(model=MODEL, prompt=given, stop=["\n\n", "y:"], echo=True)
    assert completion.choices[0].text == f"{given}    print(x)"
    assert completion.choices[0].finish_reason == "stop"
    chunks = stream(streaming, prompt=given, stop="\n\n")
    assert "".join(texts(chunks)) == "    print(x)"
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_a_limit_ends_the_completion(client: OpenAI, streaming: OpenAI) -> None:
    given = prompt("Count:", text=" one two three four five six seven eight nine ten")
    completion = client.completions.create(model=MODEL, prompt=given, max_tokens=4)
    assert completion.choices[0].finish_reason == "length"
    assert " one two three four five six".startswith(completion.choices[0].text)
    chunks = stream(streaming, prompt=given, max_tokens=4)
    assert "".join(texts(chunks)) == completion.choices[0].text
    assert chunks[-1].choices[0].finish_reason == "length"


def test_sixteen_tokens_are_no_limit_where_none_is_given(client: OpenAI) -> None:
    words = " ".join(["word"] * 50)
    assert client.completions.create(model=MODEL, prompt=prompt("Say:", text=words)).choices[0].text == words


@pytest.mark.parametrize(
    "fields",
    [
        {"prompt": ["One", "Two"]},
        {"prompt": [1, 2, 3]},
        {"prompt": [[1, 2, 3]]},
        {"suffix": "}"},
        {"logprobs": 3},
        {"best_of": 3},
    ],
    ids=str,
)
def test_what_cannot_be_had_is_told(client: OpenAI, fields: dict[str, Any]) -> None:
    (param,) = fields
    with pytest.raises(openai.BadRequestError) as raised:
        client.completions.create(**{"model": MODEL, "prompt": "Today", **fields})
    assert raised.value.param == param
    assert raised.value.request_id


def test_what_has_no_effect_is_named_in_a_header(client: OpenAI) -> None:
    answer = client.completions.with_raw_response.create(
        model=MODEL, prompt=prompt("Today", text=" it rains."), temperature=0.2, frequency_penalty=1
    )
    assert answer.headers["x-aop-ignored-parameters"] == "temperature, frequency_penalty"
    assert answer.parse().choices[0].text == " it rains."


@pytest.mark.parametrize("is_stream", [False, True])
def test_what_fails_before_content_has_its_status(client: OpenAI, is_stream: bool) -> None:
    for model, error in (
        ("no-such-model", openai.NotFoundError),
        ("claude-sim-error-429", openai.RateLimitError),
        ("claude-sim-error-503", openai.InternalServerError),
    ):
        with pytest.raises(error):
            client.completions.create(model=model, prompt="Today", stream=is_stream, echo=True)


@pytest.mark.parametrize("scenario", ["truncated", "cut", "reset", "error-in-stream"])
def test_what_fails_after_content_raises_and_is_never_a_success(streaming: OpenAI, scenario: str) -> None:
    finish_reasons: list[str | None] = []
    with pytest.raises(openai.APIError):
        for chunk in streaming.completions.create(model=f"claude-sim-{scenario}", prompt="Today", stream=True):
            finish_reasons += [choice.finish_reason for choice in chunk.choices]
    assert not any(finish_reasons)
