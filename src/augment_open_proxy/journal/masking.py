"""Secrets → `***` in what is logged. Known ones are found wherever they stand, others by how they look."""

import re
from collections.abc import Callable, Iterable
from functools import lru_cache

import msgspec

Secrets = Callable[[], Iterable[str]]
"""Gives the secrets as they are now: the backend's token, and the client keys that are known by themselves."""

_SHORTEST = 6
"""Characters of a secret; what is shorter stands in any text."""
_STARS = "***"
_NAMES = r"(?:authorization|api[-_]?key|access[-_]?token|refresh[-_]?token|client[-_]?secret|password|cookie)"
_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"')
_FIELD = re.compile(rf'("[\w-]{{0,30}}{_NAMES}"\s*:\s*){_STRING.pattern}', re.IGNORECASE)
_LOOKS_SECRET = re.compile(
    r"(\b(?:bearer|basic)\s+)[\w.~+/=-]{8,}"
    rf"""|({_NAMES}(?:\\*["'])*\s{{0,9}}[:=]\s{{0,9}}(?:\\*["'])*(?:bearer\s+|basic\s+)?)[^\s\\"',;{{}}\[\]]{{6,}}"""
    r"|\b(aop-|sk-|ghp_|xox[bp]-)[\w-]{16,}",
    re.IGNORECASE,
)
"""In the text of a JSON string, whose escapes it leaves whole."""


def without(secrets: Iterable[str], text: str) -> str:
    """`text` without these secrets, as they are or as JSON spells them."""
    for secret in secrets:
        for spelling in _spellings(secret):
            text = text.replace(spelling, _STARS)
    return text


@lru_cache(maxsize=64)
def _spellings(secret: str) -> tuple[str, ...]:
    if len(secret) < _SHORTEST:
        return ()
    return tuple({secret, msgspec.json.encode(secret)[1:-1].decode()})


def masked(json: str) -> str:
    """JSON without what looks like a key or a password; it stays JSON."""
    return _STRING.sub(_masked_string, _FIELD.sub(rf'\1"{_STARS}"', json))


def _masked_string(string: re.Match[str]) -> str:
    return _LOOKS_SECRET.sub(lambda match: (match[1] or match[2] or match[3]) + _STARS, string[0])
