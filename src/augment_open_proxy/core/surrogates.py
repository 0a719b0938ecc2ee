"""Halves of characters in JSON: JavaScript programs that cut strings send lone surrogates, which UTF-8 can't carry."""

import re

_ESCAPES = re.compile(
    rb"(\\[^u]|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"  # other escapes, and whole pairs
    rb"|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)


def mended(json: bytes) -> bytes:
    """`json` with each lone surrogate's escape replaced by that of U+FFFD, as UTF-8 encoders of JavaScript do it."""
    return _ESCAPES.sub(lambda match: match[1] or rb"\ufffd", json)
