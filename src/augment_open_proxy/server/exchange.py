"""The pipeline from a request to its reply: `Exchange.handle` prepares a turn, `_Relay` carries it to the client."""

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any

import msgspec

from augment_open_proxy.core.conversation import ChatRequest
from augment_open_proxy.core.errors import ErrorKind, Problem, ProxyError
from augment_open_proxy.core.events import Cancelled, Event, Failure, Finish, Opening
from augment_open_proxy.core.jsontext import UNREADABLE, mended
from augment_open_proxy.dialects.dialect import Delivery, Dialect, Renderer, renderer
from augment_open_proxy.dialects.registry import parser
from augment_open_proxy.journal.log import Log, without_base64
from augment_open_proxy.journal.record import CLIENT_CLOSED_REQUEST, Record, Recorder
from augment_open_proxy.policies.chain import Chain, Prepare
from augment_open_proxy.server.asgi import Headers, Receive, Scope, Send, read_body
from augment_open_proxy.server.choices import Batch, side_by_side
from augment_open_proxy.server.conversation import conversation_id
from augment_open_proxy.server.resolve import Resolver
from augment_open_proxy.tokens.request import estimate_request
from augment_open_proxy.upstream.attempts import Turn, Upstream

HEARTBEAT = 5.0
"""Seconds of silence after which the client of a stream is told that it is waited for."""

_log = logging.getLogger(__name__)


class Exchange:
    """Serves the chat requests of all dialects."""

    def __init__(
        self, upstream: Upstream, resolver: Resolver, policies: Sequence[Prepare], log: Log, body_limit: int
    ) -> None:
        """`body_limit` is in bytes."""
        self._upstream = upstream
        self._resolver = resolver
        self._policies = policies
        self._log = log
        self._body_limit = body_limit

    async def handle(self, dialect: Dialect, scope: Scope, receive: Receive, send: Send, record: Record) -> None:
        """Answer one chat request. Raises `ProxyError` as long as nothing has been sent, and `ClientLeft`."""
        turn_id = str(uuid.uuid4())
        record.request_id = dialect.id_prefix + turn_id
        body = await read_body(receive, self._body_limit)
        if self._log.keeps_bodies:
            record.request = _shown(body)
        parsed = parser(dialect, body)(body)
        record.model, record.stream = parsed.request.model, parsed.delivery.stream
        request = await self._resolver.resolve(parsed.request)
        conversation = conversation_id(request, scope)

        def turn_of(request: ChatRequest, turn_id: str | None = None) -> Turn:
            return Turn(self._upstream, request, turn_id or str(uuid.uuid4()), conversation)

        chains = [Chain(request, self._policies) for _ in range(parsed.delivery.choices)]
        turn = turn_of(chains[0].request, turn_id)
        record.effective_model = turn.model_id
        opening = Opening(
            id=record.request_id,
            created=int(time.time()),
            model=parsed.request.model,
            input_estimate=estimate_request(chains[0].request, turn.model_id),
        )
        turns = [turn, *(turn_of(chain.request) for chain in chains[1:])]
        batches = side_by_side([_batches(opening, turn, turn_of, c) for turn, c in zip(turns, chains, strict=True)])
        recorder = Recorder(record, parsed.delivery.choices, keep_body=self._log.keeps_bodies)
        relay = _Relay(send, dialect, parsed.delivery, _reply_headers(dialect, record, parsed.request), recorder)
        try:
            await relay.run(receive, batches)
        finally:
            record.status = relay.status
            if recorder.replies:
                record.response = msgspec.Raw(dialect.render_reply(recorder.replies, parsed.delivery))


def _shown(body: bytes) -> Any:
    """A body for the log."""
    try:
        return without_base64(msgspec.json.decode(mended(body)))
    except UNREADABLE:
        return f"<{len(body)} bytes that are not JSON, or nested too deeply>"


async def _batches(
    opening: Opening, turn: Turn, turn_of: Callable[[ChatRequest], Turn], chain: Chain
) -> AsyncGenerator[list[Event]]:
    """The events that the client gets. The opening comes alone, at once; a policy may need more than one turn."""
    yield chain.feed([opening])
    while True:
        async with aclosing(turn.events()) as batches:
            async for events in batches:
                out = chain.feed(events)
                if out:
                    yield _timed(out)
                    if isinstance(out[-1], Failure | Finish):
                        return  # a policy may end the reply before the backend does
        request = chain.again()
        if request is None:
            return
        turn = turn_of(request)


def _timed(events: list[Event]) -> list[Event]:
    """A finish with the time of it: what is pure knows none."""
    last = events[-1]
    if isinstance(last, Finish):
        return [*events[:-1], msgspec.structs.replace(last, at=int(time.time()))]
    return events


