"""One `response.create` of a WebSocket → the events of its response.

To `Relay` it is an HTTP answer whose body is lines, each of them a message.
"""

import time
from functools import partial

import msgspec
from msgspec import Struct

from augment_open_proxy.core.events import Event, Failure, Finish, Opening, Usage
from augment_open_proxy.dialects.dialect import Parsed
from augment_open_proxy.dialects.openai_responses import OPENAI_RESPONSES
from augment_open_proxy.dialects.openai_responses.websocket import Create, Lane, Messages
from augment_open_proxy.journal.log import Log
from augment_open_proxy.journal.record import Record, Recorder
from augment_open_proxy.journal.store.opening import Stores
from augment_open_proxy.journal.store.records import Turn
from augment_open_proxy.server.asgi import Receive, Scope, Send
from augment_open_proxy.server.exchange import Begun, Exchange, shown
from augment_open_proxy.server.flow import Sink, Source, Waiting, put
from augment_open_proxy.server.guard import Guard
from augment_open_proxy.server.ids import new_uuid
from augment_open_proxy.server.keeping import items_of, kept, with_replies
from augment_open_proxy.server.keys import KEY, owner_of
from augment_open_proxy.server.recall import Local, Recall
from augment_open_proxy.server.relay import Relay, Relays
from augment_open_proxy.server.remembered import Remembered

NOT_ASKED = "generate: false, so the model was not asked"


class _Response(Struct, frozen=True):
    """A response that is ready to be told. `begun` is its turn with the model, where it has one."""

    parsed: Parsed
    source: Source
    turn: Turn
    notices: list[str]
    begun: Begun | None = None


class Responder:
    """Produces responses for connections."""

    def __init__(
        self, exchange: Exchange, recall: Recall, stores: Stores, relays: Relays, log: Log, guard: Guard
    ) -> None:
        self._guard = guard
        self._exchange = exchange
        self._recall = recall
        self._stores = stores
        self._relays = relays
        self._log = log

    async def respond(
        self, create: Create, scope: Scope, receive: Receive, send: Send, record: Record, remembered: Remembered
    ) -> None:
        """Send one response. Raises `ProxyError` as long as nothing of it was sent; `scope` is the connection's."""
        scope[KEY] = self._guard.check(scope)  # a key may have been revoked since the handshake
        response = await self._begin(create, scope, record, remembered)
        delivery, source = response.parsed.delivery, response.source
        recorder = Recorder(record, keep_body=self._log.keeps_bodies)
        renderer = Messages(OPENAI_RESPONSES.stream(delivery), create.lane)
        relay = Relay(self._relays, send, renderer, list, recorder, streams=True)
        if response.parsed.keep is not None:
            adds = partial(items_of, OPENAI_RESPONSES)
            source = kept(source, response.turn, 1, self._stores, adds, response.notices, relay.has_begun)
        try:
            await relay.run(receive, _remembering(source, response, create.lane, remembered))
        finally:
            record.status = relay.status
            record.notices += tuple(response.notices)
            if response.begun is not None:
                record.effective_model = response.begun.asked.model_id
            if recorder.replies:
                record.response = msgspec.Raw(OPENAI_RESPONSES.render_reply(recorder.replies, delivery))

    async def _begin(self, create: Create, scope: Scope, record: Record, local: Local) -> _Response:
        if not create.generates:
            return await self._begin_without_model(create.body, scope, record, local)
        begun = await self._exchange.begin(OPENAI_RESPONSES, create.body, scope, record, local)
        return _Response(begun.parsed, begun.source, begun.turn(), begun.notices, begun)

    async def _begin_without_model(self, body: bytes, scope: Scope, record: Record, local: Local) -> _Response:
        """A turn that is only kept, to be gone on from: what it says need not be anything to answer yet."""
        record.request_id = OPENAI_RESPONSES.id_prefix + new_uuid()
        owner = owner_of(scope)
        past = await self._recall(OPENAI_RESPONSES, body, owner, local)
        parsed = OPENAI_RESPONSES.parse(body, past.recalled)
        if self._log.keeps_bodies:
            record.request = shown(body)
        record.model = parsed.request.model
        opening = Opening(record.request_id, int(time.time()), record.model, 0)
        turn = past.turn("response", opening, body, owner, parsed)
        return _Response(parsed, partial(_nothing, opening), turn, [NOT_ASKED])


async def _nothing(opening: Opening, sink: Sink) -> None:
    """A reply that says nothing."""
    await put(sink, 0, [opening])
    await put(sink, 0, [Finish("stop", None, Usage(0, 0), at=int(time.time()))])


def _remembering(source: Source, response: _Response, lane: Lane, remembered: Remembered) -> Source:
    """The same; before its last batch comes, the turn is remembered, unless the store has all of its chain."""

    async def run(sink: Sink) -> None:
        said: list[Event] = []

        def feed(choice: int, events: list[Event]) -> Waiting:
            said.extend(events)
            match events[-1]:
                case Finish(is_unstored=is_unstored):
                    if is_unstored or response.parsed.keep is None or response.turn.previous in remembered:
                        remembered.add(lane, with_replies(response.turn, [said]))
                case Failure():
                    remembered.forget(lane, response.turn.previous)
            return sink(choice, events)

        await source(feed)

    return run
