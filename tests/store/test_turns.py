"""Turns are kept whole, in their order, for their owner."""

import asyncio

import pytest

from augment_open_proxy.core.errors import ErrorKind, Problem
from augment_open_proxy.core.events import Failure, Opening
from augment_open_proxy.journal.store.database import Database
from augment_open_proxy.journal.store.records import Page, Turn
from tests.store.samples import DAY, OWNER, Place, after, asynchronous, events_of, turn


async def ids(store: Database, page: Page, **filters: object) -> tuple[list[str], bool]:
    turns, has_more = await store.turns.page("completion", OWNER, page, **filters)  # type: ignore[arg-type]
    return [found.id for found in turns], has_more


async def save_completions(store: Database, *names: str, **changes: object) -> None:
    for name in names:
        await store.turns.save(turn(name, kind="completion", **changes))


@asynchronous
async def test_a_turn_is_loaded_as_it_was_saved(place: Place) -> None:
    kept = turn(
        metadata={"topic": "tea", "a": ""},
        conversation="conv_1",
        background=True,
        replies=(events_of("One."), (Opening("resp_1", 1, "claude", 0), Failure(Problem(ErrorKind.TIMEOUT, "Late.")))),
    )
    async with place.open() as store:
        await store.turns.save(kept)
        assert await store.turns.load("resp_1", OWNER, "response") == kept


@asynchronous
async def test_what_was_saved_outlives_the_process(shared_place: Place) -> None:
    async with shared_place.open() as store:
        await store.turns.save(turn())
    async with shared_place.open() as store:
        assert await store.turns.load("resp_1", OWNER, "response") == turn()


@asynchronous
async def test_memory_is_forgotten() -> None:
    place = Place("memory")
    async with place.open() as store:
        await store.turns.save(turn())
    async with place.open() as store:
        assert await store.turns.load("resp_1", OWNER, "response") is None


@asynchronous
async def test_a_turn_with_the_same_id_is_replaced(place: Place) -> None:
    async with place.open() as store:
        await save_completions(store, "a", "b")
        changed = turn("a", kind="completion", model="other")
        await store.turns.save(changed)
        assert await store.turns.load("a", OWNER, "completion") == changed
        assert await ids(store, Page(order="asc")) == (["a", "b"], False)


@asynchronous
async def test_a_new_turn_is_stored_like_any_other(place: Place) -> None:
    """Nothing is looked for before: its id is in nobody's hands. Others go on from it, and it goes with its life."""
    async with place.open() as store:
        first = turn("resp_1", metadata={"topic": "tea"})
        await store.turns.save(first, is_new=True)
        second = after(first, "resp_2")
        await store.turns.save(second, is_new=True)
        assert await store.turns.chain("resp_2", OWNER, "response") == [first, second]
        third = turn("resp_3", conversation="conv_1", background=True)
        await store.turns.save(third, is_new=True)
        assert await store.turns.load("resp_3", OWNER, "response") == third
        place.clock.now += 31 * DAY
        assert await store.turns.load("resp_1", OWNER, "response") is None


@asynchronous
async def test_a_new_turn_whose_commit_is_repeated_is_there_once(place: Place) -> None:
    """As when the server went away before it said that it was done."""
    async with place.open() as store:
        await store.turns.save(turn("resp_1", kind="completion"), is_new=True)
        await store.turns.save(turn("resp_1", kind="completion"), is_new=True)
        assert await ids(store, Page()) == (["resp_1"], False)


@asynchronous
async def test_only_its_owner_sees_a_turn_and_only_as_what_it_is(place: Place) -> None:
    async with place.open() as store:
        await store.turns.save(turn())
        assert await store.turns.load("resp_1", "another", "response") is None
        assert await store.turns.load("resp_1", OWNER, "completion") is None
        assert await store.turns.chain("resp_1", "another", "response") == []
        assert await store.turns.page("response", "another", Page()) == ([], False)
        assert await store.turns.set_metadata("resp_1", "another", "response", {"a": "b"}) is None
        assert not await store.turns.delete("resp_1", "another", "response")
        assert await store.turns.load("resp_1", OWNER, "response") == turn()


# --- Chains ----------------------------------------------------------------------------------------------------------


async def save_chain(store: Database) -> list[Turn]:
    first = turn("a")
    second = after(first, "b")
    third = after(second, "c")
    for one in (first, second, third, after(second, "branch")):
        await store.turns.save(one)
    return [first, second, third]


