"""The input tokens of a whole request: system, messages, tools and pictures, with what an API adds around them.

The text is counted by the function that is given, or estimated; the rest is the same for both. An attachment is
counted as a picture of unknown size until `server/resolve.py` has made it content.
"""

from collections.abc import Callable, Iterator
from typing import assert_never

from augment_open_proxy.core.conversation import (
    Attachment,
    ChatRequest,
    CustomTool,
    Image,
    Part,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    kinds_of,
)
from augment_open_proxy.tokens.counter import CLAUDE_FACTOR, for_model
from augment_open_proxy.tokens.families import is_claude
from augment_open_proxy.tokens.images import image_tokens
from augment_open_proxy.tokens.length import estimate_text

PER_REQUEST = 1
PER_MESSAGE = 4
PER_TOOL = 6
PER_CALL = 12
PER_RESULT = 12
"""Estimates. With them, the examples on Anthropic's page "Token counting" (14 and 403 tokens) come out as 14 and, with
the tool prompt of that time, 420."""

_COUNTED = (ToolCall, ToolResult, Image, Attachment)

CLAUDE_TOOL_PROMPT = 496
"""What Claude's API adds once there are tools: "Tool use" on platform.claude.com says 496 or 497 for 4.5 and 4.6 with
tool choice auto, 290 to 675 for others. (Before 2026 it said 346 for all.)"""


def count_request(
    request: ChatRequest, count: Callable[[str], int], model: str | None = None, claude_factor: float = CLAUDE_FACTOR
) -> int:
    """The input tokens of `request` by `count`, which counts o200k tokens (`TokenCounter.count`).

    `model` is the model's id where it differs from the name that the client gave.
    """
    model = model or request.model
    tokens = sum(count(text) for text in _texts(request))
    return for_model(tokens, model, claude_factor) + _beside_text(request, model)


def estimate_request(request: ChatRequest, model: str | None = None, claude_factor: float = CLAUDE_FACTOR) -> int:
    """The same without a tokenizer, for the path of a request: 0.4 ms for 500 kB."""
    model = model or request.model
    tokens = estimate_text("\n".join(_texts(request)))
    return for_model(tokens, model, claude_factor) + _beside_text(request, model)


def _texts(request: ChatRequest) -> Iterator[str]:
    yield from request.system
    for content in _contents(request):
        if type(content) is str:
            yield content
    for tool in request.tools:
        yield tool.name
        yield tool.description
        match tool:
            case Tool():
                yield bytes(tool.schema).decode()
            case CustomTool():
                yield tool.grammar.definition if tool.grammar else ""
            case _:
                assert_never(tool)


def _contents(request: ChatRequest) -> Iterator[str | Image | Attachment]:
    for message in request.messages:
        for part in message.content:
            yield from _content(part)


def _content(part: Part) -> Iterator[str | Image | Attachment]:
    """The texts and pictures of a part."""
    match part:
        case Text() | Thinking():
            yield part.text
        case Image() | Attachment():
            yield part
        case Attachment():
            pass  # content that is not there yet
        case ToolCall():
            yield part.name
            yield part.arguments
        case ToolResult():
            for inner in part.content:
                yield from _content(inner)
        case _:
            assert_never(part)


def _beside_text(request: ChatRequest, model: str) -> int:
    tokens = PER_REQUEST + PER_MESSAGE * len(request.messages) + PER_TOOL * len(request.tools)
    if request.tools and is_claude(model):
        tokens += CLAUDE_TOOL_PROMPT
    kinds = kinds_of(request.messages)
    if not kinds.isdisjoint(_COUNTED):
        tokens += _of_parts(request, model)
    return tokens


def _of_parts(request: ChatRequest, model: str) -> int:
    tokens = 0
    for message in request.messages:
        tokens += sum([PER_CALL for part in message.content if type(part) is ToolCall])
        tokens += sum([PER_RESULT for part in message.content if type(part) is ToolResult])
    for content in _contents(request):
        if type(content) is Image:
            tokens += image_tokens(content.data, model)
        elif type(content) is Attachment:
            tokens += image_tokens("", model)
    return tokens
