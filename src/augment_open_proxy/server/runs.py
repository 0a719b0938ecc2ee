"""Background runs: replies that are produced without anyone waiting, stored as they grow, and followed from anywhere.

A run belongs to the process that began it. Others see it through the store: they read on in it, and ask for its end.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from augment_open_proxy.core.errors import FAILED, ErrorKind, Problem, ProxyError
from augment_open_proxy.core.events import Cancelled, Event, Failure, Finish, Opening, closing
from augment_open_proxy.journal.store.opening import Stores, StoreUnavailable
from augment_open_proxy.journal.store.records import Turn
from augment_open_proxy.server.flow import Sink, Source, Waiting, put
from augment_open_proxy.server.keeping import ItemsOf, opened, save, store_problem, with_replies
from augment_open_proxy.server.renewal import Renewal

if TYPE_CHECKING:
    from augment_open_proxy.journal.store.database import Database

FLUSH = 0.25
"""Seconds that events may wait until they are stored, and between two looks at another process' run."""
CANCEL_WAIT = 10.0
"""Seconds that a client waits for the end of a run elsewhere."""
PATIENCE = 60.0
"""Seconds that the end of a run, and who follows it elsewhere, wait for a store that is away."""
_STOPPED = Problem(ErrorKind.INTERNAL, "The proxy was stopped before the response ended.")

See = Callable[[list[Event]], None]
"""Is told all events of a run, in their order."""
_log = logging.getLogger(__name__)


class Run:
    """One reply that is being produced. `events` are those so far; the last one is stored before it is seen."""

    def __init__(self, turn: Turn, stores: Stores, items_of: ItemsOf, see: See) -> None:
        self.events: list[Event] = []
        self._turn = turn
        self._stores = stores
        self._items_of = items_of
        self._see = see
        self._changed = asyncio.Event()
        self._stored = 0
        self._chunks = 0
        self._end: Event = Cancelled()
        self.is_over = False

    async def drain(self, source: Source) -> None:
        """Produce the reply to its end, whatever that is."""
        flushing = asyncio.create_task(self._flush())

        def feed(_: int, events: list[Event]) -> Waiting:
            self.is_over = isinstance(events[-1], Finish | Failure)
            if self.is_over:
                return self._finish(events, flushing, PATIENCE)
            self._publish(events)
            return None

        try:
            await source(feed)
            if not self.is_over:
                raise RuntimeError("a reply must end with a terminal event")
        except asyncio.CancelledError:
            await self._finish(self._ending(self._end), flushing)
        except ProxyError as error:  # such as that of the limits, before the turn began
            await self._finish(self._ending(Failure(error.problem)), flushing)
        except Exception:
            _log.exception("a background response failed")
            await self._finish(self._ending(Failure(FAILED)), flushing)

    def _ending(self, end: Event) -> list[Event]:
        """What makes a whole reply of the events so far, of which there may be none."""
        if not self.events:
            return [Opening(self._turn.id, self._turn.created, self._turn.model, 0), end]
        return [*closing(self.events[-1]), end]

    def end_with(self, end: Event) -> None:
        """What the reply ends with when its task is cancelled."""
        self._end = end

    async def follow(self, sink: Sink) -> None:
        """A source of all events, those to come too."""
        had = 0
        while True:
            changed = self._changed
            if had < len(self.events):
                events, had = self.events[had:], len(self.events)
                await put(sink, 0, events)
                if isinstance(events[-1], Finish | Failure | Cancelled):
                    return
            else:
                await changed.wait()

    def _publish(self, events: list[Event]) -> None:
        self.events += events
        self._see(events)
        self._changed.set()
        self._changed = asyncio.Event()

    async def _finish(self, events: list[Event], flushing: "asyncio.Task[None]", patience: float = 0.0) -> None:
        flushing.cancel()
        with suppress(asyncio.CancelledError):
            await flushing
        whole = with_replies(self._turn, [[*self.events, *events]])
        await save(self._stores, whole, self._items_of, patience=patience)
        self._publish(events)

    async def _flush(self) -> None:
        """Store what has come, so that other processes can follow, and a crash loses little."""
        is_lost = False
        while True:
            await asyncio.sleep(FLUSH)
            if self._stored < len(self.events):
                events = self.events[self._stored :]
                try:
                    store = await self._stores.open()
                    await store.turns.append(self._turn.id, self._chunks, events)
                except StoreUnavailable as error:
                    if not is_lost:
                        _log.warning("events of %s wait for the store: %s", self._turn.id, error)
                    is_lost = True
                except Exception:
                    _log.exception("events of %s could not be stored yet", self._turn.id)
                else:
                    is_lost = False
                    self._stored += len(events)
                    self._chunks += 1


