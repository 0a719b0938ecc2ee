"""Several turns side by side (`n` of Chat Completions): their batches in the order in which they come."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from augment_open_proxy.core.events import Event

Batch = tuple[int, list[Event]]
"""The number of a choice, and events of it."""
_WAITING = 16
"""Batches that may wait for a slow client, for all choices together."""


async def side_by_side(turns: Sequence[AsyncGenerator[list[Event]]]) -> AsyncGenerator[Batch]:
    """The batches of all turns, each with its turn's number. Leaving it ends the turns; a failure of one is raised."""
    if len(turns) == 1:
        async with aclosing(turns[0]) as batches:
            async for events in batches:
                yield 0, events
        return
    queue: asyncio.Queue[Batch | None] = asyncio.Queue(_WAITING)

    async def drain(choice: int, turn: AsyncGenerator[list[Event]]) -> None:
        try:
            async with aclosing(turn) as batches:
                async for events in batches:
                    await queue.put((choice, events))
        finally:
            await queue.put(None)

    tasks = [asyncio.create_task(drain(choice, turn)) for choice, turn in enumerate(turns)]
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
