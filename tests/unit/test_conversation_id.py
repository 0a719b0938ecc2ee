"""A conversation keeps one id over its turns, so that the backend's prompt cache serves it; each key has its own."""

import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from augment_open_proxy.core.conversation import ChatRequest, Image, Message, Part, Text, ToolCall, ToolResult
from augment_open_proxy.server.asgi import Scope
from augment_open_proxy.server.ids import SESSION_HEADERS, conversation_id
from augment_open_proxy.server.keys import owner_of

KEY = (b"x-api-key", b"sk-one")


def user(*texts: str) -> Message:
    return Message("user", tuple(Text(text) for text in texts))


def assistant(*parts: Part) -> Message:
    return Message("assistant", parts)


FIRST = (user("Hello."),)
LATER = (*FIRST, assistant(ToolCall("a", "run", "{}")), Message("user", (ToolResult("a", (Text("done"),)),)))


def id_of(
    *headers: tuple[bytes, bytes], messages: tuple[Message, ...] = FIRST, system: tuple[str, ...] = (), **fields: Any
) -> str:
    request = ChatRequest("m", messages, system=system, **fields)
    scope: Scope = {"type": "http", "headers": list(headers)}
    return conversation_id(request, scope, owner_of(scope))


def test_it_is_a_uuid() -> None:
    for id_ in (id_of(), id_of(conversation="s"), id_of((SESSION_HEADERS[0], b"s"))):
        assert str(uuid.UUID(id_)) == id_
        assert uuid.UUID(id_).version == 4


# --- The client names its session ---


def test_the_session_of_the_body_is_the_conversation_whatever_it_says() -> None:
    assert id_of(KEY, conversation="s") == id_of(KEY, conversation="s", messages=LATER, system=("Be brief.",))
    assert id_of(KEY, conversation="s") != id_of(KEY, conversation="t")


@pytest.mark.parametrize("name", SESSION_HEADERS)
def test_a_session_header_is_the_conversation(name: bytes) -> None:
    one = id_of(KEY, (name, b"s"))
    assert one == id_of(KEY, (name, b"s"), messages=LATER, system=("Be brief.",))
    assert one != id_of(KEY, (name, b"t"))
    assert one != id_of(KEY)


@pytest.mark.parametrize("name", ["x-claude-code-session-id", "session_id", "session-id", "x-session-affinity"])
def test_the_headers_of_claude_code_codex_and_opencode_are_among_them(name: str) -> None:
    assert name.encode() in SESSION_HEADERS


def test_header_and_body_name_the_same_session() -> None:
    """Claude Code sends both; count on either."""
    assert id_of(KEY, conversation="s") == id_of(KEY, (b"x-claude-code-session-id", b"s"))


def test_the_body_wins() -> None:
    assert id_of((b"session_id", b"s"), conversation="t") == id_of(conversation="t")


@pytest.mark.parametrize("empty", ["", None])
def test_an_empty_session_is_none(empty: str | None) -> None:
    assert id_of((b"session_id", b""), conversation=empty) == id_of()


def test_odd_bytes_in_a_header_are_no_failure() -> None:
    assert id_of((b"session_id", b"\xff\xfe")) != id_of()


# --- The client names none ---


def test_the_beginning_tells_conversations_apart() -> None:
    ids = {
        id_of(),
        id_of(system=("Be brief.",)),
        id_of(system=("Be", "brief.")),
        id_of(messages=(user("Hello!"),)),
        id_of(messages=(user("Hel", "lo."),)),
        id_of(messages=(user(),)),
    }
    assert len(ids) == 6


def test_later_turns_change_nothing() -> None:
    assert id_of() == id_of(messages=LATER) == id_of(messages=(*LATER, assistant(Text("Done.")), user("More.")))


def test_neither_model_nor_tools_nor_effort_change_it() -> None:
    one = ChatRequest("m", FIRST)
    other = ChatRequest("n", FIRST, effort="high", thinking="sealed", whole_arguments=True)
    scope = {"type": "http", "headers": []}
    assert conversation_id(one, scope, "") == conversation_id(other, scope, "")


def test_a_system_message_before_the_user_does_not_hide_the_user() -> None:
    first = Message("system", (Text("Be brief."),))
    assert id_of(messages=(first, user("a"))) != id_of(messages=(first, user("b")))


def test_long_texts_with_the_same_beginning_and_length_are_one_conversation_and_cost_no_more() -> None:
    assert id_of(messages=(user("a" * 5000 + "x"),)) == id_of(messages=(user("a" * 5000 + "y"),))
    assert id_of(messages=(user("a" * 5000),)) != id_of(messages=(user("a" * 5001),))


def test_pictures_tell_conversations_apart() -> None:
    """Two first messages that are pictures alone are two conversations."""
    one, other = (Message("user", (Image("image/png", data),)) for data in ("iVBORw0KGgo=", "iVBORw0KGgoA"))
    assert id_of(messages=(one,)) != id_of(messages=(other,))


@given(text=st.text())
def test_any_text_has_its_id(text: str) -> None:
    assert id_of(messages=(user(text),)) == id_of(messages=(user(text),))


def test_halves_of_characters_are_no_failure() -> None:
    assert id_of(messages=(user("\ud83d"),))
    assert id_of(conversation="\ud83d")


# --- The client's key ---


@pytest.mark.parametrize("name", [b"authorization", b"x-api-key", b"api-key"])
@pytest.mark.parametrize("session", [None, "s"])
def test_another_key_is_another_conversation(name: bytes, session: str | None) -> None:
    ids = {id_of(*key, conversation=session) for key in ([(name, b"one")], [(name, b"two")], [])}
    assert len(ids) == 3


def test_other_headers_change_nothing() -> None:
    assert id_of(KEY) == id_of(KEY, (b"user-agent", b"claude-cli/2.1.330"), (b"x-stainless-retry-count", b"1"))
