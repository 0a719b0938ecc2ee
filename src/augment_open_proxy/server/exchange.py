"""The pipeline from a request to its reply: `Exchange.begin` prepares a turn, `handle` carries it to the client."""

import time
from collections.abc import Awaitable, Sequence
from functools import partial
from typing import Any

import msgspec
from msgspec import Struct

from augment_open_proxy.core.conversation import Attachment, ChatRequest, kinds_of
from augment_open_proxy.core.events import Cancelled, Event, Failure, Finish, Opening, Usage
from augment_open_proxy.core.jsontext import UNREADABLE, mended
from augment_open_proxy.core.steps import whole
from augment_open_proxy.dialects.dialect import NOTHING, Dialect, Parsed, renderer
from augment_open_proxy.dialects.registry import read
from augment_open_proxy.journal.log import Log, without_base64
from augment_open_proxy.journal.record import Record, Recorder
from augment_open_proxy.journal.store.opening import Stores
from augment_open_proxy.journal.store.records import Turn as StoredTurn
from augment_open_proxy.policies.chain import Chain, Prepare
from augment_open_proxy.server.answers import answer
from augment_open_proxy.server.asgi import Headers, Receive, Scope, Send
from augment_open_proxy.server.body import check_size, read_body
from augment_open_proxy.server.flow import LARGE, Sink, Source, paced, side_by_side
from augment_open_proxy.server.ids import UUID_SIZE, conversation_id, new_uuid
from augment_open_proxy.server.keeping import ItemsOf, items_of, kept
from augment_open_proxy.server.keys import KEY, Key, KeyRing, owner_of
from augment_open_proxy.server.limits import Limits
from augment_open_proxy.server.recall import NO_LOCAL, Local, Past, Recall
from augment_open_proxy.server.relay import Relay, Relays
from augment_open_proxy.server.resolve import Resolver
from augment_open_proxy.server.runs import Runs
from augment_open_proxy.upstream.attempts import Turn, Upstream


class Begun(Struct, frozen=True):
    """A turn that is ready to run: nothing moves before `source` is called."""

    dialect: Dialect
    parsed: Parsed
    opening: Opening
    source: Source
    headers: Headers
    notices: list[str]
    """What happened on the way to the reply, and the user should know; it grows until the first content, and at its end
    where it could not be stored."""
    asked: Turn
    """The first of the turns with the backend; the model that is asked may change before its first content."""
    body: bytes
    owner: str
    past: Past

    def turn(self) -> StoredTurn:
        """What would be stored of it, without the replies."""
        kind = self.dialect.keeps or "response"
        return self.past.turn(kind, self.opening, self.body, self.owner, self.parsed)

    @property
    def items_of(self) -> ItemsOf:
        """What the turn adds to its conversation. It knows nothing of the turn, which would then know itself."""
        return partial(items_of, self.dialect)


