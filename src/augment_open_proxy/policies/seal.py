"""Seals: opaque texts that prove that we gave a text, and can carry it (AES-SIV; the key is derived from a secret)."""

import hashlib
import zlib
from base64 import b64decode, b64encode
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV

THINKING, SUMMARY = b"thinking", b"summary"
"""What is sealed: a seal of one purpose is none of the other."""
_SHOWN, _CARRIED, _COMPRESSED = b"s", b"p", b"c"
_SHORT = 1024
"""Bytes of a text up to which it is not worth the time to compress it."""
_TEXT_LIMIT = 16 * 2**20
"""The longest text that a seal carries, in bytes, so that a small seal can't unfold into a large one."""


def seal(secret: bytes, text: str, *, carried: bool, purpose: bytes = THINKING) -> str:
    """The seal of a text: with `carried` the text is inside, else it must come back beside the seal.

    The same text gives the same seal; AES-SIV (RFC 5297) needs no nonce for that to be safe.
    """
    data = text.encode(errors="replace")
    if not carried:
        content = _SHOWN + hashlib.sha256(data).digest()
    else:
        content = _CARRIED + data if len(data) <= _SHORT else _COMPRESSED + zlib.compress(data)
    return b64encode(_cipher(secret).encrypt(content, _context(purpose))).decode()


def unseal(secret: bytes, sealed: str, shown: str, *, purpose: bytes = THINKING) -> str | None:
    """The text whose seal came back; `None` where the seal is not ours, or not that text's."""
    from cryptography.exceptions import InvalidTag

    try:
        content = _cipher(secret).decrypt(b64decode(sealed, validate=True), _context(purpose))
    except (ValueError, InvalidTag):
        return None
    kind, rest = content[:1], content[1:]
    if kind == _SHOWN:
        return shown if hashlib.sha256(shown.encode(errors="replace")).digest() == rest else None
    if kind == _CARRIED:
        return rest.decode()
    inflate = zlib.decompressobj()
    data = inflate.decompress(rest, _TEXT_LIMIT)
    return data.decode() if inflate.eof else None


def _context(purpose: bytes) -> list[bytes]:
    """What a seal is bound to, beside the secret."""
    return [b"augment-open-proxy", purpose, b"1"]


@lru_cache(4)
def _cipher(secret: bytes) -> "AESSIV":
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV  # 30 ms, which only thinking pays

    # AES-256-SIV takes 64 bytes.
    return AESSIV(hashlib.sha512(b"augment-open-proxy seal\0" + secret).digest())
