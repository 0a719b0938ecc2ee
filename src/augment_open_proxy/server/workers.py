"""Several processes that serve one port: workers, each as a single process would serve, and their parent.

The parent opens the port, starts the workers, and replaces one that ends. It alone is told to stop; what it wants of
a worker goes through a pipe, whose end tells a worker that its parent is gone. Limits hold for all workers together
(`shared.py`). A signal that reaches parent and workers at once, as ctrl-C does, is one request to stop.
"""

import asyncio
import contextlib
import dataclasses
import logging
import multiprocessing
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Sequence
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import FrameType
from typing import Literal

import msgspec
from msgspec import Struct

from augment_open_proxy.journal.store.opening import MEMORY, default_url
from augment_open_proxy.server.listen import divided
from augment_open_proxy.server.provision import Ready, client_keys, needs_key, seal_secret, simulated
from augment_open_proxy.server.shared import Shared
from augment_open_proxy.server.shares import SAVE_EVERY
from augment_open_proxy.server.stopping import SIGNALS, Stop
from augment_open_proxy.settings import Settings, SettingsError
from augment_open_proxy.state import StateFolder

Order = Literal["stop", "hurry"]
"""What the parent tells a worker."""
_log = logging.getLogger(__name__)
_spawn = multiprocessing.get_context("spawn")


class Unusable(Struct, frozen=True):
    """What a worker tells its parent when the settings cannot be used: `message` says why, for the user."""

    message: str


class Leaving(Struct, frozen=True):
    """What a worker tells its parent when it takes no more connections."""


Report = Ready | Unusable | Leaving


def serve(
    settings: Settings,
    sockets: list[socket.socket],
    stop: Stop,
    *,
    demo: bool = False,
    on_ready: Callable[[Ready], None],
) -> int:
    """Serve with `settings.workers` processes until `stop` ends them; returns the exit code. Raises `SettingsError`.

    Where the state folder cannot be written there is nothing that they could share, and this process serves alone.
    """
    if settings.store in MEMORY:
        raise SettingsError(
            f"AOP_WORKERS={settings.workers} needs a store that processes can share, and AOP_STORE={settings.store} is"
            " one process's own: leave AOP_STORE unset for a file in the state folder, or set AOP_WORKERS=1"
        )
    state = StateFolder(settings.state_dir)
    seal_secret(settings, state)
    keys, _ = client_keys(settings, state)
    asks_for_key = needs_key(settings, keys)
    keys.close()
    state.describe()
    if state.warning is not None:
        from augment_open_proxy.server import run

        notice = f"one worker instead of {settings.workers}, which have nothing to share without a state folder"

        def announce(ready: Ready) -> None:
            on_ready(msgspec.structs.replace(ready, notices=(*ready.notices, notice)))

        return run.serve(settings, sockets, stop, demo=demo, on_ready=announce)
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    return asyncio.run(_serve(settings, sockets, stop, state, demo, on_ready, asks_for_key))


async def _serve(
    settings: Settings,
    sockets: list[socket.socket],
    stop: Stop,
    state: StateFolder,
    demo: bool,
    on_ready: Callable[[Ready], None],
    asks_for_key: bool,
) -> int:
    loop = asyncio.get_running_loop()
    async with contextlib.AsyncExitStack() as stack:
        if demo:
            settings = await stack.enter_async_context(simulated(settings))
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            settings = dataclasses.replace(settings, store=settings.store or default_url(Path(folder)))
        shared = Shared(settings, asks_for_key=asks_for_key)
        shared.shares.load_from(state)
        stack.callback(shared.shares.save_in, state)
        parent = Parent(settings, divided(sockets, settings.workers), shared, on_ready, use_cli=not demo)

        def tell() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed, all has ended
                loop.call_soon_threadsafe(parent.stop)

        stop.tell(tell)
        saving = asyncio.create_task(_save_on(shared, state))
        try:
            return await parent.run()
        finally:
            saving.cancel()


async def _save_on(shared: Shared, state: StateFolder) -> None:
    while True:
        await asyncio.sleep(SAVE_EVERY)
        shared.shares.save_in(state)


# --- The parent ------------------------------------------------------------------------------------------------------


class Worker:
    """A worker as its parent sees it. `number` says which sockets it has."""

    def __init__(self, number: int, process: SpawnProcess, pipe: Connection) -> None:
        self.number = number
        self.process = process
        self.is_ready = False
        self.is_replaced = False
        self._pipe = pipe

    @property
    def channel(self) -> int:
        """The descriptor that can be read when there is a report."""
        return self._pipe.fileno()

    def order(self, order: Order) -> None:
        with contextlib.suppress(OSError):  # it is gone
            self._pipe.send(order)

    def report(self) -> Report | None:
        """The next that has come. Raises `EOFError` or `OSError` when no more can."""
        report: Report | None = self._pipe.recv() if self._pipe.poll() else None
        return report

    def close(self) -> None:
        self._pipe.close()


