"""The statements that read and write turns, built once: to build one takes SQLAlchemy longer than to execute it."""

from typing import Any

from sqlalchemy import Select, and_, bindparam, delete, exists, false, func, select, update

from augment_open_proxy.journal.store.access import Access
from augment_open_proxy.journal.store.lives import is_alive, life_of_chain
from augment_open_proxy.journal.store.schema import chunks, turns
from augment_open_proxy.journal.store.turn_rows import FIRST
from augment_open_proxy.journal.store.writer import Row, Step

_is_meant = and_(
    turns.c.id == bindparam("which"), turns.c.owner == bindparam("whose"), is_alive(turns, bindparam("now"))
)
IS_KNOWN = and_(_is_meant, turns.c.kind == bindparam("what"))
"""The turn `which` of the owner `whose` of the kind `what`, as in their columns, where it is alive `now`."""

TURN: Select[Any] = select(turns).where(IS_KNOWN)
STATE = select(turns.c.kind, turns.c.lease, turns.c.replies).where(_is_meant)


def _chain() -> Select[Any]:
    up = select(turns.c.id, turns.c.previous).where(IS_KNOWN).cte("up", recursive=True)
    before = turns.alias()
    is_before = and_(
        before.c.id == up.c.previous,
        before.c.owner == bindparam("whose"),
        before.c.kind == bindparam("what"),
        is_alive(before, bindparam("now")),
    )
    up = up.union(select(before.c.id, before.c.previous).where(is_before))
    return select(turns).join(up, up.c.id == turns.c.id)


CHAIN = _chain()
"""The turn and those that it goes on from, in any order."""


def _later_chunks() -> Select[Any]:
    of_turn = chunks.c.turn == bindparam("which")
    before = func.sum(chunks.c.count).over(order_by=chunks.c.number) - chunks.c.count
    places = select(chunks.c.number, chunks.c.count, before.label("before")).where(of_turn).subquery()
    return (
        select(chunks.c.events, places.c.before)
        .join(places, places.c.number == chunks.c.number)
        .where(of_turn, places.c.before + places.c.count > bindparam("had"))
        .order_by(chunks.c.number)
    )


LATER_CHUNKS = _later_chunks()
"""The chunks of a turn that hold events past the first `had`, with the number of events `before` each."""

_COLUMNS = [column.name for column in turns.c if column.name not in ("number", "life")]
_REPLACED = [name for name in _COLUMNS if name not in ("id", "is_cancelled")]


class TurnStatements:
    """Each method gives a step to write. Texts are as in their columns."""

    def __init__(self, access: Access) -> None:
        self._instance = access.instance
        self._clock = access.clock
        new = access.insert(turns).values({name: bindparam(name) for name in _COLUMNS} | {"life": life_of_chain()})
        # Python's driver takes a while for each value that is None or a bool.
        constant = {"background": false(), "is_cancelled": false()}
        first = access.insert(turns).values({name: bindparam(name) for name in FIRST} | constant)
        self._insert = access.prepare(first.on_conflict_do_nothing(index_elements=["id"]))
        excluded = {name: new.excluded[name] for name in (*_REPLACED, "life")}
        self._replace = access.prepare(new.on_conflict_do_update(index_elements=["id"], set_=excluded))
        is_meant = turns.c.id == bindparam("which")
        self._update = access.prepare(
            update(turns)
            .where(is_meant, turns.c.instance == bindparam("whose"))
            .values({name: bindparam(f"new_{name}") for name in _REPLACED})
        )
        self._set_metadata = access.prepare(
            update(turns)
            .where(is_meant, turns.c.owner == bindparam("whose"), turns.c.kind == bindparam("what"))
            .values(metadata=bindparam("new_metadata"))
        )
        self._drop_chunks = access.prepare(delete(chunks).where(chunks.c.turn == bindparam("which")))
        is_ours = exists().where(is_meant, turns.c.lease.is_not(None), turns.c.instance == bindparam("whose"))
        values = [bindparam(column.name, type_=column.type) for column in chunks.c]
        self._add_chunk = access.prepare(
            access.insert(chunks)
            .from_select([column.name for column in chunks.c], select(*values).where(is_ours))
            .on_conflict_do_nothing()
        )

    def replace(self, row: dict[str, Any], life: int) -> Step:
        """A turn has the life of its root; `life` is for one that has none."""
        return self._replace, [self._replace.row(**row, life=life, now=self._clock())]

    def insert(self, row: Row) -> Step:
        """A plain turn by its `FIRST`. Nothing happens where it is there already: a commit was repeated."""
        return self._insert, [row]

    def update(self, row: dict[str, Any]) -> Step:
        """Nothing happens where the turn is over, deleted or another's."""
        new = {f"new_{name}": row[name] for name in _REPLACED}
        return self._update, [self._update.row(which=row["id"], whose=self._instance, **new)]

    def set_metadata(self, turn: str, owner: str, kind: str, metadata: str) -> Step:
        row = self._set_metadata.row(which=turn, whose=owner, what=kind, new_metadata=metadata)
        return self._set_metadata, [row]

    def drop_chunks(self, turn: str) -> Step:
        return self._drop_chunks, [self._drop_chunks.row(which=turn)]

    def add_chunk(self, turn: str, number: int, count: int, events: bytes) -> Step:
        """Nothing happens where the turn is over, deleted or another's."""
        row = self._add_chunk.row(
            turn=turn, number=number, count=count, events=events, which=turn, whose=self._instance
        )
        return self._add_chunk, [row]
