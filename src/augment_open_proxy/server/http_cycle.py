"""One request and its answer on a connection of uvicorn's: what the application calls to send.

uvicorn's own way checks each header by two patterns, and writes head and body one by one; this one takes a third of it.
"""

import asyncio
from collections.abc import Awaitable, Iterable
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from augment_open_proxy.dialects.framing import Pieces, size_of
from augment_open_proxy.server.asgi import SENT

_WITHOUT_BODY = (204, 304)
_JOINED = 64 * 1024
"""Bytes of a body that are copied between what frames them; a larger one is written from where it is."""


class Gathering:
    """A transport that can keep a write until the end of the loop's turn, when those of all connections go out.

    One that goes out alone wakes up who reads it, which takes longer than the write. What is written at once goes out
    behind what was kept.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self.direct = transport
        self._loop = loop
        self._kept: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.direct, name)

    def write_later(self, data: bytes) -> None:
        if not self._kept:
            self._loop.call_soon(self.flush)
        self._kept.append(data)

    def flush(self) -> None:
        """Write what was kept, unless the connection is lost."""
        if self._kept:
            data = b"".join(self._kept)
            self._kept.clear()
            if not self.direct.is_closing():
                self.direct.write(data)

    def write(self, data: bytes) -> None:
        self.flush()
        self.direct.write(data)

    def writelines(self, pieces: Iterable[bytes | memoryview]) -> None:
        self.flush()
        self.direct.writelines(pieces)

    def close(self) -> None:
        self.flush()
        self.direct.close()


class Cycle(RequestResponseCycle):
    """Keeps the head of the answer until its body comes, so that both are one write. Its names are in lower case."""

    transport: Any  # that of `Gathering`

    _head = b""
    _is_amid_chunks = False
    """Whether the body is sent in chunks, and the head is out."""
    _ends_with_connection = False
    """Whether nothing else tells where the body ends: HTTP/1.0 knows no chunks."""

    def send(self, message: Any) -> Awaitable[None]:  # type: ignore[override]  # whoever awaits it sees no difference
        """An ASGI message of the answer: its start, then its body in one or more. Raises `RuntimeError` for others."""
        kind = message["type"]
        if kind == "http.response.body":
            return self.send_body(message.get("body", b""), message.get("more_body", False))
        if kind != "http.response.start" or self.response_started:
            raise RuntimeError(f"{kind} does not belong here: started {self.response_started}")
        if not self.disconnected:
            self._head = self._head_of(message["status"], message["headers"])
        self.response_started = True
        self.waiting_for_100_continue = False  # nobody is asked for a body that is refused
        return SENT

    def send_body(self, body: bytes | Pieces, more_follows: bool) -> Awaitable[None]:
        """A part of the body, as `send` takes it in a message. Raises `RuntimeError` where none belongs."""
        if self.disconnected:
            return SENT
        if self.flow.write_paused:
            return self._send_once_drained(body, more_follows)
        if self._is_amid_chunks and more_follows and type(body) is bytes and 0 < len(body) <= _JOINED:  # as most are
            self.transport.write(b"%x\r\n%b\r\n" % (len(body), body))
        elif self.response_started and not self.response_complete:
            self._write_body(body, is_last=not more_follows)
        else:
            raise RuntimeError(f"a body does not belong here: started {self.response_started}")
        return SENT

    async def _send_once_drained(self, body: bytes | Pieces, more_follows: bool) -> None:
        await self.flow.drain()
        await self.send_body(body, more_follows)

    def _head_of(self, status: int, headers: list[tuple[bytes, bytes]]) -> bytes:
        """Raises `RuntimeError` where a header would be read as more than one."""
        length = None
        lines = [STATUS_LINE[status]]
        for name, value in (*self.default_headers, *headers):
            if name == b"content-length":
                length = int(value)
            elif name == b"connection" and value == b"close":
                self.keep_alive = False
                continue
            lines.append(b"%b: %b\r\n" % (name, value))
        self.chunked_encoding = False
        if self.scope["method"] == "HEAD" or status in _WITHOUT_BODY:
            length = 0
        elif length is None and self.scope["http_version"] == "1.0":
            self._ends_with_connection = True
            self.keep_alive = False
        elif length is None:
            self.chunked_encoding = True
            lines.append(b"transfer-encoding: chunked\r\n")
        self.expected_content_length = length or 0
        if not self.keep_alive:
            lines.append(b"connection: close\r\n")
        head = b"".join(lines)
        if not head.count(b"\n") == head.count(b"\r") == len(lines) or 0 in head:
            raise RuntimeError("a header of the answer holds what none may")
        return head + b"\r\n"

    def _write_body(self, body: bytes | Pieces, *, is_last: bool) -> None:
        """Raises `RuntimeError` where it is not as long as the head says."""
        if self.scope["method"] == "HEAD":
            body = b""
        data, size = ((body,), len(body)) if type(body) is bytes else (body, size_of(body))
        pieces: Pieces = (self._head, *data)
        if self.chunked_encoding:
            chunk = (b"%x\r\n" % size, *data, b"\r\n") if size else ()
            pieces = (self._head, *chunk, b"0\r\n\r\n" if is_last else b"")
            self._is_amid_chunks = True
        elif not self._ends_with_connection:
            self.expected_content_length -= size
            if self.expected_content_length < 0 or (is_last and self.expected_content_length):
                raise RuntimeError("the body is not as long as the head of the answer says")
        self._head = b""
        if size > _JOINED:
            self.transport.writelines(pieces)
        elif written := b"".join(pieces):
            self.transport.write_later(written)
        if is_last:
            self.response_complete = True
            self.message_event.set()
            if not self.keep_alive:
                self.transport.close()
            self.on_response()
