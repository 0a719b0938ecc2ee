"""Structured output: what the model is told, what is taken for the JSON, what is asked again and what is an error."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from augment_open_proxy.core.conversation import ChatRequest, Message, OutputFormat, Text, Thinking, ToolCall
from augment_open_proxy.core.errors import ErrorKind, ProxyError
from augment_open_proxy.core.events import (
    BlockDelta,
    BlockStart,
    BlockStop,
    Event,
    Failure,
    Finish,
    FinishReason,
    Opening,
    Usage,
)
from augment_open_proxy.core.reply import fold
from augment_open_proxy.policies.structured import StructuredOutput, prepare
from tests.properties import grammar

OPENING = Opening("id", 1, "m", 10)
SCHEMA = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}


def request(schema: Any = SCHEMA) -> ChatRequest:
    raw = msgspec.Raw() if schema is None else msgspec.Raw(json.dumps(schema).encode())
    return ChatRequest("m", (Message("user", (Text("Hi."),)),), output_format=OutputFormat("response_format", raw))


def machine(schema: Any = SCHEMA) -> StructuredOutput:
    feed = prepare(request(schema))[1]
    assert feed is not None
    return feed


def turn(text: str, reason: FinishReason = "stop", usage: Usage | None = None) -> list[Event]:
    return [
        BlockStart(0, Thinking("")),
        BlockDelta(0, "Hm."),
        BlockStop(0),
        BlockStart(1, Text("")),
        *(BlockDelta(1, piece) for piece in (text[:3], text[3:]) if piece),
        BlockStop(1),
        Finish(reason, 1, usage or Usage()),
    ]


def answer(feed: StructuredOutput, text: str) -> str | None:
    """The text that is given out; `None` where the model is asked again."""
    feed.feed([OPENING])
    out = feed.feed(turn(text))
    if not out:
        return None
    grammar.check([OPENING, *out])
    reply = fold([OPENING, *out])
    assert isinstance(reply.end, Finish)
    assert reply.blocks[0] == Thinking("Hm.")
    return "".join(block.text for block in reply.blocks if isinstance(block, Text))


def test_the_model_is_given_the_schema() -> None:
    asked, feed = prepare(request())
    told = asked.messages[-1]
    assert told.role == "system"
    (part,) = told.content
    assert isinstance(part, Text)
    assert part.text.endswith(f"It must be valid by this JSON Schema:\n{json.dumps(SCHEMA)}")
    assert feed is not None


def test_without_a_format_nothing_is_done() -> None:
    plain = ChatRequest("m", (Message("user", (Text("Hi."),)),))
    assert prepare(plain) == (plain, None)


@pytest.mark.parametrize("schema", [{"type": "nonsense"}, {"properties": 5}, {"$ref": 5}])
def test_a_schema_that_is_none_is_refused(schema: Any) -> None:
    with pytest.raises(ProxyError) as caught:
        prepare(request(schema))
    assert caught.value.problem.param == "response_format"


@pytest.mark.parametrize(
    "text",
    [
        '{"age": 5}',
        '  {"age": 5}\n',
        '```json\n{"age": 5}\n```',
        '```\n{"age": 5}\n```',
        'Here you are:\n```json\n{"age": 5}\n```\nAnything else?',
        'It is {"age": 5}, I think.',
        '{} or rather:\n```json\n{"age": 5}\n```',
    ],
)
def test_what_stands_around_the_json_is_taken_away(text: str) -> None:
    assert answer(machine(), text) == '{"age": 5}'


@pytest.mark.parametrize("text", ['{"age": "five"}', "{}", "[5]", "five", "", '{"age": NaN}', '{"age": 5'])
def test_what_is_not_valid_is_asked_for_once_more_with_the_errors(text: str) -> None:
    feed = machine()
    assert answer(feed, text) is None
    assert feed.again is not None
    (nudge,) = feed.again[-1].content
    assert isinstance(nudge, Text)
    assert "not what must be answered" in nudge.text
    assert answer(feed, '{"age": 5}') == '{"age": 5}'


def test_both_turns_are_paid() -> None:
    feed = machine()
    feed.feed(turn("no", usage=Usage(1, 2)))
    (*_, end) = feed.feed(turn('{"age": 5}', usage=Usage(10, 20)))
    assert isinstance(end, Finish)
    assert end.usage == Usage(11, 22)


def test_what_stays_invalid_is_an_error_that_says_so() -> None:
    feed = machine()
    feed.feed(turn("no"))
    (failure,) = feed.feed(turn('{"age": "no"}'))
    assert isinstance(failure, Failure)
    assert "$.age: 'no' is not of type 'integer'" in failure.problem.message


def test_any_object_will_do_where_there_is_no_schema() -> None:
    assert answer(machine(None), 'So: {"a": [1]}') == '{"a": [1]}'
    assert answer(machine(None), "[1]") is None


def test_nothing_is_given_out_before_it_is_valid() -> None:
    feed = machine()
    assert feed.feed([OPENING]) == [OPENING]
    for event in turn('{"age": 5}')[:-1]:
        assert feed.feed([event]) == []


def test_a_reply_that_calls_tools_passes() -> None:
    call: list[Event] = [BlockStart(0, ToolCall("a", "f", "")), BlockDelta(0, "{}"), BlockStop(0)]
    events = [*call, Finish("tool_use", 3, Usage())]
    assert machine().feed(events) == events


def test_a_reply_that_was_cut_short_says_so_itself() -> None:
    events = turn('{"age', "length")
    assert machine().feed(events) == events


def test_what_cannot_be_checked_is_an_error_and_not_asked_again() -> None:
    feed = machine({"pattern": "^(a|a)*$"})
    (failure,) = feed.feed(turn(f'"{"a" * 40}!"'))
    assert isinstance(failure, Failure)
    assert failure.problem.kind == ErrorKind.INVALID_REQUEST
    assert failure.problem.param == "response_format"
    assert feed.again is None


@given(data=st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_any_valid_value_passes_plain_and_fenced(data: st.DataObject) -> None:
    from hypothesis_jsonschema import from_schema

    schemas: st.SearchStrategy[Any] = st.sampled_from(
        [
            SCHEMA,
            {"type": "array", "items": {"type": "string"}},
            {"anyOf": [{"type": "object", "required": ["a"]}, {"type": "array", "minItems": 1}]},
            {"type": "object", "properties": {"n": {"enum": [1, 2]}}, "additionalProperties": False},
        ]
    )
    schema = data.draw(schemas)
    value = json.dumps(data.draw(from_schema(schema)))
    assert answer(machine(schema), value) == value
    fenced = answer(machine(schema), f"```json\n{value}\n```")
    assert fenced is not None
    assert "```" not in fenced or "```" in value
