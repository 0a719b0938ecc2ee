"""All dialects; adding one is adding a line."""

import msgspec
from msgspec import Raw, Struct

from augment_open_proxy.core.errors import ProxyError
from augment_open_proxy.core.jsontext import UNREADABLE
from augment_open_proxy.core.steps import Steps
from augment_open_proxy.dialects.anthropic_messages import ANTHROPIC_MESSAGES
from augment_open_proxy.dialects.dialect import Dialect, Draft
from augment_open_proxy.dialects.openai_chat import OPENAI_CHAT
from augment_open_proxy.dialects.openai_completions import OPENAI_COMPLETIONS
from augment_open_proxy.dialects.openai_responses import OPENAI_RESPONSES

DIALECTS: tuple[Dialect, ...] = (OPENAI_CHAT, ANTHROPIC_MESSAGES, OPENAI_RESPONSES, OPENAI_COMPLETIONS)


class _Top(Struct, frozen=True):
    messages: Raw = Raw()
    input: Raw = Raw()


_top = msgspec.json.Decoder(_Top)


def read(dialect: Dialect, body: bytes) -> Steps[tuple[Dialect, Draft]]:
    """A body that was posted to `dialect`: the dialect that it is of, and its draft. Raises `ProxyError`."""
    try:
        return dialect, (yield from dialect.read(body))
    except ProxyError:
        other = reader(dialect, body)
        if other is dialect:
            raise
    return other, (yield from other.read(body))


def reader(dialect: Dialect, body: bytes) -> Dialect:
    """The dialect of a body that was posted to `dialect`: Cursor posts Responses bodies to the path of chats."""
    if dialect is OPENAI_CHAT and b'"input"' in body:
        try:
            top = _top.decode(body)
        except UNREADABLE:
            return dialect
        if bytes(top.input) and bytes(top.messages) in (b"", b"null"):
            return OPENAI_RESPONSES
    return dialect


def nearest(path: str) -> Dialect:
    """The dialect in whose shape errors on `path` are told: the longest prefix wins."""
    matches = [(len(prefix), d) for d in DIALECTS for prefix in d.prefixes if path.startswith(prefix)]
    return max(matches, key=lambda match: match[0], default=(0, DIALECTS[0]))[1]
