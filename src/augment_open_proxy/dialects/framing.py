"""Frames → bytes. A frame is the name of an event (empty where it has none) and its data, a line of JSON."""

from collections.abc import Iterable

Frame = tuple[bytes, bytes]
COMMENT = b":"
"""The name of a frame that is a comment: it keeps the connection alive and means nothing."""

_LINE_ENDS = (("\u2028".encode(), rb"\u2028"), ("\u2029".encode(), rb"\u2029"), ("\u0085".encode(), rb"\u0085"))


def sse(frames: Iterable[Frame]) -> bytes:
    """Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""
    out: list[bytes] = []
    for name, data in frames:
        if not name:
            out += (b"data: ", data, b"\n\n")
        elif name is COMMENT:
            out += (b": ", data, b"\n\n")
        else:
            out += (b"event: ", name, b"\ndata: ", data, b"\n\n")
    written = b"".join(out)
    # A single byte is found much faster than all of a character, and the last one is the rarest.
    if written.isascii() or not (0xA8 in written or 0xA9 in written or 0x85 in written):
        return written
    return _without_line_ends(written)


def _without_line_ends(data: bytes) -> bytes:
    r"""Escape (as `\u2028`) what clients that split decoded text, as httpx' `iter_lines` does, take for line ends."""
    for character, escaped in _LINE_ENDS:
        data = data.replace(character, escaped)
    return data
