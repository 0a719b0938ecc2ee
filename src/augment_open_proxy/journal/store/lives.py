"""Lives: what is deleted as one, when its time is over or space is needed."""

from collections.abc import Sequence
from secrets import randbits
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    FromClause,
    ScalarSelect,
    Select,
    Update,
    and_,
    bindparam,
    delete,
    exists,
    func,
    literal_column,
    select,
    tuple_,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from augment_open_proxy.journal.store.access import Access
from augment_open_proxy.journal.store.schema import (
    batches,
    chunks,
    conversations,
    items,
    lives,
    requests,
    turns,
)
from augment_open_proxy.journal.store.writer import Step

Parameter = BindParameter[Any]

OVERHEAD = 400
"""About how many bytes a row takes beside its contents, with its indexes."""

_HOLDINGS = ((turns, chunks, "turn"), (conversations, items, "conversation"), (batches, requests, "batch"))
"""What has a life, what that holds, and by which column."""


class Lives:
    """Begins and prolongs lives. They are written before what they hold, which orders replicas on PostgreSQL.

    Their numbers go up with the time: a write then touches few pages of the database's trees, which is most of its
    cost. Should two replicas ever take the same, what they hold lives as long as the younger.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        self._last = randbits(16)  # the low bits tell replicas apart
        until: Parameter = bindparam("until")
        now: Parameter = bindparam("now")
        more: Parameter = bindparam("more")
        new = access.insert(lives)
        old = select(turns.c.bytes).where(turns.c.id == bindparam("turn")).scalar_subquery()
        size = lives.c.bytes + new.excluded.bytes - func.coalesce(old, literal_column("0"))
        shared = {"expires": new.excluded.expires, "bytes": lives.c.bytes + new.excluded.bytes}
        begin = new.values(number=bindparam("number_"), expires=until, bytes=more)
        self._begin = access.prepare(begin.on_conflict_do_update(index_elements=["number"], set_=shared).inline())
        known = {"index_elements": ["number"], "set_": {"expires": new.excluded.expires, "bytes": size}}
        with_turn = new.values(number=life_of_chain(), expires=until, bytes=more).on_conflict_do_update(**known)
        self._begin_with_turn = access.prepare(with_turn.inline())
        of_turn = select(turns.c.life).where(turns.c.id == bindparam("turn")).scalar_subquery()
        prolong = update(lives).where(lives.c.expires > now)
        self._prolong_chain = access.prepare(prolong.where(lives.c.number == of_turn).values(expires=until))
        self._prolong_with_turn = access.prepare(
            prolong.where(lives.c.number == of_turn).values(expires=until, bytes=lives.c.bytes + more - old)
        )
        is_meant = and_(conversations.c.id == bindparam("which"), conversations.c.owner == bindparam("whose"))
        of_conversation = select(conversations.c.life).where(is_meant).scalar_subquery()
        self._prolong_conversation = access.prepare(
            prolong.where(lives.c.number == of_conversation).values(expires=until, bytes=lives.c.bytes + more)
        )

    def new_number(self) -> int:
        ours = self._last & 0xFFFF
        self._last = max(self._last + 0x10000, int(self._access.clock() * 10_000) << 16 | ours)
        return self._last

    def begin(self, number: int, size: int) -> Step:
        return self._begin, [(number, self._access.clock() + self._access.ttl, size)]

    def begin_with_turn(self, number: int, root: str, turn: str, size: int) -> Step:
        """Begin the life of a chain or prolong it, with a turn that is new or replaces the one with its id."""
        statement = self._begin_with_turn
        return statement, [statement.row(life=number, root=root, more=size, turn=turn, **self._times)]

    def prolong_chain(self, root: str) -> Step:
        """Before a turn goes on from others. Nobody deletes them then, before the turn is among them."""
        return self._prolong_chain, [self._prolong_chain.row(turn=root, **self._times)]

    def prolong_with_turn(self, turn: str, size: int) -> Step:
        """Prolong the life of a chain with a turn that replaces the one with its id, where that is still there."""
        statement = self._prolong_with_turn
        return statement, [statement.row(turn=turn, more=size, **self._times)]

    def prolong_conversation(self, id_: str, owner: str, more: int) -> Step:
        statement = self._prolong_conversation
        return statement, [statement.row(which=id_, whose=owner, more=more, **self._times)]

    @property
    def _times(self) -> dict[str, float]:
        now = self._access.clock()
        return {"now": now, "until": now + self._access.ttl}


def life_of_chain() -> ColumnElement[int]:
    """The life of the turn `root`, or `life` where that is not alive `now`: a life that is over never begins again."""
    root = turns.alias()
    is_meant = and_(root.c.id == bindparam("root"), lives.c.expires > bindparam("now"))
    found = select(root.c.life).join(lives, lives.c.number == root.c.life).where(is_meant).scalar_subquery()
    return func.coalesce(found, bindparam("life", type_=turns.c.life.type))


def is_alive(table: FromClause, now: float | BindParameter[float]) -> ColumnElement[bool]:
    """Whether the life of a row goes on: what is over is not seen, whether or not it is deleted yet."""
    return exists(select(lives.c.number).where(lives.c.number == table.c.life, lives.c.expires > now))


def grown(life: int | ScalarSelect[int], more: int) -> Update:
    """Counts what was added to a life, or with a negative number what was taken from it."""
    return update(lives).where(lives.c.number == life).values(bytes=lives.c.bytes + more)


async def delete_lives(connection: AsyncConnection, numbers: Sequence[int]) -> None:
    """Delete these lives with all they hold."""
    await connection.execute(delete(lives).where(lives.c.number.in_(numbers)))
    for owners, held, key in _HOLDINGS:
        ids = select(owners.c.id).where(owners.c.life.in_(numbers))
        await connection.execute(delete(held).where(held.c[key].in_(ids)))
        await connection.execute(delete(owners).where(owners.c.life.in_(numbers)))


async def delete_some(connection: AsyncConnection, numbers: Sequence[int], most: int) -> None:
    """Delete up to `most` rows of each table that these lives hold, and the lives themselves when all are gone.

    They are over at once, so nobody sees what is left of them until then.
    """
    await connection.execute(update(lives).where(lives.c.number.in_(numbers)).values(expires=0, bytes=0))
    for owners, held, key in _HOLDINGS:
        ids = select(owners.c.id).where(owners.c.life.in_(numbers)).order_by(owners.c.life).limit(most)
        keys = list(held.primary_key.columns)
        some = select(*keys).where(held.c[key].in_(ids)).limit(most)
        found = await connection.execute(delete(held).where(tuple_(*keys).in_(some)))
        if found.rowcount == most:
            return
        found = await connection.execute(delete(owners).where(owners.c.id.in_(ids)))
        if found.rowcount == most:
            return
    await connection.execute(delete(lives).where(lives.c.number.in_(numbers)))


def oldest(most: int) -> Select[tuple[int, float, int]]:
    """The lives that end first. Those that another replica deletes are left to it."""
    query = select(lives.c.number, lives.c.expires, lives.c.bytes).order_by(lives.c.expires, lives.c.number)
    return query.limit(most).with_for_update(skip_locked=True)
