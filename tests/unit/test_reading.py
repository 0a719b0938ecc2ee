"""Large bodies are read message by message, and in steps; what comes of it, and what is refused, is the same."""

from typing import Any

import msgspec
import pytest

from augment_open_proxy.core.conversation import OutputFormat
from augment_open_proxy.core.errors import Problem, ProxyError
from augment_open_proxy.core.steps import whole
from augment_open_proxy.dialects.anthropic_messages import ANTHROPIC_MESSAGES
from augment_open_proxy.dialects.dialect import NOTHING, Dialect
from augment_open_proxy.dialects.openai_chat import OPENAI_CHAT
from augment_open_proxy.dialects.openai_responses import OPENAI_RESPONSES
from augment_open_proxy.dialects.reading import read_output_format
from augment_open_proxy.dialects.registry import read

PADDING = " " * (2 * 2**20)
HELLO = {"role": "user", "content": "Hello."}
every_dialect = pytest.mark.parametrize(
    "dialect", [OPENAI_CHAT, ANTHROPIC_MESSAGES, OPENAI_RESPONSES], ids=lambda dialect: dialect.name
)


def place(dialect: Dialect) -> str:
    """The field of the conversation."""
    return "input" if dialect is OPENAI_RESPONSES else "messages"


def body(dialect: Dialect, *messages: Any, **fields: Any) -> bytes:
    return msgspec.json.encode({"model": "gpt-5", place(dialect): messages, **fields})


def larger(data: bytes) -> bytes:
    """The same body, so large that it is read in pieces."""
    return data + PADDING.encode()


def outcome(dialect: Dialect, data: bytes) -> Any:
    try:
        return dialect.parse(data)
    except ProxyError as error:
        return error.problem


@every_dialect
def test_a_large_body_says_the_same(dialect: Dialect) -> None:
    parts = [{"type": "text", "text": "Hi."}]
    data = body(dialect, HELLO, {"role": "assistant", "content": parts}, {"role": "user", "content": "Go on."})
    assert not isinstance(outcome(dialect, data), Problem)
    assert outcome(dialect, larger(data)) == outcome(dialect, data)


@every_dialect
@pytest.mark.parametrize("wrong", [{"role": 5}, {"role": "user", "content": 5}, {"role": "nobody", "content": ""}, 5])
def test_what_is_wrong_in_a_large_body_is_named_by_its_path(dialect: Dialect, wrong: Any) -> None:
    data = body(dialect, HELLO, wrong)
    problem = outcome(dialect, larger(data))
    assert isinstance(problem, Problem)
    assert problem == outcome(dialect, data)
    assert problem.param is not None
    assert problem.param.startswith(f"{place(dialect)}[1]")


@every_dialect
def test_halves_of_characters_are_mended_in_large_bodies_too(dialect: Dialect) -> None:
    data = body(dialect, {"role": "user", "content": "a?b"}).replace(b"?", rb"\ud83d")
    assert not isinstance(outcome(dialect, data), Problem)
    assert outcome(dialect, larger(data)) == outcome(dialect, data)


@every_dialect
def test_many_messages_are_read_and_converted_in_steps(dialect: Dialect) -> None:
    data = larger(body(dialect, *[HELLO] * 1000, note="é"))
    assert len(list(read(dialect, data))) >= 1000 + len(PADDING) // 65_536
    _, draft = whole(read(dialect, data))
    assert len(list(draft.parse(NOTHING))) >= 1000 // 64


SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


@pytest.mark.parametrize(
    ("wanted", "described"),
    [
        ({"schema": SCHEMA}, SCHEMA),
        ({"schema": SCHEMA, "name": "trip", "description": None}, SCHEMA),
        ({"schema": SCHEMA, "description": "Where to go."}, {"description": "Where to go.", **SCHEMA}),
        ({"schema": {"description": "A city."}, "description": "Where to go."}, {"description": "A city."}),
    ],
)
def test_what_a_format_is_for_is_said_in_its_schema(wanted: dict[str, Any], described: dict[str, Any]) -> None:
    schema = msgspec.Raw(msgspec.json.encode(described))
    flat, nested = {"type": "json_schema", **wanted}, {"type": "json_schema", "json_schema": wanted}
    assert read_output_format(flat, "text.format") == OutputFormat("text.format.schema", schema)
    assert read_output_format(nested, "response_format") == OutputFormat("response_format.json_schema.schema", schema)
