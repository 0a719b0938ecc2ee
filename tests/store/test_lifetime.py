"""What is stored is deleted when its time is over, and the oldest when there is too much: whole chains at a time."""

from pathlib import Path

import pytest
from sqlalchemy import Table, func, select

from augment_open_proxy.journal.store import cleaning
from augment_open_proxy.journal.store.database import Database
from augment_open_proxy.journal.store.records import Conversation, Page
from augment_open_proxy.journal.store.schema import metadata
from tests.store.samples import DAY, OWNER, Clock, Place, after, asynchronous, batch, items, requests, running, turn


async def ids(store: Database) -> list[str]:
    turns, _ = await store.turns.page("response", OWNER, Page(limit=1000, order="asc"))
    return [found.id for found in turns]


async def save_some_of_everything(store: Database, clock: Clock) -> None:
    first = turn("a")
    await store.turns.save(first)
    await store.turns.save(after(first, "b"))
    await store.turns.save(running("c"))
    await store.turns.append("c", 0, first.replies[0][:1])
    await store.conversations.create(Conversation(id="conv_1", owner=OWNER, created=1), items("x", "y"))
    await store.batches.create(batch(clock), requests(3))


async def rows(store: Database) -> dict[str, int]:
    """How many rows there are by table, but for empty ones."""

    async def count(table: Table) -> int:
        found = await store.access.read(select(func.count()).select_from(table))
        number: int = found[0][0]
        return number

    counts = {name: await count(table) for name, table in metadata.tables.items()}
    return {name: number for name, number in counts.items() if number}


@asynchronous
async def test_what_is_over_is_not_seen_before_it_is_deleted(place: Place) -> None:
    async with place.open() as store:
        await save_some_of_everything(store, place.clock)
        place.clock.now += 30 * DAY + 1
        assert await store.turns.load("a", OWNER, "response") is None
        assert await store.turns.chain("b", OWNER, "response") == []
        assert await ids(store) == []
        assert await store.turns.events_after("c", OWNER, 0) == ([], True)
        assert await store.conversations.items("conv_1", OWNER) is None
        assert await store.batches.load("batch_1", OWNER) is None
        assert await store.batches.page(OWNER, Page()) == ([], False)
        assert not await store.batches.has_work()
        assert await store.batches.claim(3, place.clock.now) == []


@asynchronous
async def test_what_is_over_is_deleted_with_all_it_holds(place: Place) -> None:
    async with place.open() as store:
        await save_some_of_everything(store, place.clock)
        before = await rows(store)
        assert len(before) == 7
        place.clock.now += 30 * DAY - 1
        await store.cleaner.clean()
        assert await rows(store) == before
        place.clock.now += 2
        await store.cleaner.clean()
        assert await rows(store) == {}


@asynchronous
async def test_a_deletion_by_the_owner_leaves_nothing_behind(place: Place) -> None:
    async with place.open() as store:
        await save_some_of_everything(store, place.clock)
        for id_ in ("a", "b", "c"):
            assert await store.turns.delete(id_, OWNER, "response")
        assert await store.conversations.delete("conv_1", OWNER)
        assert await store.batches.delete("batch_1", OWNER)
        assert await rows(store) == {}


@asynchronous
async def test_a_chain_lives_as_long_as_its_youngest_turn(place: Place) -> None:
    async with place.open(ttl=DAY) as store:
        first = turn("a")
        await store.turns.save(first)
        await store.turns.save(turn("other"))
        place.clock.now += DAY - 1
        await store.turns.save(after(first, "b"))
        place.clock.now += DAY - 1
        await store.cleaner.clean()
        assert await ids(store) == ["a", "b"]
        place.clock.now += 2
        await store.cleaner.clean()
        assert await ids(store) == []


@asynchronous
async def test_a_conversation_lives_on_with_each_item(place: Place) -> None:
    async with place.open(ttl=DAY) as store:
        await store.conversations.create(Conversation(id="conv_1", owner=OWNER, created=1), [])
        place.clock.now += DAY - 1
        await store.conversations.add("conv_1", OWNER, items("a"))
        place.clock.now += DAY - 1
        await store.turns.save(turn(conversation="conv_1"), items("b"))
        place.clock.now += DAY - 1
        await store.cleaner.clean()
        assert await store.conversations.items("conv_1", OWNER) == items("a", "b")


@asynchronous
async def test_what_is_over_never_begins_again(place: Place) -> None:
    async with place.open(ttl=DAY) as store:
        await save_some_of_everything(store, place.clock)
        place.clock.now += DAY + 1
        new = after(turn("b"), "new", root="a", conversation="conv_1")
        await store.turns.save(new, items("z"))  # it began when all was still there
        for _ in range(2):
            assert await ids(store) == ["new"]
            assert await store.turns.load("new", OWNER, "response") == new
            assert await store.turns.chain("new", OWNER, "response") == []
            assert await store.conversations.items("conv_1", OWNER) is None
            await store.cleaner.clean()
        assert await rows(store) == {"aop_turns": 1, "aop_lives": 1}


