"""All dialects; adding one is adding a line."""

from augment_open_proxy.dialects.anthropic_messages import ANTHROPIC_MESSAGES
from augment_open_proxy.dialects.dialect import Dialect
from augment_open_proxy.dialects.openai_chat import OPENAI_CHAT

DIALECTS: tuple[Dialect, ...] = (OPENAI_CHAT, ANTHROPIC_MESSAGES)


def nearest(path: str) -> Dialect:
    """The dialect in whose shape errors on `path` are told: the longest prefix wins."""
    matches = [(len(prefix), d) for d in DIALECTS for prefix in d.prefixes if path.startswith(prefix)]
    return max(matches, key=lambda match: match[0], default=(0, DIALECTS[0]))[1]
