"""The input tokens of a request (`/v1/messages/count_tokens`, `/v1/responses/input_tokens`), counted in a thread."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import msgspec
from msgspec import Struct

from augment_open_proxy.core.conversation import ChatRequest
from augment_open_proxy.core.events import Usage
from augment_open_proxy.dialects.anthropic_messages import ANTHROPIC_MESSAGES
from augment_open_proxy.dialects.anthropic_messages.request import parse_count
from augment_open_proxy.dialects.anthropic_messages.wire import TokenCount
from augment_open_proxy.dialects.dialect import Dialect, Recalled
from augment_open_proxy.dialects.openai_responses import OPENAI_RESPONSES
from augment_open_proxy.dialects.openai_responses.wire import InputTokens
from augment_open_proxy.journal.record import Record
from augment_open_proxy.policies.chain import Chain, of_counts
from augment_open_proxy.server.answers import answer
from augment_open_proxy.server.asgi import Receive, Scope, Send
from augment_open_proxy.server.body import read_body
from augment_open_proxy.server.keys import owner_of
from augment_open_proxy.server.recall import Recall
from augment_open_proxy.server.resolve import Resolver
from augment_open_proxy.server.routes import Routes
from augment_open_proxy.tokens.counter import TokenCounter
from augment_open_proxy.tokens.request import count_request
from augment_open_proxy.upstream.listing import Listing


class Way(NamedTuple):
    """How an API asks for a count: below which name, how the body is read, how the number is told."""

    dialect: Dialect
    name: str
    parse: Callable[[bytes, Recalled], ChatRequest]
    counted: Callable[[int], Struct]


MESSAGES = Way(ANTHROPIC_MESSAGES, "count_tokens", parse_count, TokenCount)
RESPONSES = Way(
    OPENAI_RESPONSES,
    "input_tokens",
    lambda body, recalled: OPENAI_RESPONSES.parse(body, recalled).request,
    lambda tokens: InputTokens(input_tokens=tokens),
)


class TokenCounting:
    """Claude Code's `/context` asks some thirty times at once: the tokenizer is shared, and loaded once."""

    def __init__(
        self,
        resolver: Resolver,
        recall: Recall,
        listing: Listing,
        counter: TokenCounter,
        claude_factor: float,
        secret: bytes,
        body_limit: int,
    ) -> None:
        self._recall = recall
        self._resolver = resolver
        self._listing = listing
        self._claude_factor = claude_factor
        self._policies = of_counts(secret)
        self._body_limit = body_limit
        self._counter = counter

    def add_to(self, routes: Routes) -> None:
        for way in (MESSAGES, RESPONSES):
            for path in way.dialect.paths:
                routes.add(f"{path}/{way.name}", {"POST": partial(self._handle, way)})

    async def _handle(self, way: "Way", scope: Scope, receive: Receive, send: Send, record: Record) -> None:
        body = await read_body(scope, receive, self._body_limit)
        past = await self._recall(way.dialect, body, owner_of(scope))
        request = way.parse(body, past.recalled)
        record.model = request.model
        model = self._listing.current().find(request.model)
        request = Chain(await self._resolver.resolve(request), self._policies).request
        tokens = await asyncio.to_thread(count_request, request, self._counter.count, model, self._claude_factor)
        record.status, record.usage = 200, Usage(input=tokens)
        await answer(send, record, msgspec.json.encode(way.counted(tokens)))
