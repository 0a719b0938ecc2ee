"""The application: routes, what lives as long as the server, and one record in the log for each request."""

import logging
import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import msgspec

from augment_open_proxy import __version__
from augment_open_proxy.core.errors import FAILED, TOO_DEEP, ErrorKind, Problem, ProxyError
from augment_open_proxy.dialects.anthropic_messages import ANTHROPIC_MESSAGES
from augment_open_proxy.dialects.dialect import Dialect
from augment_open_proxy.dialects.openai_responses import OPENAI_RESPONSES
from augment_open_proxy.dialects.openai_responses.compaction import OPENAI_COMPACTION
from augment_open_proxy.dialects.registry import DIALECTS, nearest
from augment_open_proxy.journal.log import Log
from augment_open_proxy.journal.record import CLIENT_CLOSED_REQUEST, Record
from augment_open_proxy.journal.store.opening import Stores, StoreUnavailable
from augment_open_proxy.policies.chain import policies
from augment_open_proxy.server import models
from augment_open_proxy.server.answers import answer, error_response
from augment_open_proxy.server.asgi import ClientLeft, Receive, Scope, Send, respond, with_headers
from augment_open_proxy.server.batch_runner import BatchRunner
from augment_open_proxy.server.batches import MessageBatches
from augment_open_proxy.server.completions import StoredCompletions
from augment_open_proxy.server.conversations import StoredConversations
from augment_open_proxy.server.counting import TokenCounting
from augment_open_proxy.server.exchange import Exchange
from augment_open_proxy.server.files import Files
from augment_open_proxy.server.guard import Guard, cors_headers, is_preflight
from augment_open_proxy.server.ids import new_uuid
from augment_open_proxy.server.keeping import store_problem
from augment_open_proxy.server.keys import KEY, KeyRing
from augment_open_proxy.server.limits import Limits
from augment_open_proxy.server.recall import Recall
from augment_open_proxy.server.relay import Relays
from augment_open_proxy.server.renewal import Renewal
from augment_open_proxy.server.resolve import Resolver
from augment_open_proxy.server.responses import StoredResponses
from augment_open_proxy.server.routes import Handler, Routes, path_name
from augment_open_proxy.server.runs import Runs
from augment_open_proxy.server.websocket import SWITCHED, Sockets, answering
from augment_open_proxy.server.websocket_response import Responder
from augment_open_proxy.settings import Settings
from augment_open_proxy.tokens.counter import TokenCounter
from augment_open_proxy.upstream.attempts import Upstream
from augment_open_proxy.upstream.catalog import Catalog, Model

if TYPE_CHECKING:
    from augment_open_proxy.server.shared import Shared

STATUS = {"status": "ok", "service": "augment-open-proxy", "version": __version__}
_log = logging.getLogger(__name__)


