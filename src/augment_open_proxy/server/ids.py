"""Ids of what is made here, and of the conversation that a request belongs to, as UUIDs (RFC 9562)."""

import os
import time
from hashlib import blake2b

from augment_open_proxy.core.conversation import ChatRequest, Image, Text
from augment_open_proxy.server.asgi import Scope, header_values, headers_of

UUID_SIZE = 36
"""Characters of a UUID."""
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


def new_uuid() -> str:
    """A UUID of version 7: it begins with the time, so that what is stored under such ids lies together."""
    return _uuid((time.time_ns() // 1_000_000).to_bytes(6) + os.urandom(10), version=7)


def conversation_id(request: ChatRequest, scope: Scope, owner: str) -> str:
    """A UUID by the session that the client names, else by what begins the conversation; each owner has its own.

    The turns of a conversation keep it, so that the backend's prompt cache can serve them.
    """
    headers = headers_of(scope)
    session = request.conversation
    if not session and not _SESSION_HEADERS.isdisjoint(headers):
        named = (header_values(scope, name) for name in SESSION_HEADERS)
        session = next((values[-1].decode(errors="replace") for values in named if values and values[-1]), None)
    identity = [owner, "session", session] if session else [owner, *_beginning(request)]
    return _uuid(blake2b("\0".join(identity).encode(errors="replace"), digest_size=16).digest(), version=4)


def _beginning(request: ChatRequest) -> list[str]:
    """The system texts, and the texts and pictures of the user's first message."""
    texts = [*request.system]
    for message in request.messages:
        if message.role == "user":
            texts += [part.text for part in message.content if type(part) is Text]
            texts += [part.data for part in message.content if type(part) is Image]
            break
    return [f"{len(text)}\0{text[:_BEGINNING]}" for text in texts]


def _uuid(data: bytes, *, version: int) -> str:
    """Of 16 bytes, but for the six bits where version and variant stand."""
    digits = data.hex()
    return (
        f"{digits[:8]}-{digits[8:12]}-{version}{digits[13:16]}-{_VARIANT[data[8] & 0x3F]}{digits[18:20]}-{digits[20:]}"
    )


_VARIANT = [f"{0x80 | bits:02x}" for bits in range(0x40)]
