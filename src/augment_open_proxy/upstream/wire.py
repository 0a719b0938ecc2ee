"""The backend's JSON, spelled as it spells it (source: the MIT-licensed `@augmentcode/auggie-sdk` 0.1.15).

Requests are encoded from these structs, answers decoded into them; nothing here interprets them.
"""

from enum import IntEnum
from typing import Any

from msgspec import UNSET, Raw, Struct, UnsetType


class RequestNodeType(IntEnum):
    TEXT = 0
    TOOL_RESULT = 1
    IMAGE = 2


class ResponseNodeType(IntEnum):
    RAW_RESPONSE = 0
    SUGGESTED_QUESTIONS = 1
    MAIN_TEXT_FINISHED = 2
    WORKSPACE_FILE_CHUNKS = 3
    RELEVANT_SOURCES = 4
    TOOL_USE = 5
    AGENT_MEMORY = 6
    TOOL_USE_START = 7
    THINKING = 8
    BILLING_METADATA = 9
    TOKEN_USAGE = 10


class StopReason(IntEnum):
    UNSPECIFIED = 0
    END_TURN = 1
    MAX_TOKENS = 2
    TOOL_USE = 3
    SAFETY = 4
    RECITATION = 5
    MALFORMED_FUNCTION_CALL = 6


class ImageFormat(IntEnum):
    """Beyond the SDK, which drops images."""

    PNG = 1
    JPEG = 2
    GIF = 3
    WEBP = 4


# ------------------------------------------------------------------ requests


Written = str | Raw
"""A text, or its JSON where that was written before."""


class TextContent(Struct, frozen=True, gc=False):
    content: Written


class TextNode(Struct, frozen=True, gc=False):
    id: int
    text_node: TextContent
    type: int = RequestNodeType.TEXT.value


class ImageContent(Struct, frozen=True, gc=False):
    image_data: str
    format: int


class ImageNode(Struct, frozen=True, gc=False):
    id: int
    image_node: ImageContent
    type: int = RequestNodeType.IMAGE.value


class ResultText(Struct, frozen=True, gc=False):
    text_content: Written
    type: int = 1


class ResultImage(Struct, frozen=True, gc=False):
    image_content: ImageContent
    type: int = 2


class ToolResultContent(Struct, frozen=True, gc=False):
    tool_use_id: str
    content: Written
    is_error: bool
    content_nodes: list[ResultText | ResultImage] | UnsetType = UNSET  # beyond the SDK: images inside a result


class ToolResultNode(Struct, frozen=True, gc=False):
    id: int
    tool_result_node: ToolResultContent
    type: int = RequestNodeType.TOOL_RESULT.value


RequestNode = TextNode | ImageNode | ToolResultNode


class RawResponseNode(Struct, frozen=True, gc=False):
    id: int
    content: Written
    type: int = ResponseNodeType.RAW_RESPONSE.value


class ToolUse(Struct, frozen=True, gc=False):
    tool_use_id: str
    tool_name: str
    input_json: str = ""


class ToolUseNode(Struct, frozen=True, gc=False):
    id: int
    tool_use: ToolUse
    type: int = ResponseNodeType.TOOL_USE.value


class ThinkingContent(Struct, frozen=True, gc=False):
    content: Written


class ThinkingNode(Struct, frozen=True, gc=False):
    id: int
    thinking: ThinkingContent
    type: int = ResponseNodeType.THINKING.value


HistoryNode = RawResponseNode | ToolUseNode | ThinkingNode


class HistoryEntry(Struct, frozen=True, gc=False):
    request_message: Written
    request_nodes: list[RequestNode]
    response_text: Written
    response_nodes: list[HistoryNode]


class ToolDefinition(Struct, frozen=True, gc=False):
    name: str
    description: str
    input_schema_json: str


class ChatStreamRequest(Struct, frozen=True, gc=False):
    mode: str
    model: str
    message: Written
    nodes: list[RequestNode]
    chat_history: list[HistoryEntry | Raw]  # what is written ahead may be several, with commas between
    conversation_id: str
    tool_definitions: Raw | UnsetType = UNSET


# ------------------------------------------------------------------- answers


class Thinking(Struct, frozen=True, gc=False):
    content: str | None = None
    summary: str | None = None


class TokenUsage(Struct, frozen=True, gc=False):
    """`input_tokens` is taken as what was not cached, as Anthropic counts; `decode.py` maps it, nobody else."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None


class ResponseNode(Struct, frozen=True, gc=False):
    type: int
    tool_use: ToolUse | None = None
    thinking: Thinking | None = None
    token_usage: TokenUsage | None = None


class Line(Struct, frozen=True, gc=False):
    """One line of the answer."""

    text: str | None = None
    nodes: list[ResponseNode] | None = None
    stop_reason: int | None = None
    error: Any = None


class ErrorBody(Struct, frozen=True, gc=False):
    """The body of a status that is not 200, where it is JSON."""

    error: Any = None
    message: Any = None


# -------------------------------------------------------------------- models


class ListedModel(Struct, frozen=True, gc=False):
    shortName: str  # noqa: N815 (spelled as the CLI spells it)
    effortLevels: list[str] | None = None  # noqa: N815 (as the wire spells it)


class ModelListing(Struct, frozen=True, gc=False):
    """What `auggie models list --json` prints."""

    models: list[ListedModel]
    registryAvailable: bool = True  # noqa: N815 (as the wire spells it)