class Parent:
    """Starts the workers, replaces those that end, and ends them all."""

    def __init__(
        self,
        settings: Settings,
        sockets: Sequence[list[socket.socket]],
        shared: Shared,
        on_ready: Callable[[Ready], None],
        *,
        use_cli: bool,
    ) -> None:
        self._settings = settings
        self._sockets = sockets
        self._shared = shared
        self._on_ready = on_ready
        self._use_cli = use_cli
        self._workers: list[Worker] = []
        self._stops = 0
        self._is_announced = False
        self._failure: str | None = None
        """Why no worker can start, in words for the user; blank where it has said so itself."""
        self._over = asyncio.Event()

    async def run(self) -> int:
        """Serve to the end; returns the exit code. Raises `SettingsError`."""
        resource_tracker.ensure_running()  # its start, which `multiprocessing` needs once, lifts the blocks of signals
        try:
            for number in range(len(self._sockets)):
                self._start(number)
            await self._over.wait()
        finally:
            for worker in self._workers:
                worker.close()
        if self._failure:
            raise SettingsError(self._failure)
        return 0 if self._failure is None else 1

    def stop(self) -> None:
        """End in good order, or the second time at once."""
        self._stops += 1
        for sockets in self._sockets:
            for bound in sockets:
                bound.close()
        for worker in self._workers:
            worker.order("stop" if self._stops == 1 else "hurry")
        if not self._workers:
            self._over.set()

    def _start(self, number: int) -> None:
        here, there = _spawn.Pipe()
        process = _spawn.Process(
            target=_work,
            args=(self._settings, self._sockets[number], self._shared, there),
            kwargs={"use_cli": self._use_cli},
        )
        # A worker is born with signals blocked, and hears them when it knows what to do.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        there.close()
        worker = Worker(number, process, here)
        self._workers.append(worker)
        loop = asyncio.get_running_loop()
        loop.add_reader(worker.channel, self._hear, worker)
        loop.add_reader(process.sentinel, self._bury, worker)

    def _hear(self, worker: Worker) -> None:
        try:
            while (report := worker.report()) is not None:
                self._note(worker, report)
        except (EOFError, OSError):
            asyncio.get_running_loop().remove_reader(worker.channel)  # `_bury` does the rest

    def _note(self, worker: Worker, report: Report) -> None:
        match report:
            case Ready():
                worker.is_ready = True
                self._announce(report)
            case Leaving():
                self._replace(worker)
            case Unusable(message):
                self._failure = message

    def _announce(self, ready: Ready) -> None:
        """Tell it once, when all are ready."""
        if not self._is_announced and not self._stops and all(worker.is_ready for worker in self._workers):
            self._is_announced = True
            self._on_ready(msgspec.structs.replace(ready, workers=len(self._workers)))

    def _replace(self, worker: Worker) -> None:
        if not self._stops and not worker.is_replaced:
            worker.is_replaced = True
            self._start(worker.number)

    def _bury(self, worker: Worker) -> None:
        """A worker's process has ended."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(worker.process.sentinel)
        self._hear(worker)
        loop.remove_reader(worker.channel)
        worker.close()
        worker.process.join()
        self._workers.remove(worker)
        if not self._stops:
            if worker.is_ready or worker.is_replaced:
                _log.warning("a worker %s; another takes its place", _end(worker.process))
                self._replace(worker)
            else:
                self._give_up(worker)
        if self._stops and not self._workers:
            self._over.set()

    def _give_up(self, worker: Worker) -> None:
        """A worker that cannot start would not the next time, either."""
        if self._failure is None:
            self._failure = ""
            _log.error("a worker %s before it took requests; the proxy stops", _end(worker.process))
        self.stop()


def _end(process: SpawnProcess) -> str:
    code = process.exitcode or 0
    how = f"with exit code {code}" if code >= 0 else f"by {signal.Signals(-code).name}"
    return f"(process {process.pid}) ended {how}"


# --- A worker --------------------------------------------------------------------------------------------------------


class Orders(Stop):
    """The requests to stop that a worker hears: a signal that comes beside an order counts once with it."""

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGTERM:  # the parent alone answers to ctrl-C
            self.obey("stop")

    def obey(self, order: Order) -> None:
        while self.count < (1 if order == "stop" else 2):
            self.ask()


def _work(settings: Settings, sockets: list[socket.socket], shared: Shared, pipe: Connection, *, use_cli: bool) -> None:
    """The life of a worker."""
    with Orders() as orders:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        from augment_open_proxy.server.run import loop_factory

        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(_serve_share(settings, sockets, shared, pipe, orders, use_cli))


async def _serve_share(
    settings: Settings,
    sockets: list[socket.socket],
    shared: Shared,
    pipe: Connection,
    orders: Orders,
    use_cli: bool,
) -> None:
    from augment_open_proxy.server.run import run

    loop = asyncio.get_running_loop()

    def hear() -> None:
        try:
            orders.obey(pipe.recv())
        except (EOFError, OSError):
            loop.remove_reader(pipe.fileno())
            orders.obey("stop")

    def tell(report: Report) -> None:
        with contextlib.suppress(OSError):  # the parent is gone
            pipe.send(report)

    def leave() -> None:
        tell(Leaving())

    loop.add_reader(pipe.fileno(), hear)
    try:
        await run(settings, sockets, orders, use_cli=use_cli, on_ready=tell, on_leaving=leave, shared=shared)
    except SettingsError as error:
        tell(Unusable(str(error)))
    finally:
        loop.remove_reader(pipe.fileno())
