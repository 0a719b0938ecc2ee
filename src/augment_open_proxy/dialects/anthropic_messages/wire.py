"""The Messages API's JSON, spelled as the API spells it (https://docs.anthropic.com/en/api/messages)."""

from typing import Any, Literal

from msgspec import UNSET, Raw, Struct, UnsetType

from augment_open_proxy.dialects.blocks import Block

# ------------------------------------------------------------------ requests


class OutputConfig(Struct, frozen=True, gc=False):
    effort: str | None = None
    format: Any = None
    task_budget: Any = None


class Message(Struct, frozen=True, gc=False):
    """A message of the role `system` may have no content, and change the effort instead."""

    role: str
    content: str | list[Block] | None = None
    output_config: OutputConfig | None = None
    clear_at: str | None = None


class Tool(Struct, frozen=True, gc=False):
    name: str | None = None
    type: str | None = None
    description: str | None = None
    input_schema: Raw = Raw()
    input_examples: list[dict[str, Raw]] | None = None
    display_width_px: int | None = None
    display_height_px: int | None = None


class ToolChoice(Struct, frozen=True, gc=False):
    type: str
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class ThinkingConfig(Struct, frozen=True, gc=False):
    type: str
    budget_tokens: int | None = None
    display: str | None = None


class Metadata(Struct, frozen=True, gc=False):
    user_id: str | None = None


class Session(Struct, frozen=True, gc=False):
    """What Claude Code puts into `metadata.user_id`, as JSON."""

    session_id: str


class Thread(Struct, frozen=True, gc=False):
    type: str
    previous_message_id: str | None = None


class CountTokensRequest(Struct, frozen=True, gc=False):
    """The body of `POST /v1/messages/count_tokens`, and what `POST /v1/messages` shares with it."""

    model: str
    messages: list[Message]
    system: str | list[Block] | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | None = None
    thinking: ThinkingConfig | None = None
    output_config: OutputConfig | None = None
    metadata: Metadata | None = None
    thread: Thread | None = None
    output_format: Any = None


class Request(CountTokensRequest, frozen=True):
    """The body of `POST /v1/messages`."""

    stream: bool | None = None
    max_tokens: Any = None
    stop_sequences: Any = None
    # Accepted, and without effect.
    temperature: Any = None
    top_p: Any = None
    top_k: Any = None
    mcp_servers: Any = None
    container: Any = None
    fallbacks: Any = None
    speed: Any = None
    # Refused.
    compaction: Any = None


# ------------------------------------------------------------------- replies


class OutputTokensDetails(Struct, frozen=True, gc=False):
    thinking_tokens: int


class Usage(Struct, frozen=True, gc=False):
    """All counts are cumulative. `input_tokens` is what was neither read from nor written to the cache."""

    input_tokens: int
    cache_creation_input_tokens: int
    cache_read_input_tokens: int
    output_tokens: int
    output_tokens_details: OutputTokensDetails | UnsetType = UNSET


class TextBlock(Struct, frozen=True, gc=False, kw_only=True):
    type: Literal["text"] = "text"
    text: str
    citations: None = None


class ThinkingBlock(Struct, frozen=True, gc=False, kw_only=True):
    type: Literal["thinking"] = "thinking"
    thinking: str
    signature: str


class ToolUseBlock(Struct, frozen=True, gc=False, kw_only=True):
    type: Literal["tool_use"] = "tool_use"
    id: str
    name: str
    input: Raw


ReplyBlock = TextBlock | ThinkingBlock | ToolUseBlock


class ReplyMessage(Struct, frozen=True, gc=False, kw_only=True):
    id: str
    type: Literal["message"] = "message"
    role: Literal["assistant"] = "assistant"
    model: str
    content: list[ReplyBlock]
    stop_reason: str | None
    stop_sequence: str | None = None
    usage: Usage


class MessageStart(Struct, frozen=True, gc=False, kw_only=True):
    type: Literal["message_start"] = "message_start"
    message: ReplyMessage


class MessageDeltaBody(Struct, frozen=True, gc=False):
    stop_reason: str
    stop_sequence: str | None = None


class MessageDelta(Struct, frozen=True, gc=False, kw_only=True):
    type: Literal["message_delta"] = "message_delta"
    delta: MessageDeltaBody
    usage: Usage


class TokenCount(Struct, frozen=True, gc=False):
    """The answer of `POST /v1/messages/count_tokens`."""

    input_tokens: int


class ErrorDetails(Struct, frozen=True, gc=False):
    error_code: str


class ErrorDetail(Struct, frozen=True, gc=False):
    type: str
    message: str
    details: ErrorDetails | UnsetType = UNSET


class ErrorBody(Struct, frozen=True, gc=False, kw_only=True):
    type: Literal["error"] = "error"
    error: ErrorDetail
    request_id: str


# ------------------------------------------------------------------- batches


class BatchEntry(Struct, frozen=True, gc=False):
    custom_id: str
    params: Raw


class BatchBody(Struct, frozen=True, gc=False):
    """The body of `POST /v1/messages/batches`."""

    requests: list[BatchEntry]


class BatchCounts(Struct, frozen=True, gc=False):
    processing: int = 0
    succeeded: int = 0
    errored: int = 0
    canceled: int = 0
    expired: int = 0


class MessageBatch(Struct, frozen=True, gc=False, kw_only=True):
    """Times are in the form of RFC 3339."""

    id: str
    type: Literal["message_batch"] = "message_batch"
    processing_status: Literal["in_progress", "canceling", "ended"]
    request_counts: BatchCounts
    ended_at: str | None
    created_at: str
    expires_at: str
    archived_at: None = None
    cancel_initiated_at: str | None
    results_url: str | None


class BatchList(Struct, frozen=True, gc=False):
    data: list[MessageBatch]
    has_more: bool
    first_id: str | None
    last_id: str | None


class DeletedBatch(Struct, frozen=True, gc=False, kw_only=True):
    id: str
    type: Literal["message_batch_deleted"] = "message_batch_deleted"


class Succeeded(Struct, frozen=True, gc=False, kw_only=True):
    type: Literal["succeeded"] = "succeeded"
    message: Raw


class Errored(Struct, frozen=True, gc=False, kw_only=True):
    type: Literal["errored"] = "errored"
    error: Raw


class NotRun(Struct, frozen=True, gc=False):
    type: Literal["canceled", "expired"]


class BatchResult(Struct, frozen=True, gc=False):
    """A line of the results."""

    custom_id: str
    result: Succeeded | Errored | NotRun
