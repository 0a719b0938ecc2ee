"""Starting and stopping: the event loop, and uvicorn around the application."""

import asyncio
import contextlib
import dataclasses
import gc
import logging
import math
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any, cast

import uvicorn

from augment_open_proxy.journal.log import Formatter, Log
from augment_open_proxy.server.app import App
from augment_open_proxy.server.assembly import open_app
from augment_open_proxy.server.http_protocol import HttpProtocol
from augment_open_proxy.server.provision import Ready, simulated
from augment_open_proxy.server.stopping import Stop
from augment_open_proxy.settings import Settings
from augment_open_proxy.upstream.catalog import BUILT_IN, Catalog, Model
from augment_open_proxy.upstream.listing import ListingFailed, ask_cli, find_cli

if TYPE_CHECKING:
    from augment_open_proxy.server.shared import Shared

KEEP_ALIVE = 75
"""Seconds that an idle connection of a client is kept; longer than most clients keep theirs, so that none is reset."""
GC_THRESHOLDS = (10_000, 20, 20)
"""What lives as long as a request is looked at by the collector about once and not five times, which is a tenth of the
time of the process where many wait at once."""
LARGEST_FROM_HEAP = 8 * 2**20
"""Bytes of a buffer up to which glibc takes it from the heap, and keeps as much at its top. Pages that come anew from
the system with each large request are a third of the time of encoding it."""
READ_FIRST = 0.05
"""Seconds in which what had arrived when the proxy was stopped is read: a connection that is closed with a request
unread is reset, and its client learns nothing.
"""
LAST_WORDS = 5.0
"""Seconds in which cut off replies must have told their clients."""

_log = logging.getLogger(__name__)


def serve(
    settings: Settings,
    sockets: list[socket.socket],
    stop: Stop,
    *,
    demo: bool = False,
    on_ready: Callable[[Ready], None],
) -> int:
    """Serve in this process until `stop` ends it; returns the exit code."""
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_serve(settings, sockets, stop, demo, on_ready))
    return 0


def list_models(settings: Settings) -> Catalog:
    """What `/v1/models` lists, from the CLI where it answers."""
    command = find_cli()
    models: tuple[Model, ...] = BUILT_IN
    if command is not None:
        try:
            models = asyncio.run(ask_cli(command))
        except ListingFailed as failure:
            _log.warning("auggie models list failed, this is the built-in list: %s", failure)
    return Catalog(models, settings.disable_effort_models)


async def _serve(
    settings: Settings, sockets: list[socket.socket], stop: Stop, demo: bool, on_ready: Callable[[Ready], None]
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        if demo:
            settings = await stack.enter_async_context(simulated(settings))
            settings = dataclasses.replace(settings, store=settings.store or "memory")
        await run(settings, sockets, stop, use_cli=not demo, on_ready=on_ready)


async def run(
    settings: Settings,
    sockets: list[socket.socket],
    stop: Stop,
    *,
    use_cli: bool,
    on_ready: Callable[[Ready], None],
    on_leaving: Callable[[], None] | None = None,
    shared: "Shared | None" = None,
) -> None:
    """Serve until `stop` ends it; `use_cli` and `shared` as for `open_app`, the others as for `Server`."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    write = None if shared is None else shared.output.write
    log = Log(settings.logging, settings.log_format, body_limit=settings.log_body_limit, write=write)
    for handler in logging.getLogger().handlers:
        handler.setFormatter(Formatter(log))
    async with open_app(settings, log, use_cli=use_cli, shared=shared) as (app, ready):
        server = Server(app, settings.shutdown_grace, lambda: on_ready(ready), stop, on_leaving)
        await server.serve(sockets)


def _websocket_protocol(**arguments: Any) -> asyncio.Protocol:
    """Stands for its class, which only the first WebSocket imports."""
    from augment_open_proxy.server.websocket_protocol import WebSocketProtocol

    return WebSocketProtocol(**arguments)


class Server(uvicorn.Server):
    """uvicorn, which tells when it takes requests, and stops in good order.

    The first request of `stop` ends the listening; replies go on for `grace` seconds (`None`: to their end), then they
    are cut off with an error. The second cuts them off at once. The process exits with 0.
    """

    def __init__(
        self,
        app: App,
        grace: float | None,
        on_ready: Callable[[], None],
        stop: Stop | None = None,
        on_leaving: Callable[[], None] | None = None,
    ) -> None:
        """`on_ready` is called when requests are taken, `on_leaving` when no more connections are."""
        super().__init__(
            uvicorn.Config(
                app,
                http=HttpProtocol,
                proxy_headers=False,  # nobody asks where a request comes from
                ws=cast("type[asyncio.Protocol]", _websocket_protocol),
                ws_max_size=app.body_limit,
                ws_ping_timeout=None,  # a client that reads slowly, or not for a while, is waited for, as by HTTP
                ws_per_message_deflate=False,  # it would let a small message be a large one
                lifespan="off",
                interface="asgi3",
                access_log=False,
                log_config=None,
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE,
                timeout_graceful_shutdown=None if grace is None else math.ceil(grace + LAST_WORDS) + 1,
            )
        )
        self._app = app
        self._grace = math.inf if grace is None else grace
        self._on_ready = on_ready
        self._on_leaving = on_leaving
        self._stop = stop
        self._is_hurried = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.should_exit:
            return
        gc.freeze()  # what is loaded by now stays: the collector need not look at it again and again
        gc.set_threshold(*GC_THRESHOLDS)
        bytes(LARGEST_FROM_HEAP)  # glibc learns its threshold from what is freed; this one is never touched
        self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._on_leaving is not None:
            self._on_leaving()
        self._app.is_draining = True
        self._app.batches.stop()
        await asyncio.sleep(READ_FIRST)
        end = asyncio.get_running_loop().time() + self._grace
        cutting = asyncio.create_task(self._cut_off_at(end))
        await super().shutdown(sockets)
        work = [asyncio.create_task(drain()) for drain in (self._app.runs.drain, self._app.batches.drain)]
        while not all(task.done() for task in work) and not self._is_over(end):
            await asyncio.wait(work, timeout=0.1)
        for task in (cutting, *work):
            task.cancel()

    async def _cut_off_at(self, end: float) -> None:
        while not self._is_over(end):  # noqa: ASYNC110 (a signal handler must not touch the loop)
            await asyncio.sleep(0.1)
        self._app.relays.cut_off()
        await asyncio.sleep(LAST_WORDS)
        for connection in list(self.server_state.connections):
            connection.transport.abort()  # whoever does not even read that

    def _is_over(self, end: float) -> bool:
        return self._is_hurried or asyncio.get_running_loop().time() >= end

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit:
            self._is_hurried = True
        super().handle_exit(signal.SIGTERM, frame)  # at a second SIGINT uvicorn would leave without last words

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """uvicorn's own raises the signal again at the end, and the process dies of it instead of exiting with 0."""
        if self._stop is not None:
            self._stop.tell(lambda: self.handle_exit(signal.SIGTERM, None))
        yield


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """What makes the event loop; `None` for asyncio's own."""
    try:
        import uvloop
    except ImportError:  # Windows
        return None
    return uvloop.new_event_loop
