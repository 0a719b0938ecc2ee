"""Who asks: each client key has its own stored things and its own conversations."""

from hashlib import blake2b

from augment_open_proxy.server.asgi import Scope, header_values


def presented_key(scope: Scope) -> bytes:
    """The key that the client sent, in whichever header; empty for none."""
    for value in header_values(scope, b"authorization"):
        scheme, _, key = value.partition(b" ")
        return key.strip() if scheme.lower() == b"bearer" else value
    for name in (b"x-api-key", b"api-key"):
        for value in header_values(scope, name):
            return value
    return b""


def owner_of(scope: Scope) -> str:
    """Who owns what the client stores: a digest of its key, the same at every replica."""
    return blake2b(presented_key(scope), digest_size=16, person=b"aop owner").hexdigest()
