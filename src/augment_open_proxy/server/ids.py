"""Ids of what is made here, as UUIDs (RFC 9562)."""

import os
import time

UUID_SIZE = 36
"""Characters of a UUID."""


def new_uuid() -> str:
    """A UUID of version 7: it begins with the time, so that what is stored under such ids lies together."""
    return _uuid(time.time_ns() // 1_000_000, int.from_bytes(os.urandom(10)), version=7)


def uuid_of(digest: bytes) -> str:
    """The UUID of version 4 that 16 random bytes, or a digest, stand for."""
    return _uuid(int.from_bytes(digest[:6]), int.from_bytes(digest[6:]), version=4)


def _uuid(first: int, second: int, *, version: int) -> str:
    """`first` has 48 bits, `second` 80, of which those are passed over where version and variant stand."""
    return (
        f"{first >> 16:08x}-{first & 0xFFFF:04x}-{version:x}{second >> 68:03x}"
        f"-{0x8000 | (second >> 48 & 0x3FFF):04x}-{second & 0xFFFFFFFFFFFF:012x}"
    )
