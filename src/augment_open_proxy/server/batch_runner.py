"""Runs the requests of message batches in the background, each through the pipeline of any request.

They are claimed in the store, which gives each to one process; the claim of a process that died runs out, and another
runs the request again. A request whose result is stored is never run again.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from augment_open_proxy.core.errors import FAILED, TOO_DEEP, ErrorKind, Problem, ProxyError
from augment_open_proxy.core.events import Cancelled, Event, Failure
from augment_open_proxy.dialects.anthropic_messages import ANTHROPIC_MESSAGES
from augment_open_proxy.dialects.anthropic_messages.batches import State
from augment_open_proxy.dialects.dialect import Whole
from augment_open_proxy.journal.log import Log
from augment_open_proxy.journal.record import Record, Recorder
from augment_open_proxy.journal.store.opening import MEMORY, SQLITE, Stores, StoreUnavailable
from augment_open_proxy.journal.store.records import BatchRequest
from augment_open_proxy.server.asgi import Headers, Scope
from augment_open_proxy.server.exchange import Exchange
from augment_open_proxy.server.flow import Waiting
from augment_open_proxy.server.ids import SESSION_HEADERS
from augment_open_proxy.server.keeping import kept
from augment_open_proxy.server.keys import KEY, KeyRing, ShareSpent
from augment_open_proxy.server.renewal import Renewal

if TYPE_CHECKING:
    from augment_open_proxy.journal.store.database import Database
    from augment_open_proxy.server.shared import Places

RESUME_AFTER = 1.0
"""Seconds after the start, so that the first requests of clients do not wait for what the last process left."""
POLL = 2.0
"""Seconds between two looks for requests that other processes gave up, while there is work anywhere."""
IDLE = 10.0
"""The same, for a store that may be shared, while there is none."""
TRIES = 5
FIRST_PAUSE, LONGEST_PAUSE = 2.0, 600.0
"""Seconds between two tries; each pause is twice the last."""
NO_PLACE_PAUSE = 5.0
TEMPORARY = (
    ErrorKind.RATE_LIMITED,
    ErrorKind.OVERLOADED,
    ErrorKind.BACKEND,
    ErrorKind.TIMEOUT,
    ErrorKind.STORE,
)
_log = logging.getLogger(__name__)


class _Job:
    """A request that is run here. `is_cancelled`: its batch is; `record` is that of its last try.

    `is_admitted`: it was counted as one of its key's share of the day, and is not again.
    """

    def __init__(self, request: BatchRequest) -> None:
        self.request = request
        self.started = time.monotonic()
        self.phase: Literal["claimed", "running", "ending"] = "claimed"
        self.is_admitted = self.is_cancelled = False
        self.record = self.new_record()

    def new_record(self) -> Record:
        path = f"/v1/messages/batches/{self.request.batch}/{self.request.custom_id}"
        return Record("BATCH", path, self.started)


class _NoPlace(ProxyError):  # noqa: N818 (nothing went wrong)
    """The proxy's own limits left no place for the request; the backend was not asked."""


class _Stopped(Exception):  # noqa: N818 (an outcome, not an error)
    """The proxy is being stopped while a request waits for its next try."""


