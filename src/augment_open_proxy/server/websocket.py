"""The WebSocket of `/v1/responses`: many responses over one connection, each told as the events of a stream.

Two of the messages are not ASGI's, but `websocket_protocol.py`'s: `websocket.shutdown`, after which this side has to
close, and `websocket.oversize`, which it has answered.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

import msgspec

from augment_open_proxy.core.errors import FAILED, TOO_DEEP, ErrorKind, Problem, ProxyError
from augment_open_proxy.dialects.openai_responses import OPENAI_RESPONSES
from augment_open_proxy.dialects.openai_responses.websocket import (
    Create,
    Lane,
    Refusal,
    parse_message,
    render_problem,
    render_refusal,
)
from augment_open_proxy.journal.record import Record
from augment_open_proxy.journal.store.opening import StoreUnavailable
from augment_open_proxy.server.answers import error_response
from augment_open_proxy.server.asgi import Message, Receive, Scope, Send
from augment_open_proxy.server.ids import new_uuid
from augment_open_proxy.server.keeping import store_problem
from augment_open_proxy.server.relay import STOPPED
from augment_open_proxy.server.remembered import Remembered
from augment_open_proxy.server.websocket_response import Responder

LIFETIME = 3600.0
"""Seconds after which a connection takes nothing new, as OpenAI's."""
MOST_AT_ONCE, MOST_LANES = 16, 32
"""Responses in flight, and lanes with a name, of one connection, as OpenAI's."""
MOST_HELD = 64
"""Messages that are read ahead of their turn; what follows them waits in the network."""
GOING_AWAY, RESTARTING = 1001, 1012
"""Codes with which a connection is closed; after both, clients open another."""

LONGEST_REASON = 120
"""Bytes; the protocol lets a reason have 123."""

SWITCHED = 101
"""The status of a handshake that succeeded."""

Job = Callable[[], Awaitable[None]]
Finish = Callable[[Scope, Record], None]
"""Is given each record when nothing more comes into it, with the scope of its connection."""

_log = logging.getLogger(__name__)


class Sockets:
    """Serves WebSocket connections. What one of them remembers is bounded by `body_limit`, as a whole request is."""

    def __init__(self, responder: Responder, finish: Finish, body_limit: int) -> None:
        self._responder = responder
        self._finish = finish
        self._body_limit = body_limit

    async def handle(self, scope: Scope, receive: Receive, send: Send, record: Record) -> None:
        """Serve a connection to its end; `record` is that of its handshake."""
        record.status = SWITCHED
        await send({"type": "websocket.accept"})
        await Connection(self._responder, self._finish, self._body_limit, scope, receive, send).run()


