"""Bytes → lines: the backend's answer is newline-delimited, and may be cut anywhere, inside a UTF-8 sequence too."""

BOM = b"\xef\xbb\xbf"
DEFAULT_LIMIT = 64 * 2**20


class LineTooLong(Exception):  # noqa: N818 (a fact about the input, named as such)
    """A line exceeds the limit; reading on would need unbounded memory."""


class LineSplitter:
    """Gives out each line once it is whole, without its newline; `close` gives the last one, which may lack it."""

    __slots__ = ("_at_start", "_limit", "_overlong", "_pieces", "_size")

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        """`limit` is the longest line that is kept, in bytes."""
        self._limit = limit
        self._pieces: list[bytes] = []
        self._size = 0
        self._at_start = True
        self._overlong = False

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that are whole now. Raises `LineTooLong` once the lines before the overlong one are given out."""
        if self._overlong:
            raise LineTooLong
        may_exceed = self._size + len(data) > self._limit
        if not (may_exceed or self._pieces or self._at_start) and data.endswith(b"\n"):
            return data[:-1].split(b"\n")  # as most reads of the network are
        first, *rest = data.split(b"\n")
        self._keep(first)
        if not rest:
            return self._within_limit([]) if may_exceed else []
        lines = [self._take(), *rest]
        self._keep(lines.pop())
        if self._at_start:
            self._at_start = False
            lines[0] = lines[0].removeprefix(BOM)
        return self._within_limit(lines) if may_exceed else lines

    def close(self) -> list[bytes]:
        if self._overlong:
            raise LineTooLong
        line = self._take()
        if self._at_start:
            line = line.removeprefix(BOM)
        return [line] if line else []

    def _within_limit(self, lines: list[bytes]) -> list[bytes]:
        limit = self._limit
        for i, line in enumerate(lines):
            if len(line) > limit:
                self._overlong = True
                lines = lines[:i]
                break
        self._overlong = self._overlong or self._size > limit
        if self._overlong and not lines:
            raise LineTooLong
        return lines

    def _keep(self, piece: bytes) -> None:
        if piece:
            self._size += len(piece)
            self._pieces.append(piece)

    def _take(self) -> bytes:
        line = b"".join(self._pieces)
        self._pieces = []
        self._size = 0
        return line
