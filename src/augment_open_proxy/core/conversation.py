"""What a client asks for, in no API's spelling: dialects parse into it, policies change it, `upstream` encodes it.

Everything is frozen; a change is `msgspec.structs.replace`. What is made so is never part of a circle, so the garbage
collector need not look at it (`gc=False`). Here, in `events` and in each `wire` that is 5 to 8 % of an agent's request.
"""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Literal

from msgspec import Raw, Struct

Effort = Literal["none", "minimal", "low", "medium", "high", "max", "xhigh"]
MediaType = Literal["image/png", "image/jpeg", "image/gif", "image/webp"]


class Text(Struct, frozen=True, gc=False, tag="text"):
    """Plain text."""

    text: str


class Image(Struct, frozen=True, gc=False, tag="image"):
    """A picture: `data` is base64 without a `data:` prefix."""

    media_type: MediaType
    data: str


class Attachment(Struct, frozen=True, gc=False, tag="attachment"):
    """What is not content yet: behind a URL, in a PDF, or in a sealed summary; `server/resolve.py` makes it content.

    It has `url`, or `data` (base64 of a PDF, or the seal). `param` is the path of the client's field, for errors.
    """

    kind: Literal["image", "document", "summary"]
    param: str
    url: str | None = None
    data: str | None = None
    title: str | None = None


class Thinking(Struct, frozen=True, gc=False, tag="thinking"):
    """What the model thought before it answered. `opaque` is what the client must get back unchanged: the seal.

    In a request `opaque` is `None` where the dialect has no seals, and else what the client sent, to be checked.
    """

    text: str
    opaque: str | None = None


class ToolCall(Struct, frozen=True, gc=False, tag="tool_call"):
    """A call that the model makes: `arguments` is JSON text, but for a `custom` tool its raw input."""

    id: str
    name: str
    arguments: str
    custom: bool = False


class ToolResult(Struct, frozen=True, gc=False, tag="tool_result"):
    """What a tool gave back for the call `call_id`."""

    call_id: str
    content: tuple[Text | Image | Attachment, ...]
    is_error: bool = False


Part = Text | Image | Attachment | Thinking | ToolCall | ToolResult
Role = Literal["system", "user", "assistant"]


class Message(Struct, frozen=True, gc=False):
    """One message. Tool results are parts of `user` messages; thinking and calls are parts of `assistant` ones."""

    role: Role
    content: tuple[Part, ...]


def parts_of(messages: Iterable[Message]) -> Iterator[Part]:
    """All parts of the messages."""
    return chain.from_iterable([message.content for message in messages])


def kinds_of(messages: Iterable[Message]) -> set[type[Part]]:
    """Which kinds of parts the messages have, at any depth: who looks for a rare one need not look at each part."""
    kinds: set[type[Part]] = set(map(type, parts_of(messages)))
    if ToolResult in kinds:
        inner = [part.content for part in parts_of(messages) if type(part) is ToolResult]
        kinds.update(map(type, chain.from_iterable(inner)))
    return kinds


class Grammar(Struct, frozen=True, gc=False):
    """What the input of a custom tool must match; `syntax` is the grammar's language, such as `lark`."""

    syntax: str
    definition: str


class Tool(Struct, frozen=True, gc=False):
    """A function that the model may call. `schema` is the JSON text of its input's JSON Schema, passed on unread."""

    name: str
    description: str
    schema: Raw


class CustomTool(Struct, frozen=True, gc=False):
    """A (freeform) tool that takes text instead; `policies/custom_tools.py` offers it as a function."""

    name: str
    description: str
    grammar: Grammar | None = None


class ToolChoice(Struct, frozen=True, gc=False):
    """Whether a tool may or must be called; `names` are those it may be, all where it is empty."""

    mode: Literal["auto", "none", "required"] = "auto"
    names: tuple[str, ...] = ()


class OutputFormat(Struct, frozen=True, gc=False):
    """JSON is asked for: valid by `schema`, or any object where that is empty. `param` is the client's field."""

    param: str
    schema: Raw = Raw()


ThinkingOutput = Literal["plain", "sealed", "carried", "omitted", "none"]
"""How thinking is given out: as text, with a seal, with a seal that carries it, as such a seal alone, not at all."""


class ChatRequest(Struct, frozen=True, gc=False):
    """One turn that is asked of a model.

    `system` holds the instructions before the conversation, each a system message of its own; a later one stands in
    `messages`. `model` is the client's name for it. `conversation` names the conversation where the client tells it.
    `stop` are texts that end the reply, `max_output_tokens` and `max_tool_calls` are its limits. `whole_arguments`: a
    call whose arguments are no JSON object is a failure. `compacts`: a sealed summary of the conversation is asked for
    in place of an answer. `place` is the client's field of the messages, for errors. `ignored` lists the parameters
    that were accepted and have no effect, as the client spelled them, `left_out` the tools that are not offered.
    """

    model: str
    messages: tuple[Message, ...]
    system: tuple[str, ...] = ()
    tools: tuple[Tool | CustomTool, ...] = ()
    effort: Effort | None = None
    conversation: str | None = None
    tool_choice: ToolChoice = ToolChoice()
    stop: tuple[str, ...] = ()
    max_output_tokens: int | None = None
    max_tool_calls: int | None = None
    output_format: OutputFormat | None = None
    thinking: ThinkingOutput = "plain"
    whole_arguments: bool = False
    compacts: bool = False
    place: str = "messages"
    ignored: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
