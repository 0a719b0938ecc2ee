"""Conversations hold items, in the order in which they were added."""

import asyncio

import pytest

from augment_open_proxy.journal.store.records import Conversation, Item, Page
from tests.store.samples import OWNER, Place, asynchronous, items, turn

CONVERSATION = Conversation(id="conv_1", owner=OWNER, created=5, metadata={"topic": "tea"})


@asynchronous
async def test_a_conversation_is_loaded_as_it_was_created(place: Place) -> None:
    async with place.open() as store:
        await store.conversations.create(CONVERSATION, items("a", "b"))
        assert await store.conversations.load("conv_1", OWNER) == CONVERSATION
        assert await store.conversations.items("conv_1", OWNER) == items("a", "b")
        assert await store.conversations.item("conv_1", OWNER, "b") == items("b")[0]


@asynchronous
async def test_an_unknown_conversation_has_nothing(place: Place) -> None:
    async with place.open() as store:
        await store.conversations.create(CONVERSATION, items("a"))
        for id_, owner in (("conv_2", OWNER), ("conv_1", "another")):
            assert await store.conversations.load(id_, owner) is None
            assert await store.conversations.set_metadata(id_, owner, {}) is None
            assert await store.conversations.items(id_, owner) is None
            assert await store.conversations.page(id_, owner, Page()) is None
            assert await store.conversations.item(id_, owner, "a") is None
            assert not await store.conversations.add(id_, owner, items("x"))
            assert not await store.conversations.delete_item(id_, owner, "a")
            assert not await store.conversations.delete(id_, owner)
        assert await store.conversations.items("conv_1", OWNER) == items("a")


@asynchronous
async def test_a_conversation_may_be_empty(place: Place) -> None:
    async with place.open() as store:
        await store.conversations.create(CONVERSATION, [])
        assert await store.conversations.items("conv_1", OWNER) == []
        assert await store.conversations.page("conv_1", OWNER, Page()) == ([], False)
        assert await store.conversations.add("conv_1", OWNER, [])


@asynchronous
async def test_items_are_added_at_the_end(place: Place) -> None:
    async with place.open() as store:
        await store.conversations.create(CONVERSATION, items("z"))
        assert await store.conversations.add("conv_1", OWNER, items("y", "x"))
        await store.turns.save(turn(conversation="conv_1"), items("w", "v"))
        assert await store.conversations.items("conv_1", OWNER) == items("z", "y", "x", "w", "v")


@asynchronous
async def test_an_item_never_replaces_another(place: Place) -> None:
    async with place.open() as store:
        await store.conversations.create(CONVERSATION, items("a", "b"))
        with pytest.raises(KeyError, match="a"):
            await store.conversations.add("conv_1", OWNER, [*items("c"), Item("a", b"new")])
        assert await store.conversations.items("conv_1", OWNER) == items("a", "b")
        await store.turns.save(turn(conversation="conv_1"), [Item("a", b"new"), *items("c")])
        assert await store.conversations.items("conv_1", OWNER) == items("a", "b", "c")


@asynchronous
async def test_of_items_with_one_id_that_are_added_at_once_one_is(shared_place: Place) -> None:
    async with shared_place.open() as one, shared_place.open(instance="two") as two:
        await one.conversations.create(CONVERSATION, [])
        adding = [
            store.conversations.add("conv_1", OWNER, [Item("a", str(number).encode())])
            for number, store in enumerate([one, two] * 4)
        ]
        added = await asyncio.gather(*adding, return_exceptions=True)
        [number] = [number for number, outcome in enumerate(added) if outcome is True]
        assert await one.conversations.items("conv_1", OWNER) == [Item("a", str(number).encode())]


@asynchronous
async def test_conversations_may_have_items_with_the_same_id(place: Place) -> None:
    async with place.open() as store:
        for id_ in ("conv_1", "conv_2"):
            await store.conversations.create(Conversation(id=id_, owner=OWNER, created=1), [Item("a", id_.encode())])
        assert await store.conversations.item("conv_1", OWNER, "a") == Item("a", b"conv_1")
        assert await store.conversations.delete_item("conv_2", OWNER, "a")
        assert await store.conversations.items("conv_1", OWNER) == [Item("a", b"conv_1")]


@pytest.mark.parametrize("conversation", ["conv_2", "conv_3"])
@asynchronous
async def test_a_turn_adds_nothing_to_a_conversation_that_is_not_its_owners(place: Place, conversation: str) -> None:
    async with place.open() as store:
        await store.conversations.create(Conversation(id="conv_3", owner="another", created=1), [])
        await store.turns.save(turn(conversation=conversation), items("a"))
        assert await store.conversations.items("conv_3", "another") == []
        assert await store.turns.load("resp_1", OWNER, "response") is not None


@asynchronous
async def test_items_are_listed_in_pages(place: Place) -> None:
    async with place.open() as store:
        await store.conversations.create(CONVERSATION, items(*"abcde"))

        async def page(page: Page) -> tuple[str, bool]:
            found = await store.conversations.page("conv_1", OWNER, page)
            assert found is not None
            return "".join(item.id for item in found[0]), found[1]

        assert await page(Page()) == ("edcba", False)
        assert await page(Page(limit=2, order="asc")) == ("ab", True)
        assert await page(Page(limit=2, order="asc", after="b")) == ("cd", True)
        assert await page(Page(limit=2, after="c")) == ("ba", False)
        with pytest.raises(LookupError):
            await page(Page(after="x"))


@asynchronous
async def test_metadata_is_replaced(place: Place) -> None:
    async with place.open() as store:
        await store.conversations.create(CONVERSATION, items("a"))
        changed = await store.conversations.set_metadata("conv_1", OWNER, {"z": "1", "a": "2"})
        assert changed == await store.conversations.load("conv_1", OWNER)
        assert changed is not None
        assert list(changed.metadata.items()) == [("z", "1"), ("a", "2")]


@asynchronous
async def test_what_is_deleted_is_gone(place: Place) -> None:
    async with place.open() as store:
        await store.conversations.create(CONVERSATION, items("a", "b"))
        assert await store.conversations.delete_item("conv_1", OWNER, "a")
        assert not await store.conversations.delete_item("conv_1", OWNER, "a")
        assert await store.conversations.items("conv_1", OWNER) == items("b")
        assert await store.conversations.delete("conv_1", OWNER)
        assert not await store.conversations.delete("conv_1", OWNER)
        assert await store.conversations.items("conv_1", OWNER) is None
        await store.conversations.create(CONVERSATION, [])
        assert await store.conversations.items("conv_1", OWNER) == []


@asynchronous
async def test_items_that_are_added_at_once_stay_together(place: Place) -> None:
    async with place.open() as store:
        await store.conversations.create(CONVERSATION, [])
        added = [items(f"{number}a", f"{number}b", f"{number}c") for number in range(20)]
        await asyncio.gather(*(store.conversations.add("conv_1", OWNER, some) for some in added))
        found = await store.conversations.items("conv_1", OWNER) or []
        assert sorted(found[at : at + 3][0].id for at in range(0, 60, 3)) == sorted(some[0].id for some in added)
        assert all(found[at : at + 3] in added for at in range(0, 60, 3))
