"""Items → messages: those of the input, and those of stored turns and conversations that a request goes on from."""

from collections.abc import Callable, Mapping, Set
from itertools import repeat
from typing import Any

import msgspec
from msgspec import Raw, Struct

from augment_open_proxy.core.conversation import (
    Attachment,
    Image,
    Message,
    Part,
    Role,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from augment_open_proxy.core.errors import ProxyError, invalid_request
from augment_open_proxy.core.events import Block
from augment_open_proxy.core.steps import Steps
from augment_open_proxy.dialects.data_url import document, picture
from augment_open_proxy.dialects.dialect import Recalled
from augment_open_proxy.dialects.openai_responses import wire
from augment_open_proxy.dialects.reading import LARGE, LOCAL_SHELL, ToolsReader, flat_name, read_value

_json = msgspec.json.Encoder().encode
_head = msgspec.json.Decoder(wire.ItemHead)
_item = msgspec.json.Decoder(wire.Item)
_request = ToolsReader(wire.Request, Raw)
_request_with_items = ToolsReader(wire.Request, Raw, ("input", str | list[wire.Item] | None, None))
_raw_request = msgspec.json.Decoder(wire.Request)
_any_fields = msgspec.json.Decoder(dict[str, Any])
_ROLES: dict[str, Role] = {"user": "user", "assistant": "assistant", "system": "system", "developer": "system"}
_TEXTS = ("input_text", "output_text", "text", "summary_text", "reasoning_text")


_NO_RAW = Raw()
_AT_ONCE = 64
"""Items that are converted in one step."""
TRIGGER = "compaction_trigger"
PLACE = "the stored conversation"
"""Where errors say that a stored item stands."""
GO_ON = "Go on."
"""What follows where the input ends with an answer: this API lets the model continue one, the backend does not."""


class Input(Struct, frozen=True):
    """The input of a request: a text, or items. `raw_items` are the items as they came; none where no item is of a type
    that is read from there.
    """

    text: str | None = None
    raw_items: list[Raw] = []
    items: list[wire.Item] = []
    types: Set[str | None] = frozenset()
    """Those of the items: who looks for a rare one need not look at each."""


def read_request(body: bytes) -> Steps[tuple[wire.Request, Input]]:
    """The body of a request, and its input. Raises `ProxyError` that names the field by its path."""
    if len(body) <= LARGE:
        try:
            request: Any = yield from _request_with_items.read(body)
        except ProxyError:
            pass  # an item of which no more than the head is read may have anything in the fields of others
        else:
            if not isinstance(request.input, list):
                return request, Input(request.input)
            given = _input([], request.input)
            if given.types <= _NEVER_RAW:
                return request, given
            raw: Any = read_value(_raw_request, body).input
            return msgspec.structs.replace(request, input=raw), msgspec.structs.replace(given, raw_items=raw)
    request = yield from _request.read(body)
    return request, (yield from read_input(request.input))


def read_input(given: str | list[Raw] | None) -> Steps[Input]:
    """Raises `ProxyError` that names the field by its path."""
    if not isinstance(given, list):
        return Input(given)
    items: list[wire.Item] = []
    for i, raw in enumerate(given):
        items.append(_read_item(raw, f"input[{i}]"))
        yield
    return _input(given, items)


def _input(raw_items: list[Raw], items: list[wire.Item]) -> Input:
    return Input(None, raw_items, items, {item.type for item in items})


def messages_of(given: Input, by_id: Mapping[str, bytes] = {}) -> Steps[tuple[Message, ...]]:
    """`by_id` has the items that others refer to. Raises `ProxyError` that names the field by its path."""
    if given.text is not None:
        return (Message("user", (Text(given.text),)),)
    messages: list[Message] = []
    for i, (raw, item) in enumerate(zip(given.raw_items or repeat(_NO_RAW), given.items, strict=False)):
        if i and not i % _AT_ONCE:
            yield
        convert = _MESSAGES.get(item.type)
        if convert is not None:  # as mostly
            messages.append(convert(item, f"input[{i}]"))
        else:
            messages += _messages_of(item, raw, f"input[{i}]", by_id)
    return tuple(messages)


def ends_with_trigger(given: Input) -> bool:
    """Whether the input asks for its own compaction. Raises `ProxyError` where something follows the trigger."""
    if TRIGGER not in given.types:
        return False
    at = [item.type for item in given.items].index(TRIGGER)
    if at != len(given.items) - 1:
        raise invalid_request(f"input[{at}]: a {TRIGGER} must be the last item.", f"input[{at}]")
    return True


def continued(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """The conversation with something to answer at its end.

    Codex takes up a reply that broke off with what it has of it: thinking, which is left out, or text, which the model
    is asked to go on with.
    """
    last = len(messages)
    while last and messages[last - 1].role == "assistant" and isinstance(messages[last - 1].content[-1], Thinking):
        last -= 1
    messages = messages[:last]
    if messages and messages[-1].role == "assistant" and not isinstance(messages[-1].content[-1], ToolCall):
        return (*messages, Message("user", (Text(GO_ON),)))
    return messages


def kind_of(head: wire.ItemHead | wire.Item) -> str:
    """The type of an item, which two may leave out: a message, and a reference, which is nothing but an id."""
    if head.type is not None:
        return head.type
    return "message" if head.role is not None or head.id is None else "item_reference"


def parse_item(raw: bytes | Raw, path: str, by_id: Mapping[str, bytes] = {}) -> tuple[Message, ...]:
    """The messages of one item that stands at `path`. Raises `ProxyError`."""
    return _messages_of(_read_item(raw, path), raw, path, by_id)


def _read_item(raw: bytes | Raw, path: str) -> wire.Item:
    """The item; no more than its head where it is of a type of which we read nothing else."""
    try:
        return read_value(_item, raw, path)
    except ProxyError:
        head = read_value(_head, raw, path)
        if kind_of(head) in _READ:
            raise
    return wire.Item(type=head.type, role=head.role, id=head.id)


def _messages_of(item: wire.Item, raw: bytes | Raw, path: str, by_id: Mapping[str, bytes]) -> tuple[Message, ...]:
    kind = item.type or kind_of(item)
    convert = _MESSAGES.get(kind)
    if convert is not None:
        return (convert(item, path),)
    match kind:
        case "additional_tools" | "compaction_trigger":
            return ()
        case "item_reference":
            referred = by_id.get(_needed(item.id, path, "id"))
            return () if referred is None else parse_item(referred, path)
        case "compaction" | "compaction_summary":
            sealed = item.encrypted_content or ""
            return (Message("user", (Attachment("summary", f"{path}.encrypted_content", data=sealed),)),)
        case str() if kind.endswith(("_call_output", "_approval_response")):
            said, pictures = _server_item(kind, raw, path)
            return (Message("user", (said, *(picture(url, path) for url in pictures))),)
        case str() if kind.endswith(("_call", "_output", "_list_tools", "_approval_request", "program")):
            return (_assistant(_server_item(kind, raw, path)[0]),)
    raise invalid_request(f"{path}.type {kind!r} cannot be sent to the Augment backend.", f"{path}.type")


def _function_call(item: wire.Item, path: str) -> Message:
    name = flat_name(item.namespace, _needed(item.name, path, "name"))
    return _assistant(ToolCall(_call_id(item, path), name, item.arguments or "{}"))


def _custom_tool_call(item: wire.Item, path: str) -> Message:
    name = flat_name(item.namespace, _needed(item.name, path, "name"))
    return _assistant(ToolCall(_call_id(item, path), name, item.input or "", custom=True))


def _local_shell_call(item: wire.Item, path: str) -> Message:
    action = bytes(item.action).decode()
    arguments = "{}" if action in ("", "null") else action
    return _assistant(ToolCall(_call_id(item, path), LOCAL_SHELL, arguments))


def _reasoning(item: wire.Item, path: str) -> Message:
    text = "".join([part.text or "" for part in item.summary or []])
    return _assistant(Thinking(text, item.encrypted_content or ""))


def _call_output(item: wire.Item, path: str) -> Message:
    return Message("user", (ToolResult(_call_id(item, path), _output(item, path)),))


def _assistant(part: Part) -> Message:
    return Message("assistant", (part,))


def _needed(value: str | None, path: str, field: str) -> str:
    if not value:
        raise invalid_request(f"{path}.{field} is missing.", f"{path}.{field}")
    return value


def _call_id(item: wire.Item, path: str) -> str:
    """Outputs of a local shell once had the call's id as their own."""
    return _needed(item.call_id or (item.id if item.type == "local_shell_call_output" else None), path, "call_id")


def _server_item(kind: str, raw: bytes | Raw, path: str) -> tuple[Text, list[str]]:
    """What a tool that does not exist here did in an earlier turn, in words, and the `data:` URLs of its pictures."""
    pictures: list[str] = []
    fields = _without_pictures(read_value(_any_fields, raw, path), pictures)
    if kind == "image_generation_call":
        fields.pop("result", None)  # the picture itself, in base64
    words = (
        f"{name}: {value if isinstance(value, str) else _json(value).decode()}"
        for name, value in fields.items()
        if name not in ("type", "id", "call_id", "fingerprint")
        and not name.startswith("encrypted_")
        and value is not None
        and (name, value) != ("status", "completed")
    )
    return Text(f"[{kind}: {', '.join(words)}]"), pictures


def _without_pictures(value: Any, pictures: list[str]) -> Any:
    """The value less its pictures, which are added to `pictures`."""
    match value:
        case dict():
            urls = [name for name in ("image_url", "url") if str(value.get(name)).startswith("data:")]
            pictures += [value[name] for name in urls]
            return {name: _without_pictures(inner, pictures) for name, inner in value.items() if name not in urls}
        case list():
            return [_without_pictures(inner, pictures) for inner in value]
    return value


# -------------------------------------------------------------------- past


def parse_past(recalled: Recalled) -> Steps[tuple[Message, ...]]:
    """What comes before the input, as if the client had sent it. A compaction stands for all that precedes it."""
    messages: tuple[Message, ...] = ()
    for turn in recalled.turns:
        _, given = yield from read_request(turn.request)
        is_compaction = ends_with_trigger(given)
        reply = tuple(_said_by_model(block, is_compaction=is_compaction) for block in turn.reply.blocks)
        if is_compaction:
            messages = reply
        else:
            messages += (*(yield from messages_of(given, recalled.by_id)), *reply)
    for item in recalled.items:
        said = parse_item(item, PLACE)
        messages = said if _is_summary(said) else messages + said
    return messages


def _is_summary(said: tuple[Message, ...]) -> bool:
    return any(isinstance(part, Attachment) and part.kind == "summary" for message in said for part in message.content)


def _said_by_model(block: Block, *, is_compaction: bool) -> Message:
    match block:
        case Thinking(opaque=sealed) if is_compaction:
            return Message("user", (Attachment("summary", PLACE, data=sealed),))
        case Text() | Thinking() | ToolCall():
            return Message("assistant", (block,))


# ----------------------------------------------------------------- content


def _message(item: wire.Item, path: str) -> Message:
    given = item.role or _needed(item.role, path, "role")
    content = item.content or ""
    parts: tuple[Part, ...]
    if isinstance(content, str):
        parts = (Text(content),)
    else:
        parts = _parts(content, path, "content", takes_files=given == "user")
    role = _ROLES.get(given)
    if role is None:
        raise invalid_request(
            f"{path}.role must be user, assistant, system or developer; it is {given!r}.", f"{path}.role"
        )
    return Message(role, parts)


def _output(item: wire.Item, path: str) -> tuple[Text | Image | Attachment, ...]:
    if item.output is None:
        return ()
    if isinstance(item.output, str):
        return (Text(item.output),)
    return _parts(item.output, path, "output", takes_files=True)


def _parts(
    content: list[wire.ContentPart], path: str, field: str, *, takes_files: bool
) -> tuple[Text | Image | Attachment, ...]:
    parts: list[Text | Image | Attachment] = []
    for part in content:
        if part.text is not None and part.type in _TEXTS:
            parts.append(Text(part.text))
        else:
            parts.append(_part(part, f"{path}.{field}[{len(parts)}]", takes_files=takes_files))
    return tuple(parts)


def _part(part: wire.ContentPart, path: str, *, takes_files: bool) -> Text | Image | Attachment:
    """A part that is not one of the texts."""
    match part:
        case wire.ContentPart(type="refusal", refusal=str(text)):
            return Text(text)
        case wire.ContentPart(type="input_image", image_url=str(url)) if takes_files:
            return picture(url, f"{path}.image_url")
        case wire.ContentPart(type="input_file", file_data=str(data)) if takes_files:
            return document(data, part.filename, f"{path}.file_data")
        case wire.ContentPart(type="input_file", file_url=str(url)) if takes_files:
            return Attachment("document", f"{path}.file_url", url=url, title=part.filename)
    raise _refused(part, path, takes_files)


def _refused(part: wire.ContentPart, path: str, takes_files: bool) -> ProxyError:
    if part.file_id is not None:
        return invalid_request(f"{path}.file_id: files are not stored here; send the content.", f"{path}.file_id")
    if part.type in _TEXTS:
        return invalid_request(f"{path}.text is missing.", f"{path}.text")
    accepted = "input_text, input_image and input_file" if takes_files else "text"
    return invalid_request(
        f"{path}.type {part.type!r} cannot be sent to the Augment backend here, or lacks its content; "
        f"accepted: {accepted}.",
        f"{path}.type",
    )


_MESSAGES: dict[str | None, Callable[[wire.Item, str], Message]] = {
    "message": _message,
    "function_call": _function_call,
    "function_call_output": _call_output,
    "custom_tool_call": _custom_tool_call,
    "custom_tool_call_output": _call_output,
    "local_shell_call": _local_shell_call,
    "local_shell_call_output": _call_output,
    "reasoning": _reasoning,
}
"""What makes the message of an item, and of the path at which it stands."""
_READ = (*_MESSAGES, "compaction", "compaction_summary")
"""Types of items of which more is read than the head."""
_NEVER_RAW = {*_READ, None, "item_reference", TRIGGER}
"""Types of items of which nothing is read but the fields that we know."""
