"""The legacy Completions API's JSON (https://platform.openai.com/docs/api-reference/completions).

Requests are typed as far as we read them, and lenient: clients send `null` for what they leave out.
"""

from typing import Any, Literal

from msgspec import Struct

from augment_open_proxy.dialects import openai_usage

# ------------------------------------------------------------------ requests


class StreamOptions(Struct, frozen=True, gc=False):
    include_usage: bool | None = None


class Request(Struct, frozen=True, gc=False):
    """The body of `POST /v1/completions`."""

    model: str
    prompt: Any = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    echo: bool | None = None
    max_tokens: Any = None
    stop: Any = None
    n: int | None = None
    best_of: int | None = None
    suffix: Any = None
    logprobs: Any = None
    # Accepted without effect.
    temperature: Any = None
    top_p: Any = None
    seed: Any = None
    presence_penalty: Any = None
    frequency_penalty: Any = None
    logit_bias: Any = None


# ------------------------------------------------------------------- replies


class Choice(Struct, frozen=True, gc=False, kw_only=True):
    text: str
    index: int
    logprobs: None = None
    finish_reason: str


class Completion(Struct, frozen=True, gc=False, kw_only=True):
    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    choices: list[Choice]
    usage: openai_usage.Usage
