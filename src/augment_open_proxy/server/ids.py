"""Ids of what is made here, as UUIDs (RFC 9562)."""

import os
import time

UUID_SIZE = 36
"""Characters of a UUID."""


def new_uuid() -> str:
    """A UUID of version 7: it begins with the time, so that what is stored under such ids lies together."""
    return _uuid((time.time_ns() // 1_000_000).to_bytes(6) + os.urandom(10), version=7)


def uuid_of(digest: bytes) -> str:
    """The UUID of version 4 that 16 random bytes, or a digest, stand for."""
    return _uuid(digest, version=4)


def _uuid(data: bytes, *, version: int) -> str:
    """Of 16 bytes, but for the six bits where version and variant stand."""
    digits = data.hex()
    return (
        f"{digits[:8]}-{digits[8:12]}-{version}{digits[13:16]}-{_VARIANT[data[8] & 0x3F]}{digits[18:20]}-{digits[20:]}"
    )


_VARIANT = [f"{0x80 | bits:02x}" for bits in range(0x40)]
