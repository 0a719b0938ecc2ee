"""Long work beside streams: the event loop runs between its steps, so that nobody waits for a large request."""

import asyncio
import time
from typing import TypeVar

from augment_open_proxy.core.steps import Steps

STRETCH = 0.002
"""Seconds of work after which the others have their turn; a step that takes longer than that is not cut."""

LARGE = 64 * 1024
"""Bytes of a body from which on it may take so long; what a smaller one asks for is done in one go."""

T = TypeVar("T")


async def paced(steps: Steps[T]) -> T:
    """The result of the steps; where it took long, the others have had their turn. Raises what they raise."""
    turn_ends = time.monotonic() + STRETCH
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            if time.monotonic() > turn_ends:
                await asyncio.sleep(0)
            return result
        if time.monotonic() > turn_ends:
            await asyncio.sleep(0)
            turn_ends = time.monotonic() + STRETCH
