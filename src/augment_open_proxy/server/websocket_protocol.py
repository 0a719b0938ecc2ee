"""The bytes of a WebSocket, which uvicorn and `websockets` see to. Imported at the first upgrade: it takes 60 ms.

Beside ASGI's messages the application gets `websocket.shutdown`, where uvicorn would cut the connection at once, and
`websocket.oversize`, after the client was told that its message is too large.
"""

from typing import Any, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import PayloadTooBig
from websockets.frames import CloseCode, Frame, Opcode

from augment_open_proxy.dialects.openai_responses.websocket import render_problem
from augment_open_proxy.server.websocket import too_large

_BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
_NO_HANDSHAKE = b"This is no handshake of a WebSocket: that is a GET without a body and with few headers."


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """uvicorn's, which leaves the end of a connection to the application, and says why it fails one."""

    _is_failed = False

    def data_received(self, data: bytes) -> None:
        if self._is_failed:
            return  # what the client goes on sending must be taken in, or a reset would hide from it why
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            self.handshake_initiated = True
            self.transport.write(_BAD_REQUEST % len(_NO_HANDSHAKE) + _NO_HANDSHAKE)
            self.transport.close()

    def handle_parser_exception(self) -> None:
        if not isinstance(self.conn.parser_exc, PayloadTooBig):
            super().handle_parser_exception()
            return
        self._is_failed = self.close_sent = True
        self._tell({"type": "websocket.oversize"})
        self._tell({"type": "websocket.disconnect", "code": CloseCode.MESSAGE_TOO_BIG})
        event = render_problem(too_large(self.config.ws_max_size), None, {})
        self.transport.write(Frame(Opcode.TEXT, event).serialize(mask=False) + b"".join(self.conn.data_to_send()))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.transport.resume_reading()
        self.close_timer = self.loop.call_later(self.close_timeout, self.transport.close)

    def shutdown(self) -> None:
        if self.handshake_complete and not self.close_sent:
            self._tell({"type": "websocket.shutdown"})
        else:
            super().shutdown()

    def _tell(self, message: dict[str, Any]) -> None:
        self.queue.put_nowait(cast("Any", message))
