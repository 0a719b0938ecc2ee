"""Tools of the Messages API: the client's own, those whose schema is documented, and those of Anthropic's servers."""

import json
from typing import Any

import msgspec
import pytest

from augment_open_proxy.core.conversation import Tool
from augment_open_proxy.core.errors import ErrorKind, Problem, ProxyError
from augment_open_proxy.dialects.anthropic_messages import wire
from augment_open_proxy.dialects.anthropic_messages.request import parse
from augment_open_proxy.dialects.anthropic_messages.tools import parse_tools

SCHEMA: dict[str, Any] = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
READ: dict[str, Any] = {"name": "read", "description": "Reads a file.", "input_schema": SCHEMA}
SEARCH: dict[str, Any] = {"type": "web_search_20250305", "name": "web_search", "max_uses": 8}
FETCH: dict[str, Any] = {"type": "web_fetch_20250910", "name": "web_fetch"}

COMPUTER = {"name": "computer", "display_width_px": 1024, "display_height_px": 768, "display_number": 1}
CLIENT_TOOLS: list[dict[str, Any]] = [
    {"type": "bash_20241022", "name": "bash"},
    {"type": "bash_20250124", "name": "bash", "cache_control": {"type": "ephemeral"}},
    {"type": "text_editor_20241022", "name": "str_replace_editor"},
    {"type": "text_editor_20250124", "name": "str_replace_editor"},
    {"type": "text_editor_20250429", "name": "str_replace_based_edit_tool"},
    {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool", "max_characters": 10000},
    {"type": "memory_20250818", "name": "memory"},
    {"type": "computer_20241022", **COMPUTER},
    {"type": "computer_20250124", **COMPUTER},
    {"type": "computer_20251124", **COMPUTER, "enable_zoom": True},
]
SERVER_TOOLS: list[dict[str, Any]] = [
    SEARCH,
    {"type": "web_search_20260209", "name": "web_search"},
    {"type": "web_search_20260318", "name": "web_search"},
    FETCH,
    {"type": "web_fetch_20260209", "name": "web_fetch"},
    {"type": "web_fetch_20260309", "name": "web_fetch"},
    {"type": "web_fetch_20260318", "name": "web_fetch"},
    {"type": "code_execution_20250522", "name": "code_execution"},
    {"type": "code_execution_20250825", "name": "code_execution"},
    {"type": "code_execution_20260120", "name": "code_execution"},
    {"type": "code_execution_20260521", "name": "code_execution"},
    {"type": "tool_search_tool_bm25_20251119", "name": "tool_search_tool_bm25"},
    {"type": "tool_search_tool_regex_20251119", "name": "tool_search_tool_regex"},
    {"type": "advisor_20260301", "name": "advisor", "model": "claude-opus-4-7"},
    {"type": "mcp_toolset", "mcp_server_name": "example"},
]


def parsed(*tools: dict[str, Any], choice: dict[str, Any] | None = None) -> tuple[tuple[Tool, ...], tuple[str, ...]]:
    return parse_tools(
        msgspec.json.decode(json.dumps(tools), type=list[wire.Tool]),
        msgspec.json.decode(json.dumps(choice), type=wire.ToolChoice | None),
    )


def offered(*tools: dict[str, Any], choice: dict[str, Any] | None = None) -> tuple[Tool, ...]:
    return parsed(*tools, choice=choice)[0]


def refusal(*tools: dict[str, Any], choice: dict[str, Any] | None = None) -> Problem:
    with pytest.raises(ProxyError) as caught:
        parsed(*tools, choice=choice)
    assert caught.value.problem.kind is ErrorKind.INVALID_REQUEST
    return caught.value.problem


def schema(tool: Tool) -> Any:
    return json.loads(bytes(tool.schema))


def commands(type_: str) -> list[str]:
    """The commands of a documented tool."""
    (tool,) = offered({"type": type_, "name": "editor"})
    return list(schema(tool)["properties"]["command"]["enum"])


# --- The client's own tools ---


@pytest.mark.parametrize("type_", [{}, {"type": None}, {"type": "custom"}])
def test_a_tool_of_the_client_is_offered_with_its_schema(type_: dict[str, Any]) -> None:
    (tool,) = offered({**type_, **READ})
    assert (tool.name, tool.description, schema(tool)) == ("read", "Reads a file.", SCHEMA)


def test_what_concerns_only_anthropic_is_accepted_beside_it() -> None:
    extras = {"cache_control": {"type": "ephemeral"}, "defer_loading": True, "eager_input_streaming": None}
    extras |= {"strict": True, "allowed_callers": ["direct"], "brand_new": 1}
    assert [tool.name for tool in offered({**READ, **extras})] == ["read"]


@pytest.mark.parametrize("description", [{}, {"description": None}, {"description": ""}])
def test_a_description_is_not_needed(description: dict[str, Any]) -> None:
    (tool,) = offered({"name": "read", "input_schema": SCHEMA, **description})
    assert tool.description == ""


def test_a_schema_passes_through_as_it_is() -> None:
    odd = {"type": "object", "$defs": {"a": {"enum": [1e2, None, "\u2028 \U0001f600"]}}, "oneOf": [{}]}
    assert schema(offered({"name": "f", "input_schema": odd})[0]) == odd


@pytest.mark.parametrize("own", [{}, SCHEMA, {**SCHEMA, "examples": [{"path": "x"}]}])
def test_examples_of_its_input_reach_the_model_with_its_schema(own: dict[str, Any]) -> None:
    examples = [{"path": "a/b"}, {"path": "c"}]
    (tool,) = offered({"name": "read", "input_schema": own, "input_examples": examples})
    assert schema(tool) == {**own, "examples": examples}


def test_examples_for_a_documented_tool_reach_it_too() -> None:
    bash = {"type": "bash_20250124", "name": "bash"}
    (plain,), (shown,) = offered(bash), offered({**bash, "input_examples": [{"command": "ls"}]})
    assert schema(shown) == {**schema(plain), "examples": [{"command": "ls"}]}


@pytest.mark.parametrize("examples", [None, []])
def test_no_examples_leave_the_schema_as_it_is(examples: object) -> None:
    assert schema(offered({**READ, "input_examples": examples})[0]) == SCHEMA


def test_a_tool_of_an_unknown_type_with_name_and_schema_is_the_clients() -> None:
    """Anthropic's server tools have no schema; what has one can be offered."""
    assert [tool.name for tool in offered({"type": "function", **READ})] == ["read"]


def test_their_order_is_kept() -> None:
    assert [tool.name for tool in offered(READ, CLIENT_TOOLS[0], {**READ, "name": "b"})] == ["read", "bash", "b"]


@pytest.mark.parametrize(
    ("tool", "param"),
    [
        ({"input_schema": SCHEMA}, "tools[1].name"),
        ({"name": "", "input_schema": SCHEMA}, "tools[1].name"),
        ({"name": None, "type": "custom", "input_schema": SCHEMA}, "tools[1].name"),
        ({"name": "f"}, "tools[1].input_schema"),
        ({"name": "f", "input_schema": None}, "tools[1].input_schema"),
        ({"name": "f", "input_schema": "{}"}, "tools[1].input_schema"),
        ({"name": "f", "input_schema": [SCHEMA]}, "tools[1].input_schema"),
    ],
)
def test_errors_name_the_field(tool: dict[str, Any], param: str) -> None:
    problem = refusal(READ, tool)
    assert problem.param == param
    assert param in problem.message


# --- Tools that the client runs, and whose schema Anthropic documents ---


@pytest.mark.parametrize("tool", CLIENT_TOOLS, ids=lambda tool: tool["type"])
def test_a_documented_tool_gets_its_schema_and_keeps_its_name(tool: dict[str, Any]) -> None:
    (known,), left_out = parsed(tool)
    assert (known.name, left_out) == (tool["name"], ())
    assert known.description
    given = schema(known)
    assert given["type"] == "object"
    assert set(given["required"]) <= set(given["properties"])


@pytest.mark.parametrize(
    ("type_", "properties"),
    [
        ("bash_20250124", {"command", "restart"}),
        ("text_editor_20250728", {"command", "path", "file_text", "old_str", "new_str", "insert_line", "view_range"}),
        (
            "memory_20250818",
            {
                "command",
                "path",
                "file_text",
                "old_str",
                "new_str",
                "insert_line",
                "insert_text",
                "old_path",
                "new_path",
            },
        ),
        ("computer_20250124", {"action", "coordinate", "text", "scroll_direction", "scroll_amount", "duration"}),
    ],
)
def test_the_schema_has_the_documented_fields(type_: str, properties: set[str]) -> None:
    (tool,) = offered({"type": type_, **COMPUTER})
    assert properties <= set(schema(tool)["properties"])


def test_bash_needs_no_command_to_restart() -> None:
    assert schema(offered(CLIENT_TOOLS[0])[0])["required"] == []


@pytest.mark.parametrize("type_", ["text_editor_20241022", "text_editor_20250124"])
def test_the_older_editors_undo(type_: str) -> None:
    assert commands(type_) == ["view", "create", "str_replace", "insert", "undo_edit"]


@pytest.mark.parametrize("type_", ["text_editor_20250429", "text_editor_20250728"])
def test_the_newer_editors_do_not_undo(type_: str) -> None:
    """`undo_edit` is not in the versions for Claude 4 (docs.anthropic.com, "Text editor tool")."""
    assert commands(type_) == ["view", "create", "str_replace", "insert"]


def test_the_memory_has_six_commands() -> None:
    assert commands("memory_20250818") == ["view", "create", "str_replace", "insert", "delete", "rename"]


def test_the_size_of_the_screen_reaches_the_model() -> None:
    """Without it the model cannot know what its coordinates mean."""
    (tool,) = offered({"type": "computer_20250124", **COMPUTER})
    told = tool.description + bytes(tool.schema).decode()
    assert "1024" in told
    assert "768" in told


def test_nulls_beside_a_documented_type_are_as_absence() -> None:
    for tool in CLIENT_TOOLS:
        assert offered({**tool, "input_schema": None, "description": None}) == offered(tool)


# --- Tools that run on Anthropic's servers ---


@pytest.mark.parametrize("tool", SERVER_TOOLS, ids=lambda tool: tool["type"])
def test_a_server_tool_is_left_out_and_named_beside_others(tool: dict[str, Any]) -> None:
    tools, left_out = parsed(tool, READ)
    assert [known.name for known in tools] == ["read"]
    assert left_out == (tool["type"],)


@pytest.mark.parametrize("tool", SERVER_TOOLS, ids=lambda tool: tool["type"])
def test_a_server_tool_alone_is_refused_and_named(tool: dict[str, Any]) -> None:
    problem = refusal(tool)
    assert problem.param == "tools"
    assert str(tool["type"]) in problem.message


@pytest.mark.parametrize("choice", [None, {"type": "auto"}, {"type": "any"}, {"type": "tool", "name": "web_search"}])
def test_server_tools_alone_are_refused_where_one_could_be_called(choice: dict[str, Any] | None) -> None:
    """Claude Code's WebSearch: free text in answer would be shown as search results (`CLIENTS.md`, 9)."""
    assert "web_search_20250305" in refusal(SEARCH, FETCH, choice=choice).message


def test_a_forced_server_tool_is_refused_among_others_and_named() -> None:
    problem = refusal(READ, FETCH, SEARCH, choice={"type": "tool", "name": "web_search"})
    assert "web_search_20250305" in problem.message
    assert "web_fetch" not in problem.message


def test_a_forced_client_tool_is_served_although_a_server_tool_is_left_out() -> None:
    assert [tool.name for tool in offered(SEARCH, READ, choice={"type": "tool", "name": "read"})] == ["read"]


def test_server_tools_that_may_not_be_called_are_no_reason_to_refuse() -> None:
    assert parsed(SEARCH, choice={"type": "none"}) == ((), ("web_search_20250305",))


def test_each_left_out_tool_is_named() -> None:
    assert parsed(SEARCH, READ, FETCH)[1] == ("web_search_20250305", "web_fetch_20250910")


@pytest.mark.parametrize("type_", ["computer_toolset_20260801", "browser_toolset_20260801"])
def test_toolsets_that_the_client_runs_are_not_blamed_on_anthropics_servers(type_: str) -> None:
    """They are client tools of a kind that we do not know: refused, but for the true reason."""
    problem = refusal({"type": type_})
    assert type_ in problem.message
    assert "servers" not in problem.message


def test_no_tools_are_no_tools() -> None:
    assert parsed() == ((), ())
    assert parsed(choice={"type": "tool", "name": "read"}) == ((), ())


# --- In a request ---


def test_tool_choice_none_asks_for_no_tools() -> None:
    fields = {"model": "m", "messages": [{"role": "user", "content": "Hi."}], "tools": [READ, SEARCH]}
    for choice, mode in ((None, "auto"), ({"type": "auto"}, "auto"), ({"type": "none"}, "none")):
        asked = parse(json.dumps({**fields, "tool_choice": choice}).encode()).request
        assert asked.tool_choice.mode == mode
        assert asked.left_out == ("web_search_20250305",)


# --- Tools that system messages change ---

LOOK: dict[str, Any] = {"name": "look", "input_schema": {"type": "object"}}


def adds(tool: dict[str, Any]) -> dict[str, Any]:
    return {"type": "tool_addition", "tool": tool}


def removes(name: str) -> dict[str, Any]:
    return {"type": "tool_removal", "tool": {"type": "tool_reference", "name": name}}


ADDS_LOOK = adds({"type": "tool_definition", "definition": LOOK})
ADDS_READ = adds({"type": "tool_reference", "name": "read"})


def names_after(*messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None = None) -> list[str]:
    system = [{"role": "system", "content": content} for content in messages]
    data = {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi."}, *system],
        "tools": [READ] if tools is None else tools,
    }
    return [tool.name for tool in parse(json.dumps(data).encode()).request.tools]


def test_a_system_message_adds_tools_and_takes_them_away() -> None:
    """As the SDK's tool runner does it; the last word counts."""
    assert names_after([ADDS_LOOK]) == ["read", "look"]
    assert names_after([ADDS_LOOK], tools=[]) == ["look"]
    assert names_after([removes("read")]) == []
    assert names_after([ADDS_LOOK, {"type": "text", "text": "You can look now."}], [removes("read")]) == ["look"]
    assert names_after([ADDS_LOOK, removes("look")], [adds({"type": "tool_reference", "name": "look"})]) == [
        "read",
        "look",
    ]
    assert names_after([removes("read")], [ADDS_READ]) == ["read"]


def test_what_is_not_there_can_be_neither_added_nor_taken_away() -> None:
    toolset = {"type": "mcp_toolset_reference", "server_name": "s"}
    assert names_after([removes("other"), adds({"type": "tool_reference", "name": "other"}), adds(toolset)]) == ["read"]


def test_a_definition_is_in_place_of_the_tool_of_that_name() -> None:
    data = {
        "model": "m",
        "messages": [
            {"role": "user", "content": "Hi."},
            {
                "role": "system",
                "content": [adds({"type": "tool_definition", "definition": {**READ, "description": "Anew."}})],
            },
        ],
        "tools": [READ],
    }
    (tool,) = parse(json.dumps(data).encode()).request.tools
    assert (tool.name, tool.description) == ("read", "Anew.")
