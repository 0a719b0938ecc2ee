"""Content of Chat Completions messages → parts. Cursor mixes Anthropic's content blocks in; they are read as such."""

from augment_open_proxy.core.conversation import Attachment, Image, Part, Text, Thinking, ToolCall, ToolResult
from augment_open_proxy.core.errors import ProxyError, invalid_request
from augment_open_proxy.dialects import blocks
from augment_open_proxy.dialects.data_url import document, picture
from augment_open_proxy.dialects.openai_chat import wire

_OWN_TYPES = ("text", "refusal", "image_url", "file")


def system_text(message: wire.Message, path: str) -> str:
    """Content of a role that has text only, its parts joined with nothing between."""
    return "".join(part.text for part in _parts(message, path, "system") if isinstance(part, Text))


def user_parts(message: wire.Message, path: str) -> tuple[Part, ...]:
    """Raises `ProxyError` that names the part by its path."""
    if message.content is None:
        raise invalid_request(f"{path}.content is missing.", f"{path}.content")
    return _parts(message, path, "user")


def assistant_parts(message: wire.Message, path: str) -> tuple[Part, ...]:
    """Thinking first, as the model gave it, then what was said, then the calls."""
    if message.function_call is not None:
        raise old_functions(f"{path}.function_call")
    if message.audio is not None:
        raise invalid_request(f"{path}.audio is of a reply in sound: send its transcript as content.", f"{path}.audio")
    parts: list[Part] = []
    thinking = message.reasoning_content or message.reasoning
    if thinking:
        parts.append(Thinking(thinking))
    parts += [part for part in _parts(message, path, "assistant") if not isinstance(part, Text) or part.text]
    if message.refusal:
        parts.append(Text(message.refusal))
    parts += [_tool_call(call, f"{path}.tool_calls[{i}]") for i, call in enumerate(message.tool_calls or [])]
    return tuple(parts)


def tool_result(message: wire.Message, path: str) -> ToolResult:
    """The result in a message of the role `tool`."""
    if not message.tool_call_id:
        raise invalid_request(f"{path}.tool_call_id is missing.", f"{path}.tool_call_id")
    parts = _parts(message, path, "tool")
    return ToolResult(message.tool_call_id, tuple(p for p in parts if isinstance(p, Text | Image | Attachment)))


def old_functions(path: str) -> ProxyError:
    """The refusal of fields that came before tools."""
    return invalid_request(f"{path} is of the old function-calling API: use tools, tool_calls and role 'tool'.", path)


def _tool_call(call: wire.ToolCall, path: str) -> ToolCall:
    if call.function is not None:
        return ToolCall(call.id, call.function.name, call.function.arguments or "{}")
    if call.custom is not None:
        return ToolCall(call.id, call.custom.name, call.custom.input, custom=True)
    raise invalid_request(f"{path} needs `function` or `custom`.", path)


def _parts(message: wire.Message, path: str, role: str) -> tuple[Part, ...]:
    if message.content is None:
        return ()
    if isinstance(message.content, str):
        return (Text(message.content),)
    places = ((part, f"{path}.content[{i}]") for i, part in enumerate(message.content))
    return tuple(read for part, place in places for read in _part(part, place, role))


def _part(part: wire.ContentPart, path: str, role: str) -> tuple[Part, ...]:
    takes_files = role in ("user", "tool")
    match part:
        case wire.ContentPart(type="text", text=str(text)) | wire.ContentPart(type="refusal", refusal=str(text)):
            return (Text(text),)
        case wire.ContentPart(type="image_url", image_url=str(url)) if takes_files:
            return (picture(url, f"{path}.image_url"),)
        case wire.ContentPart(type="image_url", image_url=wire.ImageURL(url=url)) if takes_files:
            return (picture(url, f"{path}.image_url.url"),)
        case wire.ContentPart(type="file", file=wire.File(file_data=str(data)) as file) if takes_files:
            return (document(data, file.filename, f"{path}.file.file_data"),)
        case wire.ContentPart(type=kind) if kind in _OWN_TYPES and (takes_files or kind in ("text", "refusal")):
            raise invalid_request(f"{path}.{kind} is missing, or lacks its content.", f"{path}.{kind}")
    return _block(part, path, role)


def _block(part: wire.ContentPart, path: str, role: str) -> tuple[Part, ...]:
    try:
        match role:
            case "user":
                return blocks.user_parts(part, path)
            case "assistant":
                return blocks.assistant_parts(part, path)
            case "tool":
                return blocks.content_parts(part, path)
    except blocks.UnsupportedBlockError:
        pass
    accepted = "text, image_url and file" if role in ("user", "tool") else "text"
    raise invalid_request(
        f"{path}.type {part.type!r} cannot be sent to the Augment backend in a {role} message; accepted: {accepted}.",
        f"{path}.type",
    )
