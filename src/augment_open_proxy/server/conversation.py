"""Which conversation a request belongs to: its turns keep one id, so that the backend's prompt cache can serve them."""

from hashlib import blake2b

from augment_open_proxy.core.conversation import ChatRequest, Image, Text
from augment_open_proxy.server.asgi import Scope, header_values, headers_of
from augment_open_proxy.server.ids import uuid_of

SESSION_HEADERS = (
    b"x-claude-code-session-id",
    b"session_id",  # Codex
    b"session-id",
    b"conversation_id",
    b"x-session-affinity",  # opencode, Kilo
    b"x-session-id",
    b"x-affinity",
)
_SESSION_HEADERS = frozenset(SESSION_HEADERS)
_BEGINNING = 4096
"""Characters of each text that tell one conversation from another."""


def conversation_id(request: ChatRequest, scope: Scope, owner: str) -> str:
    """A UUID: by the session that the client names, else by what begins the conversation; each owner has its own."""
    headers = headers_of(scope)
    session = request.conversation
    if not session and not _SESSION_HEADERS.isdisjoint(headers):
        named = (header_values(scope, name) for name in SESSION_HEADERS)
        session = next((values[-1].decode(errors="replace") for values in named if values and values[-1]), None)
    identity = [owner, "session", session] if session else [owner, *_beginning(request)]
    return uuid_of(blake2b("\0".join(identity).encode(errors="replace"), digest_size=16).digest())


def _beginning(request: ChatRequest) -> list[str]:
    """The system texts, and the texts and pictures of the user's first message."""
    texts = [*request.system]
    for message in request.messages:
        if message.role == "user":
            texts += [part.text for part in message.content if type(part) is Text]
            texts += [part.data for part in message.content if type(part) is Image]
            break
    return [f"{len(text)}\0{text[:_BEGINNING]}" for text in texts]
