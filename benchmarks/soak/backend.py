"""The simulator as a process of its own: `python -m benchmarks.soak.backend`.

Prints its URL; then, for each line on stdin, its `Counts` as JSON. Ends with its stdin.
"""

import asyncio
import logging
import sys

import msgspec
import uvloop
from msgspec import Struct

from augment_open_proxy.simulator import Simulator

SAMPLED_EVERY = 0.02


class Counts(Struct, frozen=True):
    """The calls that are open, the most of them since the last time that somebody asked, and those left early."""

    open: int
    most: int
    left_early: int


class Watched:
    """A simulator, and how many calls it had open at most."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._most = 0

    async def watch(self) -> None:
        while True:
            self._most = max(self._most, self._simulator.open_calls)
            await asyncio.sleep(SAMPLED_EVERY)

    def taken(self) -> Counts:
        most, self._most = self._most, 0
        return Counts(self._simulator.open_calls, most, self._simulator.closed_early)


async def _serve() -> None:
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # it tells of each client that left early
    async with Simulator(keep=1) as simulator:
        watched = Watched(simulator)
        watching = asyncio.create_task(watched.watch())
        print(simulator.url, flush=True)
        while await asyncio.to_thread(sys.stdin.readline):
            print(msgspec.json.encode(watched.taken()).decode(), flush=True)
        watching.cancel()


if __name__ == "__main__":
    uvloop.run(_serve())
