"""The input tokens of a whole request: system, messages, tools and pictures, with what an API adds around them.

The text is counted by the function that is given, or estimated; the rest is the same for both. An attachment is
counted as a picture of unknown size until `server/resolve.py` has made it content.
"""

from collections.abc import Callable
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
    parts_of,
)
from augment_open_proxy.core.remembered import ByIdentity
from augment_open_proxy.tokens.counter import CLAUDE_FACTOR, for_model, is_claude
from augment_open_proxy.tokens.images import image_tokens
from augment_open_proxy.tokens.length import estimate_texts

PER_REQUEST = 1
PER_MESSAGE = 4
PER_TOOL = 6
PER_CALL = 12
PER_RESULT = 12
"""Estimates. With them, the examples on Anthropic's page "Token counting" (14 and 403 tokens) come out as 14 and, with
the tool prompt of that time, 420."""

_PICTURES = (Image, Attachment)

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
    tokens = sum(map(count, _texts(request) + _texts_of_tools(request.tools)))
    return for_model(tokens, model, claude_factor) + _beside_text(request, model)


def estimate_request(request: ChatRequest, model: str | None = None, claude_factor: float = CLAUDE_FACTOR) -> int:
    """The same without a tokenizer, for the path of a request: 0.1 ms for 500 kB."""
    model = model or request.model
    tokens = estimate_texts(_texts(request)) + (_tool_tokens(request.tools) if request.tools else 0)
    return for_model(tokens, model, claude_factor) + _beside_text(request, model)


def _texts(request: ChatRequest) -> list[str]:
    texts = [*request.system]
    for part in parts_of(request.messages):
        if type(part) is Text or type(part) is Thinking:
            texts.append(part.text)
        elif type(part) is ToolCall:
            texts += (part.name, part.arguments)
        elif type(part) is ToolResult:
            texts += [inner.text for inner in part.content if type(inner) is Text]
    return texts


def _texts_of_tools(tools: tuple[Tool | CustomTool, ...]) -> list[str]:
    texts: list[str] = []
    for tool in tools:
        texts += (tool.name, tool.description)
        match tool:
            case Tool():
                texts.append(bytes(tool.schema).decode())
            case CustomTool():
                texts.append(tool.grammar.definition if tool.grammar else "")
            case _:
                assert_never(tool)
    return texts


def _estimate_tools(tools: tuple[Tool | CustomTool, ...]) -> int:
    return estimate_texts(_texts_of_tools(tools))


_tool_tokens = ByIdentity(_estimate_tools)


def _beside_text(request: ChatRequest, model: str) -> int:
    tokens = PER_REQUEST + PER_MESSAGE * len(request.messages) + PER_TOOL * len(request.tools)
    if request.tools and is_claude(model):
        tokens += CLAUDE_TOOL_PROMPT
    kinds = list(map(type, parts_of(request.messages)))
    tokens += PER_CALL * kinds.count(ToolCall) + PER_RESULT * kinds.count(ToolResult)
    if not kinds_of(request.messages).isdisjoint(_PICTURES):
        tokens += sum(_picture_tokens(part, model) for part in parts_of(request.messages))
    return tokens


def _picture_tokens(part: Part, model: str) -> int:
    match part:
        case Image(data=data):
            return image_tokens(data, model)
        case Attachment():
            return image_tokens("", model)
        case ToolResult(content=content):
            return sum(_picture_tokens(inner, model) for inner in content)
        case _:
            return 0
