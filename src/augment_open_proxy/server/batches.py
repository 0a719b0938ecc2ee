"""Message batches: `POST` and `GET /v1/messages/batches`, and `GET`, `DELETE`, `/cancel` and `/results` of each."""

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime
from urllib.parse import parse_qsl

from augment_open_proxy.dialects.anthropic_messages import ANTHROPIC_MESSAGES
from augment_open_proxy.dialects.anthropic_messages.batches import (
    Times,
    batch_not_found,
    describe,
    no_results_yet,
    parse_batch,
    read_batch_page,
    render_batch,
    render_batches,
    render_deleted_batch,
    render_result,
    still_in_progress,
    unknown_place,
)
from augment_open_proxy.dialects.anthropic_messages.wire import MessageBatch
from augment_open_proxy.journal.record import Record
from augment_open_proxy.journal.store.opening import Stores
from augment_open_proxy.journal.store.records import Batch, BatchRequest, RequestState
from augment_open_proxy.server.answers import answer
from augment_open_proxy.server.asgi import ClientLeft, Receive, Scope, Send, header_values
from augment_open_proxy.server.batch_runner import BatchRunner, kept_headers
from augment_open_proxy.server.body import read_body
from augment_open_proxy.server.keeping import opened
from augment_open_proxy.server.keys import owner_of
from augment_open_proxy.server.routes import Routes, path_name

LIFETIME = 24 * 3600
"""Seconds in which the requests of a batch are begun."""
SENT_AT_ONCE = 2**16
"""Bytes of results that are gathered for one write."""


class MessageBatches:
    """The handlers. What a batch asks for is done by the `runner`."""

    def __init__(self, stores: Stores, runner: BatchRunner, body_limit: int) -> None:
        """`body_limit` is in bytes."""
        self._stores = stores
        self._runner = runner
        self._body_limit = body_limit

    def add_to(self, routes: Routes) -> None:
        for path in ANTHROPIC_MESSAGES.paths:
            routes.add(f"{path}/batches", {"POST": self.create, "GET": self.list_all})
            routes.add(f"{path}/batches/{{id}}", {"GET": self.show, "DELETE": self.delete})
            routes.add(f"{path}/batches/{{id}}/cancel", {"POST": self.cancel})
            routes.add(f"{path}/batches/{{id}}/results", {"GET": self.give_results})

    async def create(self, scope: Scope, receive: Receive, send: Send, record: Record) -> None:
        body = await read_body(scope, receive, self._body_limit)
        entries = await asyncio.to_thread(parse_batch, body)
        now, owner, headers = time.time(), owner_of(scope), kept_headers(scope)
        batch = Batch(
            id=f"msgbatch_{uuid.uuid4().hex}",
            owner=owner,
            created=now,
            expires=now + LIFETIME,
            counts={"waiting": len(entries)},
        )
        requests = [
            BatchRequest(
                batch=batch.id,
                number=number,
                custom_id=entry.custom_id,
                params=entry.params,
                owner=owner,
                headers=headers,
            )
            for number, entry in enumerate(entries)
        ]
        store = await opened(self._stores)
        await store.batches.create(batch, requests)
        self._runner.wake()
        await answer(send, record, render_batch(_described(batch, scope)))

    async def list_all(self, scope: Scope, receive: Receive, send: Send, record: Record) -> None:
        page = read_batch_page(parse_qsl(scope["query_string"].decode("latin-1")))
        store = await opened(self._stores)
        try:
            batches, has_more = await store.batches.page(owner_of(scope), page)
        except LookupError as error:
            raise unknown_place(page, str(error.args[0])) from None
        body = render_batches([_described(batch, scope) for batch in batches], has_more=has_more)
        await answer(send, record, body)

    async def show(self, scope: Scope, receive: Receive, send: Send, record: Record) -> None:
        await answer(send, record, render_batch(_described(await self._load(scope), scope)))

    async def cancel(self, scope: Scope, receive: Receive, send: Send, record: Record) -> None:
        """A batch that has ended stays as it is."""
        id_ = path_name(scope, "id")
        store = await opened(self._stores)
        batch = await store.batches.cancel(id_, owner_of(scope), time.time())
        if batch is None:
            raise batch_not_found(id_)
        self._runner.end(batch.id)
        await answer(send, record, render_batch(_described(batch, scope)))

    async def delete(self, scope: Scope, receive: Receive, send: Send, record: Record) -> None:
        batch = await self._load(scope)
        if batch.ended is None:
            raise still_in_progress()
        store = await opened(self._stores)
        if not await store.batches.delete(batch.id, batch.owner):
            raise batch_not_found(batch.id)
        await answer(send, record, render_deleted_batch(batch.id))

    async def give_results(self, scope: Scope, receive: Receive, send: Send, record: Record) -> None:
        batch = await self._load(scope)
        if batch.ended is None:
            raise no_results_yet(batch.id)
        store = await opened(self._stores)
        leaving = asyncio.create_task(_client_leaves(receive))
        try:
            async with aclosing(_pieces(store.batches.results(batch.id, batch.owner))) as pieces:
                async for piece in pieces:
                    if leaving.done():
                        raise ClientLeft
                    await _send_piece(send, record, piece)
            await _send_piece(send, record, b"", is_last=True)
        finally:
            leaving.cancel()

    async def _load(self, scope: Scope) -> Batch:
        id_ = path_name(scope, "id")
        store = await opened(self._stores)
        batch = await store.batches.load(id_, owner_of(scope))
        if batch is None:
            raise batch_not_found(id_)
        return batch


async def _client_leaves(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _pieces(results: AsyncIterator[tuple[str, RequestState, bytes | None]]) -> AsyncGenerator[bytes]:
    """The lines of the results, some at a time."""
    gathered = bytearray()
    async for custom_id, state, result in results:
        if state == "waiting" or state == "running":
            continue
        gathered += render_result(custom_id, state, result)
        if len(gathered) >= SENT_AT_ONCE:
            yield bytes(gathered)
            gathered.clear()
    if gathered:
        yield bytes(gathered)


async def _send_piece(send: Send, record: Record, piece: bytes, *, is_last: bool = False) -> None:
    """The first comes with the head: before it, an error can still be told."""
    if record.status is None:
        record.status = 200
        id_ = (ANTHROPIC_MESSAGES.request_id_header.encode(), (record.request_id or "").encode())
        headers = [(b"content-type", b"application/x-jsonl"), id_]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": piece, "more_body": not is_last})


def _described(batch: Batch, scope: Scope) -> MessageBatch:
    """The batch; its results are where the client reached us: clients send their key there."""
    times = Times(
        _rfc3339(batch.created),
        _rfc3339(batch.expires),
        None if batch.cancelled is None else _rfc3339(batch.cancelled),
        None if batch.ended is None else _rfc3339(batch.ended),
    )
    host = header_values(scope, b"host")[0].decode("latin-1")
    scheme = "https" if b"https" in header_values(scope, b"x-forwarded-proto") else "http"
    url = f"{scheme}://{host}{ANTHROPIC_MESSAGES.paths[0]}/batches/{batch.id}/results"
    return describe(batch.id, times, {str(state): many for state, many in batch.counts.items()}, url)


def _rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
