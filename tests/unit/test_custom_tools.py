"""Custom tools: offered as functions with one string, called and replayed as raw text."""

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augment_open_proxy.core.conversation import (
    ChatRequest,
    CustomTool,
    Grammar,
    Message,
    Part,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from augment_open_proxy.core.events import BlockDelta, BlockStart, BlockStop, Event, Finish, Opening, Usage
from augment_open_proxy.policies.custom_tools import CustomCalls, prepare, unwrap

HELLO = Message("user", (Text("Hello."),))
FUNCTION = Tool("run", "Runs.", msgspec.Raw(b'{"type":"object"}'))
PATCH = '*** Begin Patch\n+a "b" \\ é\n*** End Patch\n'
FINISH = Finish("tool_use", 3, Usage())


def offered(tool: CustomTool) -> Tool:
    (function,) = prepare(ChatRequest("m", (HELLO,), tools=(tool,)))[0].tools
    assert isinstance(function, Tool)
    return function


# --- Requests ---


def test_without_custom_tools_a_request_stays_the_same() -> None:
    for request in (ChatRequest("m", (HELLO,)), ChatRequest("m", (HELLO,), tools=(FUNCTION,))):
        assert prepare(request) == (request, None)


def test_a_custom_tool_is_offered_as_a_function_with_one_string() -> None:
    function = offered(CustomTool("apply_patch", "Edits files."))
    assert (function.name, function.description) == ("apply_patch", "Edits files.")
    schema = json.loads(bytes(function.schema))
    assert (schema["type"], schema["required"]) == ("object", ["input"])
    assert {name: field["type"] for name, field in schema["properties"].items()} == {"input": "string"}


@pytest.mark.parametrize(("description", "start"), [("Edits.", "Edits.\n\n`input` must"), ("", "`input` must")])
def test_a_grammar_is_told_in_the_description(description: str, start: str) -> None:
    function = offered(CustomTool("f", description, Grammar("lark", "start: /a/\n")))
    assert function.description.startswith(start)
    assert "lark" in function.description
    assert function.description.endswith("start: /a/\n")


def test_tools_keep_their_order() -> None:
    tools = (CustomTool("a", ""), FUNCTION, CustomTool("b", ""))
    request, feed = prepare(ChatRequest("m", (HELLO,), tools=tools))
    assert [tool.name for tool in request.tools] == ["a", "run", "b"]
    assert request.tools[1] is FUNCTION
    assert feed is not None


@pytest.mark.parametrize("raw", ["", "text", PATCH, '{"input": "x"}', "\0\u2028😀"])
@pytest.mark.parametrize("tools", [(), (CustomTool("apply_patch", ""),)])
def test_calls_in_the_history_become_calls_of_the_function(raw: str, tools: tuple[CustomTool, ...]) -> None:
    """Also where the tool is no longer offered."""
    parts: tuple[Part, ...] = (Text("a"), ToolCall("1", "apply_patch", raw, custom=True), ToolCall("2", "run", "{}"))
    results = Message("user", (ToolResult("1", ()), ToolResult("2", ())))
    request, feed = prepare(ChatRequest("m", (HELLO, Message("assistant", parts), results), tools=tools))
    text, call, other = request.messages[1].content
    assert isinstance(call, ToolCall)
    assert (call.id, call.name, call.custom, json.loads(call.arguments)) == ("1", "apply_patch", False, {"input": raw})
    assert (text, other) == (parts[0], parts[2])
    assert request.messages[::2] == (HELLO, results)
    assert (feed is not None) == bool(tools)


# --- Arguments ---


@pytest.mark.parametrize(
    ("arguments", "raw"),
    [
        (json.dumps({"input": PATCH}), PATCH),
        ('{"patch": "x"}', "x"),
        ('{"input": "a", "patch": "b"}', "a"),
        ('{"patch": "b", "x": 1, "input": "a"}', "a"),
        ('{"input": 5, "patch": "b"}', "b"),
        ('{"input": ""}', ""),
        ('"text"', "text"),
        (' {"input":"a"} ', "a"),
        ('{"input": "{\\"input\\": 1}"}', '{"input": 1}'),
        # What is no such JSON is the raw text already.
        ("", ""),
        (PATCH, PATCH),
        ('{"input": "cut', '{"input": "cut'),
        ('{"other": "x"}', '{"other": "x"}'),
        ('{"input": null}', '{"input": null}'),
        ("[1]", "[1]"),
        ("5", "5"),
        ("null", "null"),
        pytest.param("[" * 100_000, "[" * 100_000, id="deep"),
        pytest.param('{"a":' * 100_000, '{"a":' * 100_000, id="deep objects"),
    ],
)
def test_the_raw_text_of_a_call(arguments: str, raw: str) -> None:
    assert unwrap(arguments) == raw


@given(st.text())
@settings(deadline=None)
def test_what_is_wrapped_is_unwrapped(raw: str) -> None:
    request, _ = prepare(ChatRequest("m", (Message("assistant", (ToolCall("1", "f", raw, custom=True),)),)))
    (call,) = request.messages[0].content
    assert isinstance(call, ToolCall)
    assert unwrap(call.arguments) == raw


# --- Replies ---


def block(index: int, call: ToolCall | Text, *texts: str) -> list[Event]:
    return [BlockStart(index, call), *(BlockDelta(index, text) for text in texts), BlockStop(index)]


def fed(events: list[Event], size: int) -> list[Event]:
    feed = CustomCalls({"apply_patch"})
    return [event for start in range(0, len(events), size) for event in feed.feed(events[start : start + size])]


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_calls_of_custom_tools_come_back_as_raw_text(size: int) -> None:
    opening = Opening("id", 1, "m", 1)
    text = block(0, Text(""), "Hello.")
    other = block(2, ToolCall("b", "run", ""), '{"input":', '"x"}')
    events = [opening, *text, *block(1, ToolCall("a", "apply_patch", ""), '{"inp', 'ut":"r', 'aw"}'), *other, FINISH]
    custom = block(1, ToolCall("a", "apply_patch", "", custom=True), "raw")
    assert fed(events, size) == [opening, *text, *custom, *other, FINISH]


@pytest.mark.parametrize("arguments", [(), ('{"input":""}',)])
def test_an_empty_call_has_no_delta(arguments: tuple[str, ...]) -> None:
    events = block(0, ToolCall("a", "apply_patch", ""), *arguments)
    assert fed(events, 1) == block(0, ToolCall("a", "apply_patch", "", custom=True))


def test_one_call_after_the_other() -> None:
    events = [event for i in range(3) for event in block(i, ToolCall(str(i), "apply_patch", ""), f'{{"input":"{i}"}}')]
    expected = [e for i in range(3) for e in block(i, ToolCall(str(i), "apply_patch", "", custom=True), str(i))]
    assert fed(events, 2) == expected
