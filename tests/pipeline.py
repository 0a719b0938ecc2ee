"""The pure part of the pipeline: from a client's body and the backend's bytes to the client's bytes, without I/O."""

from collections.abc import Iterable
from typing import Any

import msgspec

from augment_open_proxy.core.events import Event, Failure, Finish, Opening
from augment_open_proxy.core.reply import Reply, fold
from augment_open_proxy.dialects.dialect import Dialect, Parsed, Renderer, renderer
from augment_open_proxy.dialects.framing import joined
from augment_open_proxy.policies.chain import Chain, policies
from augment_open_proxy.tokens.counter import TokenCounter
from augment_open_proxy.upstream.catalog import BUILT_IN, Catalog
from augment_open_proxy.upstream.decode import Decoder
from augment_open_proxy.upstream.encode import encode

TURN_ID = "00000000-0000-4000-8000-000000000001"
CONVERSATION_ID = "00000000-0000-4000-8000-000000000002"
CREATED = 1_750_000_000
INPUT_ESTIMATE = 10
SECRET = b"secret of the tests"
POLICIES = policies(SECRET, TokenCounter())


def upstream_request(parsed: Parsed) -> bytes:
    """What the backend is asked."""
    request = Chain(parsed.request, POLICIES).request
    return encode(request, Catalog(BUILT_IN).resolve(request.model, request.effort), CONVERSATION_ID)


def reply_events(dialect: Dialect, parsed: Parsed, chunks: Iterable[bytes]) -> list[list[Event]]:
    """What the client gets, in batches, when the backend answers with these chunks."""
    chain = Chain(parsed.request, POLICIES)
    decoder = Decoder()
    opening = Opening(dialect.id_prefix + TURN_ID, CREATED, parsed.request.model, INPUT_ESTIMATE)
    batches: list[list[Event]] = [[opening], *(decoder.feed(chunk) for chunk in chunks), decoder.close()]
    given_out: list[list[Event]] = []
    for batch in batches:
        out = chain.feed(batch) if batch else []
        if out:
            given_out.append(out)
            if isinstance(out[-1], Finish | Failure):
                break  # a policy may end the reply before the backend does
    return given_out


def streamed(dialect: Dialect, parsed: Parsed, chunks: Iterable[bytes]) -> bytes:
    """The body of the stream."""
    delivery = msgspec.structs.replace(parsed.delivery, stream=True)
    return _rendered(renderer(dialect, delivery), reply_events(dialect, parsed, chunks))


def whole(dialect: Dialect, parsed: Parsed, chunks: Iterable[bytes]) -> dict[str, Any]:
    """Status and body of the whole reply."""
    batches = reply_events(dialect, parsed, chunks)
    end = batches[-1][-1]
    if isinstance(end, Failure):
        error = dialect.render_error(end.problem, dialect.id_prefix + TURN_ID)
        return {"status": dialect.errors[end.problem.kind].status, "body": msgspec.json.decode(error)}
    delivery = msgspec.structs.replace(parsed.delivery, stream=False)
    body = _rendered(renderer(dialect, delivery), batches)
    return {"status": 200, "body": msgspec.json.decode(body)}


def whole_reply(dialect: Dialect, parsed: Parsed, chunks: Iterable[bytes]) -> Reply:
    """The whole reply in the core language."""
    return fold(event for batch in reply_events(dialect, parsed, chunks) for event in batch)


def _rendered(rendering: Renderer, batches: list[list[Event]]) -> bytes:
    return b"".join(joined(rendering.feed(batch)) for batch in batches)