class BatchRunner:
    """Runs up to `concurrency` requests at once: here, or with `places` in all workers together."""

    def __init__(
        self,
        exchange: Exchange,
        stores: Stores,
        renewal: Renewal,
        log: Log,
        concurrency: int,
        keys: KeyRing,
        places: "Places | None" = None,
    ) -> None:
        self._exchange = exchange
        self._stores = stores
        self._renewal = renewal
        self._log = log
        self._concurrency = concurrency
        self._keys = keys
        self._places = places
        self._jobs: dict[_Job, asyncio.Task[None]] = {}
        self._claiming: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._stopping = asyncio.Event()
        self._is_shared = False
        self._is_lost = False

    # ------------------------------------------------------------- from outside

    def resume(self, url: str, *, is_shared: bool) -> None:
        """Begin by itself, soon, where the store at `url` may hold work: in a file that is there, or on a server.

        `is_shared`: other workers use it, so it may hold work at any time.
        """
        if url in MEMORY:
            return
        self._is_shared = is_shared or not url.startswith(SQLITE)
        if self._is_shared or Path(url.removeprefix(SQLITE)).exists():
            self._claiming = asyncio.create_task(self._claim_on(RESUME_AFTER))

    def wake(self) -> None:
        """Look for requests: a batch was stored."""
        self._changed.set()
        if self._claiming is None:
            self._claiming = asyncio.create_task(self._claim_on(None))

    def end(self, batch: str) -> None:
        """End the requests of a batch that was cancelled. Those whose result is being stored come to their end."""
        for job, task in self._jobs.items():
            if job.request.batch == batch and not job.is_cancelled:
                job.is_cancelled = True
                if job.phase == "running":
                    task.cancel()

    def stop(self) -> None:
        """Claim nothing more."""
        self._stopping.set()
        self._changed.set()

    async def drain(self) -> None:
        """Claim nothing more, and wait until nothing runs."""
        self.stop()
        while self._jobs:
            await asyncio.wait(self._jobs.values())

    async def close(self) -> None:
        """Leave what runs: it is run again, here after the next start or elsewhere, when its lease has run out."""
        self.stop()
        tasks = [*self._jobs.values(), *([self._claiming] if self._claiming else [])]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    # ------------------------------------------------------- what `Renewal` asks

    @property
    def is_busy(self) -> bool:
        return bool(self._jobs)

    async def renewed(self, store: "Database", asked: Sequence[str]) -> None:
        """End what was cancelled through another process."""
        for batch in {job.request.batch for job in self._jobs}:
            if await store.batches.is_cancelled(batch):
                self.end(batch)

    # ----------------------------------------------------------------- claiming

    async def _claim_on(self, pause: float | None) -> None:
        """Claim whenever something has changed, at the latest after the pause."""
        while not self._stopping.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._changed.wait()
            self._changed.clear()
            pause = await self._claim()

    async def _claim(self) -> float | None:
        """Begin what there is room for; after how many seconds to look again, if nothing changes here before."""
        room = self._concurrency - len(self._jobs)
        if room <= 0 or self._stopping.is_set():
            return None
        try:
            store = await self._stores.open()
            await self._claim_up_to(room, store)
            has_work = bool(self._jobs) or await store.batches.has_work()
        except StoreUnavailable as error:
            if not self._is_lost:
                _log.warning("batches wait until the store can be reached: %s", error)
            self._is_lost = True
            return IDLE
        self._is_lost = False
        if has_work:
            return POLL
        return IDLE if self._is_shared else None

    async def _claim_up_to(self, room: int, store: "Database") -> None:
        """Raises `StoreUnavailable`."""
        before = len(self._jobs)
        if self._places is not None:
            room = self._places.take(room)
        try:
            for request in await store.batches.claim(room, time.time()) if room else ():
                self._begin(request)
        finally:
            if self._places is not None:
                self._places.release(room - (len(self._jobs) - before))

    def _begin(self, request: BatchRequest) -> None:
        key = request.batch, request.number
        if any(key == (job.request.batch, job.request.number) for job in self._jobs):
            return  # its lease ran out, as it does while a laptop sleeps; it was claimed again, and goes on
        job = _Job(request)
        task = self._jobs[job] = asyncio.create_task(self._run(job))
        task.add_done_callback(lambda _: self._forget(job))
        self._renewal.cover(self)

    def _forget(self, job: _Job) -> None:
        del self._jobs[job]
        if self._places is not None:
            self._places.release()
        self._changed.set()

    # ------------------------------------------------------------------ running

    async def _run(self, job: _Job) -> None:
        state: State = "canceled"
        result: bytes | None = None
        try:
            if not job.is_cancelled:
                job.phase = "running"
                state, result = await self._outcome(job)
        except (asyncio.CancelledError, _Stopped):
            if not job.is_cancelled:
                job.record.error = "the proxy was stopped; the request will be run again"
                self._log.write(job.record)
                return
        job.phase = "ending"
        if state == "canceled":
            job.record.status, job.record.error = 200, "cancelled"
        await self._finish(job.request, state, result)
        self._log.write(job.record)

    async def _finish(self, request: BatchRequest, state: State, result: bytes | None) -> None:
        """Store the result, however long the store takes to be there again."""
        while True:
            try:
                store = await self._stores.open()
                await store.batches.finish(request, state, result, time.time())
                return
            except StoreUnavailable as error:
                _log.warning("the result of %s in %s waits for the store: %s", request.custom_id, request.batch, error)
                await asyncio.sleep(POLL)

    async def _outcome(self, job: _Job) -> tuple[State, bytes]:
        """The message or the error, after as many tries as it takes."""
        tries = 0
        while True:
            record = job.record = job.new_record()
            if tries:
                record.notices = (f"try {tries + 1}",)
            problem: Problem
            pause: float | None
            try:
                return "succeeded", await self._attempt(job)
            except _NoPlace as error:
                problem, pause = error.problem, NO_PLACE_PAUSE
            except ShareSpent as error:
                problem, pause = error.problem, None  # it would keep its place from others for the rest of the day
            except ProxyError as error:
                tries += 1
                problem, pause = error.problem, pause_after(error.problem, tries)
            except RecursionError:
                problem, pause = TOO_DEEP, None
            except Exception:
                _log.exception("a request of a batch failed")
                problem, pause = FAILED, None
            if pause is None:
                record.status, record.error = ANTHROPIC_MESSAGES.errors[problem.kind].status, problem.message
                return "errored", ANTHROPIC_MESSAGES.render_error(problem, record.request_id or "")
            await self._wait(pause)

    async def _wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
            raise _Stopped

    async def _attempt(self, job: _Job) -> bytes:
        """The message. Raises `ProxyError` and `_NoPlace`."""
        request, record = job.request, job.record
        scope = _scope(request, self._keys)
        key = scope.get(KEY)
        if job.is_admitted:
            scope[KEY] = None
        begun = await self._exchange.begin(ANTHROPIC_MESSAGES, request.params, scope, record, owner=request.owner)
        job.is_admitted = True
        source = begun.source
        if begun.parsed.keep is not None:
            source = kept(source, begun.turn(), 1, self._stores, begun.items_of, begun.notices)
        whole = Whole(ANTHROPIC_MESSAGES.render_reply, begun.parsed.delivery)
        recorder = Recorder(record, keep_body=False)
        message = b""
        failure: Problem | None = None

        def feed(_: int, events: list[Event]) -> Waiting:
            nonlocal message, failure
            recorder.feed(events)
            message += whole.feed(events)
            if isinstance(events[-1], Failure):
                failure = events[-1].problem
            return None

        try:
            await source(feed)
        except ProxyError as error:  # what the backend refuses comes as an event
            if error.problem.kind is ErrorKind.RATE_LIMITED:
                raise _NoPlace(error.problem) from error
            raise
        except asyncio.CancelledError:
            recorder.feed([Cancelled()])
            raise
        finally:
            self._keys.count(key, record.spent)
        record.notices += tuple(begun.notices)
        record.effective_model = begun.asked.model_id
        if failure is not None:
            raise ProxyError(failure)
        if not message:
            raise RuntimeError("a reply must end with a terminal event")
        record.status = 200
        if self._log.keeps_bodies:
            record.response = msgspec.Raw(message)
        return message


def pause_after(problem: Problem, tries: int) -> float | None:
    """Seconds from one try to the next, the backend's own wish included; `None` where there is to be none."""
    if problem.kind not in TEMPORARY or tries >= TRIES:
        return None
    return min(max(FIRST_PAUSE * 2.0 ** (tries - 1), problem.retry_after or 0), LONGEST_PAUSE)


def kept_headers(scope: Scope) -> bytes:
    """What is stored of a client's headers: those that name its session, and never a key."""
    kept = [
        (name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"] if name in SESSION_HEADERS
    ]
    key = scope.get(KEY)
    if key is not None:
        kept.append((KEY, key.digest))
    return msgspec.json.encode(kept) if kept else b""


def _scope(request: BatchRequest, keys: KeyRing) -> Scope:
    """A scope as if the client asked: its session, and its owner in the place of its key. Raises `ProxyError`."""
    given = msgspec.json.decode(request.headers, type=list[tuple[str, str]]) if request.headers else []
    digest = next((value for name, value in given if name == KEY), None)
    headers: Headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in given if name != KEY]
    scope: Scope = {"headers": [*headers, (b"x-api-key", request.owner.encode())]}
    if digest is not None:
        scope[KEY] = keys.known(digest)
    return scope
