"""What workers share: limits that hold for all processes together, and outlive each of them."""

import asyncio
import multiprocessing
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

if sys.platform == "win32":
    pytest.skip("workers are refused there", allow_module_level=True)

from collections.abc import AsyncGenerator

from augment_open_proxy.core.errors import ErrorKind, ProxyError
from augment_open_proxy.server import shared
from augment_open_proxy.server.limits import Limits
from augment_open_proxy.server.shared import Cells, Places, Shared, SharedShares, Window
from augment_open_proxy.server.shares import DAY, Shares
from augment_open_proxy.settings import Settings
from augment_open_proxy.state import StateFolder
from augment_open_proxy.upstream.budget import ALWAYS
from tests.flow import Batch, drained, of, source

ONE, TWO = "01" * 32, "ff" * 32
"""Digests."""
_spawn = multiprocessing.get_context("spawn")


def in_another_process(work: Callable[..., object], *given: object) -> None:
    process = _spawn.Process(target=work, args=given)
    process.start()
    process.join(20)
    assert process.exitcode == 0


class Clock:
    def __init__(self, now: float = 1e9) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def nanoseconds(self) -> int:
        return int(self.now * 1e9)


# --- In several processes ---


def add_many(cells: Cells) -> None:
    """When all three are there."""
    with cells.held() as numbers:
        numbers[1] += 1
    while numbers[1] < 3:
        pass
    for _ in range(20_000):
        with cells.held() as numbers:
            numbers[0] += 1


def test_a_change_of_one_process_is_never_lost_to_another() -> None:
    cells = Cells(2)
    processes = [_spawn.Process(target=add_many, args=(cells,)) for _ in range(2)]
    for process in processes:
        process.start()
    add_many(cells)
    for process in processes:
        process.join(20)
    with cells.held() as numbers:
        assert numbers[0] == 60_000


def take_and_die(places: Places) -> None:
    assert places.take(2) == 2
    sys.exit(0)


def test_who_died_has_no_place() -> None:
    places = Places(3)
    places.release(places.take())  # so that this process does not sit where the other one sat
    in_another_process(take_and_die, places)
    assert [places.take() for _ in range(4)] == [1, 1, 1, 0]


def take_until_told(places: Places, pipe: Any) -> None:
    pipe.send(places.take(2))
    pipe.recv()
    places.release()
    pipe.send(None)
    pipe.recv()


def test_places_of_the_living_are_theirs() -> None:
    places = Places(3)
    here, there = _spawn.Pipe()
    process = _spawn.Process(target=take_until_told, args=(places, there))
    process.start()
    assert here.recv() == 2
    assert places.take(5) == 1
    assert places.take() == 0
    here.send(None)
    here.recv()
    assert places.take(5) == 1
    places.release(2)
    assert places.take(5) == 2
    here.send(None)
    process.join(20)


def count_one(shares: SharedShares) -> None:
    assert shares.admit(TWO, None, 10) is None
    assert shares.admit(ONE, 2, None) is None


def test_what_another_process_counted_counts() -> None:
    shares = SharedShares()
    assert shares.admit(ONE, 2, None) is None
    in_another_process(count_one, shares)
    assert shares.admit(ONE, 2, None) == "requests"
    shares.add(TWO, 0, 10)
    assert shares.admit(TWO, None, 10) == "tokens"


# --- Each of them ---


def test_so_many_begin_within_a_time() -> None:
    clock = Clock()
    window = Window(2, 60, clock.nanoseconds)
    assert [window.take(), window.take()] == [0, 0]
    assert window.left() == 60
    clock.now += 45
    assert window.take() == 15
    clock.now += 15
    assert [window.take(), window.take(), window.take()] == [0, 0, 60]


def test_a_new_day_is_a_new_share() -> None:
    clock = Clock(100.5 * DAY)
    shares = SharedShares(clock)
    assert shares.admit(ONE, 1, None) is None
    assert shares.admit(ONE, 1, None) == "requests"
    clock.now += DAY
    assert shares.admit(TWO, 1, None) is None
    assert shares.admit(ONE, 1, None) is None
    assert shares.admit(ONE, 1, None) == "requests"


def test_what_was_counted_is_kept_and_found_by_one_process_alone_too(tmp_path: Path) -> None:
    clock = Clock(100.5 * DAY)
    state = StateFolder(tmp_path)
    shares = SharedShares(clock)
    shares.add(ONE, 3, 4)
    shares.add(TWO, 5, 0)
    shares.save_in(state)
    alone = Shares(state, clock, clock)
    assert (alone.of(ONE).requests, alone.of(ONE).tokens, alone.of(TWO).requests) == (3, 4, 5)
    again = SharedShares(clock)
    again.load_from(state)
    assert again.admit(ONE, 4, None) is None
    assert again.admit(ONE, 4, None) == "requests"
    clock.now += DAY
    tomorrow = SharedShares(clock)
    tomorrow.load_from(state)
    assert tomorrow.admit(ONE, 1, None) is None


def test_more_keys_than_there_is_room_for_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "MOST_KEYS", 1)
    shares = SharedShares()
    shares.add(ONE, 1, 0)
    with pytest.raises(RuntimeError, match="1 keys"):
        shares.add(TWO, 1, 0)
    shares.add(ONE, 1, 0)


def test_some_retries_are_free_in_any_case() -> None:
    given = Shared(Settings())
    assert [given.may_retry() for _ in range(ALWAYS + 1)] == [True] * ALWAYS + [False]


# --- Limits ---


def test_turns_wait_for_a_shared_place_and_are_refused_in_time() -> None:
    @source
    async def turn() -> AsyncGenerator[Batch]:
        yield 0, []
        await asyncio.sleep(0.05)
        yield 0, []

    async def run(limits: Limits) -> None:
        await drained(limits.within(turn()))

    async def story() -> None:
        settings = Settings(max_concurrency=1)
        together = Shared(settings)
        first, second = (Limits(1, 0, 5, together) for _ in range(2))
        started = asyncio.get_running_loop().time()
        await asyncio.gather(*(run(limits) for limits in (first, second, first, second)))
        assert asyncio.get_running_loop().time() - started >= 0.2, "one after the other"
        assert together.turns is not None
        together.turns.take()
        with pytest.raises(ProxyError, match="AOP_MAX_CONCURRENCY") as caught:
            await run(Limits(1, 0, 0.05, together))
        assert caught.value.problem.kind is ErrorKind.RATE_LIMITED
        together.turns.release()
        await run(first)

    asyncio.run(story())


def test_a_turn_that_leaves_while_it_waits_for_the_minute_frees_its_shared_place() -> None:
    async def story() -> None:
        together = Shared(Settings(max_concurrency=1, rate_limit=1))
        limits = Limits(1, 1, 0.05, together)

        await drained(limits.within(of((0, []))))
        with pytest.raises(ProxyError, match="AOP_RATE_LIMIT"):
            await drained(limits.within(of((0, []))))
        assert together.turns is not None
        assert together.turns.take() == 1

    asyncio.run(story())
