"""Turns that run in the background: what they give is stored as it comes, and their end too, whoever brings it."""

import pytest

from augment_open_proxy.core.conversation import Text
from augment_open_proxy.core.errors import ErrorKind
from augment_open_proxy.core.events import BlockStart, BlockStop, Cancelled, Event, Failure, Finish, Opening
from augment_open_proxy.journal.store.access import LEASE
from augment_open_proxy.journal.store.database import Database
from augment_open_proxy.journal.store.opening import StoreUnavailable
from augment_open_proxy.journal.store.records import Page, Turn
from tests.store.samples import OWNER, Place, asynchronous, events_of, running, turn

EVENTS = events_of("Hello.")


async def start(store: Database, *chunks: int) -> None:
    """A turn that runs, with chunks of so many events each."""
    await store.turns.save(running())
    done = 0
    for number, size in enumerate(chunks):
        await store.turns.append("resp_1", number, EVENTS[done : done + size])
        done += size


async def load(store: Database) -> Turn | None:
    return await store.turns.load("resp_1", OWNER, "response")


@asynchronous
async def test_a_turn_that_runs_has_the_events_so_far(place: Place) -> None:
    async with place.open() as store:
        await start(store)
        assert await load(store) == running()
        await start(store, 1, 2)
        assert await load(store) == running(replies=(EVENTS[:3],))


@asynchronous
async def test_a_turn_that_ended_has_what_it_was_saved_with(place: Place) -> None:
    async with place.open() as store:
        await start(store, 1, 2)
        ended = turn(background=True)
        await store.turns.save(ended)
        await store.turns.append("resp_1", 2, EVENTS[3:])  # too late
        assert await load(store) == ended
        assert await store.turns.events_after("resp_1", OWNER, 0) == (list(EVENTS), True)


@asynchronous
async def test_events_are_followed_from_any_place(place: Place) -> None:
    async with place.open() as store:
        await start(store, 2, 1, 1)
        for had in range(6):
            assert await store.turns.events_after("resp_1", OWNER, had) == (list(EVENTS[had:4]), False)
        await store.turns.save(turn(background=True))
        for had in range(6):
            assert await store.turns.events_after("resp_1", OWNER, had) == (list(EVENTS[had:]), True)


@asynchronous
async def test_a_chunk_that_is_written_again_counts_once(place: Place) -> None:
    async with place.open() as store:
        await start(store, 2)
        await store.turns.append("resp_1", 0, EVENTS[:2])
        assert await store.turns.events_after("resp_1", OWNER, 0) == (list(EVENTS[:2]), False)


@asynchronous
async def test_only_its_owner_follows_or_cancels_a_turn(place: Place) -> None:
    async with place.open() as store:
        await start(store, 2)
        assert await store.turns.events_after("resp_1", "another", 0) == ([], True)
        assert not await store.turns.ask_cancel("resp_1", "another")
        assert await store.turns.renew() == []


@asynchronous
async def test_another_process_can_ask_to_cancel(shared_place: Place) -> None:
    async with shared_place.open() as runs, shared_place.open(instance="two") as asks:
        await start(runs, 2)
        assert await asks.turns.ask_cancel("resp_1", OWNER)
        assert await asks.turns.renew() == []
        assert await runs.turns.renew() == ["resp_1"]
        await runs.turns.save(turn(background=True, replies=((*EVENTS[:2], BlockStop(0), Cancelled()),)))
        assert await runs.turns.renew() == []
        assert not await asks.turns.ask_cancel("resp_1", OWNER)


@asynchronous
async def test_a_turn_that_is_deleted_while_it_runs_is_to_be_cancelled_and_stays_deleted(place: Place) -> None:
    async with place.open() as store:
        await start(store, 2)
        assert await store.turns.delete("resp_1", OWNER, "response")
        assert await store.turns.renew() == ["resp_1"]
        await store.turns.append("resp_1", 1, EVENTS[2:])
        await store.turns.save(turn(background=True))
        assert await load(store) is None
        assert await store.turns.events_after("resp_1", OWNER, 0) == ([], True)


