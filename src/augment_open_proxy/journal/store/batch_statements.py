"""The statements that write batches, compiled once."""

from collections.abc import Sequence

from sqlalchemy import bindparam, exists, select, update

from augment_open_proxy.journal.store.access import Access
from augment_open_proxy.journal.store.coding import to_column
from augment_open_proxy.journal.store.records import Batch, BatchRequest, RequestState
from augment_open_proxy.journal.store.schema import batches, requests
from augment_open_proxy.journal.store.writer import Step

_BATCH = ("id", "life", "owner", "created", "expires", "cancelled", "ended")
_REQUEST = ("batch", "number", "custom_id", "owner", "state", "lease", "headers", "params")


class BatchStatements:
    """Each method gives steps to write."""

    def __init__(self, access: Access) -> None:
        self._instance = access.instance
        new_batch = access.insert(batches).values({name: bindparam(name) for name in _BATCH})
        self._add_batch = access.prepare(new_batch.on_conflict_do_nothing())
        new_request = access.insert(requests).values({name: bindparam(name) for name in _REQUEST})
        self._add_request = access.prepare(new_request.on_conflict_do_nothing())
        is_meant = batches.c.id == bindparam("which")
        self._lock = access.prepare(update(batches).where(is_meant).values(ended=batches.c.ended))
        self._finish = access.prepare(
            update(requests)
            .where(
                requests.c.batch == bindparam("which"),
                requests.c.number == bindparam("what"),
                requests.c.lease.is_not(None),
                requests.c.instance == bindparam("whose"),
            )
            .values(state=bindparam("new_state"), result=bindparam("new_result"), lease=bindparam("none", None))
        )
        is_open = requests.c.state.in_([bindparam("waiting"), bindparam("running")])
        has_open = exists(select(requests.c.place).where(requests.c.batch == bindparam("which"), is_open))
        self._end = access.prepare(
            update(batches).where(is_meant, batches.c.ended.is_(None), ~has_open).values(ended=bindparam("now"))
        )

    def add_batch(self, batch: Batch, life: int) -> Step:
        row = self._add_batch.row(
            id=to_column(batch.id),
            life=life,
            owner=to_column(batch.owner),
            created=batch.created,
            expires=batch.expires,
            cancelled=batch.cancelled,
            ended=batch.ended,
        )
        return self._add_batch, [row]

    def add_requests(self, batch: Batch, added: Sequence[BatchRequest]) -> Step:
        rows = [
            self._add_request.row(
                batch=to_column(batch.id),
                number=request.number,
                custom_id=to_column(request.custom_id),
                owner=to_column(request.owner or batch.owner),
                state="waiting",
                lease=0.0,
                headers=request.headers,
                params=request.params,
            )
            for request in added
        ]
        return self._add_request, rows

    def finish(
        self, batch: str, number: int, state: RequestState, result: bytes | None, now: float
    ) -> tuple[Step, Step, Step]:
        """The batch is locked first: of two replicas that finish its last two requests, the second sees the first's."""
        finish = self._finish.row(
            which=batch, what=number, whose=self._instance, new_state=state, new_result=result, none=None
        )
        end = self._end.row(which=batch, now=now, waiting="waiting", running="running")
        return (self._lock, [self._lock.row(which=batch)]), (self._finish, [finish]), (self._end, [end])
