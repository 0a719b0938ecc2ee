"""Completions: what the chunks add up to is the whole completion, for any answer of the backend and any echo."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from augment_open_proxy.core.events import Failure
from augment_open_proxy.dialects.dialect import NOTHING, Parsed, renderer
from augment_open_proxy.dialects.framing import joined
from augment_open_proxy.dialects.openai_completions import OPENAI_COMPLETIONS
from tests.pipeline import reply_events, streamed
from tests.properties.strategies import any_bytes, cuts, places

prompts = st.text(max_size=20)


def parsed(prompt: str, echo: bool) -> Parsed:
    fields: dict[str, Any] = {"model": "claude-sonnet-4-5", "prompt": prompt, "echo": echo}
    fields["stream_options"] = {"include_usage": True}
    return OPENAI_COMPLETIONS.parse(json.dumps(fields).encode(), NOTHING)


@given(data=any_bytes, at=places, prompt=prompts, echo=st.booleans())
@settings(max_examples=300, deadline=None)
def test_the_chunks_add_up_to_the_whole_completion(data: bytes, at: list[int], prompt: str, echo: bool) -> None:
    asked = parsed(prompt, echo)
    frames = data_lines(streamed(OPENAI_COMPLETIONS, asked, cuts(data, at)))
    batches = reply_events(OPENAI_COMPLETIONS, asked, [data])
    end = batches[-1][-1]
    if isinstance(end, Failure):
        error = json.loads(OPENAI_COMPLETIONS.render_error(end.problem, "cmpl-1"))
        assert json.loads(frames[-1]) == error, "the error is the same, and the last thing said"
        assert not any(choice["finish_reason"] for frame in frames[:-1] for choice in json.loads(frame)["choices"])
        return
    rendering = renderer(OPENAI_COMPLETIONS, asked.delivery)
    body = json.loads(b"".join(joined(rendering.feed(batch)) for batch in batches))
    assert frames[-1] == "[DONE]"
    *chunks, last = [json.loads(frame) for frame in frames[:-1]]
    assert last["choices"] == []
    assert all(chunk["usage"] is None for chunk in chunks)
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert body == {**chunks[-1], "choices": [added_up(chunks)], "usage": last["usage"]}
    if echo:
        assert body["choices"][0]["text"].startswith(prompt)


def data_lines(body: bytes) -> list[str]:
    return [line.removeprefix("data: ") for line in body.decode().split("\n\n") if line]


def added_up(chunks: list[Any]) -> dict[str, Any]:
    """The choice that a client builds from the chunks."""
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    return {**choices[-1], "text": "".join(choice["text"] for choice in choices)}
