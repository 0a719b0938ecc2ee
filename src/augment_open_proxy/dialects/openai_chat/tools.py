"""Tools of Chat Completions requests, in the shapes that clients send: this API's, the Responses API's, Anthropic's."""

import msgspec

from augment_open_proxy.core.conversation import CustomTool, Grammar, Tool
from augment_open_proxy.core.errors import invalid_request
from augment_open_proxy.core.remembered import ByIdentity
from augment_open_proxy.dialects.openai_chat import wire

_NO_PARAMETERS = msgspec.Raw(b'{"type":"object","properties":{}}')


def _parse_tools(tools: list[wire.Tool]) -> tuple[Tool | CustomTool, ...]:
    return tuple([parse_tool(tool, f"tools[{i}]") for i, tool in enumerate(tools)])


parse_tools = ByIdentity(_parse_tools)
"""The tools of a request. Raises `ProxyError`."""


def parse_tool(tool: wire.Tool, path: str) -> Tool | CustomTool:
    """Raises `ProxyError` that names the field by its path."""
    match tool:
        case wire.Tool(type="function", function=wire.Function() as function):
            # Codex 0.94 puts name and description beside `function`.
            name, description = function.name or tool.name, function.description or tool.description
            return _function(name, description, function.parameters, f"{path}.function", "parameters")
        case wire.Tool(type="function", name=str()):
            return _function(tool.name, tool.description, tool.parameters, path, "parameters")
        case wire.Tool(type="custom", custom=wire.Custom() as custom):
            return _custom_tool(custom, f"{path}.custom")
        case wire.Tool(type=None | "custom", name=str()) if len(bytes(tool.input_schema)):
            return _function(tool.name, tool.description, tool.input_schema, path, "input_schema")
        case wire.Tool(type="custom", name=str(name)):
            return _custom_tool(wire.Custom(name, tool.description, tool.format), path)
        case wire.Tool(type="function" | "custom" as kind):
            raise invalid_request(f"{path}.{kind} is missing.", f"{path}.{kind}")
    raise invalid_request(f"{path}.type must be function or custom; it is {tool.type!r}.", f"{path}.type")


def _function(name: str | None, description: str | None, schema: msgspec.Raw, path: str, field: str) -> Tool:
    if not name:
        raise invalid_request(f"{path}.name is missing.", f"{path}.name")
    text = bytes(schema)
    if text in (b"", b"null"):
        schema = _NO_PARAMETERS
    elif not text.lstrip().startswith(b"{"):
        raise invalid_request(f"{path}.{field} must be an object.", f"{path}.{field}")
    return Tool(name, description or "", schema)


def _custom_tool(custom: wire.Custom, path: str) -> CustomTool:
    if not custom.name:
        raise invalid_request(f"{path}.name must not be empty.", f"{path}.name")
    given = custom.format
    if given is None or given.type != "grammar":
        return CustomTool(custom.name, custom.description or "")
    match given:
        case wire.CustomFormat(grammar=wire.GrammarText(syntax=syntax, definition=definition)):
            pass
        case wire.CustomFormat(syntax=str(syntax), definition=str(definition)):
            pass
        case _:
            raise invalid_request(f"{path}.format.grammar is missing.", f"{path}.format.grammar")
    return CustomTool(custom.name, custom.description or "", Grammar(syntax, definition))