class Runs:
    """The runs of this process, and the way to those of others."""

    def __init__(self, stores: Stores, renewal: Renewal) -> None:
        self._stores = stores
        self._renewal = renewal
        self._runs: dict[str, tuple[Run, asyncio.Task[None]]] = {}

    async def start(self, turn: Turn, source: Source, items_of: ItemsOf, see: See) -> Run:
        """Begin to produce `turn`. It is stored as running when this returns. Raises `ProxyError`."""
        store = await opened(self._stores)
        await store.turns.save(with_replies(turn, [()], is_running=True))
        run = Run(turn, self._stores, items_of, see)
        task = asyncio.create_task(run.drain(source))
        self._runs[turn.id] = run, task
        task.add_done_callback(lambda _: self._runs.pop(turn.id, None))
        self._renewal.cover(self)
        return run

    def follow(self, turn: Turn) -> Source:
        """All events of a turn, those to come too, wherever it runs."""
        return partial(self._follow, turn)

    async def _follow(self, turn: Turn, sink: Sink) -> None:
        if turn.id in self._runs:
            run, _ = self._runs[turn.id]
            await run.follow(sink)
            return
        if not turn.is_running:
            await put(sink, 0, list(turn.replies[0]))
            return
        had, is_over = 0, False
        loop = asyncio.get_running_loop()
        seen = loop.time()
        while not is_over:
            events: list[Event] = []
            try:
                store = await self._stores.open()
                events, is_over = await store.turns.events_after(turn.id, turn.owner, had)
                seen = loop.time()
            except StoreUnavailable as error:
                if loop.time() > seen + PATIENCE:
                    raise ProxyError(store_problem(error)) from error
            had += len(events)
            if events:
                await put(sink, 0, events)
            elif not is_over:
                await asyncio.sleep(FLUSH)

    async def cancel(self, turn: Turn) -> Turn:
        """End a running turn. It is over when this returns, unless its process does not answer."""
        here = self._runs.get(turn.id)
        if here is not None:
            here[1].cancel()
            await asyncio.wait([here[1]])
        else:
            await (await opened(self._stores)).turns.ask_cancel(turn.id, turn.owner)
        end = asyncio.get_running_loop().time() + CANCEL_WAIT
        while turn.is_running and asyncio.get_running_loop().time() < end:
            store = await opened(self._stores)
            turn = await store.turns.load(turn.id, turn.owner, turn.kind) or turn
            if turn.is_running:
                await asyncio.sleep(FLUSH)
        return turn

    async def drain(self) -> None:
        """Wait until no run is left."""
        while self._runs:
            await asyncio.wait([task for _, task in self._runs.values()])

    async def close(self) -> None:
        """End the runs that are left: they are stored as failed."""
        tasks = [task for _, task in self._runs.values()]
        for run, task in list(self._runs.values()):
            run.end_with(Failure(_STOPPED))
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    @property
    def is_busy(self) -> bool:
        return bool(self._runs)

    async def renewed(self, store: "Database", asked: Sequence[str]) -> None:
        """End the runs whose end was asked for elsewhere."""
        for id_ in asked:
            if id_ in self._runs and not self._runs[id_][0].is_over:
                self._runs[id_][1].cancel()
