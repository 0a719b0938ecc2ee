"""How the events of a reply flow: a source gives batches of them to a sink, in plain calls.

Nothing sleeps between the backend's bytes and the client's: a sink that must be waited for, such as one whose client
is slow, says so by what it returns. Long work, such as on a large request, lets the event loop run between its steps,
so that no stream waits for it.
"""

import asyncio
import time
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from functools import partial
from typing import Any, TypeVar

from augment_open_proxy.core.events import Event, Failure
from augment_open_proxy.core.steps import Steps

STRETCH = 0.002
"""Seconds of work after which the others have their turn; a step that takes longer than that is not cut."""
LARGE = 64 * 1024
"""Bytes of a body from which on it may take so long; what a smaller one asks for is done in one go."""

T = TypeVar("T")
Waiting = Awaitable[None] | None
"""What is to be awaited before the next batch is given; mostly nothing."""
Sink = Callable[[int, list[Event]], Waiting]
"""Takes events of a choice, by its number. Raises no `ProxyError`."""
Source = Callable[[Sink], Coroutine[Any, Any, None]]
"""Gives a sink all of a reply, to its terminal event. Raises `ProxyError`. Cancelling it ends the reply."""


async def put(sink: Sink, choice: int, events: list[Event]) -> None:
    """Give a batch, and wait as long as the sink asks for it."""
    waiting = sink(choice, events)
    if waiting is not None:
        await waiting


def at_once(coroutine: Coroutine[Any, Any, None]) -> Waiting:
    """Run a coroutine up to where it waits for something: what is left of it, nothing where it never does.

    Raises what it raises. Until it first waits, it must not ask for the task that it runs in.
    """
    try:
        awaited = coroutine.send(None)
    except StopIteration:
        return None
    return rest(coroutine, awaited)


@types.coroutine
def rest(coroutine: Coroutine[Any, Any, T], awaited: Any) -> Generator[Any, Any, T]:
    """What is left of a coroutine that has begun, and waits for `awaited`."""
    while True:
        try:
            sent = yield awaited
        except BaseException as error:  # such as the task's cancellation
            step = partial(coroutine.throw, error)
        else:
            step = partial(coroutine.send, sent)
        try:
            awaited = step()
        except StopIteration as end:
            returned: T = end.value
            return returned


def side_by_side(sources: Sequence[Source]) -> Source:
    """All of them (`n` of Chat Completions) into one sink, as their batches come. One that fails ends the others."""
    return sources[0] if len(sources) == 1 else partial(_side_by_side, sources)


async def _side_by_side(sources: Sequence[Source], sink: Sink) -> None:
    has_failed = False

    def feed(choice: int, events: list[Event]) -> Waiting:
        nonlocal has_failed
        if has_failed:
            return None
        has_failed = type(events[-1]) is Failure
        return sink(choice, events)

    tasks = {asyncio.create_task(source(feed)) for source in sources}
    running = tasks
    try:
        while running and not has_failed:
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled():
                task.exception()  # the first one was raised


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
