"""Reading a body: its size as it comes and unpacked, the time between its pieces, and each packing."""

import asyncio
import gzip
import tracemalloc
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import brotli
import pytest
import zstandard

from augment_open_proxy.core.errors import ErrorKind, ProxyError
from augment_open_proxy.server import body as body_module
from augment_open_proxy.server.asgi import ClientLeft
from augment_open_proxy.server.body import read_body

LIMIT = 100_000
DATA = b'{"model": "m", "text": "' + b"some text " * 500 + b'"}'


def read(
    pieces: Sequence[bytes], *headers: tuple[str, str], limit: int = LIMIT, asked: list[int] | None = None
) -> bytes:
    """What is read of a body in these pieces; how many of them were asked for is added to `asked`."""
    left = list(pieces)

    async def receive() -> dict[str, Any]:
        if asked is not None:
            asked.append(1)
        if not left:
            return {"type": "http.disconnect"}
        piece = left.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(left)}

    scope = {"headers": [(name.encode(), value.encode()) for name, value in headers]}
    return asyncio.run(read_body(scope, receive, limit))


def refusal(pieces: Sequence[bytes], *headers: tuple[str, str], limit: int = LIMIT) -> ErrorKind:
    with pytest.raises(ProxyError) as caught:
        read(pieces, *headers, limit=limit)
    assert caught.value.problem.message
    return caught.value.problem.kind


# --- As it comes ---


@pytest.mark.parametrize("size", [1, 7, 1000, len(DATA)])
def test_the_pieces_make_the_body(size: int) -> None:
    assert read([DATA[i : i + size] for i in range(0, len(DATA), size)]) == DATA


def test_up_to_the_limit_and_not_a_byte_more() -> None:
    assert len(read([b"x" * 60_000, b"x" * 40_000])) == LIMIT
    assert refusal([b"x" * 60_000, b"x" * 40_001]) is ErrorKind.REQUEST_TOO_LARGE


def test_it_is_counted_while_it_is_read() -> None:
    asked: list[int] = []
    with pytest.raises(ProxyError):
        read([b"x" * 30_000] * 1000, asked=asked)
    assert len(asked) == 4


@pytest.mark.parametrize("length", [str(LIMIT + 1), "9" * 19, "9" * 5000])
def test_a_length_beyond_the_limit_is_refused_before_anything_is_read(length: str) -> None:
    asked: list[int] = []
    with pytest.raises(ProxyError) as caught:
        read([b"x"], ("content-length", length), asked=asked)
    assert caught.value.problem.kind is ErrorKind.REQUEST_TOO_LARGE
    assert asked == []


def test_a_client_that_leaves_in_the_middle() -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    with pytest.raises(ClientLeft):
        asyncio.run(read_body({"headers": []}, receive, LIMIT))


def test_a_body_that_does_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_module, "IDLE", 0.01)

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(60)
        return {}

    with pytest.raises(ProxyError) as caught:
        asyncio.run(read_body({"headers": []}, receive, LIMIT))
    assert caught.value.problem.kind is ErrorKind.REQUEST_TIMEOUT


# --- Packed ---

Pack = Callable[[bytes], bytes]
PACKINGS: dict[str, Pack] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": lambda data: brotli.compress(data, quality=5),
    "zstd": zstandard.ZstdCompressor().compress,
}
every_packing = pytest.mark.parametrize(("name", "pack"), PACKINGS.items(), ids=PACKINGS)


def zstd_in_blocks(data: bytes) -> bytes:
    """As a stream makes it: its head does not say how large it is."""
    packer = zstandard.ZstdCompressor().compressobj()
    return b"".join(packer.compress(data[i : i + 100]) for i in range(0, len(data), 100)) + packer.flush()


@every_packing
def test_a_packed_body_is_unpacked(name: str, pack: Pack) -> None:
    for spelled in (name, name.upper(), f" {name} ", f"identity, {name}"):
        assert read([pack(DATA)], ("content-encoding", spelled)) == DATA
    assert read([pack(b"")], ("content-encoding", name)) == b""
    assert read([zstd_in_blocks(DATA)], ("content-encoding", "zstd")) == DATA


@every_packing
def test_its_size_is_that_of_what_is_unpacked(name: str, pack: Pack) -> None:
    assert len(read([pack(b"x" * LIMIT)], ("content-encoding", name))) == LIMIT
    assert refusal([pack(b"x" * (LIMIT + 1))], ("content-encoding", name)) is ErrorKind.REQUEST_TOO_LARGE


@every_packing
def test_a_bomb_takes_no_more_memory_than_the_limit_allows(name: str, pack: Pack) -> None:
    bomb = pack(b"\0" * 64 * 2**20)
    assert len(bomb) < 300_000
    tracemalloc.start()
    try:
        kind = refusal([bomb], ("content-encoding", name), limit=2**20)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert kind is ErrorKind.REQUEST_TOO_LARGE
    assert most < 20 * 2**20


@every_packing
@pytest.mark.parametrize(
    "spoil",
    [
        lambda packed: packed[: len(packed) // 2],
        lambda packed: packed[:-1],
        lambda packed: b"",
        lambda packed: packed + b"more",
        lambda packed: packed + b"x" * 1000,
        lambda packed: b"x" + packed,
        lambda packed: DATA,
    ],
    ids=["half", "all but a byte", "nothing", "more", "much more", "something before", "not packed"],
)
def test_what_is_not_so_packed_is_refused(name: str, pack: Pack, spoil: Pack) -> None:
    assert refusal([spoil(pack(DATA))], ("content-encoding", name)) is ErrorKind.INVALID_REQUEST


def test_a_zstd_window_that_is_too_large_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters.from_level(3, window_log=27)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    packed = packer.compress(DATA) + packer.flush()
    assert refusal([packed], ("content-encoding", "zstd")) is ErrorKind.INVALID_REQUEST


@pytest.mark.parametrize(
    "headers",
    [
        [("content-encoding", "compress")],
        [("content-encoding", "gzip, gzip")],
        [("content-encoding", "gzip"), ("content-encoding", "br")],
        [("content-encoding", "gzip;q=1")],
        [("content-encoding", "zip\0")],
    ],
)
def test_other_packings_and_several_are_refused(headers: list[tuple[str, str]]) -> None:
    assert refusal([gzip.compress(gzip.compress(DATA))], *headers) is ErrorKind.UNSUPPORTED_MEDIA_TYPE


@pytest.mark.parametrize("value", ["identity", "", " ", "identity, identity"])
def test_none_is_named_in_some_ways(value: str) -> None:
    assert read([DATA], ("content-encoding", value)) == DATA
