"""Starting and stopping: the event loop, the parts that live as long as the server, and uvicorn around them."""

import asyncio
import contextlib
import dataclasses
import gc
import logging
import math
import secrets
import signal
import socket
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, cast

import uvicorn
from msgspec import Struct

from augment_open_proxy.core.errors import ProxyError
from augment_open_proxy.journal.log import Formatter, Log
from augment_open_proxy.journal.store.opening import Stores, default_url
from augment_open_proxy.journal.store.opening import describe as describe_store
from augment_open_proxy.server.app import App
from augment_open_proxy.server.files import Files
from augment_open_proxy.server.http_protocol import HttpProtocol
from augment_open_proxy.server.keys import KeyFile, KeyFileError, KeyRing, new_key
from augment_open_proxy.server.listen import is_loopback
from augment_open_proxy.server.renewal import Renewal
from augment_open_proxy.server.runs import Runs
from augment_open_proxy.settings import Settings, SettingsError
from augment_open_proxy.state import StateFolder
from augment_open_proxy.upstream.attempts import Upstream
from augment_open_proxy.upstream.budget import RetryBudget
from augment_open_proxy.upstream.catalog import BUILT_IN, Catalog, Model, canonical_id
from augment_open_proxy.upstream.client import Client, Timeouts
from augment_open_proxy.upstream.credentials import CredentialSource
from augment_open_proxy.upstream.listing import Listing, ListingFailed, ask_cli, find_cli

KEEP_ALIVE = 75
"""Seconds that an idle connection of a client is kept; longer than most clients keep theirs, so that none is reset."""
LAST_WORDS = 5.0
"""Seconds in which cut off replies must have told their clients."""
MADE_KEY = "client-key"
SECRET_SIZE = 32
"""Bytes."""
DEMO_DELAY = 0.02
"""Seconds between two lines of the simulator's answers in the demo, so that a stream looks like one."""

_log = logging.getLogger(__name__)


class Ready(Struct, frozen=True):
    """What is known when the server takes requests. `credentials` says where they come from, `None` for nowhere."""

    credentials: str | None
    state: str
    store: str
    notices: tuple[str, ...] = ()
    needs_key: bool = False
    """Whether clients must send a key."""
    made_key: str | None = None
    """The client key that was made because other machines can reach the port and none was defined."""


