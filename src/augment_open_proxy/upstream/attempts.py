"""One turn with the backend: what is sent, with which model, and what is tried again (`recovery.py` decides).

Attempts follow one another only as long as nothing of the reply has been given out.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Mapping, Sequence

from msgspec import Struct

from augment_open_proxy.core.conversation import ChatRequest
from augment_open_proxy.core.errors import ProxyError
from augment_open_proxy.core.events import Event, Failure
from augment_open_proxy.upstream.budget import RetryBudget
from augment_open_proxy.upstream.client import Client, Patience
from augment_open_proxy.upstream.credentials import CredentialSource
from augment_open_proxy.upstream.decode import Decoder
from augment_open_proxy.upstream.encode import encode, request_headers
from augment_open_proxy.upstream.listing import Listing
from augment_open_proxy.upstream.plain_history import with_plain_history
from augment_open_proxy.upstream.recovery import Recovery, Step

SILENCE_AFTER_STOP = 5.0
"""Seconds of silence after a stop reason that end a turn: usage may come after it, but a client must not wait long."""
FIRST_BYTE_WITH_FALLBACK = 120.0
"""Seconds that a model may be silent where another one can be asked."""


class Upstream(Struct, frozen=True):
    """All that a turn needs of the backend. `fallbacks`: which models are asked where one says nothing, by its id."""

    client: Client
    credentials: CredentialSource
    listing: Listing
    budget: RetryBudget
    fallbacks: Mapping[str, Sequence[str]] = {}
    first_byte: float | None = None
    stall: float | None = None


class Turn:
    """A turn that is ready to be sent. Making one resolves the model and encodes the body; both raise `ProxyError`."""

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
        self.body = encode(request, self.model_id, conversation_id)

    async def events(self) -> AsyncGenerator[list[Event]]:
        """The reply's events after its `Opening`, in batches as they arrive; the last batch ends with a terminal."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        recovery: Recovery | None = None
        self._upstream.budget.count()
        while True:
            decoder = Decoder()
            given = False
            events: list[Event] = []
            try:
                async with self._upstream.client.stream(
                    f"{self._credentials.url}/chat-stream", self._headers(), self.body, self._patience()
                ) as answer:
                    data = await answer.read()
                    while data and not decoder.ended:
                        events = decoder.feed(data)
                        if events:
                            if not given and isinstance(events[0], Failure):
                                break
                            given = True
                            yield events
                        if decoder.has_stop_reason:
                            data = await answer.read_unless_silent(SILENCE_AFTER_STOP)
                        else:
                            data = await answer.read()
                    else:
                        events = decoder.close()
            except ProxyError as error:
                events = decoder.fail(error.problem)
            if given or not events or not isinstance(events[0], Failure):
                if events:
                    yield events
                return
            recovery = recovery or self._recovery()
            step = recovery.after(events[0].problem, loop.time() - began, random.random(), self._upstream.budget.take)  # noqa: S311
            if step is None or not self._take(step):
                yield events
                return
            await asyncio.sleep(step.delay)

    def _headers(self) -> dict[str, str]:
        return request_headers(self._credentials.token, self._request_id, self._conversation_id)

    def _patience(self) -> Patience:
        upstream = self._upstream
        first_byte = upstream.first_byte
        if first_byte is None and upstream.fallbacks and self._fallbacks():
            first_byte = FIRST_BYTE_WITH_FALLBACK
        return Patience(first_byte, upstream.stall)

    def _fallbacks(self) -> Sequence[str]:
        base = self._upstream.listing.current().base(self.model_id)
        fallbacks = self._upstream.fallbacks
        return fallbacks.get(self.model_id) or fallbacks.get(base or "") or ()

    def _recovery(self) -> Recovery:
        return Recovery(self.model_id, self._upstream.listing.current().base(self.model_id), self._fallbacks())

    def _take(self, step: Step) -> bool:
        """Make ready what `step` asks for; whether that can be had."""
        if step.needs_new_token:
            renewed = self._upstream.credentials.renewed(self._credentials)
            if renewed is None:
                return False
            self._credentials = renewed
        if step.model is not None or step.has_plain_history:
            try:
                self._encode(step)
            except ProxyError:
                return False
        if step.notice is not None:
            self._notices.append(step.notice)
        return True

    def _encode(self, step: Step) -> None:
        if step.has_plain_history:
            self._request = with_plain_history(self._request)
        if step.model is not None:
            self.model_id = self._upstream.listing.current().resolve(step.model, self._request.effort)
        self.body = encode(self._request, self.model_id, self._conversation_id)
