"""The bounds of a request: of its body's size, as sent and unpacked, of the time without progress while it is read, and
of how many things are in it, each of which costs more than its bytes.
"""

import asyncio
import io
import zlib
from collections.abc import Callable, Coroutine, Iterable, Set
from typing import Any

from augment_open_proxy.core.conversation import Attachment, ChatRequest, Image, Part, ToolResult
from augment_open_proxy.core.errors import ErrorKind, Problem, ProxyError, invalid_request
from augment_open_proxy.server.alarms import Deadline
from augment_open_proxy.server.asgi import ClientLeft, Message, Receive, Scope, header_values
from augment_open_proxy.server.flow import rest

IDLE = 30.0
"""Seconds that a client may take between two pieces of its body."""
_IN_THREAD = 64 * 1024
"""Bytes of a packed body from which on it is unpacked beside the event loop."""
_ZSTD_STEP = 256
"""Bytes of a zstd body that are unpacked at once, without a bound of their own: to 8 MB at most, at 4 bytes a block."""
_LARGEST_WINDOW = 8 * 2**20
"""Bytes of memory for which a zstd body may ask: what RFC 8878 recommends to support."""
MOST_TOOLS = 2000
MOST_PICTURES = 500
"""Pictures and documents, at whatever place of the conversation."""

_PICTURES = (Attachment, Image)


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The body, unpacked; at most `limit` bytes. Raises `ProxyError`, `ClientLeft`."""
    unpack = _unpacker(scope)
    body = await _read(scope, receive, limit)
    if unpack is None:
        return body
    try:
        if len(body) < _IN_THREAD:
            unpacked = unpack(body, limit + 1)
        else:
            unpacked = await asyncio.to_thread(unpack, body, limit + 1)
    except ValueError as error:
        raise invalid_request(f"The body is not what its Content-Encoding says: {error}.") from None
    if len(unpacked) > limit:
        raise ProxyError(too_large(limit))
    return unpacked


def too_large(limit: int) -> Problem:
    return Problem(ErrorKind.REQUEST_TOO_LARGE, f"The request's body is larger than {limit} bytes (AOP_BODY_LIMIT).")


async def _read(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The body as it comes, counted while it is read."""
    announced = header_values(scope, b"content-length")
    if announced and announced[0].isdigit() and int(announced[0][:19]) > limit:
        raise ProxyError(too_large(limit))
    body = io.BytesIO()  # and no list: a client may send a byte at a time
    while True:
        receiving = receive()
        try:
            awaited = receiving.send(None)
        except StopIteration as end:
            message: Message = end.value  # it was there already, as that of most requests is, and needs no deadline
        else:
            message = await _in_time(receiving, awaited)
        if message["type"] == "http.disconnect":
            raise ClientLeft
        piece: bytes = message.get("body", b"")
        if body.tell() + len(piece) > limit:
            raise ProxyError(too_large(limit))
        is_last = not message.get("more_body", False)
        if is_last and not body.tell():
            return piece
        body.write(piece)
        if is_last:
            return body.getvalue()


async def _in_time(receiving: Coroutine[Any, Any, Message], awaited: Any) -> Message:
    """What is left of receiving, which waits for `awaited`. Raises `ProxyError` where that takes too long."""
    try:
        with Deadline(IDLE):
            return await rest(receiving, awaited)
    except TimeoutError:
        message = f"The request's body did not come: nothing more for {IDLE:g} s."
        raise ProxyError(Problem(ErrorKind.REQUEST_TIMEOUT, message)) from None


def check_size(request: ChatRequest, kinds: Set[type[Part]]) -> None:
    """Raises `ProxyError` where the request has too many tools, or pictures.

    `kinds` are those of the parts of its messages (`kinds_of`).
    """
    if len(request.tools) > MOST_TOOLS:
        raise invalid_request(f"tools may have {MOST_TOOLS} entries at most; there are {len(request.tools)}.", "tools")
    if kinds.isdisjoint(_PICTURES):
        return
    pictures = sum(_pictures(message.content) for message in request.messages)
    if pictures > MOST_PICTURES:
        message = f"{request.place} may have {MOST_PICTURES} pictures and documents at most; there are {pictures}."
        raise invalid_request(message, request.place)


def _pictures(parts: Iterable[Part]) -> int:
    return sum(
        _pictures(part.content) if isinstance(part, ToolResult) else isinstance(part, _PICTURES) for part in parts
    )


# ---------------------------------------------------------------- unpacking

Unpack = Callable[[bytes, int], bytes]
"""A packed body → the first so many bytes of it, unpacked. Raises `ValueError`."""


def _unpacker(scope: Scope) -> Unpack | None:
    given = header_values(scope, b"content-encoding")
    if not given:
        return None
    values = [value.strip().lower() for value in given]
    names = [name for value in values for name in value.split(b",") if name.strip() not in (b"", b"identity")]
    if not names:
        return None
    unpack = _UNPACK.get(names[0].strip())
    if unpack is None or len(names) > 1:
        message = "The header Content-Encoding must be gzip, deflate, br or zstd, or left out."
        raise ProxyError(Problem(ErrorKind.UNSUPPORTED_MEDIA_TYPE, message))
    return unpack


def _inflate(body: bytes, most: int) -> bytes:
    """gzip and zlib, told apart by their heads."""
    inflater = zlib.decompressobj(zlib.MAX_WBITS | 32)
    try:
        data = inflater.decompress(body, most)
    except zlib.error as error:
        raise ValueError(str(error)) from None
    if len(data) < most and not inflater.eof:
        raise ValueError("it is cut off")
    if inflater.unused_data:
        raise ValueError("something follows its end")
    return data


def _unbrotli(body: bytes, most: int) -> bytes:
    import brotli  # only a few clients send it

    unpacker = brotli.Decompressor()
    pieces: list[bytes] = []
    size = 0
    try:
        while not unpacker.is_finished() and size < most:
            piece = unpacker.process(body, output_buffer_limit=most - size)
            if not piece and not body:
                raise ValueError("it is cut off")
            body = b""
            pieces.append(piece)
            size += len(piece)
    except brotli.error as error:
        raise ValueError(str(error)) from None
    return b"".join(pieces)[:most]


def _unzstd(body: bytes, most: int) -> bytes:
    import zstandard  # only a few clients send it

    unpacker = zstandard.ZstdDecompressor(max_window_size=_LARGEST_WINDOW).decompressobj()
    data = bytearray()
    place = 0
    try:
        while not unpacker.eof and len(data) < most:
            if place >= len(body):
                raise ValueError("it is cut off")
            data += unpacker.decompress(body[place : place + _ZSTD_STEP])
            place += _ZSTD_STEP
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from None
    if unpacker.eof and (unpacker.unused_data or place < len(body)):
        raise ValueError("something follows its end")
    return bytes(data[:most])


_UNPACK: dict[bytes, Unpack] = {
    b"gzip": _inflate,
    b"x-gzip": _inflate,
    b"deflate": _inflate,
    b"br": _unbrotli,
    b"zstd": _unzstd,
}
