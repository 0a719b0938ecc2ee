"""What this process is at work on. Its leases are prolonged as long as it lives; those of a dead one run out."""

from typing import Any

from sqlalchemy import Update, and_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from augment_open_proxy.journal.store.access import LEASE, Access
from augment_open_proxy.journal.store.coding import from_column
from augment_open_proxy.journal.store.schema import requests, turns


class Leases:
    """Only what was committed is held, so nothing that a failed write may have left behind is kept alive."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self.turns: set[str] = set()
        """Ids as in their column."""
        self.requests: dict[tuple[str, int], int] = {}
        """Places by batch and number."""

    async def renew(self) -> list[str]:
        """Prolong what is held; the ids of the turns among it that nobody wants.

        These are the ones that someone asked to cancel, that were deleted, or that another process took for dead.
        """
        if not self.turns and not self.requests:
            return []
        held, places = list(self.turns), list(self.requests.values())

        async def work(connection: AsyncConnection) -> list[str]:
            if places:
                await connection.execute(self._prolong(requests).where(requests.c.place.in_(places)))
            if not held:
                return []
            await connection.execute(self._prolong(turns).where(turns.c.id.in_(held)))
            is_ours = and_(turns.c.lease.is_not(None), turns.c.instance == self._access.instance)
            wanted = select(turns.c.id).where(turns.c.id.in_(held), is_ours, turns.c.is_cancelled.is_(False))
            return list(set(held).difference((await connection.execute(wanted)).scalars()))

        # A turn that has ended meanwhile is no more held; to end it would replace what it ended with.
        return [from_column(id_) for id_ in await self._access.change(work) if id_ in self.turns]

    def _prolong(self, table: Any) -> Update:
        return (
            update(table)
            .where(table.c.lease.is_not(None), table.c.instance == self._access.instance)
            .values(lease=self._access.clock() + LEASE)
        )
