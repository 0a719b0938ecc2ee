"""What a picture costs by its size in pixels, as each API documents it, and that size from the picture's first bytes.

A picture whose size can't be read counts as one of `UNKNOWN_SIZE`.
"""

import base64
import binascii
import re
from bisect import bisect_left
from collections.abc import Callable
from math import ceil

from augment_open_proxy.tokens.counter import is_claude

Size = tuple[int, int]
"""Width and height in pixels."""

UNKNOWN_SIZE: Size = (1024, 1024)
OTHER_TOKENS = 1120
"""For models that are neither Claude nor GPT: what Gemini 3 takes for any picture at its default resolution."""

_CLAUDE_VERSION = re.compile(r"claude-[a-z]+-(\d\d?)(?:-(\d\d?))?(?!\d)")
_HIGH_RESOLUTION_SINCE = (4, 7)
_MOST_JPEG_SEGMENTS = 1000


def image_tokens(data: str, model: str) -> int:
    """The tokens that a picture in base64 costs with the model of this id."""
    width, height = image_size(data) or UNKNOWN_SIZE
    if is_claude(model):
        return claude_tokens(width, height, high_resolution=_has_high_resolution(model))
    if model.startswith("gpt-5"):
        return gpt_tokens(width, height, base=70, tile=140)
    if model.startswith("gpt-"):
        return gpt_tokens(width, height)
    return OTHER_TOKENS


def claude_tokens(width: int, height: int, *, high_resolution: bool = False) -> int:
    """One token for each patch of 28 x 28 pixels, after scaling down to what the model sees.

    That is a long edge of 1568 pixels and 1568 tokens; 2576 and 4784 since Claude 4.7. Source: "Vision" and
    "Coordinates and bounding boxes" on platform.claude.com, 2026, which replaced width x height / 750.
    """
    most_pixels, most_tokens = (2576, 4784) if high_resolution else (1568, 1568)
    long, short = max(width, height), min(width, height)

    def patches(edge: int) -> tuple[int, int]:
        return ceil(edge / 28), ceil(max(1, round(edge * short / long)) / 28)

    def is_too_large(edge: int) -> bool:
        columns, rows = patches(edge)
        return columns * 28 > most_pixels or columns * rows > most_tokens

    columns, rows = patches(bisect_left(range(long + 1), True, lo=1, key=is_too_large) - 1)
    return columns * rows


def gpt_tokens(width: int, height: int, *, base: int = 85, tile: int = 170) -> int:
    """Tiles of 512 x 512 pixels, after scaling down to 2048 x 2048 and then to a short edge of 768.

    Source: "Images and vision" on developers.openai.com, `detail: high`. Newer models count patches with factors of
    their own; this stays within about a factor of two of them.
    """
    scale = min(1, 2048 / max(width, height))
    scale = min(scale, 768 / min(width, height))
    return base + tile * ceil(int(width * scale) / 512 or 1) * ceil(int(height * scale) / 512 or 1)


def image_size(data: str) -> Size | None:
    """The size of a PNG, JPEG, GIF or WebP in base64; None when it is another thing, or cut before its size."""
    head = _bytes_at(data, 0, 30)
    for signature, read in _READERS:
        if head.startswith(signature):
            size = read(head, data)
            return size if size is not None and all(size) else None
    return None


def _png(head: bytes, data: str) -> Size | None:
    if len(head) < 24 or head[12:16] != b"IHDR":
        return None
    return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")


def _gif(head: bytes, data: str) -> Size | None:
    if len(head) < 10:
        return None
    return int.from_bytes(head[6:8], "little"), int.from_bytes(head[8:10], "little")


def _webp(head: bytes, data: str) -> Size | None:
    if len(head) < 30 or head[8:12] != b"WEBP":
        return None
    match head[12:16]:
        case b"VP8X":
            return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
        case b"VP8L" if head[20] == 0x2F:
            both = int.from_bytes(head[21:25], "little")
            return (both & 0x3FFF) + 1, (both >> 14 & 0x3FFF) + 1
        case b"VP8 " if head[23:26] == b"\x9d\x01\x2a":
            return int.from_bytes(head[26:28], "little") & 0x3FFF, int.from_bytes(head[28:30], "little") & 0x3FFF
    return None


def _jpeg(head: bytes, data: str) -> Size | None:
    """From the first frame header. What stands before it (EXIF, thumbnails) is jumped over, not decoded."""
    offset = 2
    for _ in range(_MOST_JPEG_SEGMENTS):
        segment = _bytes_at(data, offset, 9)
        if len(segment) < 9 or segment[0] != 0xFF:
            return None
        marker = segment[1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return int.from_bytes(segment[7:9], "big"), int.from_bytes(segment[5:7], "big")
        if marker == 0xFF:  # a fill byte
            offset += 1
        else:
            offset += 2 + int.from_bytes(segment[2:4], "big")
    return None


def _bytes_at(data: str, offset: int, size: int) -> bytes:
    """Up to `size` bytes of what is base64 in `data`; fewer at its end, none where it is no base64."""
    first, skip = divmod(offset, 3)
    text = data[first * 4 : first * 4 + (skip + size + 2) // 3 * 4]
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4))[skip : skip + size]
    except (binascii.Error, ValueError):
        return b""


_READERS: tuple[tuple[bytes, Callable[[bytes, str], Size | None]], ...] = (
    (b"\x89PNG\r\n\x1a\n", _png),
    (b"\xff\xd8\xff", _jpeg),
    (b"GIF8", _gif),
    (b"RIFF", _webp),
)


def _has_high_resolution(model: str) -> bool:
    version = _CLAUDE_VERSION.match(model)
    return version is not None and (int(version[1]), int(version[2] or 0)) >= _HIGH_RESOLUTION_SINCE
