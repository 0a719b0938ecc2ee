"""OpenAI's Responses API."""

from augment_open_proxy.dialects.dialect import Dialect
from augment_open_proxy.dialects.openai_errors import RESPONSES_ERRORS, render_error
from augment_open_proxy.dialects.openai_responses.reply import render
from augment_open_proxy.dialects.openai_responses.request import read
from augment_open_proxy.dialects.openai_responses.stored import items, render_begun
from augment_open_proxy.dialects.openai_responses.stream import ResponsesStream

OPENAI_RESPONSES = Dialect(
    name="openai_responses",
    paths=("/v1/responses", "/responses"),
    prefixes=("/v1/responses", "/responses"),
    id_prefix="resp_",
    request_id_header="x-request-id",
    errors=RESPONSES_ERRORS,
    read=read,
    stream=ResponsesStream,
    render_reply=render,
    render_error=render_error,
    keeps="response",
    items=items,
    render_begun=render_begun,
)
