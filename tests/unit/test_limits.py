"""Places for turns: given out in order, waited for within bounds, and free again whatever happens to a turn."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable

import pytest

from augment_open_proxy.core.errors import ErrorKind, ProxyError
from augment_open_proxy.server import limits
from augment_open_proxy.server.limits import Limits
from tests.flow import Batch, drained, of, source


class Turns:
    """Turns that run until they are told to end; `begun` are those that got their place, in their order."""

    def __init__(self, concurrency: int = 0, rate: int = 0, patience: float | None = 5.0) -> None:
        self._limits = Limits(concurrency, rate, patience)
        self._ends: dict[str, asyncio.Event] = {}
        self.begun: list[str] = []

    async def ask(self, name: str) -> asyncio.Task[None]:
        """Begin a turn, and see how far it gets."""
        self._ends[name] = asyncio.Event()
        task = asyncio.create_task(self._run(name))
        await settle()
        return task

    async def end(self, name: str) -> None:
        self._ends[name].set()
        await settle()

    async def _run(self, name: str) -> None:
        await drained(self._limits.within(source(self._batches)(name)))

    async def _batches(self, name: str) -> AsyncGenerator[Batch]:
        self.begun.append(name)
        await self._ends[name].wait()
        yield 0, []


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def play(story: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with asyncio.timeout(5):
            await story()

    asyncio.run(whole())


def test_without_limits_a_turn_goes_its_own_way() -> None:
    turn = of()
    assert Limits(0, 0, 1.0).within(turn) is turn


def test_so_many_turns_run_at_once_and_the_others_follow_in_their_order() -> None:
    async def story() -> None:
        turns = Turns(concurrency=2)
        for name in "abcde":
            await turns.ask(name)
        assert turns.begun == ["a", "b"]
        await turns.end("b")
        assert turns.begun == ["a", "b", "c"]
        await turns.end("a")
        await turns.end("c")
        assert turns.begun == ["a", "b", "c", "d", "e"]
        for name in "de":
            await turns.end(name)

    play(story)


def test_a_turn_that_comes_later_does_not_overtake() -> None:
    async def story() -> None:
        turns = Turns(concurrency=1)
        await turns.ask("first")
        await turns.ask("second")
        turns._ends["first"].set()
        await turns.ask("late")
        assert turns.begun == ["first", "second"]
        await turns.end("second")
        await turns.end("late")
        assert turns.begun == ["first", "second", "late"]

    play(story)


def test_a_place_that_does_not_get_free_in_time_is_a_429() -> None:
    async def story() -> None:
        turns = Turns(concurrency=1, patience=0.05)
        first = await turns.ask("first")
        second = await turns.ask("second")
        with pytest.raises(ProxyError) as caught:
            await second
        problem = caught.value.problem
        assert problem.kind is ErrorKind.RATE_LIMITED
        assert problem.retry_after == limits.BUSY_RETRY_AFTER
        assert "AOP_MAX_CONCURRENCY" in problem.message
        assert "AOP_QUEUE_TIMEOUT_MS" in problem.message
        await turns.end("first")
        await first
        third = await turns.ask("third")
        assert turns.begun == ["first", "third"], "who gave up takes no place"
        await turns.end("third")
        await third

    play(story)


def test_the_wait_is_not_bounded_where_the_setting_is_off() -> None:
    async def story() -> None:
        turns = Turns(concurrency=1, patience=None)
        await turns.ask("first")
        second = await turns.ask("second")
        await asyncio.sleep(0.05)
        assert not second.done()
        await turns.end("first")
        await turns.end("second")
        await second

    play(story)


@pytest.mark.parametrize("waits", [True, False])
def test_a_turn_that_leaves_frees_its_place(waits: bool) -> None:
    async def story() -> None:
        turns = Turns(concurrency=1)
        first = await turns.ask("first")
        second = await turns.ask("second")
        third = await turns.ask("third")
        leaving = second if waits else first
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        await turns.end("first")
        await turns.end("second")
        await turns.end("third")
        await third
        assert turns.begun == (["first", "third"] if waits else ["first", "second", "third"])

    play(story)


def test_a_turn_that_fails_frees_its_place() -> None:
    async def story() -> None:
        given = Limits(1, 0, 0.05)

        @source
        async def failing() -> AsyncGenerator[Batch]:
            yield 0, []
            raise OSError("broken")

        for _ in range(3):
            with pytest.raises(OSError, match="broken"):
                await drained(given.within(failing()))

    play(story)


def test_so_many_turns_begin_within_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MINUTE", 0.3)

    async def story() -> None:
        loop = asyncio.get_running_loop()
        turns = Turns(rate=2)
        started = loop.time()
        tasks = [await turns.ask(name) for name in "abcd"]
        assert turns.begun == ["a", "b"], "though both may be over before the next begins"
        for name in "abcd":
            await turns.end(name)
        await asyncio.gather(*tasks)
        assert turns.begun == ["a", "b", "c", "d"]
        assert 0.3 <= loop.time() - started < 0.6, "the third and the fourth began with the next minute"

    play(story)


def test_a_rate_that_is_used_up_is_a_429_that_says_when_it_is_not() -> None:
    async def story() -> None:
        turns = Turns(rate=1, patience=0.05)
        first = await turns.ask("a")
        await turns.end("a")
        await first
        with pytest.raises(ProxyError) as caught:
            await (await turns.ask("b"))
        problem = caught.value.problem
        assert problem.kind is ErrorKind.RATE_LIMITED
        assert "AOP_RATE_LIMIT" in problem.message
        assert 59 < (problem.retry_after or 0) <= 60

    play(story)


def test_a_turn_that_leaves_while_it_waits_for_the_minute_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MINUTE", 0.2)

    async def story() -> None:
        turns = Turns(concurrency=2, rate=1)
        await turns.ask("a")
        leaving = await turns.ask("b")
        await turns.end("a")
        third = await turns.ask("c")
        leaving.cancel()
        await turns.end("c")
        await third
        assert turns.begun == ["a", "c"]

    play(story)


def test_of_both_limits_the_one_that_is_in_the_way_is_named() -> None:
    async def story() -> None:
        turns = Turns(concurrency=1, rate=1, patience=0.05)
        first = await turns.ask("a")
        await turns.end("a")
        await first
        with pytest.raises(ProxyError, match="AOP_RATE_LIMIT"):
            await (await turns.ask("b"))
        turns = Turns(concurrency=1, rate=5, patience=0.05)
        await turns.ask("a")
        with pytest.raises(ProxyError, match="AOP_MAX_CONCURRENCY"):
            await (await turns.ask("b"))
        await turns.end("a")

    play(story)
