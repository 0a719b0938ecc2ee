"""The Responses API's JSON, spelled as the API spells it (https://platform.openai.com/docs/api-reference/responses)."""

from typing import Any, Literal

from msgspec import UNSET, Raw, Struct, UnsetType, field

# ------------------------------------------------------------------ requests


class ContentPart(Struct, frozen=True, gc=False):
    """Any part of a message or of a tool's output."""

    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: str | None = None
    file_data: str | None = None
    file_url: str | None = None
    file_id: str | None = None
    filename: str | None = None


class ItemHead(Struct, frozen=True, gc=False):
    """What tells how an item is to be read."""

    type: str | None = None
    role: str | None = None
    id: str | None = None


class Item(Struct, frozen=True, gc=False):
    """An item of a conversation: the fields of all types that we read, most of them absent in each."""

    type: str | None = None
    id: str | None = None
    role: str | None = None
    content: str | list[ContentPart] | None = None
    call_id: str | None = None
    name: str | None = None
    namespace: str | None = None
    arguments: str | None = None
    input: str | None = None
    output: str | list[ContentPart] | None = None
    action: Raw = Raw()
    summary: list[ContentPart] | None = None
    encrypted_content: str | None = None


class AddedTools(Struct, frozen=True, gc=False):
    """An item with tools, as Codex sends it to its newest models."""

    tools: list[Raw] | None = None


class Format(Struct, frozen=True, gc=False):
    """Of a custom tool's input."""

    type: str
    syntax: str | None = None
    definition: str | None = None


class Tool(Struct, frozen=True, gc=False):
    type: str
    name: str | None = None
    description: str | None = None
    parameters: Raw = Raw()
    strict: bool | None = None
    format: Format | None = None
    tools: "list[Tool] | None" = None


class Reasoning(Struct, frozen=True, gc=False):
    """`generate_summary` is the older name of `summary`."""

    effort: str | None = None
    summary: str | None = None
    generate_summary: str | None = None
    context: Any = None
    mode: Any = None


class Request(Struct, frozen=True, gc=False):
    """The body of `POST /v1/responses`."""

    model: str
    input: str | list[Raw] | None = None
    instructions: str | None = None
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None
    tools: list[Raw] | None = None
    tool_choice: Any = None
    parallel_tool_calls: bool | None = None
    reasoning: Reasoning | None = None
    include: list[str] | None = None
    metadata: Any = None
    text: dict[str, Any] | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    safety_identifier: str | None = None
    user: str | None = None
    truncation: str | None = None
    service_tier: str | None = None
    previous_response_id: str | None = None
    conversation: Any = None
    background: bool | None = None
    store: bool | None = None
    generate: bool | None = None
    prompt: Any = None
    max_output_tokens: int | None = None
    max_tool_calls: int | None = None
    # Accepted, and without effect.
    context_management: Any = None
    moderation: Any = None
    temperature: float | None = None
    top_p: float | None = None
    top_logprobs: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None


class CompactionRequest(Struct, frozen=True, gc=False):
    """The body of `POST /v1/responses/compact`."""

    model: str
    input: str | list[Raw] | None = None
    instructions: str | None = None
    previous_response_id: str | None = None
    conversation: Any = None
    prompt_cache_key: str | None = None


# ------------------------------------------------------------------- replies


class OutputText(Struct, frozen=True, gc=False, kw_only=True):
    type: Literal["output_text"] = "output_text"
    text: str
    annotations: tuple[()] = ()
    logprobs: tuple[()] = ()


class MessageItem(Struct, frozen=True, gc=False, kw_only=True):
    type: Literal["message"] = "message"
    id: str
    status: str
    role: Literal["assistant"] = "assistant"
    content: list[OutputText]


class SummaryText(Struct, frozen=True, gc=False, kw_only=True):
    type: Literal["summary_text"] = "summary_text"
    text: str


class ReasoningItem(Struct, frozen=True, gc=False, kw_only=True):
    type: Literal["reasoning"] = "reasoning"
    id: str
    summary: list[SummaryText]
    encrypted_content: str | UnsetType = UNSET


