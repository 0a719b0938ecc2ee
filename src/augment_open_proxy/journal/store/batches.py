"""Message batches: their requests are shared out among the instances, and their results kept."""

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, exists, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from augment_open_proxy.journal.store.access import LEASE, Access
from augment_open_proxy.journal.store.batch_statements import BatchStatements
from augment_open_proxy.journal.store.coding import from_column, to_column
from augment_open_proxy.journal.store.leases import Leases
from augment_open_proxy.journal.store.lives import OVERHEAD, Lives, delete_lives, is_alive
from augment_open_proxy.journal.store.paging import read_page
from augment_open_proxy.journal.store.records import Batch, BatchRequest, Page, RequestState
from augment_open_proxy.journal.store.schema import batches, requests

INSERTED_AT_ONCE = 200
"""Requests of a new batch in one transaction, so that other writes get their turn."""
RESULTS_AT_ONCE = 32

_is_open = requests.c.state.in_(("waiting", "running"))


class Batches:
    """A request that is over stays as it is; a batch has ended when all of its requests are over."""

    def __init__(self, access: Access, lives: Lives, leases: Leases) -> None:
        self._access = access
        self._lives = lives
        self._leases = leases
        self._statements = BatchStatements(access)

    async def create(self, batch: Batch, requests: Sequence[BatchRequest]) -> None:
        """The batch itself comes last: before that its requests are nobody's."""
        size = OVERHEAD + sum(OVERHEAD + len(request.params) + len(request.headers) for request in requests)
        life = self._lives.new_number()
        await self._access.write(self._lives.begin(life, size))
        for start in range(0, len(requests), INSERTED_AT_ONCE):
            some = requests[start : start + INSERTED_AT_ONCE]
            await self._access.write(self._statements.add_requests(batch, some))
        await self._access.write(self._statements.add_batch(batch, life))

    async def load(self, id_: str, owner: str) -> Batch | None:
        """With the counts of its requests."""
        rows = await self._access.read(select(batches).where(self._is_known(id_, owner)))
        return (await self._with_counts(rows))[0] if rows else None

    async def page(self, owner: str, page: Page) -> tuple[list[Batch], bool]:
        """A part of the owner's batches, and whether there are more. Raises `LookupError` for an unknown place."""
        known = and_(batches.c.owner == to_column(owner), self._is_alive)
        rows, has_more = await read_page(
            self._access, select(batches).where(known), batches.c.number, batches.c.id, page, known
        )
        return await self._with_counts(rows), has_more

    async def cancel(self, id_: str, owner: str, now: float) -> Batch | None:
        """What waits is canceled at once; what runs may end as it does."""

        async def work(connection: AsyncConnection) -> None:
            found = await connection.execute(
                update(batches)
                .where(self._is_known(id_, owner), batches.c.ended.is_(None), batches.c.cancelled.is_(None))
                .values(cancelled=now)
            )
            if found.rowcount:
                id_column = to_column(id_)
                await connection.execute(
                    update(requests)
                    .where(requests.c.batch == id_column, requests.c.state == "waiting")
                    .values(state="canceled", lease=None)
                )
                await _end(connection, now, batches.c.id == id_column)

        await self._access.change(work)
        return await self.load(id_, owner)

    async def delete(self, id_: str, owner: str) -> bool:
        """With its requests and results; whether there was one."""

        async def work(connection: AsyncConnection) -> bool:
            found = await connection.execute(select(batches.c.life).where(self._is_known(id_, owner)))
            life = found.scalar_one_or_none()
            if life is not None:
                await delete_lives(connection, [life])
            return life is not None

        return await self._access.change(work)

    async def results(self, id_: str, owner: str) -> AsyncIterator[tuple[str, RequestState, bytes | None]]:
        """`custom_id`, state and result of each request in the order of the batch, read a few at a time."""
        last = -1
        while True:
            rows = await self._access.read(
                select(requests.c.number, requests.c.custom_id, requests.c.state, requests.c.result)
                .join(batches, batches.c.id == requests.c.batch)
                .where(self._is_known(id_, owner), requests.c.number > last)
                .order_by(requests.c.number)
                .limit(RESULTS_AT_ONCE)
            )
            for row in rows:
                yield from_column(row.custom_id), row.state, row.result
            if len(rows) < RESULTS_AT_ONCE:
                return
            last = rows[-1].number

    # --- Work --------------------------------------------------------------------------------------------------------

    async def claim(self, most: int, now: float) -> list[BatchRequest]:
        """Up to `most` requests that wait, or whose process died, for this process to run; no other gets them.

        Those of batches past their time become expired instead.
        """
        if not await self._access.read(select(requests.c.place).where(requests.c.lease < now).limit(1)):
            return []

        is_free = requests.c.lease < self._access.lapsed

        async def work(connection: AsyncConnection) -> Sequence[Row[Any]]:
            await _give_up(connection, is_free, now)
            found = await connection.execute(self._claimable(most, is_free))
            rows: Sequence[Row[Any]] = found.all()
            await connection.execute(
                update(requests)
                .where(requests.c.place.in_([row.place for row in rows]))
                .values(state="running", instance=self._access.instance, lease=self._access.clock() + LEASE)
            )
            return rows

        rows = await self._access.change(work)
        self._leases.requests.update({(row.batch, row.number): row.place for row in rows})
        return [_request_from_row(row) for row in rows]

    async def finish(self, request: BatchRequest, state: RequestState, result: bytes | None, now: float) -> None:
        """Keep how a request ended. Nothing happens where it is no longer this process' to run."""
        batch = to_column(request.batch)
        self._leases.requests.pop((batch, request.number), None)
        await self._access.write(*self._statements.finish(batch, request.number, state, result, now))

    async def is_cancelled(self, batch: str) -> bool:
        """Whether its results are wanted no more; so it is where it was deleted."""
        rows = await self._access.read(
            select(batches.c.cancelled).where(batches.c.id == to_column(batch), self._is_alive)
        )
        return not rows or rows[0].cancelled is not None

    async def has_work(self) -> bool:
        """Whether any request waits or runs, here or elsewhere."""
        open_ = select(requests.c.place).join(batches, batches.c.id == requests.c.batch)
        return bool(await self._access.read(open_.where(requests.c.lease.is_not(None), self._is_alive).limit(1)))

    def _claimable(self, most: int, is_free: ColumnElement[bool]) -> Select[Any]:
        return (
            select(requests)
            .join(batches, batches.c.id == requests.c.batch)
            .where(is_free, self._is_alive)
            .order_by(requests.c.lease, requests.c.place)
            .limit(most)
            .with_for_update(of=requests, skip_locked=True)
        )

    # --- Reading -----------------------------------------------------------------------------------------------------

    @property
    def _is_alive(self) -> ColumnElement[bool]:
        return is_alive(batches, self._access.clock())

    def _is_known(self, id_: str, owner: str) -> ColumnElement[bool]:
        return and_(batches.c.id == to_column(id_), batches.c.owner == to_column(owner), self._is_alive)

    async def _with_counts(self, rows: Sequence[Row[Any]]) -> list[Batch]:
        counts: defaultdict[str, dict[RequestState, int]] = defaultdict(dict)
        for of in await self._access.read(
            select(requests.c.batch, requests.c.state, func.count().label("many"))
            .where(requests.c.batch.in_([row.id for row in rows]))
            .group_by(requests.c.batch, requests.c.state)
        ):
            counts[of.batch][of.state] = of.many
        return [
            Batch(
                id=from_column(row.id),
                owner=from_column(row.owner),
                created=row.created,
                expires=row.expires,
                cancelled=row.cancelled,
                ended=row.ended,
                counts=counts[row.id],
            )
            for row in rows
        ]


async def _give_up(connection: AsyncConnection, is_free: ColumnElement[bool], now: float) -> None:
    """End the requests that nobody runs and nobody shall, and the batches of which they were the last."""
    for state, is_given_up in (
        ("canceled", batches.c.cancelled.is_not(None)),
        ("expired", batches.c.expires <= now),
    ):
        given_up = select(batches.c.id).where(batches.c.ended.is_(None), is_given_up)
        await connection.execute(
            update(requests).where(is_free, requests.c.batch.in_(given_up)).values(state=state, lease=None)
        )
    await _end(connection, now, or_(batches.c.cancelled.is_not(None), batches.c.expires <= now))


async def _end(connection: AsyncConnection, now: float, which: ColumnElement[bool]) -> None:
    has_open = exists(select(requests.c.place).where(requests.c.batch == batches.c.id, _is_open))
    await connection.execute(update(batches).where(batches.c.ended.is_(None), which, ~has_open).values(ended=now))


def _request_from_row(row: Row[Any]) -> BatchRequest:
    return BatchRequest(
        batch=from_column(row.batch),
        number=row.number,
        custom_id=from_column(row.custom_id),
        params=row.params,
        owner=from_column(row.owner),
        headers=row.headers,
    )
