"""Calls whose arguments are no JSON object fail the reply, where the client's API wants an object; none is dropped."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from augment_open_proxy.core.conversation import ChatRequest, CustomTool, Message, Text, Thinking, Tool, ToolCall
from augment_open_proxy.core.errors import ErrorKind, Problem
from augment_open_proxy.core.events import BlockDelta, BlockStart, BlockStop, Event, Failure, Finish, Opening, Usage
from augment_open_proxy.policies.arguments import WholeArguments, prepare
from tests.properties import grammar

OPENING = Opening("msg_1", 0, "m", 10)
FINISH = Finish("tool_use", 3, Usage(1, 1))
TEXT, THINKING = Text(""), Thinking("")
BROKEN = [
    "",
    " ",
    "text",
    '"text"',
    "5",
    "null",
    "true",
    "[]",
    '{"a":',
    '{"a":1',
    '{"a":1}}',
    '{"a":1,}',
    "{a:1}",
    "NaN",
]
SOUND = ["{}", '{"a":1}', ' {"a": [1, {"b": null}]}\n', '{"input":"raw"}', '{"\u2028":"\U0001f600"}', '{"a":1,"a":2}']


def block(index: int, kind: Text | Thinking | ToolCall, *pieces: str) -> list[Event]:
    return [BlockStart(index, kind), *(BlockDelta(index, piece) for piece in pieces), BlockStop(index)]


def call(index: int, *pieces: str, name: str = "run", custom: bool = False) -> list[Event]:
    return block(index, ToolCall(f"toolu_{index}", name, "", custom), *pieces)


def fed(events: list[Event], cuts: list[int] | None = None) -> list[Event]:
    machine = WholeArguments()
    at = sorted({0, len(events), *(cuts or [])})
    return [out for start, end in pairwise(at) for out in machine.feed(events[start:end])]


def request(**fields: Any) -> ChatRequest:
    return ChatRequest("m", (Message("user", (Text("Go."),)),), **fields)


# --- When ---


def test_only_where_the_dialect_asks_for_it() -> None:
    tools = (Tool("run", "", b"{}"),)  # type: ignore[arg-type]
    assert prepare(request(tools=tools)) == (request(tools=tools), None)
    asked, machine = prepare(request(tools=tools, whole_arguments=True))
    assert asked == request(tools=tools, whole_arguments=True)
    assert isinstance(machine, WholeArguments)
    assert isinstance(prepare(request(tools=(CustomTool("p", ""),), whole_arguments=True))[1], WholeArguments)


def test_also_where_no_tool_is_offered_as_models_call_what_they_called_before() -> None:
    """`tool_choice: none` after a turn with calls: a broken call would make the whole reply no JSON at all."""
    assert isinstance(prepare(request(whole_arguments=True))[1], WholeArguments)


# --- What passes ---


@pytest.mark.parametrize("arguments", SOUND)
def test_a_sound_call_passes_as_it_is(arguments: str) -> None:
    events = [OPENING, *block(0, TEXT, "Hi."), *call(1, arguments[:2], arguments[2:] or " "), FINISH]
    assert fed(events) == events


@pytest.mark.parametrize("arguments", [r'{"a":"\ud83d"}', r'{"a":"\ude00\ud83d \u0041 \\ud83d"}'])
def test_halves_of_characters_are_no_failure(arguments: str) -> None:
    """Clients' parsers read them, and our own requests are mended where they have them."""
    out = fed([OPENING, *call(0, arguments), FINISH])
    assert out[-1] == FINISH
    assert grammar.check(out) == FINISH


def test_text_and_thinking_pass_at_once_and_a_call_when_it_is_whole() -> None:
    machine = WholeArguments()
    events = [OPENING, *block(0, THINKING, "Hm."), BlockStart(1, TEXT), BlockDelta(1, "Hi")]
    for event in events:
        assert machine.feed([event]) == [event]
    assert machine.feed([BlockStop(1)]) == [BlockStop(1)]
    assert machine.feed([BlockStart(2, ToolCall("a", "run", "")), BlockDelta(2, '{"a"')]) == []
    assert machine.feed([BlockDelta(2, ":1}")]) == []
    assert machine.feed([BlockStop(2)]) == [
        BlockStart(2, ToolCall("a", "run", "")),
        BlockDelta(2, '{"a"'),
        BlockDelta(2, ":1}"),
        BlockStop(2),
    ]


def test_the_raw_text_of_a_custom_tool_is_not_json() -> None:
    events = [OPENING, *call(0, "*** Begin Patch", custom=True), FINISH]
    assert fed(events) == events


# --- What fails ---


@pytest.mark.parametrize("arguments", BROKEN)
def test_a_call_that_is_no_object_fails_the_reply_in_its_place(arguments: str) -> None:
    before = [OPENING, *block(0, TEXT, "Hi."), *call(1, "{}")]
    *passed, end = fed([*before, *call(2, *filter(None, [arguments]), name="write"), *call(3, "{}"), FINISH])
    assert passed == before
    assert isinstance(end, Failure)
    assert end.problem.kind is ErrorKind.BACKEND
    assert "write" in end.problem.message
    assert arguments in end.problem.message


def test_the_error_shows_the_beginning_of_long_arguments() -> None:
    end = fed([OPENING, *call(0, '{"a":"' + "x" * 10_000), FINISH])[-1]
    assert isinstance(end, Failure)
    assert '{"a":"xxx' in end.problem.message
    assert len(end.problem.message) < 500


def test_arguments_nested_too_deeply_to_be_read_fail_like_others() -> None:
    end = fed([OPENING, *call(0, '{"a":' * 100_000), FINISH])[-1]
    assert isinstance(end, Failure)


def test_nothing_follows_the_failure() -> None:
    machine = WholeArguments()
    assert isinstance(machine.feed([OPENING, *call(0, "{")])[-1], Failure)
    assert machine.feed([*call(1, "{}"), FINISH]) == []
    assert machine.feed([FINISH]) == []


def test_a_failure_of_the_backend_passes() -> None:
    failure = Failure(Problem(ErrorKind.TIMEOUT, "too late"))
    assert fed([OPENING, *call(0, "{}"), failure]) == [OPENING, *call(0, "{}"), failure]


# --- In any batches ---

calls = st.sampled_from([*BROKEN, *SOUND]).map(lambda text: [text[:3], text[3:]])
texts = st.lists(st.text(min_size=1, max_size=4), max_size=2)
bodies = st.lists(st.tuples(st.sampled_from([TEXT, THINKING, ToolCall("a", "run", "")]), texts | calls), max_size=6)


@given(bodies=bodies, cuts=st.lists(st.integers(0, 40), max_size=6))
def test_cut_anywhere_it_gives_the_same_and_keeps_the_grammar(
    bodies: list[tuple[Text | Thinking | ToolCall, list[str]]], cuts: list[int]
) -> None:
    events: list[Event] = [OPENING]
    for index, (kind, pieces) in enumerate(bodies):
        events += block(index, kind, *filter(None, pieces))
    events.append(FINISH)
    out = fed(events, [min(cut, len(events)) for cut in cuts])
    assert out == fed(events)
    end = grammar.check(out)
    assert out[:-1] == events[: len(out) - 1], "what comes out is what came in, up to the failure"
    assert end == FINISH or isinstance(end, Failure)
