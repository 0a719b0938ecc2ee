"""The parts of the backend's client that need no network: answers cut anywhere, encodings, addresses, proxies' URLs."""

import asyncio
import contextlib
import gc
import socket
import subprocess
import sys
import weakref
import zlib
from collections.abc import Iterable
from itertools import pairwise
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augment_open_proxy.core.errors import ProxyError
from augment_open_proxy.upstream.client import Answer, Limit
from augment_open_proxy.upstream.http import opening
from augment_open_proxy.upstream.http.address import AddressError, HeaderError, parse_address
from augment_open_proxy.upstream.http.coding import STEP, CodingError, UnknownCodingError, Unpacker, unpacker_of
from augment_open_proxy.upstream.http.connection import BUFFER_LIMIT, Connection
from augment_open_proxy.upstream.http.proxying import ProxyUnusableError, environment_proxies, parse_proxy, proxy_for
from tests.flow import read

NO_LIMIT = Limit(None, "", "")
BODY = bytes(range(256)) * 3
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"


class Transport:
    """Stands in for what a connection writes to; what it is told is noted."""

    def __init__(self) -> None:
        self.is_reading = True
        self.closed = False
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def writelines(self, pieces: Iterable[bytes]) -> None:
        self.written += pieces

    def pause_reading(self) -> None:
        self.is_reading = False

    def resume_reading(self) -> None:
        self.is_reading = True

    def abort(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def get_write_buffer_size(self) -> int:
        return 0


def asked() -> tuple[Connection, Transport]:
    """A connection that waits for an answer."""
    transport = Transport()
    connection = Connection("http://backend:80", lambda _: None)
    connection.connection_made(cast("asyncio.Transport", transport))
    connection.send(b"", b"")
    transport.written.clear()
    return connection, transport


async def received(pieces: Iterable[bytes]) -> tuple[bytes, bool]:
    """The body of an answer that came in these pieces, after which the backend closed, and whether the connection
    could have been kept until then. Raises `ProxyError`.
    """
    connection, transport = asked()
    body = b""
    answer = Answer(connection, None, NO_LIMIT, 0.0, NO_LIMIT)
    for piece in pieces:
        if not transport.closed:
            connection.data_received(piece)
            body += connection.take()
    kept = connection.can_be_kept()
    connection.connection_lost(None)
    async with asyncio.timeout(5):
        while data := await read(answer):
            body += data
    return body, kept


def chunked(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n3;a=b\r\nend\r\n0\r\nTrailer: x\r\n\r\n" % (len(body), body)


ANSWERS = {
    "content-length": (b"HTTP/1.1 200 OK\r\nContent-Length: 768\r\n\r\n" + BODY, BODY, True),
    "chunked": (CHUNKED + chunked(BODY), BODY + b"end", True),
    "until the close": (b"HTTP/1.1 200 OK\r\n\r\n" + BODY, BODY, False),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 768\r\n\r\n" + BODY, BODY, False),
    "HTTP/1.0, kept": (
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 768\r\n\r\n" + BODY,
        BODY,
        True,
    ),
    "to be closed": (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 768\r\n\r\n" + BODY, BODY, False),
    "after interim answers": (b"HTTP/1.1 100 Continue\r\n\r\n" + HINTS + CHUNKED + chunked(BODY), BODY + b"end", True),
    "no body": (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
    "an empty body": (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"", True),
}


@pytest.mark.parametrize("name", ANSWERS)
@settings(max_examples=60, deadline=None)
@given(cuts=st.lists(st.integers(0, 1000), max_size=8) | st.just(list(range(1000))))
def test_an_answer_is_the_same_however_it_is_cut(name: str, cuts: list[int]) -> None:
    data, body, kept = ANSWERS[name]
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    pieces = [data[start:end] for start, end in pairwise(places)]
    assert asyncio.run(received(pieces)) == (body, kept)


@pytest.mark.parametrize("name", ["content-length", "chunked", "HTTP/1.0", "to be closed", "after interim answers"])
def test_one_that_is_cut_off_never_looks_whole(name: str) -> None:
    data = ANSWERS[name][0]
    for end in range(len(data)):
        with pytest.raises(ProxyError, match="broke"):
            asyncio.run(received([data[:end]]))


FRAGMENTS = st.sampled_from(
    [
        *(
            b"HTTP/1.1 200 OK\r\n",
            b"HTTP/1.1 ",
            b"HTTP/1.1 101 Switching\r\n",
            b"HTTP/2.0 200 OK\r\n",
            b"100",
            b" \r\n",
        ),
        *(
            b"\r\n",
            b"\r\n\r\n",
            b"\n",
            b"\r",
            b"\0",
            b"a: b\r\n",
            b" folded\r\n",
            b"Upgrade: x\r\n",
            b"0\r\n\r\n",
            b"5\r\n",
        ),
        *(b"Connection: upgrade\r\n", b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip\r\n", b"hello\r\n"),
        *(b"Content-Length: 5\r\n", b"Content-Length: -1\r\n", b"Content-Length: 99999999999999999999\r\n", b":\r\n"),
        *(b"ffffffffffffffffffff\r\n", b"-1\r\n", b"\xff\xfe", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ]
)


@settings(max_examples=400, deadline=None)
@given(
    start=st.sampled_from([b"", b"HTTP/1.1 200 OK\r\n", CHUNKED]),
    pieces=st.lists(FRAGMENTS | st.binary(max_size=20), max_size=12),
)
def test_garbage_is_a_body_or_refused(start: bytes, pieces: list[bytes]) -> None:
    with contextlib.suppress(ProxyError):
        body, _ = asyncio.run(received([start, *pieces]))
        assert len(body) <= sum(map(len, pieces))


NOT_ITS_OWN = b"Content-Encoding: br\r\nTransfer-Encoding: gzip\r\n"


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 103 Early Hints\r\n" + NOT_ITS_OWN + b"\r\n" + ANSWERS["content-length"][0],
        CHUNKED + b"300\r\n" + BODY + b"\r\n0\r\n" + NOT_ITS_OWN + b"\r\n",
    ],
    ids=["interim answer", "trailer"],
)
def test_only_the_answer_s_own_head_counts(data: bytes) -> None:
    async def story() -> None:
        connection, _ = asked()
        connection.data_received(data)
        assert connection.take() == BODY
        assert connection.is_complete
        assert b"content-encoding" not in connection.headers

    asyncio.run(story())


def test_a_small_body_is_one_write_with_its_head_and_a_large_one_is_not_copied() -> None:
    async def story() -> None:
        for body in (b"x" * 1000, b"x" * 1_000_000):
            connection, transport = asked()
            await asyncio.sleep(0)
            transport.written.clear()
            connection.send(b"head", body)
            await asyncio.sleep(0)
            if len(body) == 1000:
                assert transport.written == [b"head" + body]
            else:
                assert transport.written[0] == b"head"
                assert transport.written[1] is body

    asyncio.run(story())


MALFORMED = {
    "no HTTP": b"SSH-2.0-OpenSSH\r\n\r\n",
    "HTTP/2": b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nab",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
    "length and chunks": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a length with a sign": b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nab",
    "chunks that are packed": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
    "packed until the close": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nab",
    "twice chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a folded header": b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 2\r\n\r\nab",
    "bare line feeds": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nab",
    "another protocol": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\nPRI",
    "a chunk without a size": CHUNKED + b"x\r\nab\r\n0\r\n\r\n",
    "a chunk that is too long": CHUNKED + b"2\r\nabc\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("name", MALFORMED)
@pytest.mark.parametrize("size", [1, 1000])
def test_what_is_not_valid_http_is_refused(name: str, size: int) -> None:
    data = MALFORMED[name]
    with pytest.raises(ProxyError) as refused:
        asyncio.run(received([data[start : start + size] for start in range(0, len(data), size)]))
    assert refused.value.problem.remedy == "again"
    assert "cut off" not in refused.value.problem.message
    assert "was closed" not in refused.value.problem.message


ENDLESS = {
    "reason": (b"HTTP/1.1 200 ", b"x" * 1000),
    "header": (b"HTTP/1.1 200 OK\r\nA: ", b"x" * 1000),
    "headers": (b"HTTP/1.1 200 OK\r\n", b"a: b\r\n" * 200),
    "interim answers": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 40),
    "trailer": (CHUNKED + b"0\r\nA: ", b"x" * 1000),
    "trailers": (CHUNKED + b"0\r\n", b"a: b\r\n" * 200),
    "extension of a chunk": (CHUNKED + b"2;a=", b"x" * 1000),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_a_head_without_end_is_refused_at_its_limit(name: str) -> None:
    async def story() -> None:
        connection, transport = asked()
        start, more = ENDLESS[name]
        connection.data_received(start)
        count = 0
        while not transport.closed:
            count += len(more)
            assert count < 70_000
            connection.data_received(more)
        assert count > 50_000
        assert connection.failure == "its head is larger than 65536 bytes"

    asyncio.run(story())


def test_a_head_that_comes_in_one_piece_has_the_same_limit() -> None:
    with pytest.raises(ProxyError, match="larger than 65536"):
        asyncio.run(received([b"HTTP/1.1 200 OK\r\nA: " + b"x" * 70_000 + b"\r\nContent-Length: 0\r\n\r\n"]))
    head = b"HTTP/1.1 200 OK\r\nA: " + b"x" * 60_000 + b"\r\nContent-Length: 2\r\n\r\nab"
    assert asyncio.run(received([head]))[0] == b"ab"


MORE = [b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", b"HTTP/1.1 ", b"x", b"\0"]


@pytest.mark.parametrize("more", MORE)
@pytest.mark.parametrize("name", ["content-length", "chunked", "no body"])
def test_what_follows_an_answer_is_never_one(name: str, more: bytes) -> None:
    async def story() -> None:
        data, body, _ = ANSWERS[name]
        for pieces in ([data + more], [data, more]):
            connection, transport = asked()
            for piece in pieces:
                connection.data_received(piece)
            assert connection.take() == body
            assert connection.is_complete
            assert connection.failure is None
            assert not connection.can_be_kept()
            assert transport.closed

    asyncio.run(story())


def test_not_even_a_line_break_may_follow_later() -> None:
    async def story() -> None:
        connection, transport = asked()
        connection.data_received(ANSWERS["chunked"][0])
        assert connection.can_be_kept()
        connection.data_received(b"\r\n")
        assert transport.closed

    asyncio.run(story())


def test_the_first_reason_is_the_one_that_is_told() -> None:
    async def story() -> None:
        connection, _ = asked()
        connection.data_received(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n")
        connection.data_received(b"more")
        connection.connection_lost(ConnectionResetError(104, "reset"))
        assert connection.failure == "it changes to a protocol that was not asked for"

    asyncio.run(story())


def test_a_body_until_the_close_is_not_whole_where_an_error_ends_it() -> None:
    async def story() -> None:
        connection, _ = asked()
        connection.data_received(ANSWERS["until the close"][0])
        connection.connection_lost(ConnectionResetError(104, "Connection reset by peer"))
        assert not connection.is_complete
        assert connection.failure == "Connection reset by peer"

    asyncio.run(story())


def test_a_connection_is_lost_as_soon_as_the_backend_has_said_so() -> None:
    """The event loop tells of the loss itself only in its next round, and a request may come before."""

    async def story() -> None:
        lost: list[Connection] = []
        connection = Connection("http://backend:80", lost.append)
        connection.connection_made(cast("asyncio.Transport", Transport()))
        connection.send(b"", b"")
        connection.data_received(ANSWERS["chunked"][0])
        connection.eof_received()
        assert lost == [connection]
        assert not connection.can_be_kept()
        connection.connection_lost(None)
        assert lost == [connection]

    asyncio.run(story())


def test_a_request_goes_out_at_the_end_of_the_turn_and_not_after_its_connection_was_closed() -> None:
    async def story() -> None:
        connections = [asked() for _ in range(2)]
        assert [transport.written for _, transport in connections] == [[], []]
        connections[0][0].close()
        await asyncio.sleep(0)
        assert [transport.written for _, transport in connections] == [[], [b""]]

    asyncio.run(story())


def test_a_lost_connection_is_not_kept_by_its_timer() -> None:
    async def story() -> None:
        connection, _ = asked()
        await asyncio.sleep(0)
        connection.news(asyncio.get_running_loop().time() + 1000)
        connection.connection_lost(None)
        reference = weakref.ref(connection)
        del connection
        gc.collect()
        assert reference() is None

    asyncio.run(story())


def test_what_comes_before_a_request_is_no_answer_to_it() -> None:
    async def story() -> None:
        transport = Transport()
        connection = Connection("http://backend:80", lambda _: None)
        connection.connection_made(cast("asyncio.Transport", transport))
        connection.data_received(MORE[0])
        assert transport.closed
        connection.send(b"", b"")
        assert not connection.has_head
        assert connection.failure == "the connection was closed"

    asyncio.run(story())


def test_the_backend_waits_while_nobody_reads() -> None:
    async def story() -> None:
        connection, transport = asked()
        connection.data_received(CHUNKED)
        piece = b"1000\r\n" + bytes(4096) + b"\r\n"
        count = 0
        while transport.is_reading:
            connection.data_received(piece)
            count += 1
        assert count * len(piece) <= BUFFER_LIMIT + len(piece)
        assert len(connection.take()) == count * 4096
        assert transport.is_reading

    asyncio.run(story())


# ---------------------------------------------------------------- encodings


def packed(body: bytes, bits: int) -> bytes:
    packer = zlib.compressobj(wbits=bits)
    return packer.compress(body) + packer.flush()


BITS = {b"gzip": 31, b"X-GZip": 31, b"deflate": 15, b" Deflate ": -15}


def unpacked(unpacker: Unpacker, pieces: Iterable[bytes]) -> bytes:
    body = b""
    for piece in pieces:
        unpacker.feed(piece)
        while data := unpacker.take():
            assert len(data) <= STEP
            body += data
    unpacker.close()
    return body


@pytest.mark.parametrize("name", BITS)
@pytest.mark.parametrize("size", [1, 100_000])
def test_encodings_that_are_asked_for_are_unpacked_step_by_step(name: bytes, size: int) -> None:
    body = BODY + bytes(3 * STEP)
    data = packed(body, BITS[name])
    unpacker = unpacker_of(name)
    assert unpacker is not None
    assert unpacked(unpacker, [data[start : start + size] for start in range(0, len(data), size)]) == body


@pytest.mark.parametrize("name", BITS)
def test_what_is_cut_off_or_goes_on_or_is_garbage_is_refused(name: bytes) -> None:
    data = packed(BODY, BITS[name])
    for wrong in (data[:-1], data[:20], data + b"x", b"\xff" + data):
        unpacker = unpacker_of(name)
        assert unpacker is not None
        with pytest.raises(CodingError):
            unpacked(unpacker, [wrong])


@pytest.mark.parametrize("name", [None, b"", b"identity", b"Identity"])
def test_plain_bodies_need_no_unpacking(name: bytes | None) -> None:
    assert unpacker_of(name) is None


@pytest.mark.parametrize("name", [b"br", b"zstd", b"gzip, gzip", b"\xff"])
def test_other_encodings_are_refused(name: bytes) -> None:
    with pytest.raises(UnknownCodingError, match="not asked for"):
        unpacker_of(name)


# ---------------------------------------------------------------- addresses


@pytest.mark.parametrize(
    ("url", "host", "port", "line", "shown"),
    [
        ("http://a.test", "a.test", 80, "POST / HTTP/1.1", "a.test"),
        ("https://A.test./x", "a.test", 443, "POST /x HTTP/1.1", "a.test"),
        ("https://a.test:8443/x/y?z=1", "a.test", 8443, "POST /x/y?z=1 HTTP/1.1", "a.test:8443"),
        ("http://[::1]:81/x", "::1", 81, "POST /x HTTP/1.1", "[::1]:81"),
        ("http://bücher.test/ü x", "xn--bcher-kva.test", 80, "POST /%C3%BC%20x HTTP/1.1", "xn--bcher-kva.test"),
        ("http://a.test/%20", "a.test", 80, "POST /%20 HTTP/1.1", "a.test"),
    ],
)
def test_a_url_says_where_to_connect_and_what_to_ask(url: str, host: str, port: int, line: str, shown: str) -> None:
    address = parse_address(url, {})
    assert (address.host, address.port, address.secure) == (host, port, url.startswith("https"))
    assert address.head.split("\r\n")[:2] == [line, f"Host: {shown}"]


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            "a.test",
            "ftp://a.test",
            "http://",
            "http://a.test:99999",
            "http://a.test:x",
            "http://[::1",
            "http:///x",
        ),
        *("http://me:secret@a.test", "http://a b.test", "http://a\0.test", f"http://{'a' * 64}.test", "http://a..test"),
    ],
)
def test_other_urls_are_invalid(url: str) -> None:
    with pytest.raises(AddressError):
        parse_address(url, {})


def test_headers_are_sent_as_they_are() -> None:
    head = parse_address("http://a.test/x", {}).request_head({"Authorization": "Bearer ü", "X-Id": "1"}, 7)
    assert head.decode().split("\r\n") == [
        *("POST /x HTTP/1.1", "Host: a.test", "Accept: */*", "Accept-Encoding: gzip, deflate"),
        *("Authorization: Bearer ü", "X-Id: 1", "Content-Length: 7", "", ""),
    ]


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\n", "\ra", "a\r\n\r\nPOST", "a\0", "\ud800"])
def test_a_header_can_hold_no_other(value: str) -> None:
    with pytest.raises(HeaderError):
        parse_address("http://a.test", {}).request_head({"Authorization": value, "X-Id": "1"}, 7)


# ---------------------------------------------------------------- proxies


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("proxy.test:3128", ("proxy.test", 3128, False, None)),
        ("http://proxy.test", ("proxy.test", 80, False, None)),
        ("https://proxy.test", ("proxy.test", 443, True, None)),
        ("http://me:p%40ss@proxy.test:1", ("proxy.test", 1, False, "Basic bWU6cEBzcw==")),
        ("http://me@[::1]:1", ("::1", 1, False, "Basic bWU6")),
    ],
)
def test_a_proxy_s_url(url: str, expected: tuple[str, int, bool, str | None]) -> None:
    proxy = parse_proxy(url)
    assert (proxy.host, proxy.port, proxy.secure, proxy.authorization) == expected


@pytest.mark.parametrize("url", ["socks5://proxy.test:1080", "http://", "http://proxy.test:x", "http://[::1"])
def test_another_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ProxyUnusableError) as refused:
        parse_proxy(url.replace("://", "://me:secret@"))
    assert "secret" not in str(refused.value)


def test_the_environment_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    if sys.platform.startswith("linux"):
        assert environment_proxies() == {}
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test:1")
    monkeypatch.setenv("no_proxy", ".inside.test,other.test")
    proxies = environment_proxies()
    assert proxies["https"] == "http://proxy.test:1"
    hosts = ["a.test", "a.inside.test", "other.test", "localhost", "127.0.0.1", "::1"]
    assert [host for host in hosts if proxy_for(proxies, "https", host)] == ["a.test"]
    assert proxy_for(proxies, "http", "a.test") is None


# ---------------------------------------------------------------- addresses of a name


class Network:
    """Addresses of which some never answer; those that are tried are noted with the time, in seconds."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, families: list[Any], answers: dict[int, float | OSError]
    ) -> None:
        self.tried: list[int] = []
        self.sockets: list[socket.socket] = []
        self._answers = answers
        self._found = [(family, socket.SOCK_STREAM, 6, "", number) for number, family in enumerate(families)]
        monkeypatch.setattr(opening, "_connect", self.connect)
        monkeypatch.setattr(opening, "NEXT_ADDRESS_AFTER", 0.05)

    async def connect(self, address: Any) -> socket.socket:
        number = address[4]
        self.tried.append(number)
        answer = self._answers.get(number, 30.0)
        if isinstance(answer, OSError):
            raise answer
        await asyncio.sleep(answer)
        self.sockets.append(socket.socket())
        return self.sockets[-1]

    def run(self) -> socket.socket:
        async def story() -> socket.socket:
            asyncio.get_running_loop().getaddrinfo = self.found  # type: ignore[method-assign]
            async with asyncio.timeout(5):
                sock = await opening.connected_socket("a.test", 80)
            await asyncio.sleep(0.05)
            return sock

        return asyncio.run(story())

    async def found(self, *_: Any, **__: Any) -> Any:
        return self._found


FOUR, SIX = socket.AF_INET, socket.AF_INET6


def test_an_address_that_does_not_answer_costs_a_quarter_of_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network(monkeypatch, [SIX, SIX, FOUR], {2: 0.0})
    network.run().close()
    assert network.tried == [0, 2]


def test_one_that_refuses_costs_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "NEXT_ADDRESS_AFTER", 60.0)
    network = Network(monkeypatch, [SIX, FOUR], {0: ConnectionRefusedError(), 1: 0.0})
    monkeypatch.setattr(opening, "NEXT_ADDRESS_AFTER", 60.0)
    network.run().close()
    assert network.tried == [0, 1]


def test_of_two_that_answer_one_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network(monkeypatch, [SIX, FOUR], {0: 0.08, 1: 0.03})
    network.run().close()
    assert all(sock.fileno() == -1 for sock in network.sockets)


def test_none_that_answers_is_the_first_one_s_error(monkeypatch: pytest.MonkeyPatch) -> None:
    first = ConnectionRefusedError(111, "refused")
    network = Network(monkeypatch, [SIX, FOUR], {0: first, 1: OSError(101, "unreachable")})
    with pytest.raises(ConnectionRefusedError) as refused:
        network.run()
    assert refused.value is first


def test_a_backend_that_is_gone_without_a_word_is_found_out_within_minutes() -> None:
    """As where a VPN has ended or a firewall forgot the connection; a model may be silent for half an hour."""

    async def story() -> float:
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        async with server:
            sock = await opening.connected_socket("127.0.0.1", server.sockets[0].getsockname()[1])
            with sock:
                assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
                first = "TCP_KEEPALIVE" if sys.platform == "darwin" else "TCP_KEEPIDLE"
                names = (first, "TCP_KEEPINTVL", "TCP_KEEPCNT")
                idle, pause, number = (sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in names)
                return idle + pause * number

    assert asyncio.run(story()) <= 120


def test_importing_the_client_loads_no_other() -> None:
    code = "import sys, augment_open_proxy.upstream.client; print({'aiohttp', 'yarl', 'http.client'} & {*sys.modules})"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert result.stdout.strip() == "set()"
