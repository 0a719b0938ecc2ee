"""One turn with the backend: what is sent, with which model, and what is tried again (`recovery.py` decides).

Attempts follow one another only as long as nothing of the reply has been given out.
"""

import asyncio
import random
from collections.abc import Awaitable, Mapping, Sequence
from typing import Protocol

import msgspec
from msgspec import Struct

from augment_open_proxy.core.conversation import ChatRequest
from augment_open_proxy.core.errors import Problem, ProxyError
from augment_open_proxy.core.events import Event, Failure
from augment_open_proxy.core.steps import Steps
from augment_open_proxy.upstream.budget import RetryBudget
from augment_open_proxy.upstream.client import Answer, Client, Patience
from augment_open_proxy.upstream.credentials import CredentialSource
from augment_open_proxy.upstream.decode import Decoder
from augment_open_proxy.upstream.encode import encode, encode_in_steps, request_headers
from augment_open_proxy.upstream.listing import Listing
from augment_open_proxy.upstream.plain_history import with_plain_history
from augment_open_proxy.upstream.recovery import Recovery, Step

SILENCE_AFTER_STOP = 5.0
"""Seconds of silence after a stop reason that end a turn: usage may come after it, but a client must not wait long."""
FIRST_BYTE_WITH_FALLBACK = 120.0
"""Seconds that a model may be silent where another one can be asked."""


def without_token(events: list[Event], token: str) -> list[Event]:
    """The events, whose failure does not quote the token."""
    match events[-1]:
        case Failure(problem=problem) as failure if token and token in problem.message:
            problem = msgspec.structs.replace(problem, message=problem.message.replace(token, "***"))
            return [*events[:-1], msgspec.structs.replace(failure, problem=problem)]
    return events


class Upstream(Struct, frozen=True):
    """All that a turn needs of the backend. `fallbacks`: which models are asked where one says nothing, by its id."""

    client: Client
    credentials: CredentialSource
    listing: Listing
    budget: RetryBudget
    fallbacks: Mapping[str, Sequence[str]] = {}
    first_byte: float | None = None
    stall: float | None = None


class Taker(Protocol):
    """Takes the events of a reply."""

    is_over: bool
    """Whether it has had enough."""

    def feed(self, events: list[Event]) -> Awaitable[None] | None:
        """What it returns is to be awaited before it is given more. Raises no `ProxyError`."""


class _Attempt:
    """One answer of the backend. `end` are the events that end it, which are kept back: another attempt may follow."""

    __slots__ = ("_taker", "_waiting", "decoder", "end", "has_given")

    def __init__(self, taker: Taker) -> None:
        self.decoder = Decoder()
        self.end: list[Event] = []
        self.has_given = False
        """Whether something of it has been given out."""
        self._taker = taker
        self._waiting: Awaitable[None] | None = None

    async def read(self, answer: Answer) -> None:
        """Give out the answer's events but for those that end it. Raises `ProxyError`."""
        decoder, last = self.decoder, None
        decoder.content_type = answer.content_type
        while last is None and not decoder.ended and not self._taker.is_over:
            last = await answer.pump(self._take, None if decoder.stop_reason is None else SILENCE_AFTER_STOP)
            if last is not None:
                self._close(last)
            if self._waiting is not None:
                waiting, self._waiting = self._waiting, None
                await waiting

    def fail(self, problem: Problem) -> None:
        """The answer broke."""
        self.end = self.decoder.fail(problem) or self.end

    def _take(self, data: bytes) -> bool:
        """Decode what has arrived; whether more can be taken at once."""
        decoder = self.decoder
        events = decoder.feed(data)
        if decoder.ended:
            self.end = events
            return False
        if events:
            self.has_given = True
            self._waiting = self._taker.feed(events)
        return self._waiting is None and decoder.stop_reason is None and not self._taker.is_over

    def _close(self, last: bytes) -> None:
        """Decode the last of the answer. Its events and those of its end are one batch, unless it failed after them."""
        events = self.decoder.feed(last)
        end = self.decoder.close()
        if events and end and isinstance(end[-1], Failure):
            self.has_given = True
            self._waiting = self._taker.feed(events)
            self.end = end
        else:
            self.end = events + end


