"""Content encodings of answers, unpacked step by step: an answer that is small packed can't fill the memory."""

import zlib

ACCEPTED = "gzip, deflate"
STEP = 256 * 1024
"""Bytes that are unpacked at once, at most."""


class CodingError(Exception):
    """The body is not what its encoding says. The text is for the user."""


class UnknownCodingError(Exception):
    """The encoding is none that was asked for. The text is for the user."""


class Unpacker:
    """gzip or zlib (`deflate`), or the bare deflate that some servers send for the latter."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._inflater = zlib.decompressobj(zlib.MAX_WBITS | 32)
        self._packed = b""
        self._has_begun = False

    def feed(self, data: bytes) -> None:
        """What has arrived, not empty; to be fed when `take` gave nothing more."""
        if not self._has_begun:
            self._has_begun = True
            if self._name == "deflate" and data[0] & 0x0F != zlib.DEFLATED:
                self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        self._packed = data

    def take(self) -> bytes:
        """The next `STEP` bytes at most; empty where more must be fed. Raises `CodingError`."""
        inflater = self._inflater
        try:
            data = inflater.decompress(self._packed, STEP)  # zlib may hold some back even where nothing is left to feed
        except zlib.error as error:
            raise CodingError(f"its body is not {self._name} ({error})") from None
        if inflater.unused_data:
            raise CodingError(f"something follows the end of its {self._name} body")
        self._packed = inflater.unconsumed_tail
        return data

    def close(self) -> None:
        """The body is at its end. Raises `CodingError` where that is not the end of what was packed."""
        if self._has_begun and not self._inflater.eof:
            raise CodingError(f"its {self._name} body is cut off")


def unpacker_of(content_encoding: bytes | None) -> Unpacker | None:
    """What unpacks a body of that Content-Encoding; `None` where it is plain. Raises `UnknownCodingError`."""
    if content_encoding is None:
        return None
    name = content_encoding.decode("latin-1").strip().lower()
    match name:
        case "" | "identity":
            return None
        case "gzip" | "x-gzip":
            return Unpacker("gzip")
        case "deflate":
            return Unpacker(name)
        case _:
            raise UnknownCodingError(f"it is encoded as {name[:100]!r}, which was not asked for")
