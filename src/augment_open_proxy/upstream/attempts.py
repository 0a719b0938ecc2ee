"""One turn with the backend: what is sent, with which model, and what is tried again. For now there is one attempt."""

from collections.abc import AsyncGenerator

from msgspec import Struct

from augment_open_proxy.core.conversation import ChatRequest
from augment_open_proxy.core.errors import ProxyError
from augment_open_proxy.core.events import Event
from augment_open_proxy.upstream.client import Client
from augment_open_proxy.upstream.credentials import CredentialSource
from augment_open_proxy.upstream.decode import Decoder
from augment_open_proxy.upstream.encode import encode, request_headers
from augment_open_proxy.upstream.listing import Listing

SILENCE_AFTER_STOP = 5.0
"""Seconds of silence after a stop reason that end a turn: usage may come after it, but a client must not wait long."""


class Upstream(Struct, frozen=True):
    """All that a turn needs of the backend."""

    client: Client
    credentials: CredentialSource
    listing: Listing


class Turn:
    """A turn that is ready to be sent. Making one resolves the model and encodes the body; both raise `ProxyError`."""

    def __init__(self, upstream: Upstream, request: ChatRequest, request_id: str, conversation_id: str) -> None:
        """`request_id` and `conversation_id` are UUIDs; the backend's logs know the turn by the first."""
        self._upstream = upstream
        self._credentials = upstream.credentials.current()
        self.model_id = upstream.listing.current().resolve(request.model, request.effort)
        """The backend's id of the model that answers."""
        self.body = encode(request, self.model_id, conversation_id)
        self._headers = request_headers(self._credentials.token, request_id, conversation_id)

    async def events(self) -> AsyncGenerator[list[Event]]:
        """The reply's events after its `Opening`, in batches as they arrive; the last batch ends with a terminal."""
        decoder = Decoder()
        try:
            async with self._upstream.client.stream(
                f"{self._credentials.url}/chat-stream", self._headers, self.body
            ) as answer:
                data = await answer.read()
                while data and not decoder.ended:
                    events = decoder.feed(data)
                    if events:
                        yield events
                    if decoder.has_stop_reason:
                        data = await answer.read_unless_silent(SILENCE_AFTER_STOP)
                    else:
                        data = await answer.read()
        except ProxyError as error:
            events = decoder.fail(error.problem)
        else:
            events = decoder.close()
        if events:
            yield events
