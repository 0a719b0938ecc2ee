"""uvicorn's HTTP with bounds on the head of a request, which it reads without any: a size, and a time."""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_LIMIT = 64 * 1024
"""Bytes of request line and headers."""
HEAD_SECONDS = 30.0
"""From the connection, or the first byte of a later request, to the end of the head."""
_REFUSAL = (
    b"HTTP/1.1 %b\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b"
)


class HttpProtocol(HttpToolsProtocol):
    """Refuses with 431 what is too large, and with 408 what takes too long; both end the connection."""

    _is_in_head = True
    _size = 0
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn types it
        super().connection_made(transport)
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        self._is_in_head = True
        self._size = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._is_in_head:
            if self._timer is not None:
                self._disarm()
            return
        self._size += len(data)
        if self._size > HEAD_LIMIT:
            self._refuse(b"431 Request Header Fields Too Large", b"The request's headers are too large.")
        elif self._timer is None:
            self._arm()

    def _arm(self) -> None:
        self._timer = self.loop.call_later(HEAD_SECONDS, self._time_out)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _time_out(self) -> None:
        self._timer = None
        self._refuse(b"408 Request Timeout", b"The request's head did not come in time.")

    def _refuse(self, status: bytes, message: bytes) -> None:
        self._disarm()
        if not self.transport.is_closing():
            self.transport.write(_REFUSAL % (status, len(message), message))
            self.transport.close()
