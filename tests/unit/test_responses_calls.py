"""Tools of the Responses API → what is offered to the model, and the model's calls → items of the client's form."""

import json
from typing import Any

import msgspec
import pytest
from openai.types.responses import ResponseOutputItem
from openai.types.responses import Tool as SdkTool
from pydantic import TypeAdapter

from augment_open_proxy.core.conversation import ChatRequest, CustomTool, Grammar, Tool, ToolCall
from augment_open_proxy.core.errors import ErrorKind, Problem, ProxyError
from augment_open_proxy.dialects.openai_responses.calls import CallForms
from augment_open_proxy.dialects.openai_responses.reply import Shape
from augment_open_proxy.dialects.openai_responses.request import parse

SCHEMA: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FUNCTION: dict[str, Any] = {
    "type": "function",
    "name": "now",
    "description": "Shows the weather.",
    "parameters": SCHEMA,
    "strict": True,
}
PATCH: dict[str, Any] = {
    "type": "custom",
    "name": "apply_patch",
    "description": "Edits files.",
    "format": {"type": "grammar", "syntax": "lark", "definition": "start: /.+/"},
}
WEATHER: dict[str, Any] = {
    "type": "namespace",
    "name": "weather",
    "description": "All about the weather.",
    "tools": [FUNCTION, PATCH],
}
SHELL: dict[str, Any] = {"type": "local_shell"}
SERVER_TOOLS: list[dict[str, Any]] = [
    {"type": "web_search"},
    {"type": "web_search_2025_08_26", "search_context_size": "high"},
    {"type": "web_search_preview"},
    {"type": "web_search_preview_2025_03_11"},
    {"type": "file_search", "vector_store_ids": ["vs_1"]},
    {"type": "code_interpreter", "container": {"type": "auto"}},
    {"type": "image_generation"},
    {"type": "mcp", "server_label": "docs", "server_url": "https://example.com"},
    {"type": "computer_use_preview", "display_width": 1, "display_height": 1, "environment": "linux"},
    {"type": "tool_search"},
    {"type": "shell"},
    {"type": "apply_patch"},
    {"type": "some_new_tool"},
]


def body(*tools: Any, **fields: Any) -> bytes:
    return json.dumps({"model": "gpt-5", "input": "Hi.", "tools": tools, **fields}).encode()


def request(*tools: Any, **fields: Any) -> ChatRequest:
    return parse(body(*tools, **fields)).request


def shape(*tools: Any) -> Shape:
    given = parse(body(*tools)).delivery.shape
    assert isinstance(given, Shape)
    return given


def refusal(*tools: Any, **fields: Any) -> Problem:
    with pytest.raises(ProxyError) as caught:
        parse(body(*tools, **fields))
    assert caught.value.problem.kind is ErrorKind.INVALID_REQUEST
    return caught.value.problem


def item(forms: CallForms, call: ToolCall) -> dict[str, Any]:
    """The item of a call, valid by the SDK's types."""
    made: dict[str, Any] = msgspec.to_builtins(forms.item(call, "id_1", "completed"))
    TypeAdapter[Any](ResponseOutputItem).validate_python(made)
    return made


def schema(tool: Tool | CustomTool) -> Any:
    assert isinstance(tool, Tool)
    return json.loads(bytes(tool.schema))


# --- Functions ---


def test_a_function_is_offered_as_it_is() -> None:
    (tool,) = request(FUNCTION).tools
    assert (tool.name, tool.description, schema(tool)) == ("now", "Shows the weather.", SCHEMA)


@pytest.mark.parametrize("fields", [{}, {"parameters": None, "description": None, "strict": None}])
def test_a_function_may_have_no_parameters(fields: dict[str, Any]) -> None:
    (tool,) = request({"type": "function", "name": "now", **fields}).tools
    assert (tool.description, schema(tool)) == ("", {"type": "object", "properties": {}})


