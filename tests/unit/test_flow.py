"""How events flow: a coroutine that is run at once, and several sources into one sink."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from typing import Any

import pytest

from augment_open_proxy.core.errors import ErrorKind, Problem
from augment_open_proxy.core.events import Event, Failure, Opening
from augment_open_proxy.server.asgi import SENT
from augment_open_proxy.server.flow import Waiting, at_once, put, side_by_side
from tests.flow import Batch, drained, of, source

OPENING: list[Event] = [Opening("chatcmpl-1", 0, "m", 1)]
FAILED: list[Event] = [Failure(Problem(ErrorKind.BACKEND, "It broke."))]


def play(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        async with asyncio.timeout(5):
            await story()

    asyncio.run(whole())


# --- at_once ---


def test_what_never_waits_is_over_at_once() -> None:
    done: list[str] = []

    async def story() -> None:
        async def work() -> None:
            await SENT
            done.append("all of it")

        assert at_once(work()) is None
        assert done == ["all of it"]

    play(story)


def test_what_waits_goes_on_where_it_is_awaited() -> None:
    done: list[str] = []

    async def story() -> None:
        gate, other = asyncio.Event(), asyncio.Event()

        async def work() -> None:
            done.append("begun")
            await gate.wait()
            await asyncio.sleep(0)
            done.append("half")
            await other.wait()
            done.append("all of it")

        waiting = at_once(work())
        assert waiting is not None
        assert done == ["begun"]
        gate.set()
        asyncio.get_running_loop().call_later(0.01, other.set)
        await waiting
        assert done == ["begun", "half", "all of it"]

    play(story)


def test_an_error_is_raised_where_it_happens() -> None:
    async def story() -> None:
        async def at_first() -> None:
            raise OSError("at first")

        async def later() -> None:
            await asyncio.sleep(0.001)
            raise OSError("later")

        with pytest.raises(OSError, match="at first"):
            at_once(at_first())
        waiting = at_once(later())
        assert waiting is not None
        with pytest.raises(OSError, match="later"):
            await waiting

    play(story)


def test_who_cancels_the_wait_cancels_what_is_left() -> None:
    seen: list[str] = []

    async def story() -> None:
        async def work() -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                seen.append("cancelled")
                await asyncio.sleep(0)
                seen.append("tidied up")
                raise

        async def wait(waiting: Awaitable[None]) -> None:
            await waiting

        waiting = at_once(work())
        assert waiting is not None
        task = asyncio.create_task(wait(waiting))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert seen == ["cancelled", "tidied up"]

    play(story)


# --- side_by_side ---


@source
async def silent(choice: int, ended: list[int]) -> AsyncGenerator[Batch]:
    """One that begins, and says no more; `ended` is told its end."""
    try:
        yield choice, OPENING
        await asyncio.Event().wait()
    finally:
        ended.append(choice)


def test_one_source_is_itself() -> None:
    alone = of()
    assert side_by_side([alone]) is alone


def test_several_give_their_batches_as_they_come_and_a_slow_sink_holds_up_each() -> None:
    async def story() -> None:
        gate = asyncio.Event()
        taken: list[int] = []

        def sink(choice: int, events: list[Event]) -> Waiting:
            taken.append(choice)
            return None if gate.is_set() else wait()

        async def wait() -> None:
            await gate.wait()

        both = side_by_side([of((0, OPENING), (0, OPENING)), of((1, OPENING), (1, OPENING))])
        task = asyncio.create_task(both(sink))
        await asyncio.sleep(0.01)
        assert taken == [0, 1]
        gate.set()
        await task
        assert sorted(taken) == [0, 0, 1, 1]

    play(story)


def test_one_that_fails_ends_the_others_and_nothing_comes_after_it() -> None:
    ended: list[int] = []

    @source
    async def talking(choice: int) -> AsyncGenerator[Batch]:
        try:
            while True:
                yield choice, OPENING
                await asyncio.sleep(0)
        finally:
            ended.append(choice)

    async def story() -> None:
        out = await drained(side_by_side([talking(0), of((1, OPENING), (1, FAILED)), talking(2)]))
        assert out[-1] == (1, FAILED)
        assert sorted(ended) == [0, 2]

    play(story)


def test_what_one_raises_is_raised_when_the_others_have_ended() -> None:
    ended: list[int] = []

    @source
    async def breaking() -> AsyncGenerator[Batch]:
        yield 1, OPENING
        raise OSError("it broke")

    async def story() -> None:
        with pytest.raises(OSError, match="it broke"):
            await drained(side_by_side([silent(0, ended), breaking(), silent(2, ended)]))
        assert sorted(ended) == [0, 2]

    play(story)


def test_who_leaves_ends_all() -> None:
    ended: list[int] = []

    async def story() -> None:
        task = asyncio.create_task(drained(side_by_side([silent(0, ended), silent(1, ended)])))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert sorted(ended) == [0, 1]

    play(story)


def test_put_waits_as_long_as_the_sink_asks() -> None:
    async def story() -> None:
        waited: list[bool] = []

        async def wait() -> None:
            await asyncio.sleep(0.001)
            waited.append(True)

        await put(lambda choice, events: wait(), 0, OPENING)
        await put(lambda choice, events: None, 0, OPENING)
        assert waited == [True]

    play(story)
