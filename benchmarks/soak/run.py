"""The course of the soak: load with a restart, figures when all is still, more load, figures again, many streams."""

import asyncio
import random
import time
from collections import Counter
from pathlib import Path

from benchmarks.soak.apis import CHAT, MESSAGES, RESPONSES
from benchmarks.soak.backend import Counts
from benchmarks.soak.client import Client, Wrong, texts
from benchmarks.soak.exchanges import EXCHANGES, Asking, Exchange, check_whole
from benchmarks.soak.processes import Backend, Figures, Proxy, backend, proxy

WORKERS = 24
"""Exchanges at a time."""
RESTART_AT, STILL_AT = 0.25, 0.5
"""Parts of the time after which the proxy is restarted, and its figures after that are taken."""
WARM_UP = 4
"""How often each exchange is done before the first figures: whatever is loaded late has been loaded by then."""
MOST_DESCRIPTORS = WORKERS
"""By how many the open descriptors may have grown: the connections to the backend that are kept, at most."""
MOST_MEMORY = 12.0
"""By how many MiB the resident memory may have grown."""
STILL_SECONDS = 10.0
"""How long the backend's open calls may take to end after the load."""
MOST_SHOWN = 20


class Soak:
    """`run` gives the faults that were found."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder = folder
        self._chance = random.Random(seed)
        self._done: Counter[str] = Counter()
        self._faults: list[str] = []
        self._started = time.monotonic()

    async def run(self, seconds: float, streams: int) -> list[str]:
        async with backend() as simulator, proxy(self._folder, simulator.url) as running:
            await self._mixed(running, simulator, seconds)
            await self._many(running, simulator, streams)
        self._check_log(running)
        return self._faults

    # ---------------------------------------------------------------------- load

    async def _mixed(self, running: Proxy, simulator: Backend, seconds: float) -> None:
        client = Client(running.url)
        asking = Asking(client, self._chance)
        load = asyncio.create_task(self._load(asking, self._started + seconds * STILL_AT))
        await asyncio.sleep(seconds * RESTART_AT)
        await self._restart(running, client)
        await load
        await asyncio.gather(*(self._try(exchange, asking) for exchange in EXCHANGES for _ in range(WARM_UP)))
        self._say(f"{sum(self._done.values())} exchanges, {client.repeated} requests repeated at the restart")
        before = await self._still(running, simulator, client)
        asking.client = client = Client(running.url)
        await self._load(asking, time.monotonic() + seconds * (1 - STILL_AT))
        after = await self._still(running, simulator, client)
        self._say(", ".join(f"{name} {count}" for name, count in sorted(self._done.items())))
        self._check_growth(before, after)

    async def _restart(self, running: Proxy, client: Client) -> None:
        client.away_since = began = time.monotonic()
        await running.stop()
        stopped = time.monotonic()
        await running.start()
        self._say(f"restarted: {stopped - began:.2f} s to its end, {time.monotonic() - stopped:.2f} s to its start")
        await asyncio.sleep(0.2)
        client.away_since = None

    async def _load(self, asking: Asking, end: float) -> None:
        await asyncio.gather(*(self._work(asking, end) for _ in range(WORKERS)))

    async def _work(self, asking: Asking, end: float) -> None:
        """One exchange after another, each kind as often as its share."""
        deck: list[Exchange] = []
        while time.monotonic() < end and len(self._faults) < MOST_SHOWN:
            if not deck:
                deck = [exchange for exchange, share in EXCHANGES.items() for _ in range(share)]
                self._chance.shuffle(deck)
            await self._try(deck.pop(), asking)

    async def _try(self, exchange: Exchange, asking: Asking) -> None:
        name = exchange.__name__
        try:
            await exchange(asking)
        except Exception as error:  # a connection that broke is a finding, too
            self._faults.append(f"{name} at {time.monotonic() - self._started:.2f} s: {error!r}")
        self._done[name] += 1

    # ------------------------------------------------------------------- figures

    async def _still(self, running: Proxy, simulator: Backend, client: Client) -> Figures:
        """The proxy's figures when no request is under way; the client's connections are closed before."""
        await client.close()
        counts = await self._quiet(simulator)
        if counts.open:
            self._faults.append(f"{counts.open} calls of the backend are open {STILL_SECONDS:g} s after the load")
        await asyncio.sleep(0.2)
        figures = running.figures()
        self._say(
            f"still: {figures.descriptors} descriptors, {figures.memory:.1f} MiB; the backend had up to {counts.most} "
            f"calls open, and {counts.left_early} were left"
        )
        return figures

    async def _quiet(self, simulator: Backend) -> Counts:
        counts = await simulator.counts()
        most, end = counts.most, time.monotonic() + STILL_SECONDS
        while counts.open and time.monotonic() < end:
            await asyncio.sleep(0.1)
            counts = await simulator.counts()
        return Counts(counts.open, most, counts.left_early)

    def _check_growth(self, before: Figures, after: Figures) -> None:
        descriptors, memory = after.descriptors - before.descriptors, after.memory - before.memory
        self._say(
            f"grown by {descriptors} descriptors (at most {MOST_DESCRIPTORS}), {memory:.1f} MiB (at most {MOST_MEMORY})"
        )
        if descriptors > MOST_DESCRIPTORS:
            self._faults.append(f"{descriptors} descriptors more than before")
        if memory > MOST_MEMORY:
            self._faults.append(f"{memory:.1f} MiB more than before")

    # -------------------------------------------------------------- many streams

    async def _many(self, running: Proxy, simulator: Backend, streams: int) -> None:
        """All streams at once, each so slow that the last begins before the first one ends."""
        client = Client(running.url)
        lines = 20
        delay = max(3.0, streams / 80) / lines
        await simulator.counts()
        started = time.monotonic()
        results = await asyncio.gather(*(self._stream(client, i, lines, delay) for i in range(streams)))
        seconds = time.monotonic() - started
        memory = running.figures().memory
        await client.close()
        counts = await self._quiet(simulator)
        whole = results.count("")
        self._say(f"{whole} of {streams} streams whole in {seconds:.1f} s, {counts.most} at once, {memory:.1f} MiB")
        self._faults += sorted({result for result in results if result})[:MOST_SHOWN]
        if counts.most < streams:
            self._faults.append(f"only {counts.most} of {streams} streams came to be open at once")
        if counts.open:
            self._faults.append(f"{counts.open} calls of the backend are open after the streams")

    async def _stream(self, client: Client, number: int, lines: int, delay: float) -> str:
        """What is wrong with it."""
        api, wanted = (CHAT, MESSAGES, RESPONSES)[number % 3], texts(number, lines)
        try:
            check_whole(*await client.ask(api, {**api.body(wanted.prompt(delay=delay)), "stream": True}), wanted)
        except Wrong as error:
            return str(error)
        except Exception as error:
            return f"a stream broke: {type(error).__name__} {error}"
        return ""

    # ------------------------------------------------------------------------ end

    def _check_log(self, running: Proxy) -> None:
        if any(running.exit_codes):
            self._faults.append(f"the proxy's exit codes are {running.exit_codes}")
        text = running.log.read_text(errors="replace")
        if tracebacks := text.count("Traceback"):
            at = text.index("Traceback")
            self._faults.append(f"{tracebacks} tracebacks in the proxy's log, the first: {text[at : at + 3000]}")
        self._faults += [f"the proxy's log: {line}" for line in text.splitlines() if "could not be stored" in line][:5]

    def _say(self, line: str) -> None:
        print(f"{time.monotonic() - self._started:6.1f} s  {line}", flush=True)