# --- Leases ----------------------------------------------------------------------------------------------------------


@asynchronous
async def test_a_turn_runs_as_long_as_its_process_renews_its_lease(place: Place) -> None:
    async with place.open() as store:
        await start(store, 1)
        for _ in range(5):
            place.clock.now += LEASE - 1
            assert await store.turns.renew() == []
        found = await load(store)
        assert found is not None
        assert found.is_running


OPENING = Opening("resp_1", 1_800_000_000, "claude", 0)
START = BlockStart(0, Text(""))


@pytest.mark.parametrize(
    ("had", "closed"),
    [
        ((), (OPENING,)),
        ((OPENING,), (OPENING,)),
        ((OPENING, START), (OPENING, START, BlockStop(0, is_cut=True))),
        ((OPENING, START, BlockStop(0)), (OPENING, START, BlockStop(0))),
    ],
)
@asynchronous
async def test_a_turn_whose_process_died_fails_where_it_was_left(
    sqlite_place: Place, had: tuple[Event, ...], closed: tuple[Event, ...]
) -> None:
    place = sqlite_place
    async with place.open() as dies:
        await dies.turns.save(running())
        if had:
            await dies.turns.append("resp_1", 0, had)
    place.clock.now += LEASE + 1
    async with place.open(instance="two") as store:
        found = await load(store)
        assert found is not None
        assert not found.is_running
        assert found.replies[0][:-1] == closed
        end = found.replies[0][-1]
        assert end == found.failure
        assert isinstance(end, Failure)
        assert end.problem.kind is ErrorKind.INTERNAL
        assert end.problem.message == "The proxy stopped, or lost its store, before the response ended."


@asynchronous
async def test_after_the_store_was_away_a_process_has_time_to_say_that_it_lives(shared_place: Place) -> None:
    place = shared_place
    async with place.open() as one, place.open(instance="two") as two:
        await one.turns.save(running())
        with place.away(LEASE + 1), pytest.raises(StoreUnavailable):
            await load(two)
        found = await load(two)
        assert found is not None
        assert found.is_running
        assert await two.turns.events_after("resp_1", OWNER, 0) == ([], False)
        place.clock.now += LEASE + 1
        ended = await load(two)
        assert ended is not None
        assert not ended.is_running


@pytest.mark.parametrize("reader", ["load", "chain", "page", "events_after"])
@asynchronous
async def test_the_end_of_a_turn_whose_process_died_is_stored_by_whoever_meets_it(place: Place, reader: str) -> None:
    async with place.open() as store:
        await start(store, 2)
        place.clock.now += LEASE + 1
        match reader:
            case "load":
                await load(store)
            case "chain":
                await store.turns.chain("resp_1", OWNER, "response")
            case "page":
                await store.turns.page("response", OWNER, Page())
            case "events_after":
                events, is_over = await store.turns.events_after("resp_1", OWNER, 2)
                assert is_over
                assert [type(event) for event in events] == [BlockStop, Failure]
        place.clock.now -= LEASE + 1
        found = await load(store)
        assert found is not None
        assert found.failure is not None
        assert not await store.turns.ask_cancel("resp_1", OWNER)


@asynchronous
async def test_an_end_that_was_stored_as_a_chunk_is_the_end(place: Place) -> None:
    async with place.open() as store:
        await start(store, 5)
        place.clock.now += LEASE + 1
        assert await load(store) == turn(background=True)
        assert isinstance(EVENTS[-1], Finish)


@asynchronous
async def test_who_was_taken_for_dead_is_told_so_and_changes_nothing_any_more(shared_place: Place) -> None:
    async with shared_place.open() as slow, shared_place.open(instance="two") as other:
        await start(slow, 2)
        shared_place.clock.now += LEASE + 1
        failed = await load(other)
        assert failed is not None
        assert failed.failure is not None
        assert await slow.turns.renew() == ["resp_1"]
        await slow.turns.append("resp_1", 1, EVENTS[2:])
        await slow.turns.save(turn(background=True))
        assert await load(slow) == failed == await load(other)
