"""All dialects; adding one is adding a line."""

from augment_open_proxy.dialects.dialect import Dialect
from augment_open_proxy.dialects.openai_chat import OPENAI_CHAT

DIALECTS: tuple[Dialect, ...] = (OPENAI_CHAT,)


def nearest(path: str) -> Dialect:
    """The dialect in whose shape errors on `path` are told: the longest prefix wins."""
    return max((d for d in DIALECTS if path.startswith(d.prefix)), key=lambda d: len(d.prefix), default=DIALECTS[0])