class Connection:
    """One connection: its lanes, what it remembers, and its end."""

    def __init__(
        self, responder: Responder, finish: Finish, body_limit: int, scope: Scope, receive: Receive, send: Send
    ) -> None:
        self._responder = responder
        self._finish = finish
        self._body_limit = body_limit
        self._scope = scope
        self._receive = receive
        self._send = send
        self._remembered = Remembered(body_limit)
        self._lanes: dict[Lane, deque[Job]] = {}
        self._names: set[str] = set()
        self._room = asyncio.Semaphore(MOST_HELD)
        self._places = asyncio.Semaphore(MOST_AT_ONCE)
        self._working: set[asyncio.Task[None]] = set()
        self._left = asyncio.Event()
        self._ending: Refusal | ProxyError | None = None
        self._closing: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Take messages until the client leaves, or this side has closed."""
        timer = asyncio.get_running_loop().call_later(LIFETIME, self._end, _too_old(), GOING_AWAY)
        try:
            while (message := await self._receive())["type"] != "websocket.disconnect":
                match message["type"]:
                    case "websocket.receive":
                        await self._take(message)
                    case "websocket.shutdown":
                        self._end(ProxyError(STOPPED), RESTARTING)
                    case "websocket.oversize":
                        self._note(ProxyError(too_large(self._body_limit)), None, self._record())
        finally:
            timer.cancel()
            self._left.set()
            tasks = [*self._working, *([self._closing] if self._closing else [])]
            if tasks:
                await asyncio.wait(tasks)

    # ---------------------------------------------------------------- messages

    async def _take(self, message: Message) -> None:
        await self._room.acquire()
        record = self._record()
        try:
            create = self._read(message)
        except (Refusal, ProxyError) as error:
            # In the order of its lane: a client would take it for the end of the response that it is reading.
            lane = error.lane if isinstance(error, Refusal) and error.lane in self._lanes else None
            self._enqueue(lane, partial(self._refuse, error, None, record))
            return
        if create is None:
            self._room.release()
        else:
            self._enqueue(create.lane, partial(self._answer, create, record))

    def _read(self, message: Message) -> Create | None:
        """What is asked for, if anything. Raises `Refusal` and `ProxyError`."""
        if message.get("text") is None:
            raise Refusal("invalid_message", "A message must be JSON as text; this one is binary.")
        create = parse_message(message["text"].encode())
        if create is None or create.lane is None or create.lane in self._names:
            return create
        if len(self._names) == MOST_LANES:
            raise Refusal(
                "websocket_stream_limit_reached",
                f"This connection has had {MOST_LANES} values of stream_id, which is the most: use one of them again, "
                "or open another connection.",
                "stream_id",
                create.lane,
            )
        self._names.add(create.lane)
        return create

    def _record(self) -> Record:
        return Record("WS", self._scope["path"], time.monotonic(), request_id=f"req-{new_uuid()}", stream=True)

    # ------------------------------------------------------------------- lanes

    def _enqueue(self, lane: Lane, job: Job) -> None:
        jobs = self._lanes.setdefault(lane, deque())
        jobs.append(job)
        if len(jobs) == 1:
            task = asyncio.create_task(self._work(jobs))
            self._working.add(task)
            task.add_done_callback(self._working.discard)

    async def _work(self, jobs: deque[Job]) -> None:
        """Do the jobs of a lane, one after the other, as long as there are any."""
        while jobs:
            if not self._left.is_set():
                async with self._places:
                    await jobs[0]()
            jobs.popleft()
            self._room.release()

    async def _answer(self, create: Create, record: Record) -> None:
        error: Exception | None = self._ending
        try:
            if error is None:
                await self._responder.respond(
                    create, self._scope, self._until_left, self._send_lines, record, self._remembered
                )
        except Exception as raised:
            self._remembered.forget(create.lane, create.previous)
            error = raised
        record.stream = True
        if error is None:
            self._finish(self._scope, record)
        else:
            await self._refuse(error, create.lane, record)

    async def _refuse(self, error: Exception, lane: Lane, record: Record) -> None:
        await self._send_message(self._note(error, lane, record))

    def _note(self, error: Exception, lane: Lane, record: Record) -> bytes:
        """Finish the record of what failed before its first event; gives the error event."""
        match error:
            case Refusal():
                record.status, record.error = error.status, error.message
                event = render_refusal(error, lane or error.lane)
            case ProxyError(problem=problem):
                event = _told(problem, lane, record)
            case StoreUnavailable():
                event = _told(store_problem(error), lane, record)
            case RecursionError():
                event = _told(TOO_DEEP, lane, record)
            case _:
                _log.error("a response failed", exc_info=error)
                event = _told(FAILED, lane, record)
        if record.request is not None:
            record.response = msgspec.Raw(event)
        self._finish(self._scope, record)
        return event

    # ------------------------------------------------------------ to the client

    async def _until_left(self) -> Message:
        """What `Relay` receives: that the client has left."""
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send_lines(self, message: Message) -> None:
        """What `Relay` sends: each line of the body becomes a message; the head was that of the connection."""
        for line in message.get("body", b"").splitlines():
            await self._send_message(line)

    async def _send_message(self, text: bytes) -> None:
        if self._left.is_set():
            return
        try:
            await self._send({"type": "websocket.send", "text": text.decode()})
        except (OSError, RuntimeError):  # uvicorn's for a connection that is lost, and for one that it has closed
            self._left.set()

    # --------------------------------------------------------------------- end

    def _end(self, why: Refusal | ProxyError, code: int) -> None:
        """Take nothing new; responses in flight are told to their end."""
        if self._ending is None:
            self._ending = why
            self._closing = asyncio.create_task(self._close(why, code))

    async def _close(self, why: Refusal | ProxyError, code: int) -> None:
        while self._working:
            await asyncio.wait(self._working)
        await self._send_message(
            render_refusal(why, None) if isinstance(why, Refusal) else render_problem(why.problem, None, {})
        )
        if not self._left.is_set():
            with suppress(OSError, RuntimeError):
                await self._send({"type": "websocket.close", "code": code, "reason": str(why)[:LONGEST_REASON]})


def answering(send: Send) -> Send:
    """`send` of a WebSocket whose handshake may be answered as any HTTP request, too (ASGI's Denial Response)."""

    async def send_either(message: Message) -> None:
        if message["type"].startswith("http."):
            message = {**message, "type": f"websocket.{message['type']}"}
        await send(message)

    return send_either


def too_large(limit: int) -> Problem:
    """How a client is told that its message has more than `limit` bytes."""
    return Problem(ErrorKind.REQUEST_TOO_LARGE, f"The message is larger than {limit} bytes (AOP_BODY_LIMIT).")


def _too_old() -> Refusal:
    return Refusal(
        "websocket_connection_limit_reached",
        f"A connection takes requests for {LIFETIME / 60:g} minutes; open another one to go on.",
    )


def _told(problem: Problem, lane: Lane, record: Record) -> bytes:
    """The error event, with the headers that the problem would have by HTTP; the record says it, too."""
    record.status, headers, _ = error_response(OPENAI_RESPONSES, problem, record.request_id or "")
    record.error = problem.message
    shown = {name.decode(): value.decode() for name, value in headers if name != b"content-type"}
    return render_problem(problem, lane, shown)
