"""JSON text as it comes from elsewhere: what decoders raise, and halves of characters.

JavaScript programs that cut strings send lone surrogates, which UTF-8 can't carry.
"""

import re

import msgspec

from augment_open_proxy.core.steps import Steps

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What a decoder raises for bytes that are not what it wants: broken, of other types, not UTF-8, nested too deeply."""

_PIECE = 64 * 1024
"""Bytes of which is looked at once whether they are UTF-8."""
_ESCAPES = re.compile(
    rb"(\\[^u]|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"  # other escapes, and whole pairs
    rb"|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)


def mended(json: bytes) -> bytes:
    """`json` with each lone surrogate's escape replaced by that of U+FFFD, as UTF-8 encoders of JavaScript do it."""
    if b"\\u" not in json or (b"\\ud" not in json and b"\\uD" not in json):
        return json
    return _ESCAPES.sub(lambda match: match[1] or rb"\ufffd", json)


def check_utf8(json: bytes) -> Steps[None]:
    """Raises `UnicodeDecodeError` where `json` is not UTF-8. It looks at a piece after the other: nothing makes a copy
    of a whole body.
    """
    if json.isascii():
        return
    view, start, size = memoryview(json), 0, len(json)
    try:
        while start < size:
            end = _character_start(json, start + _PIECE) if start + _PIECE < size else size
            str(view[start:end], "utf-8")
            start = end
            yield
    except UnicodeDecodeError:
        json.decode()  # this one tells the place in the whole


def _character_start(json: bytes, place: int) -> int:
    """The start of the character that has the byte at `place`. What is not UTF-8 is cut somewhere near."""
    return next((at for at in range(place, place - 4, -1) if json[at] & 0xC0 != 0x80), place)
