"""The requests of a batch are shared out, each to one process at a time, and their results kept."""

import asyncio
from collections import Counter

import pytest

from augment_open_proxy.journal.store.access import LEASE
from augment_open_proxy.journal.store.batches import RESULTS_AT_ONCE
from augment_open_proxy.journal.store.database import Database
from augment_open_proxy.journal.store.opening import StoreUnavailable
from augment_open_proxy.journal.store.records import Batch, Page
from tests.store.samples import DAY, OWNER, Place, asynchronous, batch, requests


async def load(store: Database) -> Batch:
    found = await store.batches.load("batch_1", OWNER)
    assert found is not None
    return found


async def states(store: Database) -> list[str]:
    return [state async for _, state, _ in store.batches.results("batch_1", OWNER)]


@asynchronous
async def test_a_batch_is_loaded_as_it_was_created_with_its_counts(place: Place) -> None:
    async with place.open() as store:
        await store.batches.create(batch(place.clock), requests(3))
        assert await load(store) == batch(place.clock, counts={"waiting": 3})
        assert await store.batches.load("batch_1", "another") is None
        assert await store.batches.has_work()


@asynchronous
async def test_requests_are_claimed_in_their_order_as_they_were_given(place: Place) -> None:
    async with place.open() as store:
        await store.batches.create(batch(place.clock), requests(3))
        assert await store.batches.claim(2, place.clock.now) == requests(3)[:2]
        assert await store.batches.claim(2, place.clock.now) == requests(3)[2:]
        assert await store.batches.claim(2, place.clock.now) == []
        assert (await load(store)).counts == {"running": 3}


@asynchronous
async def test_a_batch_ends_with_its_last_request(place: Place) -> None:
    async with place.open() as store:
        await store.batches.create(batch(place.clock), requests(2))
        first, second = await store.batches.claim(2, place.clock.now)
        await store.batches.finish(second, "errored", b"no", 5.0)
        assert (await load(store)).ended is None
        assert await store.batches.has_work()
        await store.batches.finish(first, "succeeded", b"yes", 6.0)
        assert await load(store) == batch(place.clock, ended=6.0, counts={"succeeded": 1, "errored": 1})
        assert not await store.batches.has_work()
        results = [result async for result in store.batches.results("batch_1", OWNER)]
        assert results == [("request 0", "succeeded", b"yes"), ("request 1", "errored", b"no")]


@asynchronous
async def test_results_are_read_a_few_at_a_time(place: Place) -> None:
    count = RESULTS_AT_ONCE * 2
    async with place.open() as store:
        await store.batches.create(batch(place.clock), requests(count))
        for request in await store.batches.claim(count, place.clock.now):
            await store.batches.finish(request, "succeeded", request.params, 5.0)
        results = [result async for result in store.batches.results("batch_1", OWNER)]
        assert results == [(one.custom_id, "succeeded", one.params) for one in requests(count)]
        assert [result async for result in store.batches.results("batch_1", "another")] == []


@asynchronous
async def test_a_large_batch_is_stored_whole(place: Place) -> None:
    async with place.open() as store:
        await store.batches.create(batch(place.clock), requests(1000))
        assert (await load(store)).counts == {"waiting": 1000}


# --- Canceling, deleting, running out of time ------------------------------------------------------------------------


@asynchronous
async def test_what_waits_is_canceled_at_once_and_what_runs_may_end(place: Place) -> None:
    async with place.open() as store:
        await store.batches.create(batch(place.clock), requests(3))
        (runs,) = await store.batches.claim(1, place.clock.now)
        assert not await store.batches.is_cancelled("batch_1")
        canceled = await store.batches.cancel("batch_1", OWNER, 7.0)
        assert canceled == batch(place.clock, cancelled=7.0, counts={"running": 1, "canceled": 2})
        assert await store.batches.is_cancelled("batch_1")
        await store.batches.finish(runs, "succeeded", b"yes", 8.0)
        ended = batch(place.clock, cancelled=7.0, ended=8.0, counts={"succeeded": 1, "canceled": 2})
        assert await load(store) == ended
        assert await store.batches.cancel("batch_1", OWNER, 9.0) == ended


@asynchronous
async def test_a_batch_of_which_nothing_runs_ends_when_it_is_canceled(place: Place) -> None:
    async with place.open() as store:
        await store.batches.create(batch(place.clock), requests(2))
        canceled = await store.batches.cancel("batch_1", OWNER, 7.0)
        assert canceled == batch(place.clock, cancelled=7.0, ended=7.0, counts={"canceled": 2})
        assert await store.batches.claim(2, place.clock.now) == []


@asynchronous
async def test_a_batch_is_deleted_with_all_it_holds(place: Place) -> None:
    async with place.open() as store:
        await store.batches.create(batch(place.clock), requests(2))
        (runs,) = await store.batches.claim(1, place.clock.now)
        assert not await store.batches.delete("batch_1", "another")
        assert await store.batches.delete("batch_1", OWNER)
        assert not await store.batches.delete("batch_1", OWNER)
        assert await store.batches.is_cancelled("batch_1")
        await store.batches.finish(runs, "succeeded", b"yes", 8.0)
        assert await store.batches.load("batch_1", OWNER) is None
        assert await states(store) == []
        assert not await store.batches.has_work()


