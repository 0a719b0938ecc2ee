"""A turn with a backend that is a list of chunks: what no simulator does."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from augment_open_proxy.core.conversation import ChatRequest, Message, Text
from augment_open_proxy.core.errors import ErrorKind, Problem, ProxyError
from augment_open_proxy.core.events import Event, Failure, Finish
from augment_open_proxy.upstream.attempts import Turn, Upstream
from augment_open_proxy.upstream.budget import RetryBudget
from augment_open_proxy.upstream.credentials import CredentialSource
from augment_open_proxy.upstream.http.connection import Take
from augment_open_proxy.upstream.listing import Listing

ID = "00000000-0000-4000-8000-000000000001"
GOOD = b'{"text":"Hi"}\n{"stop_reason":1}\n'


class Backend:
    """Gives the chunks of an answer; with `breaks`, the connection breaks when it is closed."""

    content_type = b"application/x-ndjson"

    def __init__(self, chunks: Iterable[bytes], *, breaks: bool) -> None:
        self._chunks = [*chunks, b""]
        self._breaks = breaks
        self.calls = 0

    @asynccontextmanager
    async def stream(self, *_: Any) -> AsyncIterator["Backend"]:
        self.calls += 1
        yield self
        if self._breaks:
            raise ProxyError(Problem(ErrorKind.BACKEND, "broken", remedy="again"))

    async def pump(self, take: Take, silence: float | None = None) -> bytes | None:
        while data := self._chunks.pop(0):
            if not take(data):
                return None
        return b""


class Events:
    """Takes all events."""

    is_over = False

    def __init__(self) -> None:
        self.events: list[Event] = []

    def feed(self, events: list[Event]) -> None:
        self.events += events


def events_of(backend: Any) -> list[Event]:
    async def story() -> list[Event]:
        credentials = CredentialSource("token", "http://backend", None, Path("/nonexistent"))
        upstream = Upstream(backend, credentials, Listing(None), RetryBudget(lambda: 0.0))
        request = ChatRequest("claude-sonnet-4-5", (Message("user", (Text("Hi."),)),))
        taker = Events()
        await Turn(upstream, request, ID, ID, []).run(taker)
        return taker.events

    return asyncio.run(story())


@pytest.mark.parametrize("cut", [1, 5, len(GOOD)])
def test_a_connection_that_breaks_after_the_end_takes_nothing_back(cut: int) -> None:
    chunks = [GOOD[start : start + cut] for start in range(0, len(GOOD), cut)]
    backend = Backend(chunks, breaks=True)
    assert isinstance(events_of(backend)[-1], Finish)
    assert backend.calls == 1


def test_nor_does_it_hide_why_an_answer_failed() -> None:
    backend = Backend([b'{"error":"the model is broken"}\n'], breaks=True)
    (failure,) = events_of(backend)
    assert isinstance(failure, Failure)
    assert "the model is broken" in failure.problem.message


def test_one_that_breaks_before_anything_came_is_tried_again() -> None:
    backend = Backend([b"", GOOD], breaks=True)
    assert isinstance(events_of(backend)[-1], Finish)
    assert backend.calls == 2
