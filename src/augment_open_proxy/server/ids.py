"""Ids of what is made here."""

import os
import time

UUID_SIZE = 36
"""Characters of a UUID."""


def new_uuid() -> str:
    """A UUID of version 7 (RFC 9562): it begins with the time, so that what is stored under such ids lies together."""
    return uuid_of(f"{time.time_ns() // 1_000_000:012x}{os.urandom(10).hex()}", version=7)


def uuid_of(digits: str, version: int) -> str:
    """The UUID of 32 hexadecimal digits, two of which say the version and the variant instead."""
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-{version}{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"
