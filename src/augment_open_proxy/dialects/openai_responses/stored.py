"""Stored responses: their items, and how they are shown again."""

from collections.abc import Sequence
from typing import Any

import msgspec

from augment_open_proxy.core.events import Event, Opening
from augment_open_proxy.core.jsontext import mended
from augment_open_proxy.core.listing import Item
from augment_open_proxy.core.reply import Reply, fold
from augment_open_proxy.dialects.dialect import Delivery, TurnItems
from augment_open_proxy.dialects.openai_responses import wire
from augment_open_proxy.dialects.openai_responses.items import TRIGGER
from augment_open_proxy.dialects.openai_responses.reply import Responses, render, shape_of
from augment_open_proxy.dialects.openai_responses.request import parse

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
}


def render_begun(opening: Opening, delivery: Delivery) -> bytes:
    """The response object of a background response that waits for its turn."""
    return Responses(opening, shape_of(delivery)).begun("queued")


def render_deleted(response_id: str) -> bytes:
    return _encode(wire.Deleted(id=response_id))


def render_turn(
    body: bytes, opening: Opening, events: Sequence[Event], *, is_running: bool, gives_seals: bool = False
) -> bytes:
    """The response object of a stored turn: of the request's body, and its events so far.

    `gives_seals`: those of reasoning are asked for now, if they were not in the request.
    """
    delivery = parse(body).delivery
    if gives_seals:
        delivery = Delivery(shape=msgspec.structs.replace(shape_of(delivery), gives_seals=True))
    if is_running:
        return Responses(opening, shape_of(delivery)).begun("in_progress")
    return render([fold(events)], delivery)


def items(body: bytes, reply: Reply) -> TurnItems:
    """The items of a stored turn: those of its input, with the ids that they have here, and those of its output."""
    return TurnItems(given_items(body, reply.opening.id), made_items(body, reply))


def given_items(body: bytes, response_id: str) -> tuple[Item, ...]:
    """The items of a request's input, as the API lists them. References and triggers are none."""
    given = _decoder.decode(body).input
    if given is None:
        return ()
    raw = [{"role": "user", "content": given}] if isinstance(given, str) else [_decoded(item) for item in given]
    hex_ = response_id.rpartition("_")[2].replace("-", "")
    listed = [as_listed(item, f"{hex_}{_FIRST_GIVEN + i:04x}") for i, item in enumerate(raw) if _is_content(item)]
    return tuple(Item(item["id"], _encode(item)) for item in listed)


def made_items(body: bytes, reply: Reply) -> tuple[Item, ...]:
    """The items of the reply, with the seals of reasoning: they are what the conversation goes on from."""
    shape = msgspec.structs.replace(shape_of(parse(body).delivery), gives_seals=True)
    made = Responses(reply.opening, shape)
    output = [made.item(block, index) for index, block in enumerate(reply.blocks)]
    return tuple(Item(item.id, _encode(item)) for item in output)


def _decoded(item: msgspec.Raw) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.json.decode(mended(bytes(item)))
    return fields


def _is_content(item: dict[str, Any]) -> bool:
    kind = item.get("type")
    is_reference = kind == "item_reference" or (kind is None and "role" not in item)
    return not is_reference and kind not in (TRIGGER, "additional_tools")


def as_listed(item: dict[str, Any], suffix: str) -> dict[str, Any]:
    """An item as the API lists it: with its type, an id (made of `suffix` where it has none), and its status."""
    kind = item.get("type") or "message"
    prefix = _PREFIXES.get(kind, "item")
    listed = {**item, "type": kind, "id": item.get("id") or f"{prefix}_{suffix}"}
    if kind != "reasoning" and kind != "compaction":
        listed["status"] = item.get("status") or "completed"
    if kind == "message":
        listed["content"] = _content(item.get("role"), item.get("content"))
    return listed


def _content(role: object, content: object) -> list[Any]:
    """Texts as the parts that they are short for; the parts with the fields that the API fills in."""
    kind = "output_text" if role == "assistant" else "input_text"
    parts = [{"type": kind, "text": content}] if isinstance(content, str) else content or []
    if not isinstance(parts, list):
        return []
    return [_part(part, kind) if isinstance(part, dict) else part for part in parts]


def _part(part: dict[str, Any], text_kind: str) -> dict[str, Any]:
    if part.get("type") == "text":
        part = {**part, "type": text_kind}
    match part.get("type"):
        case "output_text":
            return {"annotations": [], "logprobs": [], **part}
        case "input_image":
            return {"detail": "auto", "file_id": None, **part}
        case _:
            return part
