"""What is written at once is committed together, and stands and falls alone."""

import asyncio
import sqlite3
from collections.abc import Awaitable
from contextlib import closing

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from augment_open_proxy.journal.store import access, engine
from augment_open_proxy.journal.store.database import Database
from augment_open_proxy.journal.store.opening import StoreUnavailable
from tests.postgres import Postgres
from tests.store.samples import OWNER, Place, asynchronous, items, turn

TOO_LARGE = 2**80
"""No database has an integer for it."""


async def outcomes(*waiting: Awaitable[object]) -> list[object]:
    """What each gave, or the name of what it raised."""
    found = await asyncio.gather(*waiting, return_exceptions=True)
    return [type(one).__name__ if isinstance(one, BaseException) else one for one in found]


@asynchronous
async def test_many_writes_take_few_commits(place: Place) -> None:
    async with place.open() as store:
        await store.turns.save(turn("first"))
        before = store.access.writer.commits
        await asyncio.gather(*(store.turns.save(turn(f"resp_{number}")) for number in range(100)))
        assert store.access.writer.commits - before == 1


@asynchronous
async def test_what_comes_during_a_commit_goes_into_the_next(place: Place) -> None:
    async with place.open() as store:

        async def save_in_turn(name: str) -> None:
            for number in range(10):
                await store.turns.save(turn(f"{name}_{number}"))

        before = store.access.writer.commits
        await asyncio.gather(*(save_in_turn(name) for name in "abcdefgh"))
        assert 10 <= store.access.writer.commits - before <= 30


@asynchronous
async def test_commits_keep_a_distance_but_for_the_first(shared_place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "SPACING", 0.5)
    loop = asyncio.get_running_loop()
    async with shared_place.open() as store:
        await asyncio.sleep(0.5)  # since what opening wrote
        began = loop.time()
        await store.turns.save(turn("first"))
        assert loop.time() - began < 0.4
        before = store.access.writer.commits
        await asyncio.gather(*(store.turns.save(turn(f"resp_{number}")) for number in range(100)))
        assert loop.time() - began >= 0.5
        assert store.access.writer.commits == before + 1


@asynchronous
async def test_a_write_that_fails_fails_alone(place: Place) -> None:
    async with place.open() as store:
        saved = [turn(f"resp_{number}", created=TOO_LARGE if number == 3 else number) for number in range(6)]
        found = await outcomes(*(store.turns.save(one) for one in saved))
        assert [one is None for one in found] == [True, True, True, False, True, True]
        loaded = [await store.turns.load(one.id, OWNER, "response") for one in saved]
        assert loaded == [one if one.created != TOO_LARGE else None for one in saved]
        await store.turns.save(turn("next"))


