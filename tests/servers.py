"""Simulator and proxy, for real: both on loopback, in an event loop of their own in a thread."""

import asyncio
import contextlib
import dataclasses
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from augment_open_proxy.journal.log import Log
from augment_open_proxy.server.assembly import open_app
from augment_open_proxy.server.listen import open_sockets, urls
from augment_open_proxy.server.run import Server
from augment_open_proxy.settings import Settings
from augment_open_proxy.simulator import Simulator

START_SECONDS = 20


class Proxy:
    """A proxy on the simulator. `lines` is its log."""

    def __init__(
        self, url: str, simulator: Simulator, lines: list[str], loop: asyncio.AbstractEventLoop, server: Server
    ) -> None:
        self._server = server
        self.url = url
        self.base_url = f"{url}/v1"
        self.simulator = simulator
        self.lines = lines
        self._loop = loop

    def call(self, function: Callable[[], Any]) -> Any:
        """Run `function` in the servers' event loop."""

        async def run() -> Any:
            return function()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(10)

    @property
    def running(self) -> int:
        """How many requests are being answered, those included that wait for their place."""
        return len(self._server.server_state.tasks)

    def stop(self) -> None:
        """Do what a signal to stop does."""
        self.call(lambda: self._server.handle_exit(signal.SIGTERM, None))

    def hurry(self) -> None:
        """Do what two signals to stop do."""
        self.stop()
        self.stop()

    def wait_for(self, condition: Callable[[], bool], seconds: float = 5) -> None:
        """Wait until `condition` holds; fails after `seconds`."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "it did not happen in time"
            time.sleep(0.01)


@contextlib.contextmanager
def running_proxy(**changes: Any) -> Iterator[Proxy]:
    """A proxy with the default settings but for `changes`; the credentials are the simulator's unless given."""
    started: list[Proxy | BaseException] = []
    ready = threading.Event()
    stop: list[Callable[[], object]] = []

    def main() -> None:
        try:
            asyncio.run(_serve(changes, started, ready, stop))
        except BaseException as error:  # the test must learn of any
            started.append(error)
            ready.set()

    thread = threading.Thread(target=main, name="servers")
    thread.start()
    try:
        assert ready.wait(START_SECONDS), "the servers did not start in time"
        proxy = started[0]
        if isinstance(proxy, BaseException):
            raise proxy
        yield proxy
    finally:
        for end in stop:
            end()
        thread.join(START_SECONDS)
        assert not thread.is_alive(), "the servers did not stop in time"
        errors = [error for error in started[1:] if isinstance(error, BaseException)]
        if errors:
            raise errors[0]


async def _serve(
    changes: dict[str, Any],
    started: list[Proxy | BaseException],
    ready: threading.Event,
    stop: list[Callable[[], object]],
) -> None:
    lines: list[str] = []
    async with Simulator() as simulator:
        settings = dataclasses.replace(
            Settings(port=0, state_dir=Path("/nonexistent")),
            **{"augment_api_url": simulator.url, "augment_api_token": simulator.token, **changes},
        )
        sockets = open_sockets("127.0.0.1", 0)
        url = urls(sockets, "127.0.0.1")[0]
        log = Log(settings.logging, settings.log_format, body_limit=settings.log_body_limit, write=lines.append)
        async with open_app(settings, log, use_cli=False) as (app, _):
            loop = asyncio.get_running_loop()

            def on_ready() -> None:
                started.append(Proxy(url, simulator, lines, loop, server))
                ready.set()

            def end() -> None:
                with contextlib.suppress(RuntimeError):  # its loop is closed where the test has stopped it
                    loop.call_soon_threadsafe(setattr, server, "should_exit", True)

            server = Server(app, settings.shutdown_grace, on_ready)
            stop.append(end)
            await server.serve(sockets)
