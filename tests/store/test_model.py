"""Whatever is done in whatever order, the store does what a dictionary would."""

import asyncio
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from msgspec.structs import replace

from augment_open_proxy.journal.store.database import Database
from augment_open_proxy.journal.store.records import Conversation, Item, Page, Turn
from tests.store.samples import DAY, OWNER, Place, after, items, turn

pytestmark = pytest.mark.timeout(240)  # hundreds of readings, on a machine that may be busy

OWNERS = st.sampled_from([OWNER, "another"])
IDS = st.integers(1, 6).map("conv_{}".format)
METADATA = st.dictionaries(st.text(max_size=2), st.text(max_size=2), max_size=2)
ITEM_IDS = st.lists(st.sampled_from("uvwxyz"), max_size=3, unique=True)


class Model(RuleBasedStateMachine):
    """`turns` and `conversations` are what must be stored, in the order of their lists."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.place = Place("memory")
        self.opened = self.place.stores(ttl=DAY)
        self.turns: dict[str, Turn] = {}
        self.expiry: dict[str, float] = {}
        self.conversations: dict[str, dict[str, Item]] = {}
        self.count = 0
        self.created = 0

    @initialize()
    def open(self) -> None:
        self.store: Database = self.do(self.opened.open())

    def teardown(self) -> None:
        self.do(self.opened.close())
        self.loop.close()

    def do(self, waiting: Any) -> Any:
        return self.loop.run_until_complete(waiting)

    def save(self, saved: Turn, added: tuple[Item, ...] = ()) -> None:
        self.do(self.store.turns.save(saved, added))
        self.turns[saved.id] = saved
        self.expiry[saved.root] = self.place.clock.now + DAY

    @rule(owner=OWNERS, metadata=METADATA)
    def begin(self, owner: str, metadata: dict[str, str]) -> None:
        self.count += 1
        self.save(turn(f"resp_{self.count}", owner=owner, metadata=metadata))

    @rule(data=st.data())
    def go_on(self, data: st.DataObject) -> None:
        if self.turns:
            previous = self.turns[data.draw(st.sampled_from(sorted(self.turns)))]
            if previous.root in self.turns:
                self.count += 1
                self.save(after(previous, f"resp_{self.count}", owner=previous.owner))

    @rule(data=st.data(), metadata=METADATA)
    def change(self, data: st.DataObject, metadata: dict[str, str]) -> None:
        if self.turns:
            id_ = data.draw(st.sampled_from(sorted(self.turns)))
            self.turns[id_] = replace(self.turns[id_], metadata=metadata)
            owner = self.turns[id_].owner
            assert self.do(self.store.turns.set_metadata(id_, owner, "response", metadata)) == self.turns[id_]

    @rule(data=st.data(), owner=OWNERS)
    def delete(self, data: st.DataObject, owner: str) -> None:
        id_ = data.draw(st.sampled_from([*sorted(self.turns), "unknown"]))
        is_theirs = id_ in self.turns and self.turns[id_].owner == owner
        assert self.do(self.store.turns.delete(id_, owner, "response")) == is_theirs
        if is_theirs:
            del self.turns[id_]

    @rule(ids=ITEM_IDS)
    def create_conversation(self, ids: list[str]) -> None:
        self.created += 1
        new = Conversation(id=f"conv_{self.created}", owner=OWNER, created=1)
        self.do(self.store.conversations.create(new, items(*ids)))
        self.conversations[new.id] = {item.id: item for item in items(*ids)}
        self.expiry[new.id] = self.place.clock.now + DAY

    @rule(id_=IDS, ids=ITEM_IDS, is_turn=st.booleans())
    def add_items(self, id_: str, ids: list[str], is_turn: bool) -> None:
        added = tuple(Item(item, f"{self.count}".encode()) for item in ids)
        if is_turn:
            self.count += 1
            self.save(turn(f"resp_{self.count}", conversation=id_), added)
        elif self.conversations.get(id_, {}).keys() & ids:
            with pytest.raises(KeyError):
                self.do(self.store.conversations.add(id_, OWNER, added))
            return
        else:
            assert self.do(self.store.conversations.add(id_, OWNER, added)) == (id_ in self.conversations)
        if id_ in self.conversations and added:
            for item in added:
                self.conversations[id_].setdefault(item.id, item)
            self.expiry[id_] = self.place.clock.now + DAY

    @rule(id_=IDS, item=st.sampled_from("uvwxyz"))
    def delete_item(self, id_: str, item: str) -> None:
        known = self.conversations.get(id_, {})
        assert self.do(self.store.conversations.delete_item(id_, OWNER, item)) == (item in known)
        known.pop(item, None)

    @rule(id_=IDS)
    def delete_conversation(self, id_: str) -> None:
        assert self.do(self.store.conversations.delete(id_, OWNER)) == (id_ in self.conversations)
        self.conversations.pop(id_, None)

    @rule(days=st.floats(0.01, 0.9), cleans=st.booleans())
    def wait(self, days: float, cleans: bool) -> None:
        self.place.clock.now += days * DAY
        now = self.place.clock.now
        self.turns = {id_: kept for id_, kept in self.turns.items() if self.expiry[kept.root] > now}
        self.conversations = {id_: kept for id_, kept in self.conversations.items() if self.expiry[id_] > now}
        if cleans:
            self.do(self.store.cleaner.clean())

    @invariant()
    def each_owner_has_their_turns_in_order(self) -> None:
        for owner in (OWNER, "another"):
            expected = [kept for kept in self.turns.values() if kept.owner == owner]
            page = Page(limit=1000, order="asc")
            assert self.do(self.store.turns.page("response", owner, page)) == (expected, False)

    @invariant()
    def every_chain_is_whole_or_none(self) -> None:
        for kept in self.turns.values():
            expected: list[Turn] = []
            at: Turn | None = kept
            while at is not None:
                expected.insert(0, at)
                if at.previous is None:
                    break
                at = self.turns.get(at.previous)
                if at is None:
                    expected = []
            assert self.do(self.store.turns.chain(kept.id, kept.owner, "response")) == expected

    @invariant()
    def conversations_hold_their_items_in_order(self) -> None:
        for id_ in (f"conv_{number}" for number in range(1, 7)):
            known = self.conversations.get(id_)
            expected = None if known is None else list(known.values())
            assert self.do(self.store.conversations.items(id_, OWNER)) == expected


Model.TestCase.settings = settings(max_examples=10, stateful_step_count=25, deadline=None)
TestModel = Model.TestCase
