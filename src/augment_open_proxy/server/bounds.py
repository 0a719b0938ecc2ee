"""How many things a request may have, beside how many bytes: each of them costs more than its bytes."""

from collections.abc import Iterable, Set

from augment_open_proxy.core.conversation import Attachment, ChatRequest, Image, Part, ToolResult
from augment_open_proxy.core.errors import invalid_request

MOST_TOOLS = 2000
MOST_PICTURES = 500
"""Pictures and documents, at whatever place of the conversation."""

_PICTURES = (Attachment, Image)


def check_size(request: ChatRequest, kinds: Set[type[Part]]) -> None:
    """Raises `ProxyError` where the request has too many tools, or pictures.

    `kinds` are those of the parts of its messages (`kinds_of`).
    """
    if len(request.tools) > MOST_TOOLS:
        raise invalid_request(f"tools may have {MOST_TOOLS} entries at most; there are {len(request.tools)}.", "tools")
    if kinds.isdisjoint(_PICTURES):
        return
    pictures = sum(_pictures(message.content) for message in request.messages)
    if pictures > MOST_PICTURES:
        message = f"{request.place} may have {MOST_PICTURES} pictures and documents at most; there are {pictures}."
        raise invalid_request(message, request.place)


def _pictures(parts: Iterable[Part]) -> int:
    return sum(
        _pictures(part.content) if isinstance(part, ToolResult) else isinstance(part, _PICTURES) for part in parts
    )
