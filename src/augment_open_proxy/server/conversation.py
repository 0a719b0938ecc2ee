"""Which conversation a request belongs to: its turns keep one id, so that the backend's prompt cache can serve them."""

import uuid
from hashlib import blake2b

from augment_open_proxy.core.conversation import ChatRequest, Image, Text
from augment_open_proxy.server.asgi import Scope

SESSION_HEADERS = (
    b"x-claude-code-session-id",
    b"session_id",  # Codex
    b"session-id",
    b"conversation_id",
    b"x-session-affinity",  # opencode, Kilo
    b"x-session-id",
    b"x-affinity",
)
_KEY_HEADERS = (b"authorization", b"x-api-key", b"api-key")
_BEGINNING = 4096
"""Characters of each text that tell one conversation from another."""


def conversation_id(request: ChatRequest, scope: Scope) -> str:
    """A UUID: from the session that the client names, else from what begins the conversation; each key has its own."""
    headers = dict(scope["headers"])
    identity = blake2b(digest_size=16)
    for name in _KEY_HEADERS:
        identity.update(headers.get(name, b"") + b"\0")
    session = request.conversation or next((headers[name] for name in SESSION_HEADERS if headers.get(name)), None)
    if session:
        identity.update(b"session\0" + (session if isinstance(session, bytes) else session.encode(errors="replace")))
    else:
        for text in _beginning(request):
            identity.update(f"{len(text)}\0{text[:_BEGINNING]}".encode(errors="replace"))
    return str(uuid.UUID(bytes=identity.digest(), version=4))


def _beginning(request: ChatRequest) -> list[str]:
    """The system texts, and the texts and pictures of the user's first message."""
    first = next((message for message in request.messages if message.role == "user"), None)
    parts = first.content if first is not None else ()
    begun = [part.text if isinstance(part, Text) else part.data for part in parts if isinstance(part, Text | Image)]
    return [*request.system, *begun]