class CompactionItem(Struct, frozen=True, gc=False, kw_only=True):
    """A summary of all that came before, sealed."""

    type: Literal["compaction"] = "compaction"
    id: str
    encrypted_content: str


class FunctionCallItem(Struct, frozen=True, gc=False, kw_only=True):
    type: Literal["function_call"] = "function_call"
    id: str
    status: str
    call_id: str
    name: str
    namespace: str | UnsetType = UNSET
    arguments: str


class CustomToolCallItem(Struct, frozen=True, gc=False, kw_only=True):
    type: Literal["custom_tool_call"] = "custom_tool_call"
    id: str
    status: str
    call_id: str
    name: str
    namespace: str | UnsetType = UNSET
    input: str


class ShellAction(Struct, frozen=True, gc=False, kw_only=True):
    type: Literal["exec"] = "exec"
    command: list[str]
    env: dict[str, str] = {}
    timeout_ms: int | None = None
    user: str | None = None
    working_directory: str | None = None


class LocalShellCallItem(Struct, frozen=True, gc=False, kw_only=True):
    type: Literal["local_shell_call"] = "local_shell_call"
    id: str
    status: str
    call_id: str
    action: ShellAction


OutputItem = MessageItem | ReasoningItem | CompactionItem | FunctionCallItem | CustomToolCallItem | LocalShellCallItem


class InputTokensDetails(Struct, frozen=True, gc=False):
    cached_tokens: int
    cache_write_tokens: int


class OutputTokensDetails(Struct, frozen=True, gc=False):
    reasoning_tokens: int


class Usage(Struct, frozen=True, gc=False):
    input_tokens: int
    input_tokens_details: InputTokensDetails
    output_tokens: int
    output_tokens_details: OutputTokensDetails
    total_tokens: int


class Error(Struct, frozen=True, gc=False):
    code: str
    message: str


class IncompleteDetails(Struct, frozen=True, gc=False):
    reason: str


class FunctionToolEcho(Struct, frozen=True, gc=False, kw_only=True):
    type: Literal["function"] = "function"
    name: str
    description: str | None
    parameters: Raw
    strict: bool | None


class ReasoningEcho(Struct, frozen=True, gc=False):
    effort: str | None = None
    summary: str | None = None


class ConversationRef(Struct, frozen=True, gc=False):
    id: str


class Echo(Struct, frozen=True, gc=False, kw_only=True):
    """What a response object repeats of its request, defaults filled in."""

    access_programs: None = None
    background: bool = False
    conversation: ConversationRef | None = None
    frequency_penalty: float = 0.0
    image: None = None
    input_transformations: None = None
    instructions: str | None = None
    max_output_tokens: int | None = None
    max_tool_calls: int | None = None
    metadata: Any = {}
    moderation: None = None
    parallel_tool_calls: bool = True
    presence_penalty: float = 0.0
    previous_response_id: str | None = None
    prompt: None = None
    prompt_cache_diagnostics: None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: None = None
    prompt_cache_retention: str | None = None
    reasoning: ReasoningEcho = ReasoningEcho()
    safety_identifier: str | None = None
    service_tier: str = "default"
    store: bool = True
    temperature: float = 1.0
    text: Any = field(default_factory=lambda: {"format": {"type": "text"}})
    tool_choice: Any = "auto"
    tool_usage: None = None
    tools: Raw = Raw(b"[]")
    top_logprobs: int = 0
    top_p: float = 1.0
    truncation: str = "disabled"
    user: str | None = None


class Deleted(Struct, frozen=True, gc=False, kw_only=True):
    id: str
    object: Literal["response"] = "response"
    deleted: bool = True


class InputTokens(Struct, frozen=True, gc=False, kw_only=True):
    """The answer of `POST /v1/responses/input_tokens`."""

    object: Literal["response.input_tokens"] = "response.input_tokens"
    input_tokens: int


class Response(Struct, frozen=True, gc=False, kw_only=True):
    """The response object, less what `Echo` has."""

    id: str
    object: Literal["response"] = "response"
    created_at: int
    completed_at: int | None = None
    status: str
    error: Error | None = None
    incomplete_details: IncompleteDetails | None = None
    model: str
    output: list[OutputItem]
    usage: Usage | None = None
