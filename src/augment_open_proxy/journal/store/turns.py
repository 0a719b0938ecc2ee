"""Turns: responses, messages and chat completions, those in the background too."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, delete, exists, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from augment_open_proxy.core.events import Event
from augment_open_proxy.journal.store.access import LEASE, Access
from augment_open_proxy.journal.store.coding import (
    metadata_to_column,
    pack,
    to_column,
    unpack_events,
    unpack_replies,
)
from augment_open_proxy.journal.store.conversations import ItemWriter
from augment_open_proxy.journal.store.leases import Leases
from augment_open_proxy.journal.store.lives import Lives, grown, is_alive
from augment_open_proxy.journal.store.paging import metadata_holds, read_page
from augment_open_proxy.journal.store.records import Item, Page, Turn, TurnKind
from augment_open_proxy.journal.store.schema import chunks, lives, turns
from augment_open_proxy.journal.store.turn_rows import (
    died,
    first_to_row,
    is_plain,
    turn_from_row,
    turn_to_row,
    with_chunks,
)
from augment_open_proxy.journal.store.turn_statements import CHAIN, IS_KNOWN, LATER_CHUNKS, STATE, TURN, TurnStatements


class Turns:
    """What is returned is what is stored; a running turn whose process died is ended where it is met."""

    def __init__(self, access: Access, lives: Lives, leases: Leases) -> None:
        self._access = access
        self._leases = leases
        self._lives = lives
        self._items = ItemWriter(access, lives)
        self._statements = TurnStatements(access)

    async def save(self, turn: Turn, items: Sequence[Item] = (), *, is_new: bool = False) -> None:
        """Insert `turn`, or replace the one with its id, and append `items` to its conversation.

        `is_new`: nobody has used its id yet, so nothing is looked for. A turn prolongs the life of its whole chain.
        One of ours that was deleted while it ran stays deleted, and one that another process took for dead stays
        failed.
        """
        if is_new and is_plain(turn):
            life = self._lives.new_number()
            first, size = first_to_row(turn, life)
            await self._access.write(self._lives.begin(life, size), self._statements.insert(first))
            return
        lease = self._access.clock() + LEASE if turn.is_running else None
        row = turn_to_row(turn, self._access.instance if turn.is_running else None, lease)
        if row["id"] in self._leases.turns:
            steps = [self._lives.prolong_with_turn(row["id"], row["bytes"]), self._statements.update(row)]
        else:
            life = self._lives.new_number()
            begin = self._lives.begin_with_turn(life, row["root"], row["id"], row["bytes"])
            steps = [begin, self._statements.replace(row, life)]
            if turn.previous is not None:
                steps.insert(0, self._lives.prolong_chain(row["root"]))
        if turn.background and not turn.is_running:
            steps.append(self._statements.drop_chunks(row["id"]))
        if turn.conversation is not None and items:
            steps += self._items.steps(turn.conversation, turn.owner, items)
        self._leases.turns.discard(row["id"])
        await self._access.write(*steps)
        if turn.is_running:
            self._leases.turns.add(row["id"])

    async def load(self, id_: str, owner: str, kind: TurnKind) -> Turn | None:
        """A turn that is alive. One that runs has the events so far."""
        rows = await self._access.read(TURN, **self._known(id_, owner, kind))
        return await self._settled(rows[0]) if rows else None

    async def chain(self, id_: str, owner: str, kind: TurnKind) -> list[Turn]:
        """The turn and all it goes on from, oldest first; nothing where one of them is missing."""
        rows = await self._access.read(CHAIN, **self._known(id_, owner, kind))
        by_id = {row.id: row for row in rows}
        chain: list[Turn] = []
        at: str | None = to_column(id_)
        while at is not None:
            row = by_id.get(at)
            turn = await self._settled(row) if row else None
            if row is None or turn is None:
                return []
            chain.append(turn)
            at = row.previous
        return chain[::-1]

    async def page(
        self,
        kind: TurnKind,
        owner: str,
        page: Page,
        *,
        model: str | None = None,
        metadata: Mapping[str, str] = {},
    ) -> tuple[list[Turn], bool]:
        """Those of a page, and whether there are more. Raises `LookupError` where the page begins at an unknown id."""
        known = and_(turns.c.owner == to_column(owner), turns.c.kind == kind, self._is_alive)
        query = select(turns).where(known, metadata_holds(self._access, turns.c.metadata, metadata))
        if model is not None:
            query = query.where(turns.c.model == to_column(model))
        rows, has_more = await read_page(self._access, query, turns.c.number, turns.c.id, page, known)
        found = [await self._settled(row) for row in rows]
        return [turn for turn in found if turn is not None], has_more

    async def set_metadata(self, id_: str, owner: str, kind: TurnKind, metadata: dict[str, str]) -> Turn | None:
        """The turn as it is then."""
        new = metadata_to_column(metadata)
        await self._access.write(self._statements.set_metadata(to_column(id_), to_column(owner), kind, new))
        return await self.load(id_, owner, kind)

    async def delete(self, id_: str, owner: str, kind: TurnKind) -> bool:
        """Whether there was one. Those that go on from it stay, but their chain has lost its beginning."""

        async def work(connection: AsyncConnection) -> bool:
            known = select(turns.c.id, turns.c.life, turns.c.bytes).where(IS_KNOWN)
            found = await connection.execute(known, self._known(id_, owner, kind))
            row = found.one_or_none()
            if row is None:
                return False
            await connection.execute(grown(row.life, -row.bytes))
            await connection.execute(delete(turns).where(turns.c.id == row.id))
            await connection.execute(delete(chunks).where(chunks.c.turn == row.id))
            is_needed = exists().where(turns.c.life == row.life)
            await connection.execute(delete(lives).where(lives.c.number == row.life, ~is_needed))
            return True

        return await self._access.change(work)

    # --- In the background -------------------------------------------------------------------------------------------

    async def append(self, id_: str, number: int, events: Sequence[Event]) -> None:
        """The chunk `number` of a turn of ours; nothing happens where it is over or deleted."""
        await self._access.write(self._statements.add_chunk(to_column(id_), number, len(events), pack(events)))

    async def events_after(self, id_: str, owner: str, had: int) -> tuple[list[Event], bool]:
        """The events but for the first `had`, and whether the turn is over. An unknown one is, without any."""
        which, whose = to_column(id_), to_column(owner)
        # The chunks are read first: they go when the turn ends, and are then part of it.
        later = await self._access.read(LATER_CHUNKS, which=which, had=had)
        rows = await self._access.read(STATE, which=which, whose=whose, now=self._access.clock())
        if not rows:
            return [], True
        if self._is_dead(rows[0]):
            ended = await self.load(id_, owner, rows[0].kind)
            return (list(ended.replies[0][had:]), not ended.is_running) if ended else ([], True)
        if rows[0].lease is None:
            return list(unpack_replies(rows[0].replies)[0][had:]), True
        skipped = max(0, had - int(later[0].before)) if later else 0
        return [event for chunk in later for event in unpack_events(chunk.events)][skipped:], False

    async def ask_cancel(self, id_: str, owner: str) -> bool:
        """Tell the process that runs the turn, at its next `renew`; whether one does."""

        async def work(connection: AsyncConnection) -> bool:
            found = await connection.execute(
                update(turns)
                .where(
                    turns.c.id == to_column(id_),
                    turns.c.owner == to_column(owner),
                    turns.c.lease >= self._access.clock(),
                )
                .values(is_cancelled=True)
            )
            return found.rowcount > 0

        return await self._access.change(work)

    def hold(self, id_: str) -> None:
        """Keep the lease of a turn of ours whose end could not be stored, and will be tried again."""
        self._leases.turns.add(to_column(id_))

    async def renew(self) -> list[str]:
        """Prolong the leases of what this process is at work on, requests of batches too.

        The ids of its turns that someone asked to cancel, and of those that are its own no more.
        """
        return await self._leases.renew()

    # --- Reading -----------------------------------------------------------------------------------------------------

    @property
    def _is_alive(self) -> ColumnElement[bool]:
        return is_alive(turns, self._access.clock())

    def _known(self, id_: str, owner: str, kind: TurnKind) -> dict[str, Any]:
        """The parameters of `IS_KNOWN`."""
        return {"which": to_column(id_), "whose": to_column(owner), "what": kind, "now": self._access.clock()}

    def _is_dead(self, row: Row[Any]) -> bool:
        return row.lease is not None and row.lease < self._access.lapsed

    async def _settled(self, row: Row[Any]) -> Turn | None:
        """The turn, with the events so far where it runs. None where it was deleted in the meantime."""
        if row.lease is None:
            return turn_from_row(row)

        async def work(connection: AsyncConnection) -> Turn | None:
            return await self._settle(connection, row.id)

        return await self._access.change(work)

    async def _settle(self, connection: AsyncConnection, id_: str) -> Turn | None:
        row = (await connection.execute(select(turns).where(turns.c.id == id_).with_for_update())).one_or_none()
        if row is None or row.lease is None:
            return turn_from_row(row) if row is not None else None
        events = await connection.execute(select(chunks.c.events).where(chunks.c.turn == id_).order_by(chunks.c.number))
        turn = with_chunks(turn_from_row(row), events.scalars())
        if not self._is_dead(row):
            return turn
        turn = died(turn)
        ended = turn_to_row(turn, None, None)
        await connection.execute(grown(row.life, ended["bytes"] - row.bytes))
        await connection.execute(update(turns).where(turns.c.id == id_).values(ended))
        await connection.execute(delete(chunks).where(chunks.c.turn == id_))
        return turn