class App:
    """The ASGI application of a server whose `upstream` is ready."""

    def __init__(
        self,
        settings: Settings,
        upstream: Upstream,
        files: Files,
        secret: bytes,
        log: Log,
        stores: Stores,
        runs: Runs,
        renewal: Renewal,
        keys: KeyRing,
        *,
        needs_key: bool,
        shared: "Shared | None" = None,
    ) -> None:
        """`needs_key`: see `Guard`. `shared` is given to one of several workers."""
        self.body_limit = settings.body_limit
        self.relays = Relays()
        self.runs = runs
        self.is_draining = False
        """Whether the proxy is being stopped, and takes nothing new."""
        self._upstream = upstream
        self._log = log
        self._keys = keys
        self._guard = Guard(
            settings.host,
            keys,
            allowed_hosts=settings.allowed_hosts,
            cors_origins=settings.cors_origins,
            needs_key=needs_key,
        )
        resolver, recall = Resolver(files, secret), Recall(stores)
        counter, factor = TokenCounter(), settings.claude_token_factor
        exchange = Exchange(
            upstream,
            resolver,
            recall,
            policies(secret, counter, factor),
            log,
            settings.body_limit,
            stores,
            runs,
            Limits(settings.max_concurrency, settings.rate_limit, settings.queue_timeout, shared),
            self.relays,
            keys,
        )
        self._probes = {"/livez": self._live, "/readyz": self._ready}
        """Answered under any Host and without a key: orchestrators ask by address, and learn nothing else."""
        self._routes = Routes()
        self._add_own_routes(exchange)
        self._sockets = Sockets(
            Responder(exchange, recall, stores, self.relays, log, self._guard), self._finish, settings.body_limit
        )
        TokenCounting(resolver, recall, upstream.listing, counter, factor, secret, self.body_limit).add_to(self._routes)
        StoredResponses(stores, runs, self.relays).add_to(self._routes)
        places = shared.batches if shared is not None else None
        self.batches = BatchRunner(exchange, stores, renewal, log, settings.batch_concurrency, keys, places)
        MessageBatches(stores, self.batches, settings.body_limit).add_to(self._routes)
        StoredConversations(stores, settings.body_limit).add_to(self._routes)
        StoredCompletions(stores, settings.body_limit).add_to(self._routes)

    def _add_own_routes(self, exchange: Exchange) -> None:
        """All but those of what is stored or counted."""
        for path in ("/", "/api/hello"):
            self._routes.add(path, {"GET": _status})
        self._routes.add("/docs", {"GET": _describe_to_people})
        for prefix in ("", "/v1"):
            self._routes.add(f"{prefix}/models", {"GET": self._list_models})
            self._routes.add(f"{prefix}/models/{{name...}}", {"GET": self._show_model})
            self._routes.add(f"{prefix}/openapi.json", {"GET": _describe})
        for dialect in (*DIALECTS, OPENAI_COMPACTION):
            for path in dialect.paths:
                self._routes.add(path, {"POST": partial(exchange.handle, dialect)})
        for path in OPENAI_RESPONSES.paths:
            self._routes.add(path, {"GET": _upgrade})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            scope["method"], send = "GET", answering(send)
        elif scope["type"] != "http":
            raise RuntimeError(f"the server was asked to serve {scope['type']}")
        record = Record(scope["method"], scope["path"], time.monotonic(), request_id=f"req-{new_uuid()}")
        try:
            await self._serve(scope, receive, send, record)
        except ClientLeft:
            record.status, record.error = CLIENT_CLOSED_REQUEST, "the client left before the end"
        finally:
            if record.status != SWITCHED:  # what is asked for on a connection has records of its own
                self._finish(scope, record)

    def _finish(self, scope: Scope, record: Record) -> None:
        """Count what a request took, and write its record."""
        self._keys.count(scope.get(KEY), record.spent)
        self._log.write(record)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, record: Record) -> None:
        try:
            probe = self._probes.get(scope["path"])
            if probe is not None:
                await probe(send, record)
                return
            origin = self._guard.reader(scope)
            if origin is not None:
                send = with_headers(send, cors_headers(scope, origin))
            scope[KEY] = self._guard.check(scope)
            if origin is not None and is_preflight(scope):
                record.status = 204
                await respond(send, 204, [], b"")
                return
            await self._handler(scope)(scope, receive, send, record)
        except ProxyError as error:
            await _refuse(scope, send, record, error.problem)
        except StoreUnavailable as error:
            await _refuse(scope, send, record, store_problem(error))
        except RecursionError:
            if record.status is not None:
                raise
            await _refuse(scope, send, record, TOO_DEEP)
        except ClientLeft:
            raise
        except Exception:
            _log.exception("a request failed")
            if record.status is not None:
                raise
            await _refuse(scope, send, record, FAILED)

    def _handler(self, scope: Scope) -> Handler:
        path = scope["path"].rstrip("/") or "/"
        found = self._routes.find(path)
        if found is None:
            raise ProxyError(Problem(ErrorKind.NOT_FOUND, f"There is nothing at {scope['method']} {_shown(path)}."))
        if scope["type"] == "websocket":
            return self._sockets.handle if path in OPENAI_RESPONSES.paths else _upgrade
        methods, scope["path_params"] = found
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        if method not in methods:
            return partial(_refuse_method, ", ".join(methods))
        return methods[method]

    async def _live(self, send: Send, record: Record) -> None:
        await _probed(send, record, None)

    async def _ready(self, send: Send, record: Record) -> None:
        reason = None
        if self.is_draining:
            reason = "the proxy is being stopped"
        elif self._upstream.credentials.describe() is None:
            reason = "there are no credentials for the Augment backend"
        await _probed(send, record, reason)

    async def _list_models(self, scope: Scope, receive: Receive, send: Send, record: Record) -> None:
        query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        catalog = self._catalog(scope)
        body = models.CODEX_LIST if "client_version" in query else models.render_list(catalog, query)
        await answer(send, record, body)

    async def _show_model(self, scope: Scope, receive: Receive, send: Send, record: Record) -> None:
        name, key = path_name(scope, "name"), scope.get(KEY)
        if key is not None and not key.may_use(name):
            raise ProxyError(Problem(ErrorKind.MODEL_NOT_FOUND, "There is no such model for this key.", "model"))
        await answer(send, record, models.render_model(self._upstream.listing.current(), name))

    def _catalog(self, scope: Scope) -> Catalog:
        """The models that the client's key may use."""
        catalog, key = self._upstream.listing.current(), scope.get(KEY)
        if key is None or not key.models:
            return catalog
        return Catalog([Model(id_) for id_ in catalog.ids if key.may_use(id_)])


