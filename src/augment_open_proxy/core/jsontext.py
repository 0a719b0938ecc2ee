"""JSON text as it comes from elsewhere: what decoders raise, and halves of characters.

JavaScript programs that cut strings send lone surrogates, which UTF-8 can't carry.
"""

import re

import msgspec

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What a decoder raises for bytes that are not what it wants: broken, of other types, not UTF-8, nested too deeply."""

_ESCAPES = re.compile(
    rb"(\\[^u]|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"  # other escapes, and whole pairs
    rb"|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)


def mended(json: bytes) -> bytes:
    """`json` with each lone surrogate's escape replaced by that of U+FFFD, as UTF-8 encoders of JavaScript do it."""
    return _ESCAPES.sub(lambda match: match[1] or rb"\ufffd", json)
