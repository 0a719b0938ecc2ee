"""As much of the backend's lines, and of the replies and events of the client APIs, as tells what they say."""

import msgspec
from msgspec import Raw, Struct


class Use(Struct):
    tool_name: str
    input_json: str


class Thinking(Struct):
    content: str


class Node(Struct):
    tool_use: Use | None = None
    thinking: Thinking | None = None


class Line(Struct):
    text: str = ""
    nodes: list[Node] = []
    stop_reason: int | None = None


class Function(Struct):
    name: str = ""
    arguments: str = ""


class ToolCall(Struct):
    function: Function


class Said(Struct):
    content: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[ToolCall] | None = None


class Choice(Struct):
    delta: Said = msgspec.field(default_factory=Said)
    message: Said = msgspec.field(default_factory=Said)
    finish_reason: str | None = None


class Completion(Struct):
    choices: list[Choice]


class Block(Struct):
    """A block of `/v1/messages`, or a delta of one."""

    type: str = ""
    text: str = ""
    thinking: str = ""
    name: str = ""
    input: Raw = Raw()
    partial_json: str = ""
    stop_reason: str | None = None


class Message(Struct):
    content: list[Block]
    stop_reason: str | None = None


class MessageEvent(Struct):
    type: str
    content_block: Block = msgspec.field(default_factory=Block)
    delta: Block = msgspec.field(default_factory=Block)


class Part(Struct):
    text: str = ""


class Item(Struct):
    type: str
    content: list[Part] = []
    summary: list[Part] = []
    name: str = ""
    arguments: str = ""


class Response(Struct):
    status: str
    output: list[Item]


class ResponseEvent(Struct):
    type: str
    delta: str = ""
    response: Response | None = None
