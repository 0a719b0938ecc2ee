"""The Chat Completions API's JSON, spelled as the API spells it (https://platform.openai.com/docs/api-reference/chat).

Requests are typed as far as we read them, and lenient: clients send `null` for what they leave out.
"""

from typing import Any, Literal

from msgspec import UNSET, Raw, Struct, UnsetType

from augment_open_proxy.dialects import openai_usage
from augment_open_proxy.dialects.blocks import Block

# ------------------------------------------------------------------ requests


class ImageURL(Struct, frozen=True, gc=False):
    url: str
    detail: str | None = None


class File(Struct, frozen=True, gc=False):
    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class ContentPart(Block, frozen=True):
    """This API's parts, and the fields of Anthropic's blocks."""

    image_url: ImageURL | str | None = None
    refusal: str | None = None
    file: File | None = None


class FunctionCall(Struct, frozen=True, gc=False):
    name: str
    arguments: str | None = None


class CustomCall(Struct, frozen=True, gc=False):
    name: str
    input: str = ""


class ToolCall(Struct, frozen=True, gc=False):
    id: str
    type: str | None = None
    function: FunctionCall | None = None
    custom: CustomCall | None = None


class Message(Struct, frozen=True, gc=False):
    role: str
    content: str | list[ContentPart] | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    function_call: Any = None
    audio: Any = None
    refusal: str | None = None


class Function(Struct, frozen=True, gc=False):
    name: str | None = None
    description: str | None = None
    parameters: Raw = Raw()  # empty where it is left out; msgspec has no optional Raw


class GrammarText(Struct, frozen=True, gc=False):
    syntax: str
    definition: str


class CustomFormat(Struct, frozen=True, gc=False):
    """The Responses API has `syntax` and `definition` right here."""

    type: str
    grammar: GrammarText | None = None
    syntax: str | None = None
    definition: str | None = None


class Custom(Struct, frozen=True, gc=False):
    name: str
    description: str | None = None
    format: CustomFormat | None = None


class Tool(Struct, frozen=True, gc=False):
    """A tool in any of the shapes that `tools.py` reads."""

    type: str | None = None
    function: Function | None = None
    custom: Custom | None = None
    name: str | None = None
    description: str | None = None
    parameters: Raw = Raw()
    input_schema: Raw = Raw()
    format: CustomFormat | None = None


class StreamOptions(Struct, frozen=True, gc=False):
    include_usage: bool | None = None


class Reasoning(Struct, frozen=True, gc=False):
    effort: str | None = None
    exclude: bool | None = None


class Request(Struct, frozen=True, gc=False):
    """The body of `POST /v1/chat/completions`."""

    model: str
    messages: list[Message]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    tools: list[Tool] | None = None
    tool_choice: Any = None
    reasoning_effort: str | None = None
    reasoning: Reasoning | None = None
    include_reasoning: bool | None = None
    n: int | None = None
    max_tokens: Any = None
    max_completion_tokens: Any = None
    stop: Any = None
    parallel_tool_calls: Any = None
    response_format: Any = None
    store: bool | None = None
    metadata: Any = None
    # Refused.
    functions: Any = None
    function_call: Any = None
    logprobs: Any = None
    top_logprobs: Any = None
    audio: Any = None
    modalities: Any = None
    # Accepted, and without effect.
    temperature: Any = None
    top_p: Any = None
    seed: Any = None
    presence_penalty: Any = None
    frequency_penalty: Any = None
    logit_bias: Any = None
    verbosity: Any = None
    prediction: Any = None
    web_search_options: Any = None
    moderation: Any = None


# ------------------------------------------------------------------- replies


class FunctionReply(Struct, frozen=True, gc=False):
    name: str
    arguments: str


class FunctionToolCall(Struct, frozen=True, gc=False, kw_only=True):
    id: str
    type: Literal["function"] = "function"
    function: FunctionReply


class CustomReply(Struct, frozen=True, gc=False):
    name: str
    input: str


class CustomToolCall(Struct, frozen=True, gc=False, kw_only=True):
    id: str
    type: Literal["custom"] = "custom"
    custom: CustomReply


class ReplyMessage(Struct, frozen=True, gc=False, kw_only=True):
    role: Literal["assistant"] = "assistant"
    content: str | None
    refusal: None = None
    reasoning_content: str | UnsetType = UNSET
    reasoning: str | UnsetType = UNSET
    tool_calls: list[FunctionToolCall | CustomToolCall] | UnsetType = UNSET


class Choice(Struct, frozen=True, gc=False, kw_only=True):
    index: int
    message: ReplyMessage
    logprobs: None = None
    finish_reason: str


class Completion(Struct, frozen=True, gc=False, kw_only=True):
    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: openai_usage.Usage
