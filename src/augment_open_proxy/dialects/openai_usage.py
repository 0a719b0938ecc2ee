"""Usage as OpenAI's chat and text completions show it."""

from msgspec import Struct

from augment_open_proxy.core import events


class PromptTokensDetails(Struct, frozen=True):
    cached_tokens: int
    cache_write_tokens: int
    audio_tokens: int = 0


class CompletionTokensDetails(Struct, frozen=True):
    reasoning_tokens: int
    audio_tokens: int = 0


class Usage(Struct, frozen=True):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails
    completion_tokens_details: CompletionTokensDetails


def usage(used: events.Usage) -> Usage:
    """Core's counts, where cached tokens stand apart, as these APIs count: within the prompt."""
    prompt, output = used.prompt or 0, used.output or 0
    return Usage(
        prompt,
        output,
        prompt + output,
        PromptTokensDetails(used.cache_read or 0, used.cache_creation or 0),
        CompletionTokensDetails(used.reasoning or 0),
    )