class Exchange:
    """Serves the chat requests of all dialects."""

    def __init__(
        self,
        upstream: Upstream,
        resolver: Resolver,
        recall: Recall,
        policies: Sequence[Prepare],
        log: Log,
        body_limit: int,
        stores: Stores,
        runs: Runs,
        limits: Limits,
        relays: Relays,
        keys: KeyRing,
    ) -> None:
        """`body_limit` is in bytes."""
        self._upstream = upstream
        self._resolver = resolver
        self._policies = policies
        self._log = log
        self._body_limit = body_limit
        self._stores = stores
        self._recall = recall
        self._runs = runs
        self._limits = limits
        self._relays = relays
        self._keys = keys

    async def handle(self, dialect: Dialect, scope: Scope, receive: Receive, send: Send, record: Record) -> None:
        """Answer one chat request. Raises `ProxyError` as long as nothing has been sent, and `ClientLeft`."""
        body = await read_body(scope, receive, self._body_limit)
        begun = await self.begin(dialect, body, scope, record)
        delivery, source, keep = begun.parsed.delivery, begun.source, begun.parsed.keep
        recorder = Recorder(record, delivery.choices, keep_body=self._log.keeps_bodies)
        if keep is not None and keep.background:
            recorder = Recorder(record, keep_body=False, counts=False)  # the run has a record of its own
            source = await self._run(begun, record, scope.get(KEY))
            if not delivery.stream and dialect.render_begun is not None:
                await answer(send, record, dialect.render_begun(begun.opening, delivery))
                return
        relay = Relay(
            self._relays,
            send,
            renderer(dialect, delivery),
            partial(_with_notices, begun.headers, begun.notices),
            recorder,
            streams=delivery.stream,
            choices=delivery.choices,
            at_once=keep is not None and keep.background,
        )
        if keep is not None and not keep.background:
            turn = begun.turn()
            source = kept(source, turn, delivery.choices, self._stores, begun.items_of, begun.notices, relay.has_begun)
        try:
            await relay.run(receive, source)
        finally:
            record.status, record.effective_model = relay.status, begun.asked.model_id
            record.notices += tuple(begun.notices)
            if self._log.keeps_bodies and recorder.replies:
                record.response = msgspec.Raw(dialect.render_reply(recorder.replies, delivery))

    async def begin(
        self,
        dialect: Dialect,
        body: bytes,
        scope: Scope,
        record: Record,
        local: Local = NO_LOCAL,
        owner: str | None = None,
    ) -> Begun:
        """Prepare the turn that `body` asks for in `dialect`. Raises `ProxyError`.

        `owner` is given where the client that asked, and its key with it, is gone.
        """
        turn_id = record.request_id[-UUID_SIZE:] if record.request_id else new_uuid()
        record.request_id = dialect.id_prefix + turn_id
        if self._log.keeps_bodies:
            record.request = shown(body)
        takes_long = len(body) > LARGE
        reading, draft = await paced(read(dialect, body)) if takes_long else whole(read(dialect, body))
        owner = owner or owner_of(scope)
        past = await self._recall.past(reading, draft.references, owner, local)
        takes_long = takes_long or past.recalled is not NOTHING
        parsing = draft.parse(past.recalled)
        parsed = await paced(parsing) if takes_long else whole(parsing)
        if reading is not dialect:
            parsed = msgspec.structs.replace(parsed, keep=None)  # nobody could ask for it by its id
        record.model, record.stream = parsed.request.model, parsed.delivery.stream
        kinds = kinds_of(parsed.request.messages)
        check_size(parsed.request, kinds)
        self._keys.admit(scope.get(KEY), parsed.request.model)
        request = await self._resolver.resolve(parsed.request) if Attachment in kinds else parsed.request
        conversation = conversation_id(request, scope, owner)
        notices: list[str] = []
        chain = Chain(request, self._policies)
        turn = Turn(self._upstream, chain.request, turn_id, conversation, notices)
        record.effective_model = turn.model_id
        record.estimate_input = chain.estimate_for(turn.model_id)
        opening = Opening(
            id=record.request_id,
            created=int(time.time()),
            model=parsed.request.model,
            input_estimate=record.estimate_input() if dialect.opens_with_usage and parsed.delivery.stream else 0,
        )
        if takes_long:
            await paced(turn.encoding())
        choices = [_Choice(0, opening, turn, chain)]
        for number in range(1, parsed.delivery.choices):
            other = Chain(request, self._policies)
            other.estimate_for(turn.model_id)
            choices.append(_Choice(number, opening, turn.another(new_uuid()), other))
        source = side_by_side([self._limits.within(choice.run) for choice in choices])
        headers = _reply_headers(dialect, record, parsed.request)
        return Begun(dialect, parsed, opening, source, headers, notices, turn, body, owner, past)

    async def _run(self, begun: Begun, record: Record, key: Key | None) -> Source:
        """Begin a background run, which has a record of its own, and follow it."""
        own = Record("RUN", record.path, time.monotonic(), request_id=record.request_id, model=record.model, status=200)
        own.effective_model, own.request, own.notices = record.effective_model, record.request, record.notices
        own.estimate_input = record.estimate_input
        recorder = Recorder(own, keep_body=self._log.keeps_bodies)

        def see(events: list[Event]) -> None:
            recorder.feed(events)
            match events[-1]:
                case Failure(problem=problem):
                    own.status = begun.dialect.errors[problem.kind].status
                case Cancelled():
                    own.error = "cancelled"
                case Finish() if recorder.replies:
                    own.response = msgspec.Raw(begun.dialect.render_reply(recorder.replies, begun.parsed.delivery))
            if isinstance(events[-1], Finish | Failure | Cancelled):
                own.effective_model = begun.asked.model_id
                own.notices += tuple(begun.notices)
                self._keys.count(key, own.spent)
                self._log.write(own)

        run = await self._runs.start(begun.turn(), begun.source, begun.items_of, see)
        return run.follow


def shown(body: bytes) -> Any:
    """A body for the log."""
    try:
        return without_base64(msgspec.json.decode(mended(body)))
    except UNREADABLE:
        return f"<{len(body)} bytes that are not JSON, or nested too deeply>"


class _Choice:
    """One choice of a reply: what the backend says, through the policies, which may need more than one turn."""

    __slots__ = ("_chain", "_number", "_opening", "_paid", "_sink", "_turn", "is_over")

    def __init__(self, number: int, opening: Opening, turn: Turn, chain: Chain) -> None:
        self._number = number
        self._opening = opening
        self._turn = turn
        self._chain = chain
        self._sink: Sink
        self._paid = Usage()
        """What the turns took that no client sees."""
        self.is_over = False

    async def run(self, sink: Sink) -> None:
        """The source. The opening comes alone, at once."""
        self._sink = sink
        try:
            waiting = sink(self._number, self._chain.feed([self._opening]))
            if waiting is not None:
                await waiting
            turn = self._turn
            while True:
                await turn.run(self)
                request = None if self.is_over else self._chain.again()
                if request is None:
                    return
                turn = turn.another(new_uuid(), request)
        finally:
            del self._sink  # which may know what began the reply, and so this choice

    def feed(self, events: list[Event]) -> Awaitable[None] | None:
        """Events of the backend. A policy may end the reply before the backend does."""
        out = self._chain.feed(events)
        if not out:
            if isinstance(events[-1], Finish):
                self._paid = events[-1].usage
            return None
        last = out[-1]
        if type(last) is Finish:  # what is pure knows no time
            last = msgspec.structs.replace(last, at=int(time.time()))
        elif type(last) is Failure:
            end = events[-1] if isinstance(events[-1], Finish) else last
            last = msgspec.structs.replace(last, usage=self._paid + end.usage)
        else:
            return self._sink(self._number, out)
        self.is_over = True
        return self._sink(self._number, [*out[:-1], last])


def _reply_headers(dialect: Dialect, record: Record, request: ChatRequest) -> Headers:
    headers: Headers = [(dialect.request_id_header.encode(), (record.request_id or "").encode())]
    for name, values in (("ignored-parameters", request.ignored), ("left-out-tools", request.left_out)):
        if values:
            listed = ", ".join(values)
            headers.append((f"x-aop-{name}".encode(), _header_text(listed)))
            record.notices += (f"{name.replace('-', ' ')}: {listed}",)
    return headers


def _with_notices(headers: Headers, notices: list[str]) -> Headers:
    return [*headers, (b"x-aop-notice", _header_text("; ".join(notices)))] if notices else headers


def _header_text(text: str) -> bytes:
    """Text that a client gave, fit for a header."""
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in text[:1000]).encode()
