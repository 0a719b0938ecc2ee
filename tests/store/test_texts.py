"""Clients' texts may hold what databases refuse; they are kept, found and given back as they are."""

import pytest

from augment_open_proxy.core.conversation import Text
from augment_open_proxy.core.events import BlockDelta, BlockStart, BlockStop, Finish, Opening, Usage
from augment_open_proxy.journal.store.coding import from_column, to_column
from augment_open_proxy.journal.store.records import BatchRequest, Conversation, Item, Page
from tests.store.samples import OWNER, Place, asynchronous, batch, turn

TEXTS = [
    "a\0b",
    "\ud800",
    "\udfffx\udc00",
    "\ue000",
    "\ue0000000",
    "\ue000d800",
    "'; DROP TABLE x",
    '"$.a\\',
    "ü€😀",
    "",
]


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_read_back_as_it_was_written(text: str) -> None:
    written = to_column(text)
    assert from_column(written) == text
    assert "\0" not in written.encode().decode()


def test_no_two_texts_are_written_the_same() -> None:
    assert len({to_column(text) for text in TEXTS}) == len(TEXTS)


@asynchronous
async def test_metadata_and_names_may_be_any_text(place: Place) -> None:
    async with place.open() as store:
        for number, text in enumerate(TEXTS):
            kept = turn(f"a{number}", kind="completion", model=text, metadata={text: text, "plain": "x"})
            await store.turns.save(kept)
            assert await store.turns.load(kept.id, OWNER, "completion") == kept
            assert await store.turns.page("completion", OWNER, Page(), metadata={text: text}) == ([kept], False)
            assert await store.turns.page("completion", OWNER, Page(), model=text) == ([kept], False)
            assert await store.turns.page("completion", OWNER, Page(), metadata={text: text + "\0"}) == ([], False)


@asynchronous
async def test_an_id_that_nothing_has_is_not_found(place: Place) -> None:
    async with place.open() as store:
        await store.conversations.create(Conversation(id="conv_1", owner=OWNER, created=1), [])
        for id_ in TEXTS:
            assert await store.turns.load(id_, OWNER, "response") is None
            assert await store.turns.chain(id_, OWNER, "response") == []
            assert not await store.turns.delete(id_, OWNER, "response")
            assert not await store.turns.ask_cancel(id_, OWNER)
            assert await store.turns.events_after(id_, OWNER, 0) == ([], True)
            assert await store.conversations.load(id_, OWNER) is None
            assert await store.conversations.item("conv_1", OWNER, id_) is None
            assert not await store.conversations.delete(id_, OWNER)
            assert await store.batches.load(id_, OWNER) is None
            assert await store.batches.cancel(id_, OWNER, 1.0) is None
            with pytest.raises(LookupError):
                await store.turns.page("response", OWNER, Page(after=id_))


@asynchronous
async def test_names_in_batches_and_conversations_may_be_any_text(place: Place) -> None:
    async with place.open() as store:
        for number, text in enumerate(TEXTS):
            request = BatchRequest(batch=f"batch_{number}", number=0, custom_id=text, params=b"")
            await store.batches.create(batch(place.clock, request.batch), [request])
            assert [one async for one in store.batches.results(request.batch, OWNER)] == [(text, "waiting", None)]
            conversation = Conversation(id=f"conv{text}", owner=OWNER, created=1, metadata={text: text})
            await store.conversations.create(conversation, [Item(text, b"{}")])
            assert await store.conversations.load(conversation.id, OWNER) == conversation
            assert await store.conversations.items(conversation.id, OWNER) == [Item(text, b"{}")]


@asynchronous
async def test_a_half_of_a_character_in_a_reply_becomes_a_replacement_character(place: Place) -> None:
    def reply(text: str) -> tuple[object, ...]:
        end = Finish("stop", 1, Usage())
        return (Opening("resp_1", 1, "m", 0), BlockStart(0, Text("")), BlockDelta(0, text), BlockStop(0), end)

    async with place.open() as store:
        await store.turns.save(turn(replies=(reply("a\ud800b\0"),)))
        assert await store.turns.load("resp_1", OWNER, "response") == turn(replies=(reply("a\ufffdb\0"),))