@asynchronous
async def test_a_turn_that_is_saved_again_after_its_time_lives_again_alone(place: Place) -> None:
    async with place.open(ttl=DAY) as store:
        await save_some_of_everything(store, place.clock)
        place.clock.now += DAY + 1
        await store.turns.save(turn("a"))
        await store.cleaner.clean()
        assert await ids(store) == ["a"]


@asynchronous
async def test_many_lives_and_large_ones_are_deleted_in_small_steps(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cleaning, "LIVES_AT_ONCE", 2)
    monkeypatch.setattr(cleaning, "ROWS_AT_ONCE", 3)
    async with place.open() as store:
        await save_some_of_everything(store, place.clock)
        previous = turn("a")
        for number in range(10):
            await store.turns.save(turn(f"single{number}"))
            previous = after(previous, f"chained{number}")
            await store.turns.save(previous)
            await store.turns.append("c", number + 1, previous.replies[0])
        place.clock.now += 30 * DAY + 1
        await store.turns.save(turn("new"))
        await store.cleaner.clean()
        assert await ids(store) == ["new"]
        assert await rows(store) == {"aop_turns": 1, "aop_lives": 1}


# --- Size ------------------------------------------------------------------------------------------------------------

KILOBYTE = b"x" * 1000


async def save_large(store: Database, place: Place, *names: str) -> None:
    """About 10 KB each, a second after one another."""
    for name in names:
        place.clock.now += 1
        await store.turns.save(turn(name, request=KILOBYTE * 9))


@asynchronous
async def test_the_oldest_are_deleted_when_there_is_too_much(place: Place) -> None:
    async with place.open(size_limit=35_000) as store:
        await save_large(store, place, "a", "b", "c")
        await store.cleaner.clean()
        assert await ids(store) == ["a", "b", "c"]
        await save_large(store, place, "d", "e")
        await store.cleaner.clean()
        assert await ids(store) == ["c", "d", "e"]


@asynchronous
async def test_a_chain_goes_as_a_whole_and_is_as_young_as_its_youngest_turn(place: Place) -> None:
    async with place.open(size_limit=35_000) as store:
        await save_large(store, place, "a", "b")
        place.clock.now += 1
        await store.turns.save(after(turn("a"), "a2", request=KILOBYTE * 9))
        await save_large(store, place, "c")
        await store.cleaner.clean()
        assert await ids(store) == ["a", "a2", "c"]
        await save_large(store, place, "d")
        await store.cleaner.clean()
        assert await ids(store) == ["c", "d"]


@asynchronous
async def test_what_was_replaced_or_deleted_does_not_count(place: Place) -> None:
    async with place.open(size_limit=35_000) as store:
        for _ in range(5):
            await save_large(store, place, "a", "b", "c")
        await save_large(store, place, "d")
        assert await store.turns.delete("d", OWNER, "response")
        for _ in range(5):
            await store.turns.save(running("e"))
            await store.turns.save(turn("e", background=True))
        await store.cleaner.clean()
        assert await ids(store) == ["a", "b", "c", "e"]


@asynchronous
async def test_a_running_turn_that_failed_counts_with_what_it_gave(place: Place) -> None:
    async with place.open(size_limit=35_000) as store:
        await save_large(store, place, "a", "b", "c")
        await store.turns.save(running("d"))
        await store.turns.append("d", 0, turn("d").replies[0][:1])
        place.clock.now += 60
        assert await store.turns.load("d", OWNER, "response") is not None
        await store.cleaner.clean()
        assert await ids(store) == ["a", "b", "c", "d"]


@asynchronous
async def test_the_file_shrinks(sqlite_place: Place, tmp_path: Path) -> None:
    file = tmp_path / "state" / "store.db"
    async with sqlite_place.open(size_limit=1_000_000) as store:
        for number in range(300):
            await save_large(store, sqlite_place, f"resp_{number}")
    assert file.stat().st_size > 2_700_000
    async with sqlite_place.open(size_limit=1_000_000) as store:
        await store.cleaner.clean()
        assert await ids(store)
    assert file.stat().st_size < 1_200_000


@asynchronous
async def test_an_open_store_cleans_itself(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cleaning, "FIRST", 0.01)
    monkeypatch.setattr(cleaning, "EVERY", 0.01)
    async with place.open() as store:
        await save_some_of_everything(store, place.clock)
        place.clock.now += 30 * DAY + 1
        while await rows(store):
            pass
