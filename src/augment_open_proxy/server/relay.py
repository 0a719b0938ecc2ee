"""From events to the client: the head that waits for the first content, heartbeats, and who leaves before the end."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from augment_open_proxy.core.errors import FAILED, ErrorKind, Problem, ProxyError
from augment_open_proxy.core.events import BlockDelta, Cancelled, Event, Failure, Finish, Opening, closing
from augment_open_proxy.dialects.dialect import Renderer
from augment_open_proxy.dialects.framing import Pieces, joined, size_of
from augment_open_proxy.journal.record import CLIENT_CLOSED_REQUEST, Recorder
from augment_open_proxy.server.alarms import alarms
from augment_open_proxy.server.asgi import SENT, Headers, Message, Receive, Send, body_of
from augment_open_proxy.server.flow import Source, Waiting, at_once, put

FIRST_HEARTBEAT, HEARTBEAT = 5.0, 10.0
"""Seconds of silence after which the client of a stream is told that it is waited for, and told again."""
WATCH_AFTER = 0.1
"""Seconds after which it is watched whether the client leaves; it costs a task, and many short replies need none."""
STOPPED = Problem(ErrorKind.OVERLOADED, "The proxy is being stopped; what it was doing is cut off. Ask again.")

_log = logging.getLogger(__name__)


class Relay:
    """Carries one reply to its client.

    The head of the answer waits for the first content, so that an early failure has its true status. A stream's head
    is sent after a few seconds of silence, and heartbeats follow; a whole reply is never begun early.
    """

    __slots__ = (
        "_at_once",
        "_cut",
        "_headers",
        "_held",
        "_is_ended",
        "_is_over",
        "_last",
        "_last_sent",
        "_left",
        "_loop",
        "_pause",
        "_receive",
        "_recorder",
        "_records_all",
        "_refusal",
        "_relays",
        "_renderer",
        "_send",
        "_send_body",
        "_sending",
        "_streams",
        "_task",
        "_watcher",
        "status",
    )

    def __init__(
        self,
        relays: "Relays",
        send: Send,
        renderer: Renderer,
        headers: Callable[[], Headers],
        recorder: Recorder,
        *,
        streams: bool,
        choices: int = 1,
        at_once: bool = False,
    ) -> None:
        """`relays` are those that it is one of while it runs; `headers` are asked for when the head goes out.

        `at_once`: the reply is stored, so its head need not wait to learn whether there is one.
        """
        self._relays = relays
        self._send = send
        self._send_body = body_of(send)
        self._renderer = renderer
        self._headers = headers
        self._recorder = recorder
        self._records_all = recorder.keeps_body
        self._streams = streams
        self._at_once = at_once
        self._held: list[tuple[int, list[Event]]] = []
        self._left = choices
        self._last: list[Event | None] = [None] * choices
        """Of each choice."""
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self._is_ended = False
        """Whether the client left, or the proxy is being stopped."""
        self._cut: Problem | None = None
        self._refusal: Problem | None = None
        """The failure that came before any content."""
        self._sending = False
        self._last_sent = 0.0
        self._pause = FIRST_HEARTBEAT
        self._is_over = False
        self._receive: Receive | None = None
        self._watcher: asyncio.Task[None] | None = None
        self.status: int | None = None
        """The status that was sent."""

    async def run(self, receive: Receive, source: Source) -> None:
        """Send the reply, until its end or until the client leaves. Raises `ProxyError` for an early failure, and where
        none may begin any more.
        """
        loop = self._loop
        self._relays.add(self)
        self._last_sent = loop.time()
        task = self._task = asyncio.current_task(loop)
        before = task.cancelling() if task is not None else 0
        self._receive = receive
        watching = alarms(loop, WATCH_AFTER)
        watching.set(self)
        try:
            try:
                await self._carry(source)
            finally:
                self._task = None
                self._relays.discard(self)
                watching.unset(self)
                watcher, self._watcher = self._watcher, None  # what it was cancelled with knows the relay
                if watcher is not None:
                    watcher.cancel()
        except asyncio.CancelledError:
            # As asyncio.timeout does it, whose scope costs several times as much.
            if not self._is_ended or task is None or task.uncancel() > before:
                raise
            if self._is_over:
                return
            if self._cut is not None:
                await self._end_with(self._cut)
                return
            self._recorder.feed([Cancelled()])
            if self.status is None:
                self.status = CLIENT_CLOSED_REQUEST

    def has_begun(self) -> bool:
        """Whether the head of the answer was sent."""
        return self.status is not None

    async def _end_with(self, problem: Problem) -> None:
        """Tell the failure in a choice that has not ended yet."""
        begun = [choice for choice, last in enumerate(self._last) if last is not None and not isinstance(last, Finish)]
        choice = begun[0] if begun else 0
        await put(self._feed, choice, [*closing(self._last[choice]), Failure(problem)])
        self._raise_refusal()

    def _raise_refusal(self) -> None:
        """Raise `ProxyError` for a failure that came before any content, so that it has its status."""
        if self._refusal is not None:
            raise ProxyError(self._refusal)

    def cut_off(self, problem: Problem) -> None:
        """End the reply now, with this failure."""
        self._cut = problem
        self._end()

    def _end(self) -> None:
        """End what the reply waits for, where that has not been done already."""
        if self._task is not None and not self._is_ended:
            self._is_ended = True
            self._task.cancel()

    async def _carry(self, source: Source) -> None:
        try:
            await source(self._feed)
            self._raise_refusal()
        except ProxyError as error:
            if self.status is None:
                raise
            await self._end_with(error.problem)
        except OSError:
            raise
        except Exception:
            _log.exception("a reply failed")
            await self._end_with(FAILED)

    def _feed(self, choice: int, events: list[Event]) -> Waiting:
        """The sink of the reply."""
        last = self._last[choice] = events[-1]
        kind = type(last)
        if kind is not BlockDelta or self._records_all:
            self._recorder.feed(events, choice)
        if kind is BlockDelta and self.status is not None:  # as most are, first for speed
            delta = self._renderer.feed(events, choice)
            return self._write(delta) if delta else None
        if self.status is None and not self._at_once:
            if isinstance(last, Failure):
                self._refusal = last.problem
                return None
            if kind is Opening:
                self._held.append((choice, events))
                return None
        if len(self._held) == 1 and self._held[0][0] == choice:
            events = self._held.pop()[1] + events  # an opening may be large, as where it tells of the tools
        if self._held:
            data: bytes | Pieces = self._rendered_held() + joined(self._renderer.feed(events, choice))
        else:
            data = self._renderer.feed(events, choice)
        if kind is Finish or kind is Cancelled:
            self._left -= 1
        is_last = self._left == 0 or kind is Failure
        return self._write(data, last=is_last) if data or is_last else None

    def _rendered_held(self) -> bytes:
        """The openings that waited for the first content."""
        held, self._held = self._held, []
        return b"".join([joined(self._renderer.feed(events, choice)) for choice, events in held])

    def _write(self, data: bytes | Pieces, *, last: bool = False) -> Waiting:
        """Send some of the body, and the head before it."""
        self._pause = FIRST_HEARTBEAT
        if self.status is None:
            self._sending = True
            return at_once(self._begin(data, last=last))
        sending = self._send_body(data, not last)
        if sending is not SENT:
            self._sending = True
            return at_once(self._wait_for(sending, last=last))
        self._is_over = last
        self._last_sent = self._loop.time()
        return None

    async def _begin(self, data: bytes | Pieces, *, last: bool) -> None:
        self.status = 200
        await self._send(self._head(size_of(data) if last else None))
        await self._send_body(data, not last)
        self._wrote(last=last)

    async def _wait_for(self, sending: Awaitable[None], *, last: bool) -> None:
        await sending
        self._wrote(last=last)

    def _wrote(self, *, last: bool) -> None:
        self._is_over = last
        self._sending = False
        self._last_sent = self._loop.time()

    def _head(self, length: int | None) -> Message:
        headers = [(b"content-type", self._renderer.media_type.encode()), *self._headers()]
        if length is not None:
            headers.append((b"content-length", str(length).encode()))
        if self._streams:
            headers += [(b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]
        return {"type": "http.response.start", "status": 200, "headers": headers}

    def ring(self) -> None:
        """The reply takes long enough to watch whether its client leaves."""
        if self._receive is not None:
            self._watcher = self._loop.create_task(self._watch(self._receive))

    async def _watch(self, receive: Receive) -> None:
        """Wait for the client to leave, and send heartbeats meanwhile."""
        loop = self._loop
        while True:
            try:
                async with asyncio.timeout_at(self._last_sent + self._pause if self._streams else None):
                    message = await receive()
            except TimeoutError:
                if self._sending:
                    self._last_sent = loop.time()  # it is the client that is slow
                elif loop.time() - self._last_sent >= self._pause:
                    await self._heartbeat()
                continue
            if message["type"] == "http.disconnect":
                self._end()
                return

    async def _heartbeat(self) -> None:
        """Say that the reply is coming; nothing while the turn waits for its place, since its status is open."""
        if self._held or self.status is not None:
            data = self._rendered_held() + self._renderer.heartbeat()
            waiting = self._write(data) if data else None
            if waiting is not None:
                await waiting
            self._pause = HEARTBEAT
        self._last_sent = self._loop.time()


class Relays:
    """The replies that are on their way to clients, so that stopping can end them in good order."""

    def __init__(self) -> None:
        self._relays: set[Relay] = set()
        self._are_cut_off = False

    def add(self, relay: Relay) -> None:
        """One that is about to run. Raises `ProxyError` where none may begin any more."""
        if self._are_cut_off:
            raise ProxyError(STOPPED)
        self._relays.add(relay)

    def discard(self, relay: Relay) -> None:
        """One that has ended."""
        self._relays.discard(relay)

    def cut_off(self) -> None:
        """End all of them with an error that says that the proxy is being stopped; no other begins after that."""
        self._are_cut_off = True
        for relay in list(self._relays):
            relay.cut_off(STOPPED)
