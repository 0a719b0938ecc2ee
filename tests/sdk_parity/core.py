"""The AI SDK's conversations in our own types, word for word: no joining, dropping or numbering happens here."""

import json
from itertools import takewhile
from typing import cast

from msgspec import Raw

from augment_open_proxy.core.conversation import (
    ChatRequest,
    Image,
    MediaType,
    Message,
    Part,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)

from .conversations import Conversation, Json


def chat_request(conversation: Conversation) -> ChatRequest:
    """System messages before the others are the request's instructions; a later one stays where it is."""
    systems = list(takewhile(lambda message: message["role"] == "system", conversation.prompt))
    return ChatRequest(
        model=conversation.model,
        system=tuple(message["content"] for message in systems),
        messages=tuple(_message(message) for message in conversation.prompt[len(systems) :]),
        tools=tuple(
            Tool(tool["name"], tool.get("description", ""), Raw(json.dumps(tool["inputSchema"]).encode()))
            for tool in conversation.tools or []
        ),
    )


def results_joined(request: ChatRequest) -> ChatRequest:
    """The same request as Anthropic's API spells it: results stand before the text of the user message after them."""
    messages: list[Message] = []
    for message in request.messages:
        before = messages[-1] if messages else None
        if before is not None and message.role == "user" and _is_results(before):
            messages[-1] = Message("user", before.content + message.content)
        else:
            messages.append(message)
    return ChatRequest(model=request.model, system=request.system, messages=tuple(messages), tools=request.tools)


def _is_results(message: Message) -> bool:
    return bool(message.content) and all(isinstance(part, ToolResult) for part in message.content)


def _message(message: Json) -> Message:
    match message["role"]:
        case "system":
            return Message("system", (Text(message["content"]),))
        case "user" | "assistant" as role:
            return Message(role, tuple(_part(part) for part in message["content"]))
        case "tool":
            return Message("user", tuple(_part(part) for part in message["content"]))
        case role:
            raise ValueError(f"no such role: {role}")


def _part(part: Json) -> Part:
    match part["type"]:
        case "text":
            return Text(part["text"])
        case "reasoning":
            return Thinking(part["text"], part.get("providerOptions", {}).get("anthropic", {}).get("signature"))
        case "file" | "media":
            return Image(cast("MediaType", part["mediaType"]), part["data"])
        case "tool-call":
            arguments = part["input"]
            text = arguments if isinstance(arguments, str) else json.dumps(arguments)
            return ToolCall(part["toolCallId"], part["toolName"], text)
        case "tool-result":
            return _result(part["toolCallId"], part["output"]["type"], part["output"]["value"])
        case kind:
            raise ValueError(f"no such part: {kind}")


def _result(call_id: str, kind: str, value: object) -> ToolResult:
    content: tuple[Text | Image, ...]
    match kind:
        case "text" | "error-text":
            content = (Text(cast("str", value)),)
        case "json" | "error-json":
            content = (Text(json.dumps(value)),)
        case "content":
            content = tuple(cast("Text | Image", _part(part)) for part in cast("list[Json]", value))
        case _:
            raise ValueError(f"no such output: {kind}")
    return ToolResult(call_id, content, kind.startswith("error-"))
