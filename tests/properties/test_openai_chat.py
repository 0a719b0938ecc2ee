"""Chat Completions: what the chunks add up to is the whole completion, for any answer of the backend."""

import json
from typing import Any

from hypothesis import given, settings

from augment_open_proxy.core.conversation import ChatRequest, CustomTool, Message, Text
from augment_open_proxy.dialects.dialect import Delivery, Parsed
from augment_open_proxy.dialects.openai_chat import OPENAI_CHAT
from tests.pipeline import streamed, whole
from tests.properties.strategies import any_bytes, cuts, places

PARSED = Parsed(
    ChatRequest("claude-sonnet-4-5", (Message("user", (Text("Go."),)),), tools=(CustomTool("apply_patch", ""),)),
    Delivery(stream=True, include_usage=True),
)


@given(data=any_bytes, at=places)
@settings(max_examples=300)
def test_the_chunks_add_up_to_the_whole_completion(data: bytes, at: list[int]) -> None:
    frames = data_lines(streamed(OPENAI_CHAT, PARSED, cuts(data, at)))
    reply = whole(OPENAI_CHAT, PARSED, [data])
    if reply["status"] != 200:
        assert json.loads(frames[-1]) == reply["body"], "the error is the same, and the last thing said"
        assert not any(choice["finish_reason"] for frame in frames[:-1] for choice in json.loads(frame)["choices"])
        return
    assert frames[-1] == "[DONE]"
    *chunks, last = [json.loads(frame) for frame in frames[:-1]]
    assert last["choices"] == []
    assert all(chunk["usage"] is None for chunk in chunks)
    body = reply["body"]
    assert {**added_up(chunks), "usage": last["usage"]} == {
        **body["choices"][0]["message"],
        "finish_reason": body["choices"][0]["finish_reason"],
        "usage": body["usage"],
    }


def data_lines(body: bytes) -> list[str]:
    return [line.removeprefix("data: ") for line in body.decode().split("\n\n") if line]


def added_up(chunks: list[Any]) -> dict[str, Any]:
    """The message that a client builds from the chunks."""
    message: dict[str, Any] = {"content": "", "refusal": None}
    calls: list[Any] = []
    for chunk in chunks:
        (choice,) = chunk["choices"]
        delta = choice["delta"]
        for name in ("content", "reasoning_content", "reasoning"):
            if name in delta:
                message[name] = message.get(name, "") + delta[name]
        for piece in delta.get("tool_calls", ()):
            if "id" in piece:
                assert piece["index"] == len(calls)
                calls.append({key: value for key, value in piece.items() if key != "index"})
            else:
                add(calls[piece["index"]], piece)
        message |= {"role": delta["role"]} if "role" in delta else {}
        message["finish_reason"] = choice["finish_reason"]
    if calls:
        message["tool_calls"] = calls
        message["content"] = message["content"] or None
    return message


def add(call: dict[str, Any], piece: dict[str, Any]) -> None:
    kind, field = ("custom", "input") if "custom" in piece else ("function", "arguments")
    call[kind][field] += piece[kind][field]
