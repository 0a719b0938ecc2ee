"""OpenAI's Chat Completions API."""

from augment_open_proxy.dialects.dialect import Dialect
from augment_open_proxy.dialects.openai_chat.reply import render
from augment_open_proxy.dialects.openai_chat.request import read
from augment_open_proxy.dialects.openai_chat.stream import ChatStream
from augment_open_proxy.dialects.openai_errors import ERRORS, render_error

OPENAI_CHAT = Dialect(
    name="openai_chat",
    paths=("/v1/chat/completions", "/chat/completions"),
    prefixes=("/",),
    id_prefix="chatcmpl-",
    request_id_header="x-request-id",
    errors=ERRORS,
    read=read,
    stream=ChatStream,
    render_reply=render,
    render_error=render_error,
    keeps="completion",
)
