"""Anthropic's Messages API."""

from augment_open_proxy.dialects.anthropic_messages.errors import ERRORS, render_error
from augment_open_proxy.dialects.anthropic_messages.reply import render
from augment_open_proxy.dialects.anthropic_messages.request import read
from augment_open_proxy.dialects.anthropic_messages.stream import MessagesStream
from augment_open_proxy.dialects.dialect import Dialect

ANTHROPIC_MESSAGES = Dialect(
    name="anthropic_messages",
    paths=("/v1/messages", "/messages"),
    prefixes=("/v1/messages", "/messages", "/api/"),
    id_prefix="msg_",
    request_id_header="request-id",
    errors=ERRORS,
    read=read,
    stream=MessagesStream,
    render_reply=render,
    render_error=render_error,
    keeps="message",
    opens_with_usage=True,
)
