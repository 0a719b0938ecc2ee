"""OpenAI's legacy Completions API, which editors still use for inline completion."""

from augment_open_proxy.dialects.dialect import Dialect
from augment_open_proxy.dialects.openai_completions.reply import render
from augment_open_proxy.dialects.openai_completions.request import read
from augment_open_proxy.dialects.openai_completions.stream import CompletionStream
from augment_open_proxy.dialects.openai_errors import ERRORS, render_error

OPENAI_COMPLETIONS = Dialect(
    name="openai_completions",
    paths=("/v1/completions", "/completions"),
    prefixes=("/v1/completions", "/completions"),
    id_prefix="cmpl-",
    request_id_header="x-request-id",
    errors=ERRORS,
    read=read,
    stream=CompletionStream,
    render_reply=render,
    render_error=render_error,
)
