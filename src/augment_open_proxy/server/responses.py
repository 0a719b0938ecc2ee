"""Stored responses: `GET`, as an object and as a stream, `DELETE`, `/cancel`, `/input_items`."""

from urllib.parse import parse_qsl

from augment_open_proxy.core.errors import ErrorKind, Problem, ProxyError, invalid_request
from augment_open_proxy.core.events import Opening
from augment_open_proxy.dialects.dialect import Streamed
from augment_open_proxy.dialects.openai_lists import cut, read_page, render_list
from augment_open_proxy.dialects.openai_responses import OPENAI_RESPONSES
from augment_open_proxy.dialects.openai_responses.request import ENCRYPTED
from augment_open_proxy.dialects.openai_responses.stored import (
    delivery_of,
    given_items,
    made_items,
    render_deleted,
    render_turn,
)
from augment_open_proxy.dialects.openai_responses.stream import ResponsesStream
from augment_open_proxy.journal.record import Record, Recorder
from augment_open_proxy.journal.store.opening import Stores
from augment_open_proxy.journal.store.records import Item, Turn
from augment_open_proxy.server.answers import answer
from augment_open_proxy.server.asgi import Headers, Receive, Scope, Send
from augment_open_proxy.server.keeping import opened
from augment_open_proxy.server.keys import owner_of
from augment_open_proxy.server.relay import Relay, Relays
from augment_open_proxy.server.routes import Routes, path_name
from augment_open_proxy.server.runs import Runs


class StoredResponses:
    """What can be done with a response by its id."""

    def __init__(self, stores: Stores, runs: Runs, relays: Relays) -> None:
        self._stores = stores
        self._runs = runs
        self._relays = relays

    def add_to(self, routes: Routes) -> None:
        for path in OPENAI_RESPONSES.paths:
            routes.add(f"{path}/{{id}}", {"GET": self.show, "DELETE": self.delete})
            routes.add(f"{path}/{{id}}/cancel", {"POST": self.cancel})
            routes.add(f"{path}/{{id}}/input_items", {"GET": self.list_input})

    async def show(self, scope: Scope, receive: Receive, send: Send, record: Record) -> None:
        turn = await self._load(scope)
        pairs = parse_qsl(scope["query_string"].decode("latin-1"))
        query = dict(pairs)
        gives_seals = any(name in ("include", "include[]") and value == ENCRYPTED for name, value in pairs)
        if query.get("stream") != "true":
            await answer(send, record, _rendered(turn, gives_seals=gives_seals))
            return
        record.stream = True
        delivery = delivery_of(turn.request, gives_seals=gives_seals)
        renderer = Streamed(ResponsesStream(delivery, skip=_starting_after(query) + 1))
        headers: Headers = [(b"x-request-id", (record.request_id or "").encode())]
        recorder = Recorder(record, keep_body=False, counts=False)
        relay = Relay(self._relays, send, renderer, lambda: headers, recorder, streams=True, at_once=True)
        try:
            await relay.run(receive, self._runs.follow(turn))
        finally:
            record.status = relay.status

    async def delete(self, scope: Scope, receive: Receive, send: Send, record: Record) -> None:
        turn = await self._load(scope)
        if turn.is_running:
            await self._runs.cancel(turn)
        store = await opened(self._stores)
        if not await store.turns.delete(turn.id, turn.owner, turn.kind):
            raise _not_found(turn.id)
        await answer(send, record, render_deleted(turn.id))

    async def cancel(self, scope: Scope, receive: Receive, send: Send, record: Record) -> None:
        turn = await self._load(scope)
        if not turn.background:
            raise invalid_request(
                "Only background responses can be cancelled; a streamed one ends with its connection."
            )
        if turn.is_running:
            turn = await self._runs.cancel(turn)
        await answer(send, record, _rendered(turn))

    async def list_input(self, scope: Scope, receive: Receive, send: Send, record: Record) -> None:
        """The input, with the turns that it goes on from, as the model was given it."""
        turn = await self._load(scope)
        store = await opened(self._stores)
        chain = await store.turns.chain(turn.id, turn.owner, turn.kind) or [turn]
        items: dict[str, Item] = {}
        for past in chain:
            items |= {item.id: item for item in given_items(past.request, past.id, items)}
            if past is not chain[-1] and past.is_whole:
                items |= {item.id: item for item in made_items(past.request, past.folded()[0])}
        page, has_more = cut(list(items.values()), read_page(parse_qsl(scope["query_string"].decode("latin-1"))))
        await answer(send, record, render_list(page, has_more=has_more))

    async def _load(self, scope: Scope) -> Turn:
        id_ = path_name(scope, "id")
        store = await opened(self._stores)
        turn = await store.turns.load(id_, owner_of(scope), "response")
        if turn is None:
            raise _not_found(id_)
        return turn


def _rendered(turn: Turn, *, gives_seals: bool = False) -> bytes:
    opening = Opening(turn.id, turn.created, turn.model, 0)
    return render_turn(turn.request, opening, turn.replies[0], is_running=turn.is_running, gives_seals=gives_seals)


def _starting_after(query: dict[str, str]) -> int:
    given = query.get("starting_after", "-1")
    try:
        return int(given)
    except ValueError:
        raise invalid_request("starting_after must be the number of an event.", "starting_after") from None


def _not_found(id_: str) -> ProxyError:
    return ProxyError(Problem(ErrorKind.NOT_FOUND, f"Response with id {id_!r} not found."))
