"""The few ASGI messages that we use (https://asgi.readthedocs.io/en/latest/specs/www.html), as functions."""

from collections.abc import Awaitable, Callable, Coroutine, Generator, MutableMapping, Sequence
from functools import partial
from typing import Any

from augment_open_proxy.dialects.framing import Pieces, joined

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Coroutine[Any, Any, Message]]
Send = Callable[[Message], Awaitable[None]]
SendBody = Callable[[bytes | Pieces, bool], Awaitable[None]]
"""Sends a part of a body; the second argument tells whether more follows."""
Headers = list[tuple[bytes, bytes]]


class _Sent:
    def __await__(self) -> Generator[Any, Any, None]:
        return
        yield


SENT: Awaitable[None] = _Sent()
"""What our server's `send` returns where nothing is to be waited for: to await it is allowed, and not needed."""


class ClientLeft(Exception):  # noqa: N818 (an outcome, not an error)
    """The client closed its connection."""


_INDEX = "aop.headers"
_ABSENT: Sequence[bytes] = ()


def headers_of(scope: Scope) -> dict[bytes, list[bytes]]:
    """All values of each header, by its name in lower case."""
    index: dict[bytes, list[bytes]] | None = scope.get(_INDEX)
    if index is None:
        index = scope[_INDEX] = {}
        for key, value in scope["headers"]:
            if key in index:
                index[key].append(value)
            else:
                index[key] = [value]
    return index


def header_values(scope: Scope, name: bytes) -> Sequence[bytes]:
    """All values of a header; `name` in lower case."""
    index: dict[bytes, list[bytes]] = scope.get(_INDEX) or headers_of(scope)
    return index.get(name, _ABSENT)


def body_of(send: Send) -> SendBody:
    """How `send` takes a body: our own server (`http_cycle.py`) without a message for each of its parts, for speed."""
    own: SendBody | None = getattr(getattr(send, "__self__", None), "send_body", None)
    return partial(_send_body, send) if own is None else own


def _send_body(send: Send, body: bytes | Pieces, more_follows: bool) -> Awaitable[None]:
    return send({"type": "http.response.body", "body": joined(body), "more_body": more_follows})


def with_headers(send: Send, more: Headers) -> Send:
    """`send` that adds headers to the answer's."""

    def sending(message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *more]}
        return send(message)

    return sending


async def respond(send: Send, status: int, headers: Headers, body: bytes) -> None:
    """A whole answer. A HEAD request needs no care: the server leaves its body out."""
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [length, *headers]})
    await send({"type": "http.response.body", "body": body})
