"""Tools of the Messages API: the client's own, those whose schema Anthropic documents, and those of its servers."""

import re

import msgspec

from augment_open_proxy.core.conversation import Tool
from augment_open_proxy.core.errors import invalid_request
from augment_open_proxy.core.remembered import ByIdentity
from augment_open_proxy.dialects.anthropic_messages import wire
from augment_open_proxy.dialects.reading import read_value

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_VERSION = re.compile(r"_\d{8}$")


def _schema(required: list[str], **properties: object) -> msgspec.Raw:
    value = {"type": "object", "properties": properties, "required": required}
    return msgspec.Raw(msgspec.json.encode(value))


def _text(description: str) -> dict[str, object]:
    return {"type": "string", "description": description}


def _choice(*values: str) -> dict[str, object]:
    return {"type": "string", "enum": list(values)}


_LINES = {"type": "array", "items": {"type": "integer"}, "description": "First and last line, from 1; -1 is the end."}
_POINT = {"type": "array", "items": {"type": "integer"}, "description": "x and y in pixels."}

_DOCUMENTED: dict[str, tuple[str, msgspec.Raw]] = {
    "bash": (
        "Runs a command in a bash session that persists between calls.",
        _schema([], command=_text("The command to run."), restart={"type": "boolean", "description": "Begin anew."}),
    ),
    "text_editor": (
        "Views, creates and edits text files.",
        _schema(
            ["command", "path"],
            command=_choice("view", "create", "str_replace", "insert"),
            path=_text("The path of the file or folder."),
            view_range=_LINES,
            file_text=_text("For create: the content of the file."),
            old_str=_text("For str_replace: the text to replace, which must occur once."),
            new_str=_text("For str_replace and insert: the new text."),
            insert_line={
                "type": "integer",
                "description": "For insert: the line after which to insert, 0 for before all.",
            },
            insert_text=_text("For insert: the text to insert."),
        ),
    ),
    "memory": (
        "Keeps notes between conversations, as files below /memories.",
        _schema(
            ["command"],
            command=_choice("view", "create", "str_replace", "insert", "delete", "rename"),
            path=_text("The path, below /memories."),
            view_range=_LINES,
            file_text=_text("For create: the content of the file."),
            old_str=_text("For str_replace: the text to replace."),
            new_str=_text("For str_replace: the new text."),
            insert_line={"type": "integer", "description": "For insert: the line after which to insert."},
            insert_text=_text("For insert: the text to insert."),
            old_path=_text("For rename: the old path."),
            new_path=_text("For rename: the new path."),
        ),
    ),
    "computer": (
        "Sees the screen and uses mouse and keyboard.",
        _schema(
            ["action"],
            action=_text(
                "key, type, mouse_move, left_click, left_click_drag, right_click, middle_click, double_click, "
                "triple_click, left_mouse_down, left_mouse_up, hold_key, scroll, wait, cursor_position, screenshot, "
                "or zoom."
            ),
            coordinate=_POINT,
            start_coordinate=_POINT,
            region={"type": "array", "items": {"type": "integer"}, "description": "For zoom: x1, y1, x2, y2."},
            text=_text("For type and key: the text or the key."),
            scroll_direction=_choice("up", "down", "left", "right"),
            scroll_amount={"type": "integer"},
            duration={"type": "number", "description": "For wait and hold_key: seconds."},
        ),
    ),
}
"""The client tools that requests name by type alone, with what Anthropic's documentation says of their input."""


_WITH_UNDO = ("text_editor_20241022", "text_editor_20250124")
"""Versions of the text editor that have one more command."""


_UNDATED = ("mcp_toolset", "tool_search_tool_bm25", "tool_search_tool_regex")
"""Types of tools of Anthropic's servers that may come without a version."""


def parse_tools(
    tools: list[wire.Tool], choice: wire.ToolChoice | None, *, must_serve: bool = True
) -> tuple[tuple[Tool, ...], tuple[str, ...]]:
    """The tools that the model is offered, and the types of those that are left out: the backend has no such.

    With `must_serve`, raises `ProxyError` where only one of them could: a free answer would pass for its result.
    """
    offered, left_out = _sorted(tools) if tools else ((), {})
    forced = choice.name if choice is not None and choice.type == "tool" else None
    may_call = choice is None or choice.type != "none"
    if must_serve and may_call and left_out and (not offered or forced in left_out):
        name = left_out.get(forced or "", next(iter(left_out.values())))
        raise invalid_request(
            f"The tool {name} is Anthropic's, and the Augment backend has nothing like it. "
            "Offer a tool that the client describes and runs itself.",
            "tools",
        )
    return offered, tuple(left_out.values())


def _sort(tools: list[wire.Tool]) -> tuple[tuple[Tool, ...], dict[str, str]]:
    """The tools that the model is offered, and the types of the others by their names."""
    offered: list[Tool] = []
    left_out: dict[str, str] = {}
    for i, tool in enumerate(tools):
        known = _tool(tool, f"tools[{i}]")
        if known is None:
            left_out[tool.name or tool.type or ""] = tool.type or ""
        else:
            offered.append(known)
    return tuple(offered), left_out


_sorted = ByIdentity(_sort)


def _tool(tool: wire.Tool, path: str) -> Tool | None:
    """The tool, or `None` for one that only Anthropic's backend knows."""
    schema = bytes(tool.input_schema)
    has_schema = schema not in (b"", b"null")
    if tool.type in (None, "custom") or (has_schema and tool.name):
        if not tool.name:
            raise invalid_request(f"{path}.name is missing.", f"{path}.name")
        if not schema.lstrip().startswith(b"{"):
            raise invalid_request(f"{path}.input_schema must be an object.", f"{path}.input_schema")
        return Tool(tool.name, tool.description or "", _with_examples(tool, tool.input_schema))
    kind = _VERSION.sub("", tool.type or "")
    if kind not in _DOCUMENTED:
        if kind == tool.type and kind not in _UNDATED:
            raise invalid_request(f"{path}.type {kind!r} is no type of tool of this API.", f"{path}.type")
        return None
    description, documented = _DOCUMENTED[kind]
    if tool.type in _WITH_UNDO:
        documented = msgspec.Raw(bytes(documented).replace(b'"insert"]', b'"insert","undo_edit"]', 1))
    if tool.display_width_px and tool.display_height_px:
        description += f" The screen is {tool.display_width_px} by {tool.display_height_px} pixels."
    return Tool(tool.name or kind, tool.description or description, _with_examples(tool, documented))


def _with_examples(tool: wire.Tool, schema: msgspec.Raw) -> msgspec.Raw:
    if not tool.input_examples:
        return schema
    examples = msgspec.Raw(msgspec.json.encode(tool.input_examples))
    return msgspec.Raw(msgspec.json.encode(read_value(_fields, schema) | {"examples": examples}))
