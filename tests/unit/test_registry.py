"""Which dialect reads a body, and in whose shape an error on a path is told."""

import json
from typing import Any

import pytest

from augment_open_proxy.core.conversation import Message, Text
from augment_open_proxy.core.errors import ProxyError
from augment_open_proxy.dialects.anthropic_messages import ANTHROPIC_MESSAGES
from augment_open_proxy.dialects.dialect import NOTHING, Dialect
from augment_open_proxy.dialects.openai_chat import OPENAI_CHAT
from augment_open_proxy.dialects.openai_completions import OPENAI_COMPLETIONS
from augment_open_proxy.dialects.openai_responses import OPENAI_RESPONSES
from augment_open_proxy.dialects.registry import DIALECTS, nearest, reader
from tests.pipeline import streamed, whole

HELLO: dict[str, Any] = {"role": "user", "content": "Hello."}
CHAT: dict[str, Any] = {"model": "gpt-5", "messages": [HELLO]}
RESPONSES: dict[str, Any] = {"model": "gpt-5", "input": [HELLO]}
ANSWER = b'{"text":"Hi."}\n{"stop_reason":1,"nodes":[{"type":10,"token_usage":{"input_tokens":1,"output_tokens":1}}]}\n'


def tool(*parameters: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": {name: {"type": "string"} for name in parameters}}
    return {"type": "function", "name": "f", "parameters": schema, "function": {"name": "f", "parameters": schema}}


def body(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields).encode()


# --- The paths ---


def test_each_dialect_has_a_name_and_paths_of_its_own() -> None:
    names = [dialect.name for dialect in DIALECTS]
    paths = [path for dialect in DIALECTS for path in dialect.paths]
    assert len(set(names)) == len(names)
    assert len(set(paths)) == len(paths)
    for dialect in DIALECTS:
        assert all(nearest(path) is dialect for path in dialect.paths)


@pytest.mark.parametrize(
    ("path", "dialect"),
    [
        ("/v1/responses", OPENAI_RESPONSES),
        ("/v1/responses/resp_1", OPENAI_RESPONSES),
        ("/v1/responses/resp_1/cancel", OPENAI_RESPONSES),
        ("/v1/responses/compact", OPENAI_RESPONSES),
        ("/responses/resp_1/input_items", OPENAI_RESPONSES),
        ("/v1/chat/completions", OPENAI_CHAT),
        ("/v1/messages", ANTHROPIC_MESSAGES),
        ("/v1/messages/count_tokens", ANTHROPIC_MESSAGES),
        ("/v1/models", OPENAI_CHAT),
        ("/v1/embeddings", OPENAI_CHAT),
        ("/", OPENAI_CHAT),
        ("", OPENAI_CHAT),
    ],
)
def test_errors_are_told_in_the_shape_of_the_nearest_path(path: str, dialect: Dialect) -> None:
    assert nearest(path) is dialect


# --- The bodies ---


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_a_dialect_reads_its_own_bodies(dialect: Dialect) -> None:
    assert reader(dialect, body(RESPONSES if dialect is OPENAI_RESPONSES else CHAT)) is dialect


@pytest.mark.parametrize("dialect", [OPENAI_RESPONSES, ANTHROPIC_MESSAGES], ids=lambda dialect: dialect.name)
@pytest.mark.parametrize("fields", [CHAT, RESPONSES, {}])
def test_only_the_path_of_chats_takes_bodies_of_another(dialect: Dialect, fields: dict[str, Any]) -> None:
    assert reader(dialect, body(fields)) is dialect


@pytest.mark.parametrize(
    "fields",
    [
        RESPONSES,
        {"model": "gpt-5", "input": "Hello."},
        {"input": "Hello.", "model": "gpt-5", "stream": True, "tools": [tool("input")]},
        {**RESPONSES, "tools": [tool("messages")]},
        {**RESPONSES, "metadata": {"messages": "2"}},
        {**RESPONSES, "messages": None},
        {"model": "gpt-5", "input": [{"role": "user", "content": 'Is "messages" a word?'}]},
        {"model": "gpt-5", "input": [{"role": "user", "content": "messages"}, {"role": "user", "content": "input"}]},
    ],
    ids=["items", "text", "tool", "tool with messages", "metadata", "no messages", "quoted text", "text messages"],
)
def test_a_responses_body_on_the_path_of_chats_is_read_as_such(fields: dict[str, Any]) -> None:
    """Cursor posts such. Only the keys of the body itself tell which it is, not those within it."""
    reading = reader(OPENAI_CHAT, body(fields))
    assert reading is OPENAI_RESPONSES
    asked = reading.parse(body(fields), NOTHING).request
    assert all(message.role == "user" for message in asked.messages)
    assert asked.messages


@pytest.mark.parametrize(
    ("options", "wanted"),
    [({"include_usage": True}, True), ({"include_usage": False}, False), ({}, False), (None, False)],
)
def test_a_responses_body_on_the_path_of_chats_may_ask_for_the_usage(options: Any, wanted: bool) -> None:
    given = body({**RESPONSES, "stream": True, "stream_options": options})
    assert reader(OPENAI_CHAT, given).parse(given, NOTHING).delivery.include_usage is wanted


@pytest.mark.parametrize(
    "fields",
    [
        CHAT,
        {**CHAT, "tools": [tool("input")]},
        {**CHAT, "input": "Hello."},
        {"input": "x", **CHAT},
        {"model": "gpt-5", "messages": [{"role": "user", "content": 'What is "input"?'}]},
    ],
)
def test_a_chat_is_read_as_a_chat(fields: dict[str, Any]) -> None:
    assert reader(OPENAI_CHAT, body(fields)) is OPENAI_CHAT


@pytest.mark.parametrize(
    "fields", [{}, {"model": "gpt-5"}, {"model": "gpt-5", "tools": [tool("input")]}, {"messages": None}]
)
def test_a_body_that_is_neither_is_told_what_a_chat_lacks(fields: dict[str, Any]) -> None:
    given = body({"model": "gpt-5", **fields})
    with pytest.raises(ProxyError) as caught:
        reader(OPENAI_CHAT, given).parse(given, NOTHING)
    assert caught.value.problem.param == "messages"


@pytest.mark.parametrize("given", [b"", b"{", b"[]", b'"input"', b'{"input": \xff}', b"[" * 100_000])
def test_what_is_no_json_object_is_refused_and_no_crash(given: bytes) -> None:
    with pytest.raises(ProxyError) as caught:
        reader(OPENAI_CHAT, given).parse(given, NOTHING)
    assert caught.value.problem.message.startswith("The body ")


# --- Any parser goes with any renderer ---

REQUESTS = {
    OPENAI_CHAT.name: CHAT,
    OPENAI_RESPONSES.name: {
        **RESPONSES,
        "reasoning": {"summary": "auto"},
        "tools": [tool("x"), {"type": "local_shell"}],
    },
    ANTHROPIC_MESSAGES.name: {**CHAT, "model": "claude-sonnet-4-5", "max_tokens": 10},
    OPENAI_COMPLETIONS.name: {"model": "gpt-5", "prompt": "Hello."},
}


@pytest.mark.parametrize("read", DIALECTS, ids=lambda dialect: f"{dialect.name} read")
@pytest.mark.parametrize("told", DIALECTS, ids=lambda dialect: f"{dialect.name} told")
def test_what_one_dialect_read_another_can_answer(read: Dialect, told: Dialect) -> None:
    parsed = read.parse(body(REQUESTS[read.name]), NOTHING)
    assert parsed.request.messages == (Message("user", (Text("Hello."),)),)
    assert b"Hi." in streamed(told, parsed, [ANSWER])
    answer = whole(told, parsed, [ANSWER])
    assert answer["status"] == 200
    assert "Hi." in json.dumps(answer["body"])