async def _probed(send: Send, record: Record, reason: str | None) -> None:
    """200, or 503 with the reason."""
    record.status = 200 if reason is None else 503
    body = {"status": "ok"} if reason is None else {"status": "unavailable", "reason": reason}
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
    await respond(send, record.status, headers, msgspec.json.encode(body))


async def _status(scope: Scope, receive: Receive, send: Send, record: Record) -> None:
    await answer(send, record, msgspec.json.encode(STATUS))


async def _describe(scope: Scope, receive: Receive, send: Send, record: Record) -> None:
    """Our OpenAPI document. Only the first who asks for it pays for its making."""
    from augment_open_proxy.server.openapi import document

    await answer(send, record, document())


async def _describe_to_people(scope: Scope, receive: Receive, send: Send, record: Record) -> None:
    """The same as a page."""
    from augment_open_proxy.server.openapi_page import HEADERS, page

    await answer(with_headers(send, HEADERS), record, page(), b"text/html; charset=utf-8")


async def _upgrade(scope: Scope, receive: Receive, send: Send, record: Record) -> None:
    """What opens no WebSocket; 426 tells Codex to post."""
    if not any(name == b"upgrade" for name, _ in scope["headers"]):
        await _refuse_method("POST", scope, receive, send, record)
        return
    message = "No WebSocket is opened so. There is one at /v1/responses, by a GET with Upgrade: websocket."
    problem = Problem(ErrorKind.UPGRADE_REQUIRED, message)
    await _refuse(scope, send, record, problem, [(b"upgrade", b"websocket"), (b"connection", b"upgrade")])


async def _refuse_method(allowed: str, scope: Scope, receive: Receive, send: Send, record: Record) -> None:
    problem = Problem(ErrorKind.METHOD_NOT_ALLOWED, f"{_shown(scope['path'])} takes {allowed}.")
    await _refuse(scope, send, record, problem, [(b"allow", allowed.encode())])


async def _refuse(
    scope: Scope, send: Send, record: Record, problem: Problem, more_headers: Sequence[tuple[bytes, bytes]] = ()
) -> None:
    if record.status is not None:  # the answer has begun: its connection ends without the rest
        record.error = problem.message
        return
    dialect = _dialect(scope)
    status, headers, body = error_response(dialect, problem, record.request_id or "")
    record.status, record.error = status, problem.message
    if record.request is not None:
        record.response = msgspec.Raw(body)
    await respond(send, status, [*headers, *more_headers], body)


def _dialect(scope: Scope) -> Dialect:
    """In whose shape an error is told: by the path, and where clients of both APIs ask, by Anthropic's header."""
    is_shared = scope["path"].startswith(("/v1/models", "/models"))
    if is_shared and any(name == b"anthropic-version" for name, _ in scope["headers"]):
        return ANTHROPIC_MESSAGES
    return nearest(scope["path"])


def _shown(path: str) -> str:
    return path if len(path) <= 200 else path[:200] + "…"
