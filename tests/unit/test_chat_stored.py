"""Stored chat completions: what is shown of the request, its messages, and how lists are filtered."""

import json
from typing import Any

import pytest

from augment_open_proxy.core.conversation import Text
from augment_open_proxy.core.errors import ProxyError
from augment_open_proxy.core.events import Finish, Opening, Usage
from augment_open_proxy.core.reply import Reply
from augment_open_proxy.dialects.dialect import Delivery
from augment_open_proxy.dialects.openai_chat.reply import render
from augment_open_proxy.dialects.openai_chat.stored import (
    Wanted,
    messages,
    read_change,
    read_wanted,
    render_completion,
    render_deleted,
)

REPLY = Reply(Opening("chatcmpl-1", 5, "gpt-5.4", 10), (Text("Yes."),), Finish("stop", 1, Usage(3, 4)))


def body(**fields: Any) -> bytes:
    return json.dumps({"model": "gpt-5.4", "messages": [{"role": "user", "content": "Hi."}], **fields}).encode()


def shown(data: bytes, *replies: Reply, **metadata: str) -> dict[str, Any]:
    completion: dict[str, Any] = json.loads(render_completion(data, replies or (REPLY,), metadata))
    return completion


def message(given: dict[str, Any], indent: int | None = None) -> dict[str, Any]:
    (item,) = messages(json.dumps({"messages": [given]}, indent=indent).encode(), "chatcmpl-1")
    listed: dict[str, Any] = json.loads(item.json)
    assert item.id == listed["id"] == "chatcmpl-1-0"
    return listed


def test_it_begins_as_the_reply_does() -> None:
    reply = json.loads(render([REPLY, REPLY], Delivery(choices=2)))
    stored = shown(body(), REPLY, REPLY)
    assert list(stored)[: len(reply)] == list(reply)
    assert {name: stored[name] for name in reply} == reply


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("seed", 2**80),
        ("tool_choice", {"type": "function", "function": {"name": "look"}}),
        ("temperature", 0),
        ("top_p", 0.5),
        ("tools", [{"type": "custom", "custom": {"name": "look"}}]),
        ("response_format", {"type": "json_object"}),
    ],
)
def test_it_repeats_what_was_asked_as_it_was_written(name: str, given: Any) -> None:
    assert shown(body(**{name: given}))[name] == given


def test_its_defaults() -> None:
    stored = shown(body(temperature=None), a="b")
    names = ("request_id", "temperature", "top_p", "presence_penalty", "frequency_penalty", "seed", "tools", "metadata")
    assert [stored[name] for name in names] == ["chatcmpl-1", 1.0, 1.0, 0.0, 0.0, None, None, {"a": "b"}]


def test_halves_of_characters_are_replaced() -> None:
    stored = shown(b'{"messages": [], "user": "\\ud800", "tools": ["\\ud83c\\udf33"]}')
    assert (stored["input_user"], stored["tools"]) == ("�", ["🌳"])


@pytest.mark.parametrize("indent", [None, 2])
def test_content_is_a_text_or_parts(indent: int | None) -> None:
    assert message({"role": "user", "content": "Hi."}, indent) == {
        "id": "chatcmpl-1-0",
        "role": "user",
        "content": "Hi.",
        "refusal": None,
        "name": None,
        "content_parts": None,
    }
    parts = [{"type": "text", "text": "Hi."}]
    with_parts = message({"role": "user", "content": parts}, indent)
    assert (with_parts["content"], with_parts["content_parts"]) == (None, parts)


def test_a_message_has_its_calls_and_what_they_gave() -> None:
    calls = [{"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}]
    assert message({"role": "assistant", "tool_calls": calls})["tool_calls"] == calls
    assert message({"role": "tool", "tool_call_id": "call_1", "content": "A."})["tool_call_id"] == "call_1"
    assert message({"role": "assistant", "refusal": "No."})["refusal"] == "No."


def test_messages_are_counted() -> None:
    listed = messages(json.dumps({"messages": [{"role": "user", "content": "A."}] * 3}).encode(), "chatcmpl-1")
    assert [item.id for item in listed] == ["chatcmpl-1-0", "chatcmpl-1-1", "chatcmpl-1-2"]


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ([], Wanted()),
        ([("model", ""), ("metadata", "x"), ("metadata[", "x"), ("limit", "5")], Wanted()),
        ([("model", "gpt-5.4")], Wanted("gpt-5.4")),
        ([("metadata[a]", "1"), ("metadata[b[c]\n]", "")], Wanted(None, {"a": "1", "b[c]\n": ""})),
    ],
)
def test_what_is_wanted_of_a_list(query: list[tuple[str, str]], wanted: Wanted) -> None:
    assert read_wanted(query) == wanted


def test_the_metadata_must_be_there_to_be_changed() -> None:
    assert read_change(b'{"metadata": {"a": "b"}}') == {"a": "b"}
    assert read_change(b'{"metadata": null}') == {}
    with pytest.raises(ProxyError, match="metadata is missing"):
        read_change(b"{}")


def test_a_deleted_one() -> None:
    assert json.loads(render_deleted("chatcmpl-1")) == {
        "id": "chatcmpl-1",
        "object": "chat.completion.deleted",
        "deleted": True,
    }
