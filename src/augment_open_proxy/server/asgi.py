"""The few ASGI messages that we use (https://asgi.readthedocs.io/en/latest/specs/www.html), as functions."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from augment_open_proxy.core.errors import ErrorKind, Problem, ProxyError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]


class ClientLeft(Exception):  # noqa: N818 (an outcome, not an error)
    """The client closed its connection."""


def header_values(scope: Scope, name: bytes) -> list[bytes]:
    """All values of a header; `name` in lower case."""
    return [value for key, value in scope["headers"] if key == name]


async def read_body(receive: Receive, limit: int) -> bytes:
    """The request's body, counted while it is read. Raises `ProxyError` beyond `limit` bytes, `ClientLeft`."""
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientLeft
        piece: bytes = message.get("body", b"")
        size += len(piece)
        if size > limit:
            raise ProxyError(
                Problem(
                    ErrorKind.REQUEST_TOO_LARGE,
                    f"The request's body is larger than {limit} bytes (AOP_BODY_LIMIT).",
                )
            )
        pieces.append(piece)
        if not message.get("more_body", False):
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)


async def respond(send: Send, status: int, headers: Headers, body: bytes) -> None:
    """A whole answer. A HEAD request needs no care: the server leaves its body out."""
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [length, *headers]})
    await send({"type": "http.response.body", "body": body})
