"""Conversations as data, and the bodies in which each client API asks for the next answer."""

import itertools
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from benchmarks.model import Dialect

MODEL = "claude-sonnet-4-5"
SYSTEM = "You are a helpful assistant. Answer briefly, and say so when you do not know."
MAX_TOKENS = 32_000
"""The limit that Anthropic's API wants; past so many bytes of an answer the proxy must count its tokens."""
_PROSE = (
    "The trains of Zürich leave on time, and so does the one to Geneva. ",
    'def main() -> int:\n    """Run, and say how it went."""\n\treturn run(sys.argv[1:])\n',
    "The answer is in the file “main.py”, line forty-two; see C:\\projects\\demo as well. ",
    "Nothing else was changed, and all of the tests pass. ",
)


class Call(Struct, frozen=True):
    """A call of a tool; `arguments` is JSON text."""

    id: str
    name: str
    arguments: str


class Message(Struct, frozen=True):
    """What the user or the assistant said, the call it made, or the result of a call."""

    role: str
    text: str
    call: Call | None = None
    result_of: str | None = None


class Tool(Struct, frozen=True):
    name: str
    description: str
    schema: dict[str, Any]


class Conversation(Struct, frozen=True):
    """The last message is the user's question."""

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    system: str = SYSTEM
    max_tokens: int = MAX_TOKENS


def prose(size: int, start: int = 0) -> str:
    """So many characters as an agent reads and writes them, code among them; another text for each `start`."""
    pieces = itertools.chain([f"{start}. "], itertools.cycle(_PROSE[start % 4 :] + _PROSE[: start % 4]))
    text = ""
    while len(text) < size:
        text += next(pieces)
    return text[:size]


def agent_history(count: int, size: int) -> Iterator[Message]:
    """`count` messages of `size` characters each: questions, answers with a call, its result, and answers."""
    for number in range(count):
        text = prose(size, number)
        match number % 4:
            case 0:
                yield Message("user", text)
            case 1 if number < count - 1:  # a call needs its result
                yield Message("assistant", text, Call(f"toolu_{number}", "tool_0", '{"path":"src/main.py"}'))
            case 2:
                yield Message("tool", text, result_of=f"toolu_{number - 1}")
            case _:
                yield Message("assistant", text)


def tools(count: int, size: int) -> Iterator[Tool]:
    """Tools with a description of `size` characters, and a schema of as many."""
    for number in range(count):
        fields = {
            name: {"type": "string", "description": prose(size // 4, place)}
            for place, name in enumerate(("path", "pattern", "text", "reason"))
        }
        schema = {"type": "object", "properties": fields, "required": ["path"], "additionalProperties": False}
        yield Tool(f"tool_{number}", prose(size, number), schema)


def body(dialect: Dialect, conversation: Conversation, **more: Any) -> bytes:
    """The request in a dialect; `more` are further fields."""
    return msgspec.json.encode({"model": MODEL, **_BODIES[dialect](conversation), **more})


def _chat(conversation: Conversation) -> dict[str, Any]:
    messages: list[dict[str, Any]] = [{"role": "system", "content": conversation.system}]
    for message in conversation.messages:
        said: dict[str, Any] = {"role": message.role, "content": message.text}
        if message.call is not None:
            function = {"name": message.call.name, "arguments": message.call.arguments}
            said["tool_calls"] = [{"id": message.call.id, "type": "function", "function": function}]
        if message.result_of is not None:
            said["tool_call_id"] = message.result_of
        messages.append(said)
    defined = [
        {
            "type": "function",
            "function": {"name": tool.name, "description": tool.description, "parameters": tool.schema},
        }
        for tool in conversation.tools
    ]
    return {"messages": messages} | ({"tools": defined} if defined else {})


def _messages(conversation: Conversation) -> dict[str, Any]:
    messages: list[dict[str, Any]] = []
    for message in conversation.messages:
        role, content = message.role, [{"type": "text", "text": message.text}]
        if message.result_of is not None:
            role, content = "user", [{"type": "tool_result", "tool_use_id": message.result_of, "content": message.text}]
        if message.call is not None:
            arguments = msgspec.json.decode(message.call.arguments)
            content.append({"type": "tool_use", "id": message.call.id, "name": message.call.name, "input": arguments})
        messages.append({"role": role, "content": content})
    defined = [
        {"name": tool.name, "description": tool.description, "input_schema": tool.schema} for tool in conversation.tools
    ]
    fields = {"system": conversation.system, "messages": messages, "max_tokens": conversation.max_tokens}
    return fields | ({"tools": defined} if defined else {})


def _responses(conversation: Conversation) -> dict[str, Any]:
    items: list[dict[str, Any]] = []
    for message in conversation.messages:
        if message.result_of is not None:
            items.append({"type": "function_call_output", "call_id": message.result_of, "output": message.text})
            continue
        kind = "input_text" if message.role == "user" else "output_text"
        items.append({"type": "message", "role": message.role, "content": [{"type": kind, "text": message.text}]})
        if (call := message.call) is not None:
            items.append({"type": "function_call", "call_id": call.id, "name": call.name, "arguments": call.arguments})
    defined = [
        {
            "type": "function",
            "name": tool.name,
            "description": tool.description,
            "parameters": tool.schema,
            "strict": False,
        }
        for tool in conversation.tools
    ]
    fields = {"instructions": conversation.system, "input": items, "store": False}
    return fields | ({"tools": defined} if defined else {})


_BODIES = {"chat": _chat, "messages": _messages, "responses": _responses}
