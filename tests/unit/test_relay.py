"""Carrying a reply to its client: who is slow, who leaves, and what is cut off."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import pytest

from augment_open_proxy.core.conversation import Text
from augment_open_proxy.core.errors import ErrorKind, Problem, ProxyError
from augment_open_proxy.core.events import BlockDelta, BlockStart, Event, Finish, Opening, Usage
from augment_open_proxy.dialects.dialect import Delivery, renderer
from augment_open_proxy.dialects.openai_chat import OPENAI_CHAT
from augment_open_proxy.journal.record import Record, Recorder
from augment_open_proxy.server import relay
from augment_open_proxy.server.relay import STOPPED, Relay, Relays
from tests.flow import Batch, source

OPENING = Opening("chatcmpl-1", 0, "m", 1)
BEGUN: list[Event] = [BlockStart(0, Text("")), BlockDelta(0, "Hi")]
ENDED = Finish("stop", 1, Usage())


class Client:
    """One that takes what it is sent. While `is_slow` is set it takes nothing; `leave` closes its connection."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.looks = 0
        self.takes = asyncio.Event()
        self.takes.set()
        self._left = asyncio.Event()
        self.record = Record("POST", "/", 0.0)

    async def send(self, message: Any) -> None:
        await self.takes.wait()
        self.sent.append(message)

    async def receive(self) -> Any:
        self.looks += 1
        await self._left.wait()
        return {"type": "http.disconnect"}

    def leave(self) -> None:
        self._left.set()

    def relay(self, choices: int = 1, among: Relays | None = None) -> Relay:
        delivery = Delivery(stream=True, choices=choices)
        recorder = Recorder(self.record, choices, keep_body=False)
        rendering = renderer(OPENAI_CHAT, delivery)
        return Relay(among or Relays(), self.send, rendering, list, recorder, streams=True, choices=choices)

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)


@source
async def hanging(*batches: Batch) -> AsyncGenerator[Batch]:
    """These batches, then silence."""
    for batch in batches:
        yield batch
    await asyncio.Event().wait()


def play(story: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with asyncio.timeout(5):
            await story()

    asyncio.run(whole())


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 (what is waited for has no event)
        await asyncio.sleep(0.001)


def test_a_slow_client_is_waited_for_quietly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither with heartbeats that it would not read, nor by looking again and again."""
    monkeypatch.setattr(relay, "FIRST_HEARTBEAT", 0.02)
    monkeypatch.setattr(relay, "HEARTBEAT", 0.02)

    async def story() -> None:
        client = Client()
        client.takes.clear()
        task = asyncio.create_task(client.relay().run(client.receive, hanging((0, [OPENING]), (0, BEGUN))))
        await asyncio.sleep(0.3)
        assert client.looks <= 20
        client.takes.set()
        await until(lambda: b": keep-alive" in client.body)
        client.leave()
        await task
        assert client.body.count(b"Hi") == 1

    play(story)


def test_a_reply_is_cut_off_with_an_error_after_what_was_said() -> None:
    async def story() -> None:
        client, relays = Client(), Relays()
        task = asyncio.create_task(client.relay(among=relays).run(client.receive, hanging((0, [OPENING]), (0, BEGUN))))
        await until(lambda: b"Hi" in client.body)
        relays.cut_off()
        await task
        assert STOPPED.message.encode() in client.body
        assert not client.sent[-1]["more_body"]
        assert client.record.error == STOPPED.message

    play(story)


def test_of_several_choices_one_that_runs_is_told() -> None:
    async def story() -> None:
        client, relays = Client(), Relays()
        ended: list[Event] = [BlockStart(0, Text("")), BlockDelta(0, "Hi"), ENDED]
        batches = hanging((0, [OPENING]), (1, [OPENING]), (0, ended), (1, BEGUN))
        task = asyncio.create_task(client.relay(choices=2, among=relays).run(client.receive, batches))
        await until(lambda: client.body.count(b"Hi") == 2)
        relays.cut_off()
        await task
        assert client.body.count(STOPPED.message.encode()) == 1

    play(story)


def test_nothing_begins_after_that() -> None:
    async def story() -> None:
        relays = Relays()
        relays.cut_off()
        client = Client()
        with pytest.raises(ProxyError, match="being stopped"):
            await client.relay(among=relays).run(client.receive, hanging())

    play(story)


def test_one_that_is_leaving_does_not_keep_the_others_from_being_cut_off() -> None:
    """Its turn may take a while to end."""

    @source
    async def ends_slowly() -> AsyncGenerator[Batch]:
        try:
            yield 0, [OPENING]
            yield 0, BEGUN
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)

    async def story() -> None:
        leaving, staying, relays = Client(), Client(), Relays()
        tasks = [
            asyncio.create_task(client.relay(among=relays).run(client.receive, ends_slowly()))
            for client in (leaving, staying)
        ]
        await until(lambda: b"Hi" in leaving.body and b"Hi" in staying.body)
        leaving.leave()
        await asyncio.sleep(0.01)
        relays.cut_off()
        await asyncio.gather(*tasks)
        assert STOPPED.message.encode() in staying.body

    play(story)


def test_a_client_that_leaves_after_the_end_has_not_left() -> None:
    """uvicorn tells of every connection that it is closed once its reply is out."""

    @source
    async def ends_slowly() -> AsyncGenerator[Batch]:
        yield 0, [OPENING]
        yield 0, [*BEGUN, ENDED]
        await asyncio.sleep(0.05)

    async def story() -> None:
        client = Client()
        task = asyncio.create_task(client.relay().run(client.receive, ends_slowly()))
        await until(lambda: b"[DONE]" in client.body)
        client.leave()
        await task
        assert client.record.error is None

    play(story)


def test_a_timeout_of_something_else_is_not_the_client_s_leaving() -> None:
    @source
    async def failing() -> AsyncGenerator[Batch]:
        yield 0, [OPENING]
        raise TimeoutError("the store")

    async def story() -> None:
        client = Client()
        with pytest.raises(TimeoutError, match="the store"):
            await client.relay().run(client.receive, failing())
        assert client.record.error is None

    play(story)


def test_an_early_failure_is_raised_so_that_it_has_its_status() -> None:
    @source
    async def failing() -> AsyncGenerator[Batch]:
        yield 0, [OPENING]
        raise ProxyError(Problem(ErrorKind.RATE_LIMITED, "full"))

    async def story() -> None:
        client = Client()
        with pytest.raises(ProxyError, match="full"):
            await client.relay().run(client.receive, failing())
        assert client.sent == []

    play(story)


def test_a_late_one_is_told_in_the_stream() -> None:
    """Such as that of a second choice, for which no place got free."""

    @source
    async def failing() -> AsyncGenerator[Batch]:
        yield 0, [OPENING]
        yield 0, BEGUN
        raise ProxyError(Problem(ErrorKind.RATE_LIMITED, "full"))

    async def story() -> None:
        client = Client()
        await client.relay().run(client.receive, failing())
        assert b"full" in client.body
        assert not client.sent[-1]["more_body"]
        assert client.record.error == "full"

    play(story)
