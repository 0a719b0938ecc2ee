"""Bytes → lines: the backend's answer is newline-delimited, and may be cut anywhere, inside a UTF-8 sequence too."""

BOM = b"\xef\xbb\xbf"
DEFAULT_LIMIT = 64 * 2**20


class LineTooLong(Exception):  # noqa: N818 (a fact about the input, named as such)
    """A line exceeds the limit; reading on would need unbounded memory."""


class LineSplitter:
    """Gives out each line once it is whole, without its newline; `close` gives the last one, which may lack it."""

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        """`limit` is the longest line that is kept, in bytes."""
        self._limit = limit
        self._pieces: list[bytes] = []
        self._size = 0
        self._at_start = True

    def feed(self, data: bytes) -> list[bytes]:
        head, newline, rest = data.partition(b"\n")
        if not newline:
            self._keep(data)
            return []
        if self._pieces:
            self._keep(head)
            head = self._take()
        lines = [head]
        if rest:
            lines += rest.split(b"\n")
            self._keep(lines.pop())
        if self._at_start:
            self._at_start = False
            lines[0] = lines[0].removeprefix(BOM)
        return lines

    def close(self) -> list[bytes]:
        line = self._take()
        if self._at_start:
            line = line.removeprefix(BOM)
        return [line] if line else []

    def _keep(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._limit:
            raise LineTooLong
        if piece:
            self._pieces.append(piece)

    def _take(self) -> bytes:
        line = b"".join(self._pieces)
        self._pieces = []
        self._size = 0
        return line
