"""Sources and sinks of tests: replies that are written as generators, and what comes out of a source or an answer."""

import functools
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import ParamSpec

from augment_open_proxy.core.events import Event
from augment_open_proxy.server.flow import Sink, Source, Waiting, put
from augment_open_proxy.upstream.client import Answer

Batch = tuple[int, list[Event]]
"""The number of a choice, and events of it."""
P = ParamSpec("P")


def source(batches: Callable[P, AsyncGenerator[Batch]]) -> Callable[P, Source]:
    """A generator of batches → a source of them."""

    @functools.wraps(batches)
    def made(*args: P.args, **kwargs: P.kwargs) -> Source:
        async def run(sink: Sink) -> None:
            async with aclosing(batches(*args, **kwargs)) as given:
                async for choice, events in given:
                    await put(sink, choice, events)

        return run

    return made


@source
async def of(*batches: Batch) -> AsyncGenerator[Batch]:
    """These batches."""
    for batch in batches:
        yield batch


async def drained(source: Source) -> list[Batch]:
    """All batches of a source."""
    out: list[Batch] = []

    def sink(choice: int, events: list[Event]) -> Waiting:
        out.append((choice, events))
        return None

    await source(sink)
    return out


async def read(answer: Answer, silence: float | None = None) -> bytes:
    """What arrives next of the body of an answer; empty at its end, or after so many seconds of silence."""
    taken: list[bytes] = []

    def take(data: bytes) -> bool:
        taken.append(data)
        return False

    last = await answer.pump(take, silence)
    return b"".join(taken) if last is None else last
