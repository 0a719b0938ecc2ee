"""One connection to the backend: a request goes out, the answer's head is read, and its body kept until it is taken.

It promises: at most one answer for each request, and no byte beyond its end; a head within bounds; an answer that is
cut off never looks like one that ended; a sender that is faster than the reader waits.
"""

import asyncio
import math
from collections.abc import Callable

import httptools

HEAD_LIMIT = 64 * 1024
"""Bytes of an answer's heads and trailers, those of interim answers (1xx) included."""
BUFFER_LIMIT = 256 * 1024
"""Bytes that are kept for the reader; past them, the backend waits."""
_JOINED = 64 * 1024
"""Bytes of a body that is copied behind its head, so that both are one write."""
_WITHOUT_BODY = (204, 304)


Take = Callable[[bytes], bool]
"""Is given what has arrived of a body, at least one byte; tells whether it wants more."""


class _RefusedError(Exception):
    """Raised out of the parser's callbacks, to stop it."""


class Connection(asyncio.Protocol):
    """To be used for one request at a time. `on_lost` is called once when the other side, or an error, ended it."""

    __slots__ = (
        "__weakref__",
        "_alarm",
        "_due",
        "_ends_with_connection",
        "_head_size",
        "_is_interim",
        "_is_kept_alive",
        "_is_lost",
        "_is_paused",
        "_loop",
        "_on_lost",
        "_parser",
        "_pause",
        "_pieces",
        "_push",
        "_size",
        "_timer",
        "_transport",
        "_unused",
        "_waiter",
        "failure",
        "has_head",
        "has_pushed",
        "has_pushed_enough",
        "headers",
        "idle_since",
        "is_complete",
        "is_overdue",
        "on_body",
        "origin",
        "status",
    )

    _transport: asyncio.Transport

    def __init__(self, origin: str, on_lost: Callable[["Connection"], None]) -> None:
        self.origin = origin
        """What the pool knows the connection by."""
        self.idle_since = 0.0
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        """The answer's, by their names in small letters."""
        self.has_head = False
        self.is_complete = True
        """Whether the answer has arrived whole; so it is before the first request."""
        self.failure: str | None = None
        """Why the answer will not arrive whole."""
        self.is_overdue = False
        """Whether the last wait ended because its time was over."""
        self.has_pushed = False
        """Whether something was given on in the last wait."""
        self.has_pushed_enough = False
        """Whether whom it was given to wants no more."""
        self._loop = asyncio.get_running_loop()
        self._on_lost = on_lost
        self._is_lost = False
        self._pieces: list[bytes] = []
        self.on_body = self._pieces.append  # the parser's callback for a part of the body
        self._size = 0  # bytes that arrived since the reader last took some, framing included
        self._unused = 0  # bytes that arrived since the head was complete, or some of the body came
        self._head_size = 0
        self._is_paused = False
        self._is_interim = False
        self._is_kept_alive = False
        self._ends_with_connection = False
        self._waiter: asyncio.Future[None] | None = None
        self._push: Take | None = None
        self._pause = math.inf
        self._due = math.inf
        self._timer: asyncio.TimerHandle | None = None
        self._alarm = math.inf
        self._parser = httptools.HttpResponseParser(self)

    # ---------------------------------------------------------------- for the client

    def send(self, head: bytes, body: bytes) -> None:
        """Send a request; what is read from now on is its answer."""
        self.has_head = self.is_complete = False
        self._head_size = self._unused = 0
        if self._is_lost:
            self.failure = _CLOSED
        elif len(body) <= _JOINED:
            # With the other requests of this turn, since each that goes out alone wakes up the backend.
            self._loop.call_soon(self._write, head + body)
        else:
            self._transport.writelines((head, body))

    def _write(self, data: bytes) -> None:
        if self.is_open():
            self._transport.write(data)

    @property
    def has_answered(self) -> bool:
        """Whether a byte has arrived since the request; not to be asked once some of the body was taken."""
        return self._size > 0

    @property
    def has_data(self) -> bool:
        """Whether some of the body can be taken."""
        return bool(self._pieces)

    def take(self) -> bytes:
        """What has arrived of the body since the last time."""
        pieces = self._pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self._size = 0
        if self._is_paused:
            self._is_paused = False
            if not self._is_lost:
                self._transport.resume_reading()
        return data

    def news(self, due: float, push: Take | None = None, pause: float = math.inf) -> asyncio.Future[None]:
        """Done when something has arrived, the connection has ended, or at the time `due` of the loop's clock.

        What arrives of the body before its end is given to `push` instead, as long as that wants more; then the time is
        over `pause` seconds later. What it raises is raised here. One timer serves all waits: it is set anew when it
        fires, or where a wait is to end before it would.
        """
        self.is_overdue = self.has_pushed = self.has_pushed_enough = False
        self._push = push
        self._pause = pause
        self._due = due
        soonest = due if push is None else min(due, self._loop.time() + pause)
        if soonest < self._alarm:
            self._arm(soonest)
        waiter = self._waiter = self._loop.create_future()
        return waiter

    def can_be_kept(self) -> bool:
        """Whether another request may follow."""
        return (
            self.is_complete and self._is_kept_alive and self.is_open() and not self._transport.get_write_buffer_size()
        )

    def reset(self) -> None:
        """Make ready for the next request: drop what the last one's reader left."""
        self.headers.clear()
        self.take()
        self._push = None

    def is_open(self) -> bool:
        """Whether neither side has ended the connection."""
        return not self._is_lost and not self._transport.is_closing()

    def close(self) -> None:
        """End the connection at once: what was not sent yet is of no use to anyone."""
        self._push = None
        self._transport.abort()

    # ---------------------------------------------------------------- for the event loop

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # what TCP and TLS give
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self.is_complete or self.failure is not None:
            self._lose(None)  # it belongs to no request, and must never be taken for an answer
            return
        pieces = len(self._pieces)
        had_head = self.has_head
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._stop(error)
        else:
            if len(self._pieces) > pieces or self.has_head is not had_head:
                self._unused = 0
                if self._push is not None and self._has_pushed(self._push):
                    return
            else:
                self._unused += len(data)
                if self._unused > HEAD_LIMIT and not self.is_complete:
                    self._fail(_TOO_LARGE)
        self._size += len(data)
        if self._size > BUFFER_LIMIT and not self._is_paused and not self._is_lost:
            self._is_paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        self._lose(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lose(exc)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        del self._parser  # which refers to the connection, too

    # ---------------------------------------------------------------- for the parser

    def on_message_begin(self) -> None:
        if self.is_complete:
            raise _RefusedError  # an answer that nobody has asked for

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_size += len(name) + len(value) + len(": \r\n")
        if self._head_size > HEAD_LIMIT:
            raise _RefusedError(_TOO_LARGE)
        if self.has_head:
            return  # a trailer; nothing of ours depends on any
        name = name.lower()
        earlier = self.headers.get(name)
        self.headers[name] = value if earlier is None else earlier + b", " + value

    def on_headers_complete(self) -> None:
        self.status = status = self._parser.get_status_code()
        if status < 200:
            if status == 101:
                raise _RefusedError("it changes to a protocol that was not asked for")
            self._is_interim = True
            return
        headers = self.headers
        coding = headers.get(b"transfer-encoding")
        if coding is not None and coding.lower() != b"chunked":
            raise _RefusedError("its transfer encoding was not asked for")
        self._is_kept_alive = self._parser.should_keep_alive()
        if not self._is_kept_alive and self._parser.get_http_version() not in ("1.0", "1.1"):
            raise _RefusedError("it is not of HTTP/1.1")
        self._ends_with_connection = coding is None and b"content-length" not in headers and status not in _WITHOUT_BODY
        self.has_head = True

    def on_message_complete(self) -> None:
        if self._is_interim:
            self._is_interim = False
            self.headers.clear()
        else:
            self.is_complete = True

    # ---------------------------------------------------------------- inside

    def _stop(self, error: httptools.HttpParserError) -> None:
        """The parser stopped, by a callback's will or its own."""
        cause = error.__context__
        if self.is_complete:
            self._lose(None)  # the answer is there whole; what follows it is none
        elif isinstance(cause, _RefusedError):
            self._fail(str(cause))
        else:
            self._fail(f"it is not valid HTTP ({error})")

    def _fail(self, reason: str) -> None:
        self.failure = reason
        self._lose(None)

    def _lose(self, error: Exception | None) -> None:
        if self._is_lost:
            return
        self._is_lost = True
        if not self.is_complete and self.failure is None:
            if self.has_head and self._ends_with_connection and error is None:
                self.is_complete = True
            else:
                self.failure = reason_of(error) if error else "the answer was cut off" if self.has_head else _CLOSED
        self._transport.abort()
        self._on_lost(self)
        self._wake()

    def _has_pushed(self, push: Take) -> bool:
        """Whether what has arrived was given on; the reader wakes up where no more is wanted."""
        waiter = self._waiter
        if waiter is None or waiter.done() or self.is_complete:
            return False
        pieces = self._pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self.has_pushed = True
        try:
            wants_more = push(data)
        except Exception as error:
            self._waiter = None
            waiter.set_exception(error)
            return True
        self._due = self._loop.time() + self._pause
        if not wants_more:
            self.has_pushed_enough = True
            self._wake()
        return True

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)

    def _arm(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self._ring)
        self._alarm = due

    def _ring(self) -> None:
        self._timer = None
        self._alarm = math.inf
        if self._waiter is None or self._due == math.inf:
            return
        if self._loop.time() < self._due:
            self._arm(self._due)
        else:
            self.is_overdue = True
            self._wake()


_CLOSED = "the connection was closed"
_TOO_LARGE = f"its head is larger than {HEAD_LIMIT} bytes"


def reason_of(error: Exception) -> str:
    """In words, without the number of a system's error."""
    return getattr(error, "strerror", None) or " ".join(str(error).split()) or _CLOSED
