"""Frames → bytes. A frame is the name of an event (empty where it has none) and its data, a line of JSON."""

from collections.abc import Iterable
from typing import Any

Pieces = tuple[bytes | memoryview, ...]
"""JSON that is not put together yet, since it may be large: each time that it is copied counts."""
Frame = tuple[bytes, bytes | Pieces]
"""One without a name has no pieces."""
COMMENT = b":"
"""The name of a frame that is a comment: it keeps the connection alive and means nothing."""

_SHORT = 4096
_LINE_ENDS = (("\u2028".encode(), rb"\u2028"), ("\u2029".encode(), rb"\u2029"), ("\u0085".encode(), rb"\u0085"))


def joined(data: bytes | Pieces) -> bytes:
    """The data of a frame."""
    return b"".join(data) if isinstance(data, tuple) else data


def sse(frames: Iterable[Frame]) -> bytes:
    """Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""
    out: list[Any] = []
    for name, data in frames:
        if not name:
            out += (b"data: ", data, b"\n\n")
        elif name is COMMENT:
            out += (b": ", data, b"\n\n")
        elif type(data) is tuple:
            out += (b"event: ", name, b"\ndata: ", *data, b"\n\n")
        else:
            out += (b"event: ", name, b"\ndata: ", data, b"\n\n")
    written = b"".join(out)
    if len(written) < _SHORT and written.isascii():
        return written
    # A single byte is found much faster than all of a character, and than what is not ASCII.
    if not (0xA8 in written or 0xA9 in written or 0x85 in written):
        return written
    return _without_line_ends(written)


def _without_line_ends(data: bytes) -> bytes:
    r"""Escape (as `\u2028`) what clients that split decoded text, as httpx' `iter_lines` does, take for line ends."""
    for character, escaped in _LINE_ENDS:
        data = data.replace(character, escaped)
    return data