def serve(
    settings: Settings, sockets: list[socket.socket], *, demo: bool = False, on_ready: Callable[[Ready], None]
) -> int:
    """Serve until a signal ends it; returns the exit code."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(settings, sockets, demo, on_ready))
    return 0


def list_models(settings: Settings) -> list[str]:
    """The ids that `/v1/models` lists, from the CLI where it answers."""
    command = find_cli()
    models: tuple[Model, ...] = BUILT_IN
    if command is not None:
        try:
            models = asyncio.run(ask_cli(command))
        except ListingFailed as failure:
            _log.warning("auggie models list failed, this is the built-in list: %s", failure)
    return list(Catalog(models, settings.disable_effort_models).ids)


@contextlib.asynccontextmanager
async def open_app(settings: Settings, log: Log, *, use_cli: bool = True) -> AsyncIterator[tuple[App, Ready]]:
    """The application with all that it needs, closed at the end; without `use_cli`, models are the built-in ones."""
    timeouts = Timeouts(settings.connect_timeout, settings.headers_timeout, settings.body_timeout)
    async with contextlib.AsyncExitStack() as stack:
        client = Client(timeouts, settings.ca_file)
        stack.push_async_callback(client.close)
        files = Files(settings.fetch_urls, settings.ca_file)
        stack.push_async_callback(files.close)
        listing = Listing(find_cli() if use_cli else None, settings.disable_effort_models)
        stack.push_async_callback(listing.close)
        credentials = CredentialSource(
            settings.augment_api_token, settings.augment_api_url, settings.augment_session_auth, Path.home()
        )
        state = StateFolder(settings.state_dir)
        secret = _secret(settings, state)
        place = state.describe()
        store = settings.store or ("memory" if state.warning else default_url(settings.state_dir))
        stores = Stores(store, ttl=settings.store_ttl, size_limit=settings.store_limit, instance=str(uuid.uuid4()))
        stack.push_async_callback(stores.close)
        renewal = Renewal(stores)
        stack.push_async_callback(renewal.close)
        runs = Runs(stores, renewal)
        stack.push_async_callback(runs.close)
        upstream = Upstream(
            client,
            credentials,
            listing,
            RetryBudget(time.monotonic),
            _fallbacks(settings.fallback_models),
            settings.first_byte_timeout,
            settings.stall_timeout,
        )
        keys, made = _keys(settings, state)
        stack.callback(keys.close)
        log.hide(lambda: _secrets(credentials, [*settings.api_keys, *([made] if made else [])]))
        needs_key = _needs_key(settings, keys)
        app = App(settings, upstream, files, secret, log, stores, runs, renewal, keys, needs_key=needs_key)
        stack.push_async_callback(app.batches.close)
        app.batches.resume(store)
        notices = (state.warning,) if state.warning else ()
        yield app, Ready(credentials.describe(), place, describe_store(store), notices, needs_key, made)


def _keys(settings: Settings, state: StateFolder) -> tuple[KeyRing, str | None]:
    """The client keys, and the one that the proxy made, the same at each start. Raises `SettingsError`."""
    try:
        keys = KeyRing(settings.api_keys, KeyFile(state))
        if not _needs_key(settings, keys) or not keys.is_empty:
            return keys, None
        made = (state.read(MADE_KEY) or b"").decode(errors="replace").strip() or new_key()
        state.write(MADE_KEY, made.encode())
        return KeyRing([made], KeyFile(state)), made
    except KeyFileError as error:
        raise SettingsError(str(error)) from None


def _secrets(credentials: CredentialSource, keys: list[str]) -> list[str]:
    """What no log may show."""
    try:
        return [credentials.current().token, *keys]
    except ProxyError:
        return keys


def _needs_key(settings: Settings, keys: KeyRing) -> bool:
    return not keys.is_empty or not (is_loopback(settings.host) or settings.allow_unauthenticated)


def _fallbacks(pairs: tuple[tuple[str, str], ...]) -> dict[str, list[str]]:
    """Which models are asked where one says nothing, by its id."""
    fallbacks: dict[str, list[str]] = {}
    for model, fallback in pairs:
        fallbacks.setdefault(canonical_id(model), []).append(fallback)
    return fallbacks


def _secret(settings: Settings, state: StateFolder) -> bytes:
    """What seals are made with: the setting, else one that is made once and kept in the state folder."""
    if settings.secret is not None:
        return settings.secret.encode(errors="surrogateescape")
    kept = state.read("secret")
    if kept is None or len(kept) < SECRET_SIZE:
        kept = secrets.token_bytes(SECRET_SIZE)
        state.write("secret", kept)
    return kept


async def _serve(
    settings: Settings, sockets: list[socket.socket], demo: bool, on_ready: Callable[[Ready], None]
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        if demo:
            settings = await stack.enter_async_context(_simulated(settings))
        log = Log(settings.logging, settings.log_format, body_limit=settings.log_body_limit)
        for handler in logging.getLogger().handlers:
            handler.setFormatter(Formatter(log))
        app, ready = await stack.enter_async_context(open_app(settings, log, use_cli=not demo))
        await Server(app, settings.shutdown_grace, lambda: on_ready(ready)).serve(sockets)


@contextlib.asynccontextmanager
async def _simulated(settings: Settings) -> AsyncIterator[Settings]:
    """The settings with the embedded simulator in the backend's place."""
    from augment_open_proxy.simulator import Simulator  # only the demo pays for its import

    async with Simulator(delay=DEMO_DELAY) as simulator:
        yield dataclasses.replace(
            settings, augment_api_token=simulator.token, augment_api_url=simulator.url, store=settings.store or "memory"
        )


def _websocket_protocol(**arguments: Any) -> asyncio.Protocol:
    """Stands for its class, which only the first WebSocket imports."""
    from augment_open_proxy.server.websocket_protocol import WebSocketProtocol

    return WebSocketProtocol(**arguments)


class Server(uvicorn.Server):
    """uvicorn, which tells when it takes requests, and stops in good order.

    A signal ends the listening; replies go on for `grace` seconds (`None`: to their end), then they are cut off with
    an error. A second signal cuts them off at once. The process exits with 0.
    """

    def __init__(self, app: App, grace: float | None, on_ready: Callable[[], None]) -> None:
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
        self._is_hurried = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        gc.freeze()  # what is loaded by now stays: the collector need not look at it again and again
        self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.is_draining = True
        self._app.batches.stop()
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
        try:
            old = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        except ValueError:  # not the main thread, as in tests: nobody sends signals there
            old = {}
        try:
            yield
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # Windows
        return None
    return uvloop.new_event_loop
