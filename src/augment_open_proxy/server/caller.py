"""Who asks: each client key has its own stored things and its own conversations."""

from functools import lru_cache
from hashlib import blake2b

from augment_open_proxy.server.asgi import Scope, header_values

_PRESENTED = "aop.presented"


def presented_key(scope: Scope) -> bytes:
    """The key that the client sent, in whichever header; empty for none."""
    known: bytes | None = scope.get(_PRESENTED)
    if known is None:
        known = scope[_PRESENTED] = _presented(scope)
    return known


def _presented(scope: Scope) -> bytes:
    for value in header_values(scope, b"authorization"):
        scheme, _, key = value.partition(b" ")
        return key.strip() if scheme.lower() == b"bearer" else value
    for name in (b"x-api-key", b"api-key"):
        for value in header_values(scope, name):
            return value
    return b""


def owner_of(scope: Scope) -> str:
    """Who owns what the client stores: a digest of its key, the same at every replica."""
    return _owner(presented_key(scope))


@lru_cache(maxsize=64)
def _owner(key: bytes) -> str:
    return blake2b(key, digest_size=16, person=b"aop owner").hexdigest()
