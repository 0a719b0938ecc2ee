"""A history without tool calls: those of Gemini, or all where none is Gemini's, are written out as text.

The backend refuses a history with Gemini's calls when what Gemini signed is missing (`WIRE.md`).
"""

from collections.abc import Callable

import msgspec

from augment_open_proxy.core.conversation import (
    Attachment,
    ChatRequest,
    Image,
    Message,
    Part,
    Text,
    ToolCall,
    ToolResult,
)

_GEMINI = "toolu_aug_vrtx_gemini_"
"""How the ids of its calls begin."""


def with_plain_history(request: ChatRequest) -> ChatRequest:
    """The request with its calls and their results as texts; pictures in results stay pictures."""
    names = {
        part.id: part.name for message in request.messages for part in message.content if isinstance(part, ToolCall)
    }
    some_are_geminis = any(id_.startswith(_GEMINI) for id_ in names)

    def is_plain(call_id: str) -> bool:
        return call_id.startswith(_GEMINI) or not some_are_geminis

    messages = tuple(
        Message(message.role, tuple(plain for part in message.content for plain in _plain(part, names, is_plain)))
        for message in request.messages
    )
    return msgspec.structs.replace(request, messages=messages)


def _plain(part: Part, names: dict[str, str], is_plain: Callable[[str], bool]) -> tuple[Part, ...]:
    match part:
        case ToolCall(id=id_, name=name, arguments=arguments) if is_plain(id_):
            return (Text(f"[I called the tool {name} with {arguments}]"),)
        case ToolResult(call_id=id_, content=content, is_error=is_error) if is_plain(id_):
            what = "failed with" if is_error else "returned"
            return (Text(f"[The tool {names.get(id_, '')} {what}:]"), *_shown(content))
        case _:
            return (part,)


def _shown(content: tuple[Text | Image | Attachment, ...]) -> tuple[Part, ...]:
    return content or (Text("(nothing)"),)
