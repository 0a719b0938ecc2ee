"""Storing turns as they go out: what is stored, when, and what the client is told where it could not be."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any, cast

import pytest

from augment_open_proxy.core.conversation import Text
from augment_open_proxy.core.errors import ErrorKind, Problem, ProxyError
from augment_open_proxy.core.events import (
    BlockDelta,
    BlockStart,
    BlockStop,
    Cancelled,
    Event,
    Failure,
    Finish,
    Opening,
    Usage,
)
from augment_open_proxy.journal.store.opening import Stores, StoreUnavailable
from augment_open_proxy.journal.store.records import Item, Turn
from augment_open_proxy.server import keeping
from augment_open_proxy.server.flow import Waiting
from augment_open_proxy.server.keeping import kept, opened, save, with_replies
from tests.flow import Batch, drained, of, source

OPENING = Opening("resp_1", 0, "m", 1)
CONTENT: list[Event] = [BlockStart(0, Text("")), BlockDelta(0, "Hi."), BlockStop(0)]
BEGUN: list[Event] = [BlockStart(0, Text("")), BlockDelta(0, "H")]
CUT = BlockStop(0, is_cut=True)
FINISH = Finish("stop", 1, Usage(1, 1))
UNSTORED = Finish("stop", 1, Usage(1, 1), is_unstored=True)
FAILURE = Failure(Problem(ErrorKind.BACKEND, "It broke."))
ITEM = Item("msg_1", b"{}")


def turn(**fields: Any) -> Turn:
    """A turn without its replies."""
    known: dict[str, Any] = {
        "id": "resp_1",
        "kind": "response",
        "owner": "me",
        "root": "resp_1",
        "created": 0,
        "model": "m",
    }
    return Turn(**known | {"request": b"{}", "replies": ()} | fields)


class Store:
    """Stands for the stores, the database and its turns, and tells `what` happened in which order."""

    def __init__(
        self,
        *,
        opening: Exception | None = None,
        opens_in: float = 0,
        saving: Exception | None = None,
        waits: float = 0,
    ) -> None:
        self.opening = opening
        self.opens_in = opens_in
        self.saving = saving
        self.waits = waits
        self.is_open = False
        self.what: list[Any] = []
        self.notices: list[str] = []
        self.turns = self

    async def open(self) -> "Store":
        self.what.append("opened")
        if self.opening:
            raise self.opening
        await asyncio.sleep(self.opens_in)
        self.is_open = True
        return self

    async def save(self, turn: Turn, items: Sequence[Item] = (), *, is_new: bool = False) -> None:
        await asyncio.sleep(self.waits)
        if self.saving:
            raise self.saving
        self.what.append((turn, items))

    @property
    def as_stores(self) -> Stores:
        return cast("Stores", self)

    @property
    def saved(self) -> list[Turn]:
        return [entry[0] for entry in self.what if isinstance(entry, tuple)]


def given_on(
    store: Store,
    *batches: Batch,
    choices: int = 1,
    stored: Turn | None = None,
    has_begun: Callable[[], bool] = bool,
) -> list[Batch]:
    """What the client gets of these batches; `store.what` has them too, as lists."""

    out: list[Batch] = []

    def sink(choice: int, events: list[Event]) -> Waiting:
        store.what.append([choice, events])
        out.append((choice, events))
        return None

    run = kept(of(*batches), stored or turn(), choices, store.as_stores, lambda _: [ITEM], store.notices, has_begun)
    asyncio.run(run(sink))
    return out


# --- A reply that comes to its end ---


def test_the_reply_goes_out_as_it_comes_and_its_end_waits_until_it_is_stored() -> None:
    store = Store()
    batches: list[Batch] = [(0, [OPENING]), (0, CONTENT), (0, [FINISH])]
    assert given_on(store, *batches) == batches
    stored = turn(replies=((OPENING, *CONTENT, FINISH),))
    assert [entry for entry in store.what if entry != "opened"] == [
        [0, [OPENING]],
        [0, CONTENT],
        (stored, ()),
        [0, [FINISH]],
    ]


def test_the_store_is_opened_while_the_backend_thinks() -> None:
    """The first time takes a moment."""
    store = Store()

    @source
    async def thinking() -> AsyncGenerator[Batch]:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        store.what.append("thought")
        yield 0, [OPENING, *CONTENT, FINISH]

    asyncio.run(drained(kept(thinking(), turn(), 1, store.as_stores, lambda _: (), [])))
    assert store.what[:2] == ["opened", "thought"]


def test_all_choices_are_one_turn_that_is_stored_with_the_last_of_them() -> None:
    store = Store()
    first: list[Event] = [OPENING, *CONTENT, FINISH]
    second: list[Event] = [OPENING, BlockStart(0, Text("")), BlockStop(0), FINISH]
    batches: list[Batch] = [(0, first[:2]), (1, second[:2]), (1, second[2:]), (0, first[2:])]
    assert given_on(store, *batches, choices=2) == batches
    assert store.saved == [turn(replies=(tuple(first), tuple(second)))]
    assert store.what[-1] == [0, first[2:]]


@pytest.mark.parametrize(
    ("adding", "items"),
    [(turn(), ()), (turn(conversation="conv_1"), [ITEM])],
    ids=["alone", "of a conversation"],
)
def test_its_items_are_added_to_its_conversation(adding: Turn, items: Sequence[Item]) -> None:
    store = Store()
    given_on(store, (0, [OPENING, *CONTENT, FINISH]), stored=adding)
    assert [entry[1] for entry in store.what if isinstance(entry, tuple)] == [items]


# --- A reply that fails, or that nobody waits for ---


def test_what_failed_after_content_is_stored_as_failed_and_adds_nothing_to_its_conversation() -> None:
    store, adding = Store(), turn(conversation="conv_1")
    batches: list[Batch] = [(0, [OPENING]), (0, BEGUN), (0, [CUT, FAILURE])]
    assert given_on(store, *batches, stored=adding) == batches
    stored = turn(conversation="conv_1", replies=((OPENING, *BEGUN, CUT, FAILURE),))
    assert store.what[-2:] == [(stored, ()), [0, [CUT, FAILURE]]]
    assert not stored.is_whole


def test_what_failed_before_content_is_an_error_and_nothing_to_store() -> None:
    store = Store()
    batches: list[Batch] = [(0, [OPENING]), (0, [FAILURE])]
    assert given_on(store, *batches) == batches
    assert store.saved == []


@pytest.mark.parametrize(("kind", "stored"), [("response", 1), ("completion", 0)])
def test_unless_the_client_has_its_beginning(kind: str, stored: int) -> None:
    """A stream that was begun with a heartbeat told the response's id, and that it is stored."""
    store = Store()
    batches: list[Batch] = [(0, [OPENING]), (0, [FAILURE])]
    assert given_on(store, *batches, stored=turn(kind=kind), has_begun=lambda: True) == batches
    assert store.saved == [turn(kind=kind, replies=((OPENING, FAILURE),))] * stored


