"""Conversations: what clients post about them, and the objects that show them.

Items are kept as the API lists them, each with an id; what could not be sent to the model is refused when it is added.
"""

from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct

from augment_open_proxy.core.errors import ProxyError, invalid_request
from augment_open_proxy.core.jsontext import UNREADABLE
from augment_open_proxy.core.listing import Item
from augment_open_proxy.dialects.openai_responses import wire
from augment_open_proxy.dialects.openai_responses.items import kind_of, parse_item
from augment_open_proxy.dialects.openai_responses.stored import LONGEST_ID, as_item
from augment_open_proxy.dialects.reading import read, read_metadata, read_value

MOST_ITEMS = 20
"""How many can be added at once."""


class _New(Struct, frozen=True):
    items: list[Raw] | None = None
    metadata: Any = None


class _Added(Struct, frozen=True):
    items: list[Raw]


class _Change(Struct, frozen=True):
    metadata: Any


class _Conversation(Struct, frozen=True, kw_only=True):
    id: str
    object: Literal["conversation"] = "conversation"
    created_at: int
    metadata: dict[str, str]


class _Deleted(Struct, frozen=True, kw_only=True):
    id: str
    object: Literal["conversation.deleted"] = "conversation.deleted"
    deleted: bool = True


_new = msgspec.json.Decoder(_New)
_added = msgspec.json.Decoder(_Added)
_change = msgspec.json.Decoder(_Change)
_head = msgspec.json.Decoder(wire.ItemHead)
_encode = msgspec.json.Encoder().encode


def read_new(body: bytes, digits: str) -> tuple[list[Item], dict[str, str]]:
    """The items and the metadata of a new conversation; both may be left out, and the body with them.

    The ids of items are made of `digits`, 32 hexadecimal ones that are used once. Raises `ProxyError`.
    """
    given = read(_new, body or b"{}")
    return _posted(given.items or [], digits), read_metadata(given.metadata)


def read_added(body: bytes, digits: str) -> list[Item]:
    """The items that are added to a conversation, as `read_new` reads them. Raises `ProxyError`."""
    return _posted(read(_added, body).items, digits)


def read_change(body: bytes) -> dict[str, str]:
    """The metadata that replaces what there was. Raises `ProxyError`."""
    return read_metadata(read(_change, body).metadata)


def duplicate(id_: str) -> ProxyError:
    """The error for an item whose id another one has."""
    return invalid_request(f"items: there is another item with the id {id_!r}.", "items")


def render_conversation(conversation_id: str, created: int, metadata: dict[str, str]) -> bytes:
    return _encode(_Conversation(id=conversation_id, created_at=created, metadata=metadata))


def render_deleted(conversation_id: str) -> bytes:
    return _encode(_Deleted(id=conversation_id))


def _posted(given: list[Raw], digits: str) -> list[Item]:
    if len(given) > MOST_ITEMS:
        raise invalid_request(f"items may have {MOST_ITEMS} entries at most; add the others afterwards.", "items")
    items: list[Item] = []
    named: list[str] = []
    for i, raw in enumerate(given):
        path = f"items[{i}]"
        head = read_value(_head, raw, path)
        _check(head, path)
        try:
            parse_item(raw, path)
            item = as_item(raw, f"{digits}{i:04x}")
        except UNREADABLE as error:
            raise invalid_request(f"{path} cannot be kept: {error}.", path) from None
        if head.id:
            if item.id in named:
                raise duplicate(item.id)
            named.append(item.id)
        items.append(item)
    return items


def _check(head: wire.ItemHead, path: str) -> None:
    """Refuse what is no content of a conversation."""
    kind = kind_of(head)
    if kind == "item_reference":
        raise invalid_request(f"{path} is a reference: send the item itself.", f"{path}.type")
    if kind in ("compaction_trigger", "additional_tools"):
        raise invalid_request(
            f"{path}.type {kind!r} comes with the input of a response, and cannot be added.", f"{path}.type"
        )
    if head.id is not None and len(head.id) > LONGEST_ID:
        raise invalid_request(f"{path}.id may have {LONGEST_ID} characters at most.", f"{path}.id")
