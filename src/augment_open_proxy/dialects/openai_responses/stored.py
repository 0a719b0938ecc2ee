"""Stored responses: their items, and how they are shown again."""

import json
from collections.abc import Container, Sequence
from typing import Any

import msgspec

from augment_open_proxy.core.events import Event, Opening
from augment_open_proxy.core.jsontext import mended
from augment_open_proxy.core.listing import Item
from augment_open_proxy.core.reply import Reply, fold
from augment_open_proxy.dialects.dialect import Delivery, TurnItems
from augment_open_proxy.dialects.openai_responses import wire
from augment_open_proxy.dialects.openai_responses.items import TRIGGER, kind_of
from augment_open_proxy.dialects.openai_responses.reply import Responses, render, shape_of
from augment_open_proxy.dialects.openai_responses.request import parse
from augment_open_proxy.dialects.reading import read

_decoder = msgspec.json.Decoder(wire.Request)
_encode = msgspec.json.Encoder().encode
_FIRST_GIVEN = 0x8000
"""The number of the first item that a request gave; those of the reply count from 0."""
_PREFIXES = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "function_call_output": "fco",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco",
    "local_shell_call": "lsh",
    "local_shell_call_output": "lsho",
    "compaction": "cmp",
    "additional_tools": "at",
}
_SHOWN: dict[str, dict[str, Any]] = {
    "function_call": {"arguments": "{}"},
    "function_call_output": {"output": []},
    "custom_tool_call": {"input": ""},
    "custom_tool_call_output": {"output": []},
    "local_shell_call_output": {"output": ""},
    "reasoning": {"summary": []},
    "compaction": {"encrypted_content": ""},
    "additional_tools": {"role": "developer", "tools": []},
}
"""Fields that clients may leave out, and the API shows in any case."""
LONGEST_ID = 256
"""An item with a longer id gets another: the indexes of PostgreSQL hold none of any length."""


def render_begun(opening: Opening, delivery: Delivery) -> bytes:
    """The response object of a background response that waits for its turn."""
    return b"".join(Responses(opening, shape_of(delivery)).begun("queued"))


def render_deleted(response_id: str) -> bytes:
    return _encode(wire.Deleted(id=response_id))


def render_turn(
    body: bytes, opening: Opening, events: Sequence[Event], *, is_running: bool, gives_seals: bool = False
) -> bytes:
    """The response object of a stored turn: of the request's body, and its events so far."""
    delivery = delivery_of(body, gives_seals=gives_seals)
    if is_running:
        return b"".join(Responses(opening, shape_of(delivery)).begun("in_progress"))
    return render([fold(events)], delivery)


def delivery_of(body: bytes, *, gives_seals: bool) -> Delivery:
    """How a stored turn is shown. `gives_seals`: with those of reasoning, even if its request did not ask for them."""
    shape = shape_of(parse(body).delivery)
    return Delivery(shape=msgspec.structs.replace(shape, gives_seals=shape.gives_seals or gives_seals))


def items(body: bytes, reply: Reply) -> TurnItems:
    """The items of a stored turn: those of its input, with the ids that they have here, and those of its output."""
    return TurnItems(given_items(body, reply.opening.id), made_items(body, reply))


def given_items(body: bytes, response_id: str, taken: Container[str] = ()) -> tuple[Item, ...]:
    """The items of a request's input, as the API lists them. References and triggers are none.

    An item whose id is `taken`, or is that of one before it, has an id that is made here.
    """
    given = read(_decoder, body).input
    if given is None:
        return ()
    raw = [{"role": "user", "content": given}] if isinstance(given, str) else [_decoded(item) for item in given]
    hex_ = response_id.rpartition("_")[2].replace("-", "")
    items: dict[str, Item] = {}
    for i, item in enumerate(raw):
        if _is_content(item):
            known = item.get("id") in items or item.get("id") in taken
            listed = _listed({**item, "id": None} if known else item, f"{hex_}{_FIRST_GIVEN + i:04x}")
            items[listed["id"]] = Item(listed["id"], _encode(listed))
    return tuple(items.values())


def as_item(raw: msgspec.Raw, suffix: str) -> Item:
    """One item as the API lists it, with an id that is made of `suffix` where it has none."""
    item = _listed(_decoded(raw), suffix)
    return Item(item["id"], _encode(item))


def made_items(body: bytes, reply: Reply) -> tuple[Item, ...]:
    """The items of the reply, with the seals of reasoning: they are what the conversation goes on from."""
    made = Responses(reply.opening, shape_of(delivery_of(body, gives_seals=True)))
    return tuple(Item(item.id, _encode(item)) for item in made.items(reply))


def _decoded(item: msgspec.Raw) -> dict[str, Any]:
    text = mended(bytes(item))
    fields: dict[str, Any]
    try:
        fields = msgspec.json.decode(text)
    except msgspec.ValidationError:  # a number that is out of range, which is written as null
        fields = json.loads(text, parse_int=float)
    return fields


def _is_content(item: dict[str, Any]) -> bool:
    kind = kind_of(wire.ItemHead(item.get("type"), item.get("role"), item.get("id")))
    return kind not in ("item_reference", TRIGGER)


def _listed(item: dict[str, Any], suffix: str) -> dict[str, Any]:
    """An item with its type, an id (made of `suffix` where it has none), its status, and what else the API shows."""
    kind = item.get("type") or "message"
    kind = "compaction" if kind == "compaction_summary" else kind
    prefix = _PREFIXES.get(kind, "item")
    id_ = item.get("id") or ""
    listed = {
        **item,
        **_filled(item, _SHOWN.get(kind, {})),
        "type": kind,
        "id": id_ if 0 < len(id_) <= LONGEST_ID else f"{prefix}_{suffix}",
    }
    if kind not in ("reasoning", "compaction", "additional_tools"):
        listed["status"] = item.get("status") or "completed"
    if kind == "message":
        listed["content"] = _content(item.get("role"), item.get("content"))
    if isinstance(listed.get("output"), list):
        listed["output"] = _content("user", listed["output"])
    if kind == "local_shell_call" and isinstance(item.get("action"), dict):
        listed["action"] = _filled(item["action"], {"type": "exec", "command": [], "env": {}})
    return listed


def _filled(fields: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """With the defaults of those that are missing or null."""
    given = {name: value for name, value in fields.items() if value is not None or name not in defaults}
    return {**defaults, **given}


def _content(role: object, content: object) -> list[Any]:
    """Texts as the parts that they are short for; the parts with the fields that the API fills in."""
    kind = "output_text" if role == "assistant" else "input_text"
    parts = [{"type": kind, "text": content or ""}] if content is None or isinstance(content, str) else content
    if not isinstance(parts, list):
        return []
    return [_part(part, kind) if isinstance(part, dict) else part for part in parts]


def _part(part: dict[str, Any], text_kind: str) -> dict[str, Any]:
    if part.get("type") == "text":
        part = {**part, "type": text_kind}
    match part.get("type"):
        case "output_text":
            return _filled(part, {"annotations": [], "logprobs": []})
        case "input_image":
            return _filled(part, {"detail": "auto", "file_id": None})
        case _:
            return part
