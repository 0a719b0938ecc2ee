"""Pictures and documents inside a request: `data:` URLs and base64, checked as far as the backend relies on it."""

import base64
import binascii
import re

from augment_open_proxy.core.conversation import Attachment, Image, MediaType
from augment_open_proxy.core.errors import invalid_request

_PDF_URL = "data:application/pdf;base64,"
_DATA_URL = re.compile(r"data:([^;,]*)((?:;[^;,]*)*),", re.IGNORECASE)
_SIGNATURES: tuple[tuple[bytes, bytes, MediaType], ...] = (
    (b"\x89PNG\r\n\x1a\n", b"", "image/png"),
    (b"\xff\xd8\xff", b"", "image/jpeg"),
    (b"GIF87a", b"", "image/gif"),
    (b"GIF89a", b"", "image/gif"),
    (b"RIFF", b"WEBP", "image/webp"),
)
"""First bytes, and the bytes from the eighth on."""


def picture(url: str, param: str) -> Image | Attachment:
    """The picture that a URL names: the one inside a `data:` URL, else one to be fetched."""
    return image_from_data_url(url, param) if url[:5].lower() == "data:" else Attachment("image", param, url=url)


def document(data: str, title: str | None, param: str) -> Attachment:
    """The PDF in base64, with or without `data:application/pdf;base64,` before it."""
    if not data.startswith("data:") or data.startswith(_PDF_URL):
        return Attachment("document", param, data=data.removeprefix(_PDF_URL), title=title)
    raise invalid_request(f"{param} must be a PDF ({_PDF_URL}…).", param)


def image_from_data_url(url: str, param: str) -> Image:
    """The picture in a `data:` URL. Raises `ProxyError` that names `param`."""
    head = _DATA_URL.match(url)
    if head is None or not head[2].lower().endswith(";base64"):
        raise invalid_request(f"{param} must be a data URL with base64 data (data:image/png;base64,…).", param)
    return image_from_base64(url[head.end() :], param)


def image_from_base64(data: str, param: str) -> Image:
    """The picture in base64 text; its type is what its first bytes say, whatever a client calls it."""
    raw = bytes_from_base64(data, param)
    media_type = _media_type(raw, param)
    is_plain = len(data) == 4 * -(-len(raw) // 3) and "-" not in data and "_" not in data
    return Image(media_type, data if is_plain else base64.b64encode(raw).decode())


def bytes_from_base64(data: str, param: str) -> bytes:
    """The bytes in base64, also as sloppy clients write it: with line breaks, without padding, in the URL alphabet."""
    try:
        return binascii.a2b_base64(data, strict_mode=True)
    except (binascii.Error, ValueError):
        text = "".join(data.split()).replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return binascii.a2b_base64(text + "=" * (-len(text) % 4), strict_mode=True)
    except (binascii.Error, ValueError):
        raise invalid_request(f"{param} is not valid base64.", param) from None


def image_from_bytes(raw: bytes, param: str) -> Image:
    """The picture in a file."""
    return Image(_media_type(raw, param), base64.b64encode(raw).decode())


def _media_type(raw: bytes, param: str) -> MediaType:
    for first, eighth, media_type in _SIGNATURES:
        if raw.startswith(first) and raw.startswith(eighth, 8 if eighth else 0):
            return media_type
    raise invalid_request(f"{param} is no picture that the backend reads: PNG, JPEG, GIF or WebP.", param)