@asynchronous
async def test_writes_that_wait_in_vain_for_another_process_wait_together(
    sqlite_place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_PRAGMAS", (*engine._PRAGMAS, "PRAGMA busy_timeout = 500"))
    loop = asyncio.get_running_loop()
    async with sqlite_place.open() as store:
        await store.turns.save(turn("before"))
        with closing(sqlite3.connect(sqlite_place.url.removeprefix("sqlite:///"))) as other:
            other.execute("BEGIN IMMEDIATE")
            began = loop.time()
            found = await outcomes(*(store.turns.save(turn(f"resp_{number}")) for number in range(6)))
            assert found == ["StoreUnavailable"] * 6
            assert 0.5 <= loop.time() - began < 1.5
        await store.turns.save(turn("after"))
        assert await store.turns.load("before", OWNER, "response") is not None


@asynchronous
async def test_a_write_is_made_as_a_whole_or_not_at_all(place: Place) -> None:
    async with place.open() as store:

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(text("DELETE FROM aop_turns"))
            raise LookupError

        await store.turns.save(turn("a"))
        assert await outcomes(store.access.change(work), store.turns.save(turn("b"))) == ["LookupError", None]
        assert await store.turns.load("a", OWNER, "response") is not None
        assert await store.turns.load("b", OWNER, "response") is not None


@asynchronous
async def test_a_waiter_that_is_cancelled_takes_nothing_from_the_others(place: Place) -> None:
    async with place.open() as store:
        tasks = [asyncio.create_task(store.turns.save(turn(f"resp_{number}"))) for number in range(6)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        tasks[4].cancel()
        found = await outcomes(*tasks)
        assert found == ["CancelledError", None, None, None, "CancelledError", None]
        for number in (1, 2, 3, 5):
            assert await store.turns.load(f"resp_{number}", OWNER, "response") is not None


@asynchronous
async def test_a_waiter_that_is_cancelled_during_the_commit_breaks_nothing(place: Place) -> None:
    async with place.open() as store:
        for pause in range(12):
            tasks = [asyncio.create_task(store.turns.save(turn(f"{pause}_{number}"))) for number in range(3)]
            for _ in range(pause):
                await asyncio.sleep(0)
            tasks[1].cancel()
            await asyncio.wait(tasks)
            assert await store.turns.load(f"{pause}_0", OWNER, "response") is not None
            assert await store.turns.load(f"{pause}_2", OWNER, "response") is not None


@asynchronous
async def test_readers_that_are_cancelled_break_nothing(place: Place) -> None:
    async with place.open() as store:
        await store.turns.save(turn())
        for pause in range(40):
            tasks = [asyncio.create_task(store.turns.load("resp_1", OWNER, "response")) for _ in range(8)]
            for _ in range(pause):
                await asyncio.sleep(0)
            for task in tasks[::2]:
                task.cancel()
            found = await outcomes(*tasks)
            assert found[1::2] == [turn()] * 4


@asynchronous
async def test_what_waits_when_the_store_closes_is_written(shared_place: Place) -> None:
    async with shared_place.open() as store:
        tasks = [asyncio.create_task(store.turns.save(turn(f"resp_{number}"))) for number in range(20)]
        await asyncio.sleep(0)
    assert await outcomes(*tasks) == [None] * 20
    async with shared_place.open() as store:
        assert await store.turns.load("resp_19", OWNER, "response") is not None


@asynchronous
async def test_a_store_that_is_closed_says_so(place: Place) -> None:
    async with place.open() as store:
        pass
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.turns.save(turn())


@asynchronous
async def test_two_processes_write_to_the_same_database(shared_place: Place) -> None:
    async with shared_place.open() as one, shared_place.open(instance="two") as two:

        async def save(store: Database, name: str) -> None:
            for number in range(20):
                await store.turns.save(turn(f"{name}_{number}"))

        await asyncio.gather(save(one, "a"), save(two, "b"), save(one, "c"), save(two, "d"))
        for name in "abcd":
            assert await one.turns.load(f"{name}_19", OWNER, "response") is not None


@asynchronous
async def test_two_processes_that_lock_in_opposite_orders_both_write(shared_place: Place) -> None:
    async with shared_place.open() as one, shared_place.open(instance="two") as two:
        for name in "ab":
            await one.turns.save(turn(name))
        for round_ in range(20):
            one_way = [one.turns.save(turn(name, created=round_)) for name in "ab"]
            other_way = [two.turns.save(turn(name, created=round_)) for name in "ba"]
            assert await outcomes(*one_way, *other_way) == [None] * 4


# --- A server that goes away -----------------------------------------------------------------------------------------


@asynchronous
async def test_connections_that_the_server_ended_are_made_anew(postgres: Postgres, postgres_url: str) -> None:
    async with Place(postgres_url).open() as store:
        await store.turns.save(turn("a"))
        await store.turns.load("a", OWNER, "response")
        for number in range(3):
            await asyncio.to_thread(postgres.disconnect, postgres_url)
            saves = (store.turns.save(turn(f"{number}_{at}", conversation="x"), items("i")) for at in range(5))
            assert await outcomes(*saves) == [None] * 5
            await asyncio.to_thread(postgres.disconnect, postgres_url)
            assert await store.turns.load("a", OWNER, "response") == turn("a")


@asynchronous
async def test_a_connection_that_ends_in_a_transaction_costs_one_repetition(
    postgres: Postgres, postgres_url: str
) -> None:
    async with Place(postgres_url).open() as store:
        tries = []

        async def work(connection: AsyncConnection) -> int:
            tries.append(1)
            if len(tries) == 1:
                await asyncio.to_thread(postgres.disconnect, postgres_url)
            return (await connection.execute(text("SELECT 7"))).scalar_one()  # type: ignore[no-any-return]

        assert await outcomes(store.access.change(work), store.turns.save(turn())) == [7, None]
        assert len(tries) == 2
