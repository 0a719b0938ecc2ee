"""uvicorn's HTTP with bounds on the head of a request, which it reads without any: a size, and a time.

What is refused here never reaches the application; it is told in the shape of the API that the path belongs to, and
ends the connection, of which nothing can be trusted any more.
"""

import asyncio
from http import HTTPStatus
from typing import cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from augment_open_proxy.core.errors import ErrorKind, Problem, invalid_request
from augment_open_proxy.dialects.registry import nearest
from augment_open_proxy.server.answers import error_response
from augment_open_proxy.server.ids import new_uuid

HEAD_LIMIT = 64 * 1024
"""Bytes of request line and headers."""
HEAD_SECONDS = 30.0
"""From the connection, or the first byte of a later request, to the end of the head."""
_MOST_JOINED = 64 * 1024
"""Bytes of an answer that wait to be written together."""
_MALFORMED = invalid_request("The request is not valid HTTP/1.1.").problem


class HttpProtocol(HttpToolsProtocol):
    """Refuses a head that is malformed, too large, or takes too long."""

    url = b""
    _is_in_head = True
    _gets_on = False
    """Whether the data that is being parsed began or ended a head, or had some of a body."""
    _size = 0
    """Bytes of the head, and of trailers, that were parsed."""
    _received = 0
    """Bytes that came since the parser last got on: it keeps a header, or a trailer, until it is whole."""
    _timer: asyncio.TimerHandle | None = None
    _problem = _MALFORMED

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn types it
        super().connection_made(transport)
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        self._is_in_head = self._gets_on = True
        self._size = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value) + len(": \r\n"))
        if self._is_in_head:
            super().on_header(name, value)  # it would take trailers for headers, which nobody has checked

    def on_headers_complete(self) -> None:
        self._is_in_head, self._gets_on = False, True
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is not before:  # its task has not begun yet
            self.cycle.transport = cast("asyncio.Transport", _Joined(self.transport, self.loop))

    def on_body(self, body: bytes) -> None:
        self._gets_on = True
        super().on_body(body)

    def data_received(self, data: bytes) -> None:
        self._gets_on, self._problem = False, _MALFORMED
        super().data_received(data)
        self._received = 0 if self._gets_on else self._received + len(data)
        if self._received > HEAD_LIMIT:
            self._refuse(_too_large())
        elif not self._is_in_head:
            self._disarm()
        elif self._timer is None:
            self._arm()

    def send_400_response(self, msg: str) -> None:
        """What uvicorn calls when the parser, or one of the callbacks above, has failed."""
        self._refuse(self._problem)

    def _count(self, size: int) -> None:
        """Raises `ValueError`, which ends the parsing, where the head is too large."""
        self._size += size
        if self._size > HEAD_LIMIT:
            self._problem = _too_large()
            raise ValueError(self._problem.message)

    def _arm(self) -> None:
        self._timer = self.loop.call_later(HEAD_SECONDS, self._time_out)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _time_out(self) -> None:
        self._timer = None
        message = f"The request's head did not come within {HEAD_SECONDS:g} s."
        self._refuse(Problem(ErrorKind.REQUEST_TIMEOUT, message))

    def _refuse(self, problem: Problem) -> None:
        self._disarm()
        if self.transport.is_closing():
            return
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or not cycle.response_started or cycle.response_complete:
            self.transport.write(self._answer(problem))  # into the middle of an answer it would be read as part of it
        self.transport.close()

    def _answer(self, problem: Problem) -> bytes:
        path = self.url.partition(b"?")[0].decode("latin-1")
        status, headers, body = error_response(nearest(path), problem, f"req-{new_uuid()}")
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}".encode()]
        lines += [name + b": " + value for name, value in headers]
        lines += [b"connection: close", b"content-length: %d" % len(body), b"", body]
        return b"\r\n".join(lines)


class _Joined:
    """A connection as the writer of an answer has it: head and body, which uvicorn writes one by one, go out as one."""

    __slots__ = ("_loop", "_pieces", "_size", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._pieces: list[bytes] = []
        self._size = 0

    def write(self, data: bytes) -> None:
        """Write at the end of this turn of the event loop, or now where much has gathered."""
        if not self._pieces:
            self._loop.call_soon(self._flush)
        self._pieces.append(data)
        self._size += len(data)
        if self._size > _MOST_JOINED:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def _flush(self) -> None:
        pieces, self._pieces, self._size = self._pieces, [], 0
        if pieces and not self._transport.is_closing():  # who has left meanwhile is told nothing
            self._transport.write(b"".join(pieces))


def _too_large() -> Problem:
    return Problem(ErrorKind.REQUEST_TOO_LARGE, f"The request's headers are larger than {HEAD_LIMIT} bytes.")
