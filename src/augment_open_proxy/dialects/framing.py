"""Frames → bytes. A frame is the name of an event (empty where it has none) and its data, a line of JSON."""

from collections.abc import Iterable
from typing import Any

Pieces = tuple[bytes | memoryview, ...]
"""Data that is not put together, since it may be large, and each copy of it counts. A view is of JSON that is used more
than once, and that `without_line_ends` has seen.
"""
Frame = tuple[bytes, bytes | Pieces]
"""One without a name has no pieces."""
COMMENT = b":"
"""The name of a frame that is a comment: it keeps the connection alive and means nothing."""

_SHORT = 4096
_LINE_ENDS = (("\u2028".encode(), rb"\u2028"), ("\u2029".encode(), rb"\u2029"), ("\u0085".encode(), rb"\u0085"))


def joined(data: bytes | Pieces) -> bytes:
    """The data, put together."""
    return b"".join(data) if isinstance(data, tuple) else data


def size_of(data: bytes | Pieces) -> int:
    """Its bytes."""
    return sum(map(len, data)) if isinstance(data, tuple) else len(data)


def sse(frames: Iterable[Frame]) -> bytes | Pieces:
    """Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html); large views stay apart."""
    out: list[Any] = []
    pieces: Pieces = ()
    for name, data in frames:
        if not name:
            out += (b"data: ", data, b"\n\n")
        elif name is COMMENT:
            out += (b": ", data, b"\n\n")
        elif type(data) is tuple:
            out += (b"event: ", name, b"\ndata: ")
            for piece in data:
                if type(piece) is memoryview and len(piece) >= _SHORT:
                    pieces += (without_line_ends(b"".join(out)), piece)
                    out = []
                else:
                    out.append(piece)
            out.append(b"\n\n")
        else:
            out += (b"event: ", name, b"\ndata: ", data, b"\n\n")
    written = without_line_ends(b"".join(out))
    return (*pieces, written) if pieces else written


def without_line_ends(data: bytes) -> bytes:
    r"""JSON where that is escaped (as `\u2028`) which clients take for line ends if they split decoded text, as httpx'
    `iter_lines` does.
    """
    if len(data) < _SHORT and data.isascii():
        return data
    # A single byte is found much faster than all of a character, and than what is not ASCII.
    if not (0xA8 in data or 0xA9 in data or 0x85 in data):
        return data
    for character, escaped in _LINE_ENDS:
        data = data.replace(character, escaped)
    return data