def _reply_headers(dialect: Dialect, record: Record, request: ChatRequest) -> Headers:
    headers: Headers = [(dialect.request_id_header.encode(), (record.request_id or "").encode())]
    for name, values in (("ignored-parameters", request.ignored), ("left-out-tools", request.left_out)):
        if values:
            listed = ", ".join(values)
            headers.append((f"x-aop-{name}".encode(), _header_text(listed)))
            record.notices += (f"{name.replace('-', ' ')}: {listed}",)
    return headers


def _header_text(text: str) -> bytes:
    """Text that a client gave, fit for a header."""
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in text[:1000]).encode()


def error_response(dialect: Dialect, problem: Problem, request_id: str) -> tuple[int, Headers, bytes]:
    """Status, headers and body of an error that comes instead of a reply."""
    shape = dialect.errors[problem.kind]
    headers: Headers = [
        (b"content-type", b"application/json"),
        (dialect.request_id_header.encode(), request_id.encode()),
    ]
    if problem.retry_after is not None:
        headers.append((b"retry-after", str(-int(-problem.retry_after // 1)).encode()))
    if shape.retry is not None:
        headers.append((b"x-should-retry", b"true" if shape.retry else b"false"))
    return shape.status, headers, dialect.render_error(problem, request_id)


class _Relay:
    """Carries one reply to its client.

    The head of the answer waits for the first content, so that an early failure has its true status. A stream's head
    is sent after a few seconds of silence, and heartbeats follow; a whole reply is never begun early.
    """

    def __init__(self, send: Send, dialect: Dialect, delivery: Delivery, headers: Headers, recorder: Recorder) -> None:
        self._send = send
        self._dialect = dialect
        self._delivery = delivery
        self._headers = headers
        self._recorder = recorder
        self._renderer: Renderer = renderer(dialect, delivery)
        self._held: list[Batch] = []
        self._left = delivery.choices
        self._sending = False
        self._last_sent = 0.0
        self.status: int | None = None
        """The status that was sent."""

    async def run(self, receive: Receive, batches: AsyncGenerator[Batch]) -> None:
        """Send the reply, until its end or until the client leaves. Raises `ProxyError` for an early failure."""
        self._last_sent = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(None) as scope:  # ended at once when the client leaves
                watcher = asyncio.create_task(self._watch(receive, scope))
                try:
                    await self._pump(batches)
                finally:
                    watcher.cancel()
        except TimeoutError:
            self._recorder.feed([Cancelled()])
            if self.status is None:
                self.status = CLIENT_CLOSED_REQUEST

    async def _pump(self, batches: AsyncGenerator[Batch]) -> None:
        async with aclosing(batches):
            try:
                async for choice, events in batches:
                    await self._deliver(events, choice)
                    if isinstance(events[-1], Failure):
                        return  # one that fails fails all
            except (ProxyError, OSError):
                raise
            except Exception:
                _log.exception("a reply failed")
                problem = Problem(ErrorKind.INTERNAL, "The proxy failed; its log says more.")
                await self._deliver([Failure(problem)], 0)

    async def _deliver(self, events: list[Event], choice: int) -> None:
        last = events[-1]
        self._recorder.feed(events, choice)
        if self.status is None:
            if isinstance(last, Failure):
                raise ProxyError(last.problem)
            if isinstance(last, Opening):
                self._held.append((choice, events))
                return
        data = self._rendered_held() + self._renderer.feed(events, choice)
        self._left -= isinstance(last, Finish)
        await self._write(data, last=self._left == 0 or isinstance(last, Failure))

    def _rendered_held(self) -> bytes:
        """The openings that waited for the first content."""
        held, self._held = self._held, []
        return b"".join(self._renderer.feed(events, choice) for choice, events in held)

    async def _write(self, data: bytes, *, last: bool = False) -> None:
        if not data and not last:
            return
        self._sending = True
        if self.status is None:
            await self._send_head(len(data) if last else None)
        await self._send({"type": "http.response.body", "body": data, "more_body": not last})
        self._sending = False
        self._last_sent = asyncio.get_running_loop().time()

    async def _send_head(self, length: int | None) -> None:
        headers = [(b"content-type", self._renderer.media_type.encode()), *self._headers]
        if length is not None:
            headers.append((b"content-length", str(length).encode()))
        if self._delivery.stream:
            headers += [(b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]
        self.status = 200
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    async def _watch(self, receive: Receive, scope: asyncio.Timeout) -> None:
        """Wait for the client to leave, and send heartbeats meanwhile."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                async with asyncio.timeout_at(self._last_sent + HEARTBEAT if self._delivery.stream else None):
                    message = await receive()
            except TimeoutError:
                if loop.time() - self._last_sent >= HEARTBEAT and not self._sending:
                    await self._heartbeat()
                continue
            if message["type"] == "http.disconnect":
                scope.reschedule(loop.time())
                return

    async def _heartbeat(self) -> None:
        await self._write(self._rendered_held() + self._renderer.heartbeat())
