"""Items of the input → messages."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw, Struct

from augment_open_proxy.core.conversation import Attachment, Image, Message, Part, Text, Thinking, ToolCall, ToolResult
from augment_open_proxy.core.errors import ProxyError, invalid_request
from augment_open_proxy.core.steps import Steps, whole
from augment_open_proxy.dialects.data_url import document, picture
from augment_open_proxy.dialects.openai_responses import wire
from augment_open_proxy.dialects.openai_responses.calls import LOCAL_SHELL, flat_name
from augment_open_proxy.dialects.reading import read_value

_json = msgspec.json.Encoder().encode
_head = msgspec.json.Decoder(wire.ItemHead)
_item = msgspec.json.Decoder(wire.Item)
_any_fields = msgspec.json.Decoder(dict[str, Any])
_OURS = (
    "message",
    "function_call",
    "function_call_output",
    "custom_tool_call",
    "custom_tool_call_output",
    "local_shell_call",
    "local_shell_call_output",
    "reasoning",
)
_READ = (*_OURS, "compaction", "compaction_summary")
_TEXTS = ("input_text", "output_text", "text", "summary_text", "reasoning_text")


_AT_ONCE = 64
"""Items that are converted in one step."""
TRIGGER = "compaction_trigger"
GO_ON = "Go on."
"""What follows where the input ends with an answer: this API lets the model continue one, the backend does not."""


class Input(Struct, frozen=True):
    """The input of a request: a text, or items as they came, each with what was read of it."""

    text: str | None = None
    raw_items: list[Raw] = []
    items: list[wire.Item] = []


def read_input(given: str | list[Raw] | None) -> Steps[Input]:
    """Raises `ProxyError` that names the field by its path."""
    if not isinstance(given, list):
        return Input(given)
    items: list[wire.Item] = []
    for i, raw in enumerate(given):
        items.append(_read_item(raw, f"input[{i}]"))
        yield
    return Input(None, given, items)


def messages_of(given: Input, by_id: Mapping[str, bytes]) -> Steps[tuple[Message, ...]]:
    """`by_id` has the items that others refer to. Raises `ProxyError` that names the field by its path."""
    if given.text is not None:
        return (Message("user", (Text(given.text),)),)
    messages: list[Message] = []
    for i, (raw, item) in enumerate(zip(given.raw_items, given.items, strict=True)):
        if not i % _AT_ONCE:
            yield
        messages += _messages_of(item, raw, f"input[{i}]", by_id)
    return tuple(messages)


def parse_input(given: str | list[Raw] | None, by_id: Mapping[str, bytes] = {}) -> tuple[Message, ...]:
    """An input in one go. Raises `ProxyError`."""
    return whole(messages_of(whole(read_input(given)), by_id))


def ends_with_trigger(given: Input) -> bool:
    """Whether the input asks for its own compaction. Raises `ProxyError` where something follows the trigger."""
    at = [i for i, item in enumerate(given.items) if item.type == TRIGGER]
    if at and at[0] != len(given.items) - 1:
        raise invalid_request(f"input[{at[0]}]: a {TRIGGER} must be the last item.", f"input[{at[0]}]")
    return bool(at)


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
    kind = kind_of(item)
    if kind in _OURS:
        return _message_of(item, kind, path)
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
            return (Message("user", (Text(_server_item(kind, raw, path)),)),)
        case str() if kind.endswith(("_call", "_output", "_list_tools", "_approval_request")):
            return (_assistant(Text(_server_item(kind, raw, path))),)
    raise invalid_request(f"{path}.type {kind!r} cannot be sent to the Augment backend.", f"{path}.type")


def _message_of(item: wire.Item, kind: str, path: str) -> tuple[Message, ...]:
    match kind:
        case "message":
            return (_message(item, _needed(item.role, path, "role"), path),)
        case "function_call":
            name = flat_name(item.namespace, _needed(item.name, path, "name"))
            return (_assistant(ToolCall(_call_id(item, path), name, item.arguments or "{}")),)
        case "custom_tool_call":
            name = flat_name(item.namespace, _needed(item.name, path, "name"))
            return (_assistant(ToolCall(_call_id(item, path), name, item.input or "", custom=True)),)
        case "local_shell_call":
            action = bytes(item.action).decode()
            arguments = "{}" if action in ("", "null") else action
            return (_assistant(ToolCall(_call_id(item, path), LOCAL_SHELL, arguments)),)
        case "reasoning":
            text = "".join(part.text or "" for part in item.summary or [])
            return (_assistant(Thinking(text, item.encrypted_content or "")),)
        case _:
            return (Message("user", (ToolResult(_call_id(item, path), _output(item, path)),)),)


def _assistant(part: Part) -> Message:
    return Message("assistant", (part,))


def _needed(value: str | None, path: str, field: str) -> str:
    if not value:
        raise invalid_request(f"{path}.{field} is missing.", f"{path}.{field}")
    return value


def _call_id(item: wire.Item, path: str) -> str:
    """Outputs of a local shell once had the call's id as their own."""
    return _needed(item.call_id or (item.id if item.type == "local_shell_call_output" else None), path, "call_id")


def _server_item(kind: str, raw: bytes | Raw, path: str) -> str:
    """What a tool that does not exist here did in an earlier turn, in words."""
    fields = read_value(_any_fields, raw, path)
    said = {
        name: value
        for name, value in fields.items()
        if name not in ("type", "id", "call_id", "status") and not name.startswith("encrypted_") and value is not None
    }
    if kind == "image_generation_call":
        said.pop("result", None)  # the picture itself, in base64
    words = (f"{name}: {value if isinstance(value, str) else _json(value).decode()}" for name, value in said.items())
    return f"[{kind}: {', '.join(words)}]"


# ----------------------------------------------------------------- content


def _message(item: wire.Item, role: str, path: str) -> Message:
    content = item.content or ""
    parts: tuple[Part, ...]
    if isinstance(content, str):
        parts = (Text(content),)
    else:
        takes_files = role == "user"
        parts = tuple(_part(p, f"{path}.content[{i}]", takes_files=takes_files) for i, p in enumerate(content))
    match role:
        case "user" | "assistant" | "system":
            return Message(role, parts)
        case "developer":
            return Message("system", parts)
    raise invalid_request(f"{path}.role must be user, assistant, system or developer; it is {role!r}.", f"{path}.role")


def _output(item: wire.Item, path: str) -> tuple[Text | Image | Attachment, ...]:
    if item.output is None:
        return ()
    if isinstance(item.output, str):
        return (Text(item.output),)
    return tuple(_part(part, f"{path}.output[{i}]", takes_files=True) for i, part in enumerate(item.output))


def _part(part: wire.ContentPart, path: str, *, takes_files: bool) -> Text | Image | Attachment:
    match part:
        case wire.ContentPart(type=kind, text=str(text)) if kind in _TEXTS:
            return Text(text)
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