def test_who_leaves_leaves_nothing_behind() -> None:
    """And ends what was being produced."""
    store, ended = Store(), []

    @source
    async def coming() -> AsyncGenerator[Batch]:
        try:
            yield 0, [OPENING]
            yield 0, CONTENT
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    async def run() -> None:
        reply = asyncio.create_task(drained(kept(coming(), turn(), 1, store.as_stores, lambda _: (), [])))
        await asyncio.sleep(0)
        reply.cancel()
        await asyncio.wait([reply])

    asyncio.run(run())
    assert ended == [True]
    assert store.saved == []


# --- A store that fails ---

TROUBLE = {
    "cannot be opened": lambda: Store(opening=StoreUnavailable("no disk")),
    "breaks": lambda: Store(saving=OSError("disk full")),
    "hangs": lambda: Store(waits=60),
    "does not open": lambda: Store(opens_in=60),
}


@pytest.mark.parametrize("trouble", TROUBLE)
def test_the_reply_goes_out_all_the_same_and_says_that_it_is_not_stored(
    trouble: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(keeping, "SAVE_SECONDS", 0.01)
    monkeypatch.setattr(keeping, "OPENING_SECONDS", 0.05)
    with caplog.at_level(logging.ERROR):
        out = given_on(store := TROUBLE[trouble](), (0, [OPENING, *CONTENT]), (0, [FINISH]))
    assert out == [(0, [OPENING, *CONTENT]), (0, [UNSTORED])]
    assert store.notices == ["the reply could not be stored"]
    [record] = caplog.records
    assert record.getMessage().startswith("resp_1 could not be stored")


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        ("cannot be opened", "no disk"),
        ("hangs", "the store does not answer"),
        ("does not open", "the store does not answer"),
    ],
)
def test_a_store_that_cannot_be_had_takes_one_line_of_the_log(
    trouble: str, reason: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(keeping, "SAVE_SECONDS", 0.01)
    monkeypatch.setattr(keeping, "OPENING_SECONDS", 0.05)
    given_on(TROUBLE[trouble](), (0, [OPENING, FINISH]))
    [record] = caplog.records
    assert (record.getMessage(), record.exc_info) == (f"resp_1 could not be stored: {reason}", None)


def test_to_open_a_store_may_take_longer_than_to_write_into_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine that is busy: the first use of a store loads what it needs."""
    monkeypatch.setattr(keeping, "SAVE_SECONDS", 0.01)
    store = Store(opens_in=0.05)
    assert given_on(store, (0, [OPENING, FINISH])) == [(0, [OPENING, FINISH])]
    assert len(store.saved) == 1


def test_only_the_end_that_waited_for_the_store_says_so() -> None:
    store = Store(saving=OSError("disk full"))
    out = given_on(store, (0, [OPENING, FINISH]), (1, [OPENING, *CONTENT, FINISH]), choices=2)
    assert out == [(0, [OPENING, FINISH]), (1, [OPENING, *CONTENT, UNSTORED])]


def test_a_failure_is_told_as_it_is_whether_it_was_stored_or_not() -> None:
    batches: list[Batch] = [(0, [OPENING, *BEGUN]), (0, [CUT, FAILURE])]
    assert given_on(Store(saving=OSError("disk full")), *batches) == batches


def test_items_that_cannot_be_made_are_no_reason_to_lose_the_reply() -> None:
    def fails(turn: Turn) -> Sequence[Item]:
        raise ValueError("no items")

    whole = turn(conversation="conv_1", replies=((OPENING, FINISH),))
    assert asyncio.run(save(Store().as_stores, whole, fails)) is False


class Away(Store):
    """Comes back after so many tries."""

    tries = 3

    async def save(self, turn: Turn, items: Sequence[Item] = (), *, is_new: bool = False) -> None:
        self.tries -= 1
        if self.tries >= 0:
            raise StoreUnavailable("it restarts")
        await super().save(turn, items, is_new=is_new)

    def hold(self, id_: str) -> None:
        self.what.append(f"holds {id_}")


def test_a_store_that_is_away_is_tried_again_as_long_as_is_asked(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(keeping, "SAVE_AGAIN", 0)
    store = Away()
    assert asyncio.run(save(store.as_stores, turn(), lambda _: [], patience=60)) is True
    assert store.what.count("holds resp_1") == 3
    assert store.saved == [turn()]
    assert caplog.records == []
    store.tries = 1_000_000
    assert asyncio.run(save(store.as_stores, turn(), lambda _: [], patience=0.05)) is False
    assert [record.getMessage() for record in caplog.records] == ["resp_1 could not be stored: it restarts"]


def test_what_would_fail_again_is_not_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    store = Store(saving=ValueError("a mistake of ours"))
    assert asyncio.run(save(store.as_stores, turn(), lambda _: [], patience=60)) is False
    assert len(caplog.records) == 1


# --- Opening, and the turn ---


def test_a_store_that_cannot_be_had_is_told_as_what_it_is() -> None:
    with pytest.raises(ProxyError) as caught:
        asyncio.run(opened(Store(opening=StoreUnavailable("the disk is full")).as_stores))
    assert caught.value.problem.kind is ErrorKind.STORE
    assert "the disk is full" in caught.value.problem.message


def test_a_store_that_is_there_is_given() -> None:
    store = Store()
    found: object = asyncio.run(opened(store.as_stores))
    assert found is store


def test_a_turn_gets_the_replies_of_all_choices() -> None:
    made = with_replies(turn(), [[OPENING, FINISH], [OPENING, Cancelled()]], is_running=True)
    assert made == turn(replies=((OPENING, FINISH), (OPENING, Cancelled())), is_running=True)