@pytest.mark.parametrize("parameters", [[], "object", 5, True])
def test_parameters_are_an_object(parameters: Any) -> None:
    assert refusal(PATCH, {**FUNCTION, "parameters": parameters}).param == "tools[1].parameters"


@pytest.mark.parametrize(
    ("tool", "param"),
    [
        ({"type": "function"}, "tools[0].name"),
        ({"type": "function", "name": ""}, "tools[0].name"),
        ({"type": "custom"}, "tools[0].name"),
        ({"name": "now"}, "tools[0].type"),
        ({"type": "namespace", "tools": [FUNCTION]}, "tools[0].name"),
        ({"type": "namespace", "name": "", "tools": [FUNCTION]}, "tools[0].name"),
        ({"type": "namespace", "name": "w", "tools": [FUNCTION, {"type": "function"}]}, "tools[0].tools[1].name"),
        ({"type": "namespace", "name": "w", "tools": [{"type": "custom"}]}, "tools[0].tools[0].name"),
        ({"type": "namespace", "name": "w", "tools": "x"}, "tools[0].tools"),
        ({**PATCH, "format": {"type": "grammar"}}, "tools[0].format"),
        ({**PATCH, "format": {"type": "grammar", "syntax": "lark"}}, "tools[0].format"),
        ({**PATCH, "format": "lark"}, "tools[0].format"),
    ],
)
def test_what_a_tool_lacks_is_named(tool: dict[str, Any], param: str) -> None:
    assert refusal(tool).param == param


def test_a_call_of_a_function_goes_back_as_one() -> None:
    assert item(shape(FUNCTION).forms, ToolCall("a", "now", '{"city":"Bern"}')) == {
        "type": "function_call",
        "id": "id_1",
        "status": "completed",
        "call_id": "a",
        "name": "now",
        "arguments": '{"city":"Bern"}',
    }


# --- Custom tools ---


@pytest.mark.parametrize(
    ("format_", "grammar"),
    [
        (None, None),
        ({"type": "text"}, None),
        ({"type": "grammar", "syntax": "lark", "definition": "d"}, Grammar("lark", "d")),
        ({"type": "grammar", "syntax": "regex", "definition": ""}, Grammar("regex", "")),
    ],
)
def test_a_custom_tool_keeps_its_grammar(format_: Any, grammar: Grammar | None) -> None:
    assert request({**PATCH, "format": format_}).tools == (CustomTool("apply_patch", "Edits files.", grammar),)


def test_a_call_of_a_custom_tool_goes_back_with_its_raw_input() -> None:
    made = item(shape(PATCH).forms, ToolCall("a", "apply_patch", "*** Begin\n", custom=True))
    assert made == {
        "type": "custom_tool_call",
        "id": "id_1",
        "status": "completed",
        "call_id": "a",
        "name": "apply_patch",
        "input": "*** Begin\n",
    }


# --- Namespaces ---


def test_a_namespace_is_offered_flat() -> None:
    function, custom = request(WEATHER).tools
    assert (function.name, schema(function)) == ("weather__now", SCHEMA)
    assert isinstance(custom, CustomTool)
    assert (custom.name, custom.grammar) == ("weather__apply_patch", Grammar("lark", "start: /.+/"))


def test_the_model_is_told_what_a_namespace_is_for() -> None:
    """ "A description of the namespace shown to the model", says the reference."""
    assert any("All about the weather." in tool.description for tool in request(WEATHER).tools)


@pytest.mark.parametrize("namespace", [{"type": "namespace", "name": "w"}, {**WEATHER, "tools": []}])
def test_a_namespace_may_be_empty(namespace: dict[str, Any]) -> None:
    assert request(namespace).tools == ()


