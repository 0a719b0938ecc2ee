"""What is asked about turns most, built once: building a statement takes SQLAlchemy longer than executing it."""

from typing import Any

from sqlalchemy import Select, and_, bindparam, func, select

from augment_open_proxy.journal.store.lives import is_alive
from augment_open_proxy.journal.store.schema import chunks, turns

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
