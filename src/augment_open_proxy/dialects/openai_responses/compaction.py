"""`POST /v1/responses/compact`: the conversation so far → its user messages and one sealed summary."""

from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec import Raw, Struct

from augment_open_proxy.core.events import Finish
from augment_open_proxy.core.reply import Reply
from augment_open_proxy.core.steps import Steps
from augment_open_proxy.dialects.dialect import Delivery, Dialect, Draft, Parsed, Recalled
from augment_open_proxy.dialects.openai_errors import RESPONSES_ERRORS, render_error
from augment_open_proxy.dialects.openai_responses import wire
from augment_open_proxy.dialects.openai_responses.items import TRIGGER, read_input
from augment_open_proxy.dialects.openai_responses.reply import Responses, Shape, usage
from augment_open_proxy.dialects.openai_responses.request import read, references
from augment_open_proxy.dialects.openai_responses.stored import given_items, items
from augment_open_proxy.dialects.openai_responses.stream import ResponsesStream
from augment_open_proxy.dialects.reading import read_in_steps

_decoder = msgspec.json.Decoder(wire.CompactionRequest)
_head = msgspec.json.Decoder(wire.ItemHead)
_encode = msgspec.json.Encoder().encode
_TRIGGER = Raw(_encode({"type": TRIGGER}))


class _Compacted(Struct, frozen=True, kw_only=True):
    """The answer."""

    id: str
    object: Literal["response.compaction"] = "response.compaction"
    created_at: int
    output: list[Raw | wire.OutputItem]
    usage: wire.Usage


class _UserMessages(Struct, frozen=True):
    """What the renderer needs of the request: the items of its conversation, and the bodies that have the others."""

    kept: tuple[bytes, ...]
    requests: tuple[bytes, ...]


def read_compaction(body: bytes) -> Steps[Draft]:
    """Raises `ProxyError`, as does what follows."""
    given = yield from read_in_steps(_decoder, body)
    referred = references(given.previous_response_id, given.conversation, (yield from read_input(given.input)))
    return Draft(lambda recalled: _parsed(given, recalled), referred)


def _parsed(given: wire.CompactionRequest, recalled: Recalled) -> Steps[Parsed]:
    """The request of a response that is nothing but the compaction."""
    content = [{"role": "user", "content": given.input}] if isinstance(given.input, str) else given.input or []
    asked = {
        "model": given.model,
        "input": [*content, _TRIGGER],
        "instructions": given.instructions,
        "prompt_cache_key": given.prompt_cache_key,
        "store": False,
    }
    body = _encode(asked)
    draft = yield from read(body)
    parsed = yield from draft.parse(recalled)
    requests = (*(turn.request for turn in recalled.turns), parsed.body or body)
    return msgspec.structs.replace(parsed, delivery=Delivery(shape=_UserMessages(recalled.items, requests)))


def render_compacted(replies: Sequence[Reply], delivery: Delivery) -> bytes:
    """All user messages, then the summary."""
    (reply,) = replies
    if not isinstance(reply.end, Finish) or not isinstance(delivery.shape, _UserMessages):
        raise ValueError("only a finished reply to a request for compaction is one")
    given = [
        item.json
        for number, request in enumerate(delivery.shape.requests)
        for item in given_items(request, f"{reply.opening.id}{number:04x}")
    ]
    users = [Raw(item) for item in (*delivery.shape.kept, *given) if _is_user_message(item)]
    summary = Responses(reply.opening, Shape(compacts=True)).items(reply)
    return _encode(
        _Compacted(
            id=reply.opening.id,
            created_at=reply.opening.created,
            output=[*users, *summary],
            usage=usage(reply.end.usage),
        )
    )


def _is_user_message(item: bytes) -> bool:
    head = _head.decode(item)
    return head.type == "message" and head.role == "user"


OPENAI_COMPACTION = Dialect(
    name="openai_compaction",
    paths=("/v1/responses/compact", "/responses/compact"),
    prefixes=(),
    id_prefix="resp_",
    request_id_header="x-request-id",
    errors=RESPONSES_ERRORS,
    read=read_compaction,
    stream=ResponsesStream,
    render_reply=render_compacted,
    render_error=render_error,
    keeps="response",
    items=items,
)
