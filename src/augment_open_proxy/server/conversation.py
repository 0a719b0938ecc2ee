"""Which conversation a request belongs to: its turns keep one id, so that the backend's prompt cache can serve them."""

from hashlib import blake2b

from augment_open_proxy.core.conversation import ChatRequest, Image, Text
from augment_open_proxy.server.asgi import Scope
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


def conversation_id(request: ChatRequest, scope: Scope) -> str:
    """A UUID: from the session that the client names, else from what begins the conversation; each key has its own."""
    headers = dict(scope["headers"])
    get = headers.get
    identity = [get(b"authorization", b""), b"\0", get(b"x-api-key", b""), b"\0", get(b"api-key", b""), b"\0"]
    session = (request.conversation or "").encode(errors="replace")
    if not session and not _SESSION_HEADERS.isdisjoint(headers):
        session = next((headers[name] for name in SESSION_HEADERS if headers.get(name)), b"")
    if session:
        identity += (b"session\0", session)
    else:
        texts = _beginning(request)
        identity += [f"{len(text)}\0{text[:_BEGINNING]}".encode(errors="replace") for text in texts]
    return uuid_of(blake2b(b"".join(identity), digest_size=16).digest())


def _beginning(request: ChatRequest) -> list[str]:
    """The system texts, and the texts and pictures of the user's first message."""
    texts = [*request.system]
    for message in request.messages:
        if message.role == "user":
            texts += [part.text for part in message.content if type(part) is Text]
            texts += [part.data for part in message.content if type(part) is Image]
            break
    return texts