@asynchronous
async def test_requests_of_a_batch_past_its_time_expire(place: Place) -> None:
    async with place.open() as store:
        await store.batches.create(batch(place.clock), requests(3))
        (runs,) = await store.batches.claim(1, place.clock.now)
        place.clock.now += DAY - 1
        await store.turns.renew()
        place.clock.now += 2
        assert await store.batches.claim(3, place.clock.now) == []
        assert await states(store) == ["running", "expired", "expired"]
        await store.batches.finish(runs, "succeeded", b"yes", place.clock.now)
        assert (await load(store)).ended == place.clock.now


@asynchronous
async def test_batches_are_listed_newest_first(place: Place) -> None:
    async with place.open() as store:
        for name in "abcd":
            await store.batches.create(batch(place.clock, name), requests(1, name))
        await store.batches.create(batch(place.clock, "other", owner="another"), [])

        async def page(page: Page) -> tuple[str, bool]:
            found, has_more = await store.batches.page(OWNER, page)
            assert all(one.counts == {"waiting": 1} for one in found)
            return "".join(one.id for one in found), has_more

        assert await page(Page()) == ("dcba", False)
        assert await page(Page(limit=2, after="d")) == ("cb", True)
        assert await page(Page(limit=2, before="a")) == ("cb", True)
        for unknown in (Page(after="x"), Page(before="other")):
            with pytest.raises(LookupError):
                await page(unknown)


# --- Several processes -----------------------------------------------------------------------------------------------


@asynchronous
async def test_no_two_processes_claim_the_same_request(shared_place: Place) -> None:
    place = shared_place
    async with place.open() as one, place.open(instance="two") as two:
        await one.batches.create(batch(place.clock), requests(60))
        claimed: list[int] = []

        async def work(store: Database) -> int:
            count = 0
            while got := await store.batches.claim(3, place.clock.now):
                claimed.extend(request.number for request in got)
                count += len(got)
                await asyncio.gather(*(store.batches.finish(request, "succeeded", b"", 9.0) for request in got))
            return count

        counts = await asyncio.gather(work(one), work(two), work(one), work(two))
        assert sorted(claimed) == list(range(60))
        assert sum(counts) == 60
        ended = await load(one)
        assert ended.counts == {"succeeded": 60}
        assert ended.ended == 9.0


@asynchronous
async def test_a_batch_ends_when_two_processes_finish_its_last_requests_at_once(shared_place: Place) -> None:
    place = shared_place
    async with place.open() as one, place.open(instance="two") as two:
        for name in map(str, range(20)):
            await one.batches.create(batch(place.clock, name), requests(2, name))
            (first,), (second,) = [await store.batches.claim(1, place.clock.now) for store in (one, two)]
            finish = (
                one.batches.finish(first, "succeeded", b"", 5.0),
                two.batches.finish(second, "succeeded", b"", 5.0),
            )
            await asyncio.gather(*finish)
            found = await one.batches.load(name, OWNER)
            assert found is not None
            assert found.ended == 5.0


@asynchronous
async def test_the_requests_of_a_dead_process_are_claimed_by_another(shared_place: Place) -> None:
    place = shared_place
    async with place.open() as dead, place.open(instance="two") as other:
        await dead.batches.create(batch(place.clock), requests(2))
        (lost,) = await dead.batches.claim(1, place.clock.now)
        place.clock.now += LEASE + 1
        assert {request.number for request in await other.batches.claim(2, place.clock.now)} == {0, 1}
        await dead.batches.finish(lost, "succeeded", b"late", 5.0)
        assert Counter(await states(other)) == {"running": 2}
        place.clock.now += LEASE - 1
        await other.turns.renew()
        place.clock.now += LEASE - 1
        assert await dead.batches.claim(2, place.clock.now) == []


@asynchronous
async def test_after_the_store_was_away_what_waits_is_claimed_and_what_may_run_is_not(shared_place: Place) -> None:
    """Else a request would be made twice, at the account's expense."""
    place = shared_place
    async with place.open() as one, place.open(instance="two") as two:
        await one.batches.create(batch(place.clock), requests(2))
        (runs,) = await one.batches.claim(1, place.clock.now)
        with place.away(LEASE + 1), pytest.raises(StoreUnavailable):
            await two.batches.claim(2, place.clock.now)
        assert [request.number for request in await two.batches.claim(2, place.clock.now)] == [1]
        await one.batches.finish(runs, "succeeded", b"yes", 5.0)
        place.clock.now += LEASE + 1
        assert [request.number for request in await one.batches.claim(2, place.clock.now)] == [1]


@asynchronous
async def test_what_a_dead_process_ran_of_a_canceled_batch_is_canceled(shared_place: Place) -> None:
    place = shared_place
    async with place.open() as dead, place.open(instance="two") as other:
        await dead.batches.create(batch(place.clock), requests(1))
        await dead.batches.claim(1, place.clock.now)
        await other.batches.cancel("batch_1", OWNER, 7.0)
        assert await other.batches.has_work()
        place.clock.now += LEASE + 1
        assert await other.batches.claim(1, place.clock.now) == []
        assert await load(other) == batch(
            place.clock,
            created=place.clock.now - LEASE - 1,
            expires=place.clock.now - LEASE - 1 + DAY,
            cancelled=7.0,
            ended=place.clock.now,
            counts={"canceled": 1},
        )
        assert not await other.batches.has_work()
