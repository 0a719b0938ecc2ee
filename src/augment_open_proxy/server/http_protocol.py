"""uvicorn's HTTP with bounds on the head of a request, which it reads without any: a size, and a time.

What is refused here never reaches the application; it is told in the shape of the API that the path belongs to, and
ends the connection, of which nothing can be trusted any more.
"""

import asyncio
import math
from typing import Any
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from augment_open_proxy.core.errors import ErrorKind, Problem, invalid_request
from augment_open_proxy.dialects.registry import nearest
from augment_open_proxy.server.answers import error_response
from augment_open_proxy.server.http_cycle import Cycle, Gathering
from augment_open_proxy.server.ids import new_uuid

HEAD_LIMIT = 64 * 1024
"""Bytes of request line and headers."""
HEAD_SECONDS = 30.0
"""From the connection, or the first byte of a later request, to the end of the head."""
REST_SECONDS = 10.0
"""For what is left of a refused body that is larger than any may be: a client that is cut off while it sends may not
see the refusal."""
LAST_HEAD_SECONDS = 0.5
"""For a head that is awaited when the proxy is stopped: the connection may have been opened just before, and one that
is closed with a request unread is reset, so that its client learns nothing."""
_PERCENT, _HASH = b"%#"  # a number is found much faster than bytes
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
    _idle_until = math.inf
    """When the connection is closed where no other request begins; one timer, set anew when it fires, serves all."""
    _unread = 0
    """Bytes of the body that came after the answer."""
    _running: Cycle | None = None
    """The one that is being answered, or was last; `cycle` is the one that was read last."""
    _is_last = False
    """Whether the next request is the last one."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn types it
        super().connection_made(transport)
        self.transport: Any = Gathering(transport, self.loop)
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
        self.pipeline.clear()
        self.cycle = self._running  # type: ignore[assignment]  # whom uvicorn tells
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        self._is_in_head = self._gets_on = True
        self._size = self._unread = 0
        self._idle_until = math.inf
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._size += len(url)
        if self._size > HEAD_LIMIT:
            self._end_too_large()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._size += len(name) + len(value) + len(": \r\n")
        if self._size > HEAD_LIMIT:
            self._end_too_large()
        if self._is_in_head:  # a trailer is no header: nobody has checked it
            name = name.lower()
            if name == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._is_in_head, self._gets_on = False, True
        parser, scope = self.parser, self.scope
        scope["method"] = parser.get_method().decode("ascii")
        scope["http_version"] = version = parser.get_http_version()
        if parser.should_upgrade():
            return
        path, scope["query_string"] = _path_and_query(self.url)
        scope["raw_path"] = path
        scope["path"] = unquote(path.decode("ascii")) if _PERCENT in path else path.decode("ascii")
        cycle = self.cycle = Cycle(
            scope=scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version != "1.0" and parser.should_keep_alive() and not self._is_last,
            on_response=self.on_response_complete,
        )
        if self._running is None or self._running.response_complete:
            self._begin(cycle)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))

    def on_body(self, body: bytes) -> None:
        self._gets_on = True
        cycle: Any = self.cycle
        if cycle.response_complete:  # it was refused
            before, limit = self._unread, self.config.ws_max_size  # that of any body
            self._unread += len(body)
            if before <= limit < self._unread:
                if self.timeout_keep_alive_task is not None:
                    self.timeout_keep_alive_task.cancel()
                    self.timeout_keep_alive_task = None
                self._idle_for(REST_SECONDS)
            return
        if not cycle.body:
            cycle.body = b""  # to which the first piece, often the whole, is added without a copy
        elif type(cycle.body) is bytes:
            cycle.body = bytearray(cycle.body)
        super().on_body(body)

    def data_received(self, data: bytes) -> None:
        self._gets_on, self._problem = False, _MALFORMED
        self._parse(data)
        self._received = 0 if self._gets_on else self._received + len(data)
        if self._received > HEAD_LIMIT:
            self._refuse(_too_large())
        elif not self._is_in_head:
            self._disarm()
        elif self._timer is None:
            self._arm()

    def _parse(self, data: bytes) -> None:
        """The parser takes whatever follows a request for an upgrade, its body too, for the other protocol. One for
        what is not spoken here is read again as if it asked for none.
        """
        while data:
            rest, data = data, b""
            try:
                self.parser.feed_data(rest)
            except httptools.HttpParserUpgrade as upgrade:
                if self._get_upgrade() == b"websocket":
                    self.handle_websocket_upgrade()
                elif self.scope["method"] == "CONNECT":  # which is one without a header
                    self._refuse(_MALFORMED)
                else:
                    lines = [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
                    first = f"{self.scope['method']} %b HTTP/{self.scope['http_version']}".encode() % self.url
                    data = b"\r\n".join([first, *lines, b"", rest[upgrade.args[0] :]])
                    self.parser = httptools.HttpRequestParser(self)
            except httptools.HttpParserError:
                self._refuse(self._problem)

    def _should_upgrade(self) -> bool:
        """What uvicorn asks: whether to leave a request alone whose head wants an upgrade."""
        return True

    def on_response_complete(self) -> None:
        """The answer is out: the next request that waits begins, or else the connection is idle."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._begin(self.pipeline.pop()[0])  # type: ignore[arg-type]  # what was made here
            return
        if self._is_in_head:
            return  # which has its own time
        self._idle_for(self.timeout_keep_alive)

    def _idle_for(self, seconds: float) -> None:
        """Close the connection then, unless another request begins."""
        self._idle_until = self.loop.time() + seconds
        if self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_at(self._idle_until, self.timeout_keep_alive_handler)

    def _begin(self, cycle: Cycle) -> None:
        self._running = cycle
        self._start_asgi_task(cycle, self.app)

    def handle_websocket_upgrade(self) -> None:
        if self._running is not None and not self._running.response_complete:
            super().shutdown()  # when that is out, which would be written among the frames
            return
        self.transport.flush()
        self.transport = self.transport.direct
        super().handle_websocket_upgrade()

    def shutdown(self) -> None:
        """End when what was asked is answered; a head that is awaited has a moment left."""
        if self._timer is None:
            super().shutdown()
        else:
            self._is_last = True
            self._disarm()
            self._timer = self.loop.call_later(LAST_HEAD_SECONDS, self._end_unasked)

    def _end_unasked(self) -> None:
        self._timer = None
        super().shutdown()

    def timeout_keep_alive_handler(self) -> None:
        self.timeout_keep_alive_task = None
        if self._idle_until <= self.loop.time():
            super().timeout_keep_alive_handler()
        elif self._idle_until < math.inf:
            self.timeout_keep_alive_task = self.loop.call_at(self._idle_until, self.timeout_keep_alive_handler)

    def _end_too_large(self) -> None:
        """Raises `ValueError`, which ends the parsing."""
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
        cycle = self._running
        if cycle is None or not cycle.response_started or cycle.response_complete:
            self.transport.write(self._answer(problem))  # into the middle of an answer it would be read as part of it
        self.transport.close()

    def _answer(self, problem: Problem) -> bytes:
        path = self.url.partition(b"?")[0].decode("latin-1")
        status, headers, body = error_response(nearest(path), problem, f"req-{new_uuid()}")
        lines = [b"%b: %b" % header for header in headers]
        lines += [b"connection: close", b"content-length: %d" % len(body), b"", body]
        return STATUS_LINE[status] + b"\r\n".join(lines)


def _path_and_query(url: bytes) -> tuple[bytes, bytes]:
    """Of the target of a request, in any of its forms (RFC 9112, 3.2). Raises `HttpParserInvalidURLError`."""
    if url.startswith(b"/") and _HASH not in url:
        path, _, query = url.partition(b"?")
        return path, query
    parsed = httptools.parse_url(url)
    return parsed.path or b"/", parsed.query or b""


def _too_large() -> Problem:
    return Problem(ErrorKind.REQUEST_TOO_LARGE, f"The request's headers are larger than {HEAD_LIMIT} bytes.")
