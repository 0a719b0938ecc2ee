"""Chat Completions body → `ChatRequest`. The only place in this dialect that reads `stream`."""

from typing import get_args

import msgspec

from augment_open_proxy.core.conversation import (
    ChatRequest,
    CustomTool,
    Effort,
    Grammar,
    Image,
    Message,
    Part,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from augment_open_proxy.core.errors import ProxyError, invalid_request
from augment_open_proxy.dialects.data_url import image_from_data_url
from augment_open_proxy.dialects.dialect import Delivery, Parsed
from augment_open_proxy.dialects.openai_chat import wire
from augment_open_proxy.dialects.reading import read

_decoder = msgspec.json.Decoder(wire.Request)
_NO_PARAMETERS = msgspec.Raw(b'{"type":"object","properties":{}}')
_EFFORTS: dict[str, Effort] = {effort: effort for effort in get_args(Effort)}

IGNORED = (
    "max_tokens",
    "max_completion_tokens",
    "stop",
    "temperature",
    "top_p",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "top_logprobs",
    "response_format",
)
"""Accepted without effect; a response header names those that a client sent."""


def parse(body: bytes) -> Parsed:
    """Raises `ProxyError` (invalid request) that names the field by its path."""
    wire_request = read(_decoder, body)
    if not wire_request.model.strip():
        raise invalid_request("model must not be empty.", "model")
    if not wire_request.messages:
        raise invalid_request("messages must hold at least one message.", "messages")
    if wire_request.n not in (None, 1):
        raise invalid_request("n must be 1: the proxy gives one choice for each request.", "n")
    for name in ("functions", "function_call"):
        if getattr(wire_request, name):
            raise _old_functions(name)
    system, messages = _conversation(wire_request.messages)
    tools = _tools(wire_request.tools or [])
    offered = () if wire_request.tool_choice == "none" else tools
    options = wire_request.stream_options
    return Parsed(
        ChatRequest(
            model=wire_request.model,
            messages=messages,
            system=system,
            tools=offered,
            effort=_effort(wire_request),
            ignored=_ignored(wire_request),
        ),
        Delivery(
            stream=bool(wire_request.stream),
            include_usage=options is not None and bool(options.include_usage),
        ),
    )


def _ignored(wire_request: wire.Request) -> tuple[str, ...]:
    names = [name for name in IGNORED if _asks_for_something(getattr(wire_request, name))]
    if wire_request.tool_choice not in (None, "auto", "none"):
        names.append("tool_choice")
    if wire_request.parallel_tool_calls is False:
        names.append("parallel_tool_calls")
    return tuple(names)


def _asks_for_something(value: object) -> bool:
    return value is not None and value is not False and value not in ([], {}, {"type": "text"})


def _effort(wire_request: wire.Request) -> Effort | None:
    """The nested `reasoning.effort` wins over `reasoning_effort`."""
    nested = wire_request.reasoning.effort if wire_request.reasoning else None
    param = "reasoning.effort" if nested else "reasoning_effort"
    effort = nested or wire_request.reasoning_effort
    if not effort:
        return None
    known = _EFFORTS.get(effort.lower())
    if known is None:
        raise invalid_request(f"{param} must be one of {', '.join(_EFFORTS)}; it is {effort!r}.", param)
    return known


# ---------------------------------------------------------------- messages


def _conversation(wire_messages: list[wire.Message]) -> tuple[tuple[str, ...], tuple[Message, ...]]:
    """The system messages before the conversation, and the conversation."""
    system: list[str] = []
    messages: list[Message] = []
    for i, message in enumerate(wire_messages):
        path = f"messages[{i}]"
        match message.role:
            case "system" | "developer":
                text = _text(message, path)
                if messages:
                    messages.append(Message("system", (Text(text),)))
                else:
                    system.append(text)
            case "user":
                messages.append(Message("user", _user_parts(message, path)))
            case "assistant":
                messages.append(Message("assistant", _assistant_parts(message, path)))
            case "tool":
                messages.append(Message("user", (_tool_result(message, path),)))
            case "function":
                raise _old_functions(f"{path}.role")
            case _:
                raise invalid_request(
                    f"{path}.role must be system, developer, user, assistant or tool; it is {message.role!r}.",
                    f"{path}.role",
                )
    return tuple(system), tuple(messages)


def _old_functions(path: str) -> ProxyError:
    return invalid_request(f"{path} is of the old function-calling API: use tools, tool_calls and role 'tool'.", path)


def _text(message: wire.Message, path: str) -> str:
    """Content of a role that has text only, its parts joined with nothing between."""
    return "".join(part.text for part in _parts(message, path) if isinstance(part, Text))


def _user_parts(message: wire.Message, path: str) -> tuple[Part, ...]:
    if message.content is None:
        raise invalid_request(f"{path}.content is missing.", f"{path}.content")
    return _parts(message, path, images=True)


def _assistant_parts(message: wire.Message, path: str) -> tuple[Part, ...]:
    if message.function_call is not None:
        raise _old_functions(f"{path}.function_call")
    parts: list[Part] = []
    thinking = message.reasoning_content or message.reasoning
    if thinking:
        parts.append(Thinking(thinking))
    parts += [part for part in _parts(message, path) if not isinstance(part, Text) or part.text]
    if message.refusal:
        parts.append(Text(message.refusal))
    parts += [_tool_call(call, f"{path}.tool_calls[{i}]") for i, call in enumerate(message.tool_calls or [])]
    return tuple(parts)


def _tool_call(call: wire.ToolCall, path: str) -> ToolCall:
    if call.function is not None:
        return ToolCall(call.id, call.function.name, call.function.arguments or "{}")
    if call.custom is not None:
        return ToolCall(call.id, call.custom.name, call.custom.input, custom=True)
    raise invalid_request(f"{path} needs `function` or `custom`.", path)


def _tool_result(message: wire.Message, path: str) -> ToolResult:
    if not message.tool_call_id:
        raise invalid_request(f"{path}.tool_call_id is missing.", f"{path}.tool_call_id")
    return ToolResult(message.tool_call_id, _parts(message, path, images=True))


def _parts(message: wire.Message, path: str, *, images: bool = False) -> tuple[Text | Image, ...]:
    if message.content is None:
        return ()
    if isinstance(message.content, str):
        return (Text(message.content),)
    return tuple(
        _part(part, f"{path}.content[{i}]", message.role, images=images) for i, part in enumerate(message.content)
    )


def _part(part: wire.ContentPart, path: str, role: str, *, images: bool) -> Text | Image:
    match part:
        case wire.ContentPart(type="text", text=str(text)) | wire.ContentPart(type="refusal", refusal=str(text)):
            return Text(text)
        case wire.ContentPart(type="image_url", image_url=str(url)) if images:
            return _image(url, f"{path}.image_url")
        case wire.ContentPart(type="image_url", image_url=wire.ImageURL(url=url)) if images:
            return _image(url, f"{path}.image_url.url")
    accepted = ("text", "refusal", "image_url") if images else ("text", "refusal")
    if part.type in accepted:
        raise invalid_request(f"{path}.{part.type} is missing.", f"{path}.{part.type}")
    raise invalid_request(
        f"{path}.type {part.type!r} cannot be sent to the Augment backend in a {role} message; "
        f"accepted: {', '.join(accepted)}.",
        f"{path}.type",
    )


def _image(url: str, param: str) -> Image:
    if not url[:5].lower() == "data:":
        raise invalid_request(f"{param}: pictures must be data URLs (data:image/png;base64,…) for now.", param)
    return image_from_data_url(url, param)


# ------------------------------------------------------------------- tools


def _tools(wire_tools: list[wire.Tool]) -> tuple[Tool | CustomTool, ...]:
    return tuple(_tool(tool, f"tools[{i}]") for i, tool in enumerate(wire_tools))


def _tool(tool: wire.Tool, path: str) -> Tool | CustomTool:
    match tool.type:
        case "function" if tool.function is not None:
            return _function(tool, tool.function, path)
        case "custom" if tool.custom is not None:
            return _custom_tool(tool.custom, f"{path}.custom")
        case "function" | "custom" as kind:
            raise invalid_request(f"{path}.{kind} is missing.", f"{path}.{kind}")
        case _:
            raise invalid_request(f"{path}.type must be function or custom; it is {tool.type!r}.", f"{path}.type")


def _function(tool: wire.Tool, function: wire.Function, path: str) -> Tool:
    name = function.name or tool.name
    if not name:
        raise invalid_request(f"{path}.function.name is missing.", f"{path}.function.name")
    parameters = function.parameters
    if bytes(parameters) in (b"", b"null"):
        parameters = _NO_PARAMETERS
    elif not bytes(parameters).lstrip().startswith(b"{"):
        raise invalid_request(f"{path}.function.parameters must be an object.", f"{path}.function.parameters")
    return Tool(name, function.description or tool.description or "", parameters)


def _custom_tool(custom: wire.Custom, path: str) -> CustomTool:
    if not custom.name:
        raise invalid_request(f"{path}.name must not be empty.", f"{path}.name")
    grammar = custom.format.grammar if custom.format else None
    if custom.format and custom.format.type == "grammar" and grammar is None:
        raise invalid_request(f"{path}.format.grammar is missing.", f"{path}.format.grammar")
    return CustomTool(
        custom.name,
        custom.description or "",
        None if grammar is None else Grammar(grammar.syntax, grammar.definition),
    )
