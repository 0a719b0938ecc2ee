"""Custom (freeform) tools, which the backend does not know: each is offered as a function with one string, `input`.

Calls of it come back as raw text, in replies and in the history of the next request.
"""

from collections.abc import Set

import msgspec

from augment_open_proxy.core.conversation import ChatRequest, CustomTool, Message, Part, Tool, ToolCall, parts_of
from augment_open_proxy.core.events import BlockDelta, BlockStart, BlockStop, Event
from augment_open_proxy.core.jsontext import UNREADABLE
from augment_open_proxy.core.remembered import ByIdentity

_SCHEMA = msgspec.Raw(
    b'{"type":"object","properties":{"input":{"type":"string",'
    b'"description":"The whole input of the tool, as plain text."}},'
    b'"required":["input"],"additionalProperties":false}'
)
_INPUT_NAMES = ("input", "patch")
"""Models that know Codex' `apply_patch` as a function call its argument `patch`."""


def prepare(request: ChatRequest) -> tuple[ChatRequest, "CustomCalls | None"]:
    if [part for part in parts_of(request.messages) if type(part) is ToolCall and part.custom]:
        messages = tuple(_with_functions(message) for message in request.messages)
        request = msgspec.structs.replace(request, messages=messages)
    tools, names = _as_functions(request.tools) if request.tools else ((), None)
    if not names:
        return request, None
    return msgspec.structs.replace(request, tools=tools), CustomCalls(names)


def _functions(tools: tuple[Tool | CustomTool, ...]) -> tuple[tuple[Tool, ...], frozenset[str]]:
    """The tools as functions, and the names of those that were none."""
    names = frozenset(tool.name for tool in tools if isinstance(tool, CustomTool))
    return tuple(_function(tool) if isinstance(tool, CustomTool) else tool for tool in tools), names


_as_functions = ByIdentity(_functions)


class CustomCalls:
    """Turns calls of custom tools from `{"input": "…"}` into their raw text, once they are whole."""

    def __init__(self, names: Set[str]) -> None:
        self._names = names
        self._arguments: list[str] | None = None

    def feed(self, events: list[Event]) -> list[Event]:
        out: list[Event] = []
        for event in events:
            match event:
                case BlockStart(index=index, block=ToolCall(id=id_, name=name)) if name in self._names:
                    self._arguments = []
                    out.append(BlockStart(index, ToolCall(id_, name, "", custom=True)))
                case BlockDelta(text=text) if self._arguments is not None:
                    self._arguments.append(text)
                case BlockStop(index=index) if self._arguments is not None:
                    text = unwrap("".join(self._arguments))
                    self._arguments = None
                    if text:
                        out.append(BlockDelta(index, text))
                    out.append(event)
                case _:
                    out.append(event)
        return out


def unwrap(arguments: str) -> str:
    """The raw text in a call's JSON arguments; what is no such JSON is the raw text already."""
    try:
        value = msgspec.json.decode(arguments)
    except UNREADABLE:
        return arguments
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        for name in _INPUT_NAMES:
            if isinstance(value.get(name), str):
                return str(value[name])
    return arguments


def _function(tool: CustomTool) -> Tool:
    grammar = tool.grammar
    if grammar is None:
        return Tool(tool.name, tool.description, _SCHEMA)
    rule = f"`input` must match this grammar ({grammar.syntax}):\n{grammar.definition}"
    return Tool(tool.name, f"{tool.description}\n\n{rule}".lstrip(), _SCHEMA)


def _with_functions(message: Message) -> Message:
    if not any(isinstance(part, ToolCall) and part.custom for part in message.content):
        return message
    return Message(message.role, tuple(_function_call(part) for part in message.content))


def _function_call(part: Part) -> Part:
    if isinstance(part, ToolCall) and part.custom:
        return ToolCall(part.id, part.name, msgspec.json.encode({"input": part.arguments}).decode())
    return part