@pytest.mark.parametrize(
    ("call", "fields"),
    [
        (ToolCall("a", "weather__now", "{}"), {"type": "function_call", "name": "now", "arguments": "{}"}),
        (
            ToolCall("a", "weather__apply_patch", "x", custom=True),
            {"type": "custom_tool_call", "name": "apply_patch", "input": "x"},
        ),
    ],
)
def test_calls_within_a_namespace_go_back_apart_and_come_again_flat(call: ToolCall, fields: dict[str, Any]) -> None:
    made = item(shape(WEATHER).forms, call)
    assert made == {"id": "id_1", "status": "completed", "call_id": "a", "namespace": "weather", **fields}
    replayed = json.dumps({"model": "gpt-5", "input": [made]}).encode()
    (message,) = parse(replayed).request.messages
    assert message.content == (call,)


def test_a_call_outside_of_any_namespace_names_none() -> None:
    assert "namespace" not in item(shape(WEATHER, FUNCTION).forms, ToolCall("a", "now", "{}"))


def namespace(name: str, function: str) -> dict[str, Any]:
    return {**WEATHER, "name": name, "tools": [{**FUNCTION, "name": function}]}


@pytest.mark.parametrize(
    "tools",
    [
        [WEATHER, {**FUNCTION, "name": "weather__now"}],
        [namespace("a__b", "c"), namespace("a", "b__c")],
        [SHELL, {**FUNCTION, "name": "local_shell"}],
    ],
    ids=["function", "namespaces", "shell"],
)
def test_tools_that_would_have_one_name_are_told_apart_or_refused(tools: list[Any]) -> None:
    """Else a call could not be given back to the tool that it was meant for."""
    try:
        offered = request(*tools).tools
    except ProxyError as error:
        assert (error.problem.param or "").startswith("tools[")
    else:
        assert len({tool.name for tool in offered}) == len(offered)


# --- The local shell ---


def test_the_local_shell_is_a_function_with_a_schema() -> None:
    (tool,) = request(SHELL).tools
    assert tool.name == "local_shell"
    assert tool.description
    assert schema(tool)["required"] == ["command"]
    assert set(schema(tool)["properties"]) == {"command", "working_directory", "timeout_ms", "env"}


@pytest.mark.parametrize(
    ("arguments", "fields"),
    [
        ('{"command":["ls","-l"]}', {"command": ["ls", "-l"]}),
        ('{"command":["ls"],"working_directory":"/x"}', {"command": ["ls"], "working_directory": "/x"}),
        ('{"command":["ls"],"timeout_ms":100}', {"command": ["ls"], "timeout_ms": 100}),
        ('{"command":["ls"],"env":{"A":"b"}}', {"command": ["ls"], "env": {"A": "b"}}),
        ('{"type":"exec","command":["ls"],"env":{},"user":"me"}', {"command": ["ls"]}),
        ('{"command":"ls -l"}', {"command": ["bash", "-lc", "ls -l"]}),
        ('["ls","-l"]', {"command": ["ls", "-l"]}),
        ('"ls -l"', {"command": ["bash", "-lc", "ls -l"]}),
        ("ls -l", {"command": ["bash", "-lc", "ls -l"]}),
        ('{"command":["head","-n",3]}', {"command": ["head", "-n", "3"]}),
        ('{"command":["ls"],"timeout_ms":"soon","env":[],"working_directory":5}', {"command": ["ls"]}),
        ('{"command":["ls"],"timeout_ms":true}', {"command": ["ls"]}),
        ('{"command":["ls"],"timeout_ms":-1}', {"command": ["ls"]}),
        ('{"command":["ls"],"env":{"A":1}}', {"command": ["ls"], "env": {"A": "1"}}),
    ],
)
def test_a_call_of_the_shell_goes_back_as_an_action(arguments: str, fields: dict[str, Any]) -> None:
    """Codex drops an item whose `timeout_ms` is no unsigned integer."""
    made = item(shape(SHELL).forms, ToolCall("a", "local_shell", arguments))
    assert made["type"] == "local_shell_call"
    assert made["call_id"] == "a"
    empty: dict[str, Any] = {"type": "exec", "env": {}, "timeout_ms": None, "user": None, "working_directory": None}
    assert made["action"] == empty | fields
    assert type(made["action"]["timeout_ms"]) is not bool


