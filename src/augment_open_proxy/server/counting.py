"""`POST /v1/messages/count_tokens`: the input tokens of a request, counted by a tokenizer in a worker thread."""

import asyncio

import msgspec

from augment_open_proxy.core.events import Usage
from augment_open_proxy.dialects.anthropic_messages.request import parse_count
from augment_open_proxy.dialects.anthropic_messages.wire import TokenCount
from augment_open_proxy.journal.record import Record
from augment_open_proxy.server.asgi import Receive, Scope, Send, read_body, respond
from augment_open_proxy.server.resolve import Resolver
from augment_open_proxy.tokens.counter import TokenCounter
from augment_open_proxy.tokens.request import count_request
from augment_open_proxy.upstream.listing import Listing


class TokenCounting:
    """Claude Code's `/context` asks some thirty times at once: the tokenizer is shared, and loaded once."""

    def __init__(
        self, resolver: Resolver, listing: Listing, counter: TokenCounter, claude_factor: float, body_limit: int
    ) -> None:
        self._resolver = resolver
        self._listing = listing
        self._claude_factor = claude_factor
        self._body_limit = body_limit
        self._counter = counter

    async def handle(self, scope: Scope, receive: Receive, send: Send, record: Record) -> None:
        request = parse_count(await read_body(receive, self._body_limit))
        record.model = request.model
        model = self._listing.current().find(request.model)
        request = await self._resolver.resolve(request)
        tokens = await asyncio.to_thread(count_request, request, self._counter.count, model, self._claude_factor)
        record.status, record.usage = 200, Usage(input=tokens)
        headers = [(b"content-type", b"application/json"), (b"request-id", (record.request_id or "").encode())]
        await respond(send, 200, headers, msgspec.json.encode(TokenCount(tokens)))