class Turn:
    """A turn that is ready to be sent. Making one resolves the model, which raises `ProxyError`."""

    def __init__(
        self, upstream: Upstream, request: ChatRequest, request_id: str, conversation_id: str, notices: list[str]
    ) -> None:
        """`request_id` and `conversation_id` are UUIDs; the backend's logs know the turn by the first.

        What the user should know of the attempts is added to `notices`.
        """
        self._upstream = upstream
        self._request = request
        self._request_id = request_id
        self._conversation_id = conversation_id
        self._notices = notices
        self._credentials = upstream.credentials.current()
        self.model_id = upstream.listing.current().resolve(request.model, request.effort)
        """The backend's id of the model that answers."""
        self._body: bytes | None = None
        self._recovery = Recovery(upstream.listing.current().base, self._fallbacks())

    def another(self, request_id: str, request: ChatRequest | None = None) -> "Turn":
        """One more of the same conversation, with this request or the same one. Raises `ProxyError`."""
        turn = Turn(self._upstream, request or self._request, request_id, self._conversation_id, self._notices)
        if request is None:
            turn._body = self.body
        return turn

    def encoding(self) -> Steps[None]:
        """Encode the body ahead, which takes long for a large request; else `run` does it at once."""
        self._body = yield from encode_in_steps(self._request, self.model_id, self._conversation_id)

    @property
    def body(self) -> bytes:
        """What the backend is sent."""
        if self._body is None:
            self._body = encode(self._request, self.model_id, self._conversation_id)
        return self._body

    async def run(self, taker: Taker) -> None:
        """Give `taker` the reply's events after its `Opening`, in batches as they arrive. The last batch ends with a
        terminal event; it does not come where the taker has had enough before.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        self._upstream.budget.count()
        while True:
            attempt = _Attempt(taker)
            try:
                async with self._upstream.client.stream(
                    f"{self._credentials.url}/chat-stream", self._headers(), self.body, self._patience()
                ) as answer:
                    await attempt.read(answer)
            except ProxyError as error:
                attempt.fail(error.problem)
            if taker.is_over:
                return
            step = None if attempt.has_given else self._step_after(attempt.end[0], loop.time() - began)
            if step is None or not self._take(step):
                self._tell_of_skipped(attempt.decoder.skipped_lines)
                waiting = taker.feed(without_token(attempt.end, self._credentials.token))
                if waiting is not None:
                    await waiting
                return
            await asyncio.sleep(step.delay)

    def _step_after(self, event: Event, elapsed: float) -> Step | None:
        """What is tried next, where the first `event` of an attempt is its failure."""
        if not isinstance(event, Failure):
            return None
        chance = random.random()  # noqa: S311 (nothing is kept secret by it)
        return self._recovery.after(event.problem, self.model_id, elapsed, chance, self._upstream.budget.take)

    def _tell_of_skipped(self, lines: int) -> None:
        if lines:
            what = "1 line of the backend's answer was" if lines == 1 else f"{lines} lines of the backend's answer were"
            self._notices.append(f"{what} not readable")

    def _headers(self) -> dict[str, str]:
        return request_headers(self._credentials.token, self._request_id, self._conversation_id)

    def _patience(self) -> Patience:
        upstream = self._upstream
        first_byte = upstream.first_byte
        if first_byte is None and self._recovery.has_fallback:
            first_byte = FIRST_BYTE_WITH_FALLBACK
        return Patience(first_byte, upstream.stall)

    def _fallbacks(self) -> Sequence[str]:
        fallbacks = self._upstream.fallbacks
        if not fallbacks:
            return ()
        base = self._upstream.listing.current().base(self.model_id)
        return fallbacks.get(self.model_id) or fallbacks.get(base or "") or ()

    def _take(self, step: Step) -> bool:
        """Make ready what `step` asks for; whether that can be had."""
        if step.needs_new_token:
            renewed = self._upstream.credentials.renewed(self._credentials)
            if renewed is None:
                return False
            self._credentials = renewed
        request, model_id = self._request, self.model_id
        if step.has_plain_history:
            request = with_plain_history(request)
            if request == self._request:
                return False  # there is nothing in it that could be written out
        if step.model is not None:
            try:
                effort = request.effort if step.takes_effort else None
                model_id = self._upstream.listing.current().resolve(step.model, effort)
            except ProxyError:
                return False
        if (request, model_id) != (self._request, self.model_id):
            self._request, self.model_id = request, model_id
            self._body = None
        if step.notice is not None:
            self._notices.append(step.notice)
        return True