@pytest.mark.parametrize("arguments", ['{"cmd":"rm x"}', '{"script":["ls"]}', "[[["])
def test_what_the_model_said_of_a_command_is_not_lost(arguments: str) -> None:
    """What is no command fails in the client, where the model sees it; an empty command would seem to have worked."""
    made = item(shape(SHELL).forms, ToolCall("a", "local_shell", arguments))
    assert arguments in " ".join(made["action"]["command"])


def test_without_the_tool_its_name_is_any_function() -> None:
    call = ToolCall("a", "local_shell", "{}")
    assert item(shape(FUNCTION).forms, call)["type"] == "function_call"


# --- What OpenAI's servers run ---


@pytest.mark.parametrize("tool", SERVER_TOOLS, ids=lambda tool: tool["type"])
def test_server_tools_are_left_out_and_named(tool: dict[str, Any]) -> None:
    asked = request(FUNCTION, tool, tool)
    assert [offered.name for offered in asked.tools] == ["now"]
    assert asked.left_out == (tool["type"],)


@pytest.mark.parametrize("tool", SERVER_TOOLS, ids=lambda tool: tool["type"])
def test_a_server_tool_alone_is_refused(tool: dict[str, Any]) -> None:
    problem = refusal(tool)
    assert problem.param == "tools"
    assert tool["type"] in problem.message


@pytest.mark.parametrize(
    ("tool", "choice"),
    [
        ({"type": "web_search"}, {"type": "web_search"}),
        ({"type": "web_search_preview_2025_03_11"}, {"type": "web_search_preview"}),
        ({"type": "web_search_2025_08_26"}, {"type": "web_search"}),
        ({"type": "mcp", "server_label": "docs"}, {"type": "mcp", "server_label": "docs"}),
        ({"type": "web_search"}, {"type": "allowed_tools", "mode": "required", "tools": [{"type": "web_search"}]}),
        ({"type": "web_search"}, {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "web_search"}]}),
    ],
)
def test_a_server_tool_that_alone_may_be_called_is_refused(tool: dict[str, Any], choice: dict[str, Any]) -> None:
    assert tool["type"] in refusal(FUNCTION, tool, tool_choice=choice).message


@pytest.mark.parametrize(
    "choice",
    [
        None,
        "auto",
        "required",
        {"type": "function", "name": "now"},
        {
            "type": "allowed_tools",
            "mode": "auto",
            "tools": [{"type": "function", "name": "now"}, {"type": "web_search"}],
        },
    ],
)
def test_where_another_tool_may_be_called_it_is_offered(choice: Any) -> None:
    assert [tool.name for tool in request(FUNCTION, {"type": "web_search"}, tool_choice=choice).tools] == ["now"]


def test_where_no_tool_may_be_called_none_is_refused() -> None:
    asked = request({"type": "web_search"}, tool_choice="none")
    assert (asked.tools, asked.left_out, asked.tool_choice.mode) == ((), ("web_search",), "none")


# --- The echo of the tools ---

FILLED = {"tools": None}
"""Compared apart: defaults are filled in within."""


@pytest.mark.parametrize("tool", [FUNCTION, PATCH, WEATHER, SHELL, *SERVER_TOOLS[:-1]], ids=lambda tool: tool["type"])
def test_the_response_repeats_a_tool_whole(tool: dict[str, Any]) -> None:
    """The SDK's types demand what a tool needs, such as the label of an MCP server."""
    (_, repeated) = json.loads(bytes(shape({**FUNCTION, "name": "first"}, tool).echo.tools))
    assert {name: repeated.get(name) for name in tool} | FILLED == tool | FILLED
    TypeAdapter[Any](SdkTool).validate_python(repeated)


def test_the_echo_is_one_line_whatever_a_schema_looks_like() -> None:
    spread = body(FUNCTION).replace(b'"properties"', b'\r\n\t"properties"')
    given = parse(spread).delivery.shape
    assert isinstance(given, Shape)
    assert b"\n" not in bytes(given.echo.tools)
    assert b"\r" not in bytes(given.echo.tools)