@asynchronous
async def test_a_chain_is_what_a_turn_goes_on_from_oldest_first(place: Place) -> None:
    async with place.open() as store:
        chain = await save_chain(store)
        assert await store.turns.chain("c", OWNER, "response") == chain
        assert await store.turns.chain("b", OWNER, "response") == chain[:2]
        assert [one.id for one in await store.turns.chain("branch", OWNER, "response")] == ["a", "b", "branch"]
        assert await store.turns.chain("unknown", OWNER, "response") == []


@pytest.mark.parametrize("deleted", ["a", "b"])
@asynchronous
async def test_a_chain_without_one_of_its_turns_is_none(place: Place, deleted: str) -> None:
    async with place.open() as store:
        chain = await save_chain(store)
        assert await store.turns.delete(deleted, OWNER, "response")
        assert await store.turns.chain("c", OWNER, "response") == []
        assert await store.turns.load("c", OWNER, "response") == chain[2]


@asynchronous
async def test_nobody_goes_on_from_another_owners_turn(place: Place) -> None:
    async with place.open() as store:
        theirs = turn("a", owner="another")
        await store.turns.save(theirs)
        await store.turns.save(after(theirs, "b"))
        assert await store.turns.chain("b", OWNER, "response") == []


# --- Lists -----------------------------------------------------------------------------------------------------------


PAGES = [
    (Page(), "edcba", False),
    (Page(order="asc"), "abcde", False),
    (Page(limit=2), "ed", True),
    (Page(limit=5), "edcba", False),
    (Page(limit=2, order="asc"), "ab", True),
    (Page(limit=2, after="d"), "cb", True),
    (Page(limit=3, after="d"), "cba", False),
    (Page(order="asc", after="d"), "e", False),
    (Page(after="a"), "", False),
    (Page(limit=2, before="b"), "dc", True),
    (Page(limit=3, before="b"), "edc", False),
    (Page(limit=2, order="asc", before="d"), "bc", True),
    (Page(after="e", before="b"), "dc", False),
]


@asynchronous
async def test_a_page_is_a_part_of_the_list(place: Place) -> None:
    async with place.open() as store:
        await save_completions(store, *"abcde")  # within the same second
        for page, expected, has_more in PAGES:
            assert await ids(store, page) == (list(expected), has_more), page


@asynchronous
async def test_a_page_that_begins_at_an_unknown_id_is_an_error(place: Place) -> None:
    async with place.open() as store:
        await save_completions(store, "a")
        for page in (Page(after="x"), Page(before="x"), Page(after="a", before="x")):
            with pytest.raises(LookupError):
                await ids(store, page)


@asynchronous
async def test_a_list_is_filtered_by_model_and_metadata(place: Place) -> None:
    async with place.open() as store:
        await save_completions(store, "a", metadata={"topic": "tea", "lang": "en"})
        await save_completions(store, "b", metadata={"topic": "tea"}, model="other")
        await save_completions(store, "c", metadata={"lang": "tea"})
        assert await ids(store, Page(), metadata={"topic": "tea"}) == (["b", "a"], False)
        assert await ids(store, Page(), metadata={"topic": "tea", "lang": "en"}) == (["a"], False)
        assert await ids(store, Page(), metadata={"topic": "te"}) == ([], False)
        assert await ids(store, Page(), model="other") == (["b"], False)
        assert await ids(store, Page(limit=1), metadata={"topic": "tea"}) == (["b"], True)
        assert await ids(store, Page(after="b"), metadata={"lang": "en"}) == (["a"], False)


@asynchronous
async def test_metadata_is_replaced_and_nothing_else(place: Place) -> None:
    async with place.open() as store:
        await store.turns.save(turn(metadata={"old": "1"}))
        changed = turn(metadata={"z": "1", "a": "2"})
        found = await store.turns.set_metadata("resp_1", OWNER, "response", {"z": "1", "a": "2"})
        assert found == changed == await store.turns.load("resp_1", OWNER, "response")
        assert found is not None
        assert list(found.metadata) == ["z", "a"]


@asynchronous
async def test_what_is_deleted_is_gone(place: Place) -> None:
    async with place.open() as store:
        await save_completions(store, "a", "b")
        assert await store.turns.delete("a", OWNER, "completion")
        assert not await store.turns.delete("a", OWNER, "completion")
        assert await store.turns.load("a", OWNER, "completion") is None
        assert await ids(store, Page()) == (["b"], False)


@asynchronous
async def test_all_that_is_saved_at_once_is_kept(place: Place) -> None:
    async with place.open() as store:
        many = [turn(f"resp_{number}") for number in range(200)]
        await asyncio.gather(*(store.turns.save(one) for one in many))
        loaded = await asyncio.gather(*(store.turns.load(one.id, OWNER, "response") for one in many))
        assert loaded == many
