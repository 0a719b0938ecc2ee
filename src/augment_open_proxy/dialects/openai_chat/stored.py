"""Stored chat completions: how they are shown, listed and changed.

All is made of the request as it came and of the replies: a completion that was streamed looks like any other.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from augment_open_proxy.core.jsontext import mended
from augment_open_proxy.core.listing import Item
from augment_open_proxy.core.reply import Reply
from augment_open_proxy.dialects.dialect import Delivery
from augment_open_proxy.dialects.openai_chat.reply import render
from augment_open_proxy.dialects.reading import read, read_metadata

_NULL = Raw(b"null")


class _Message(Struct, frozen=True):
    """A message of the request. What it has is shown as it came."""

    role: str
    content: Raw = _NULL
    name: Raw = _NULL
    refusal: Raw = _NULL
    tool_calls: Raw = _NULL
    tool_call_id: Raw = _NULL


class _Request(Struct, frozen=True):
    """What a stored completion repeats of its request."""

    messages: list[_Message]
    tool_choice: Raw = _NULL
    seed: Raw = _NULL
    top_p: Raw = _NULL
    temperature: Raw = _NULL
    presence_penalty: Raw = _NULL
    frequency_penalty: Raw = _NULL
    user: Raw = _NULL
    tools: Raw = _NULL
    response_format: Raw = _NULL


class _Echo(Struct, frozen=True, kw_only=True):
    """What a stored completion has beyond the reply, defaults filled in. A completion's id is its request's."""

    request_id: str
    tool_choice: Raw
    seed: Raw
    top_p: Raw
    temperature: Raw
    presence_penalty: Raw
    frequency_penalty: Raw
    system_fingerprint: None = None
    input_user: Raw
    service_tier: str = "default"
    tools: Raw
    metadata: Mapping[str, str]
    response_format: Raw


class _StoredMessage(Struct, frozen=True, kw_only=True):
    """Its content is a text, or parts."""

    id: str
    role: str
    content: Raw
    refusal: Raw
    name: Raw
    content_parts: Raw
    tool_calls: Raw | UnsetType
    tool_call_id: Raw | UnsetType


class _Change(Struct, frozen=True):
    metadata: Any


class _Deleted(Struct, frozen=True, kw_only=True):
    id: str
    object: Literal["chat.completion.deleted"] = "chat.completion.deleted"
    deleted: bool = True


class Wanted(Struct, frozen=True):
    """Which completions are listed: of a model, with such metadata."""

    model: str | None = None
    metadata: dict[str, str] = {}


_request = msgspec.json.Decoder(_Request)
_change = msgspec.json.Decoder(_Change)
_encode = msgspec.json.Encoder().encode
_METADATA = re.compile(r"metadata\[(.*)\]", re.DOTALL)


def render_completion(body: bytes, replies: Sequence[Reply], metadata: Mapping[str, str]) -> bytes:
    """The `chat.completion` object of a request's body and its replies, which all ended well."""
    given = _request.decode(mended(body))
    completion = render(replies, Delivery(choices=len(replies)))
    echo = _Echo(
        request_id=replies[0].opening.id,
        tool_choice=given.tool_choice,
        seed=given.seed,
        top_p=_or(given.top_p, b"1.0"),
        temperature=_or(given.temperature, b"1.0"),
        presence_penalty=_or(given.presence_penalty, b"0.0"),
        frequency_penalty=_or(given.frequency_penalty, b"0.0"),
        input_user=given.user,
        tools=given.tools,
        metadata=metadata,
        response_format=given.response_format,
    )
    return completion[:-1] + b"," + _encode(echo)[1:]


def messages(body: bytes, completion_id: str) -> tuple[Item, ...]:
    """The messages of a request, as the API lists them: their ids count them."""
    listed = [
        _shown(message, f"{completion_id}-{i}") for i, message in enumerate(_request.decode(mended(body)).messages)
    ]
    return tuple(Item(message.id, _encode(message)) for message in listed)


def render_deleted(completion_id: str) -> bytes:
    return _encode(_Deleted(id=completion_id))


def read_change(body: bytes) -> dict[str, str]:
    """The metadata that replaces what there was. Raises `ProxyError`."""
    return read_metadata(read(_change, body).metadata)


def read_wanted(query: Iterable[tuple[str, str]]) -> Wanted:
    """`model`, and `metadata[key]` for each key."""
    pairs = list(query)
    found = [(_METADATA.fullmatch(name), value) for name, value in pairs]
    return Wanted(dict(pairs).get("model") or None, {match[1]: value for match, value in found if match})


def _shown(message: _Message, id_: str) -> _StoredMessage:
    has_parts = bytes(message.content).startswith(b"[")
    return _StoredMessage(
        id=id_,
        role=message.role,
        content=_NULL if has_parts else message.content,
        refusal=message.refusal,
        name=message.name,
        content_parts=message.content if has_parts else _NULL,
        tool_calls=_or_unset(message.tool_calls),
        tool_call_id=_or_unset(message.tool_call_id),
    )


def _or(given: Raw, default: bytes) -> Raw:
    return Raw(default) if bytes(given) == b"null" else given


def _or_unset(given: Raw) -> Raw | UnsetType:
    return UNSET if bytes(given) == b"null" else given
