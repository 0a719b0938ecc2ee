"""Several turns side by side (`n` of Chat Completions): their batches in the order in which they come."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from augment_open_proxy.core.events import Event

Batch = tuple[int, list[Event]]
"""The number of a choice, and events of it."""
_WAITING = 16
"""Batches that may wait for a slow client, for all choices together."""


def side_by_side(turns: Sequence[AsyncGenerator[Batch]]) -> AsyncGenerator[Batch]:
    """The batches of all turns. Leaving it ends the turns; a failure of one is raised."""
    return turns[0] if len(turns) == 1 else _side_by_side(turns)


async def _side_by_side(turns: Sequence[AsyncGenerator[Batch]]) -> AsyncGenerator[Batch]:
    queue: asyncio.Queue[Batch | None] = asyncio.Queue(_WAITING)

    async def drain(turn: AsyncGenerator[Batch]) -> None:
        try:
            async with aclosing(turn) as batches:
                async for batch in batches:
                    await queue.put(batch)
        finally:
            await queue.put(None)

    tasks = [asyncio.create_task(drain(turn)) for turn in turns]
    try:
        running = len(tasks)
        while running:
            batch = await queue.get()
            if batch is None:
                running -= 1
            else:
                yield batch
        for task in tasks:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        while not all(task.done() for task in tasks):
            while not queue.empty():
                queue.get_nowait()  # what a turn still has to say must not keep it from ending
            await asyncio.wait(tasks, timeout=0.05)
