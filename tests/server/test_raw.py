"""Bytes that no client library would send: smuggled requests, doubled headers, tricks with chunks, heads without end.

Each is refused in the shape of the API, or read in the one way that HTTP allows; the backend is never asked for what
was smuggled, and the next client notices nothing.
"""

import json
import time
from collections.abc import Iterator

import pytest

from augment_open_proxy.server import body as body_module
from augment_open_proxy.server import http_protocol, run
from augment_open_proxy.server.http_protocol import HEAD_LIMIT
from tests.asking import APIS, CHAT, MESSAGES, Api, every_api, request
from tests.raw import Answer, connected, post
from tests.servers import Proxy, running_proxy

GET = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"


def body(api: Api = CHAT, prompt: str = "Hi.", stream: bool = False) -> bytes:
    return json.dumps(request(api, "claude-haiku-4-5", stream, prompt)).encode()


def chunks(*pieces: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + end


def head(path: str, *headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json", *headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def asked(proxy: Proxy) -> int:
    return len(proxy.simulator.requests)


@pytest.fixture
def untouched(proxy: Proxy) -> Iterator[None]:
    """The backend is not asked, and the proxy goes on serving."""
    before = asked(proxy)
    yield
    assert asked(proxy) == before
    with connected(proxy) as connection:
        connection.send(GET)
        assert connection.answer().status == 200


def check_error(answer: Answer, api: Api, status: int) -> None:
    assert answer.status == status
    error = answer.json["error"]
    assert error["message"]
    if api is MESSAGES:
        assert answer.json["type"] == "error"
        assert answer.headers["request-id"].startswith("req-")
    else:
        assert set(error) == {"message", "type", "param", "code"}
        assert answer.headers["x-request-id"].startswith("req-")


# --- What is not HTTP ---


SMUGGLED = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n\r\n"
HEADS = {
    "length and chunks": ("Content-Length: 4", "Transfer-Encoding: chunked"),
    "chunks and length": ("Transfer-Encoding: chunked", "Content-Length: 4"),
    "two lengths": ("Content-Length: 4", "Content-Length: 40"),
    "two lengths in one": ("Content-Length: 4, 40",),
    "the same length twice": ("Content-Length: 4", "Content-Length: 4"),
    "a negative length": ("Content-Length: -1",),
    "a length with a sign": ("Content-Length: +4",),
    "a hexadecimal length": ("Content-Length: 0x4",),
    "a length without end": ("Content-Length: " + "9" * 30,),
    "an empty length": ("Content-Length:",),
    "chunks that are not last": ("Transfer-Encoding: chunked, gzip",),
    "chunks of another name": ("Transfer-Encoding: xchunked",),
    "chunks behind a tab": ("Transfer-Encoding:\tchunked", "Content-Length: 4"),
    "a space before the colon": ("Content-Length : 4",),
    "a folded header": ("X-Folded: a", " Content-Length: 4"),
    "a line break in a header": ("X-Bare: a\nContent-Length: 4",),
    "a return in a header": ("X-Bare: a\rContent-Length: 4",),
    "NUL in a header": ("X-Nul: a\0b",),
    "no colon": ("Content-Length 4",),
    "a name that is none": ("Content(Length): 4",),
}


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("api", APIS, ids=lambda api: api.name)
@pytest.mark.parametrize("headers", HEADS.values(), ids=HEADS)
def test_an_ambiguous_head_is_a_400_and_ends_the_connection(proxy: Proxy, api: Api, headers: tuple[str, ...]) -> None:
    with connected(proxy) as connection:
        connection.send(head(api.path, *headers) + b"0\r\n\r\n" + SMUGGLED)
        check_error(connection.answer(), api, 400)
        assert connection.is_closed()


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
        b"GET /v1/models\r\n\r\n",  # HTTP/0.9
        b"GET /v1/models HTTP/9.9\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /v1/ models HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /v1/\0models HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"get /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\0" * 100,
    ],
)
def test_what_is_no_request_is_a_400(proxy: Proxy, data: bytes) -> None:
    with connected(proxy) as connection:
        connection.send(data)
        check_error(connection.answer(), CHAT, 400)
        assert connection.is_closed()


@pytest.mark.usefixtures("untouched")
@every_api
@pytest.mark.parametrize(
    "data",
    [
        b"xyz\r\n{}\r\n0\r\n\r\n",
        b"-2\r\n{}\r\n0\r\n\r\n",
        b"ffffffffffffffffff\r\n{}\r\n0\r\n\r\n",
        b"2\r\n{}}}}\r\n0\r\n\r\n",
        b"2\n{}\r\n0\r\n\r\n",
        b"2 \r\n{}\r\n0\r\n\r\n",
        b"0x2\r\n{}\r\n0\r\n\r\n",
        b"2\r{}\r\n0\r\n\r\n",
    ],
)
def test_chunks_that_are_malformed_are_a_400(proxy: Proxy, api: Api, data: bytes) -> None:
    with connected(proxy) as connection:
        connection.send(head(api.path, "Transfer-Encoding: chunked") + data)
        check_error(connection.answer(), api, 400)
        assert connection.is_closed()


# --- What is, though unusual ---


@every_api
def test_a_body_in_chunks_of_one_byte_is_read(proxy: Proxy, api: Api) -> None:
    data = body(api)
    with connected(proxy) as connection:
        connection.send(head(api.path, "Transfer-Encoding: chunked") + chunks(*(bytes([one]) for one in data)))
        assert connection.answer().status == 200


def test_trailers_do_not_become_headers(proxy: Proxy) -> None:
    """A Host or a key in them would be one that the guard has not seen."""
    trailers = b"0\r\nHost: evil.example\r\nContent-Encoding: gzip\r\n\r\n"
    with connected(proxy) as connection:
        connection.send(head(CHAT.path, "Transfer-Encoding: chunked") + chunks(body(), end=trailers))
        assert connection.answer().status == 200


def test_chunk_extensions_say_nothing(proxy: Proxy) -> None:
    data = body()
    with connected(proxy) as connection:
        connection.send(
            head(CHAT.path, "Transfer-Encoding: chunked") + b'%x;a="b"\r\n%b\r\n0\r\n\r\n' % (len(data), data)
        )
        assert connection.answer().status == 200


def test_pipelined_requests_are_answered_in_their_order(proxy: Proxy) -> None:
    with connected(proxy) as connection:
        connection.send(post(CHAT.path, body()) + GET + post("/v1/nothing", b"{}") + GET)
        assert [connection.answer().status for _ in range(4)] == [200, 200, 404, 200]


def test_what_follows_a_refused_request_is_not_taken_for_another(proxy: Proxy) -> None:
    """The body of a request that the guard refuses holds a request, which must stay a body."""
    before = asked(proxy)
    inner = post(CHAT.path, body())
    with connected(proxy) as connection:
        connection.send(post(CHAT.path, inner, "Origin: https://evil.example") + GET)
        assert [connection.answer().status for _ in range(2)] == [403, 200]
    assert asked(proxy) == before


def test_garbage_behind_a_request_does_not_get_into_its_answer(proxy: Proxy) -> None:
    with connected(proxy) as connection:
        connection.send(post(CHAT.path, body(stream=True, prompt='@@{"text": ["a", "b"], "delay": 0.2}@@')))
        time.sleep(0.1)  # the answer has begun
        connection.send(b"\0garbage\r\n\r\n")
        assert connection.rest().count(b"HTTP/1.1 ") <= 1


def test_nor_does_garbage_behind_one_that_waits(proxy: Proxy) -> None:
    with connected(proxy) as connection:
        connection.send(post(CHAT.path, body(stream=True, prompt='@@{"text": ["a", "b"], "delay": 0.2}@@')))
        assert connection.begins()
        connection.send(GET + b"\0garbage\r\n\r\n")
        assert connection.rest().count(b"HTTP/1.1 ") == 1


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    "headers",
    [
        b"",
        b"Host:\r\n",
        b"Host: \r\n",
        b"Host: localhost\r\nHost: localhost\r\n",
        b"Host: localhost\r\nhost: evil.example\r\n",
        b"Host: localhost\r\nHOST:\r\n",
    ],
)
@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_there_must_be_one_host(proxy: Proxy, headers: bytes, version: bytes) -> None:
    data = body()
    common = b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(data)
    with connected(proxy) as connection:
        connection.send(b"POST /v1/chat/completions HTTP/" + version + b"\r\n" + headers + common + b"\r\n" + data)
        assert connection.answer().status == 400


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("target", "host"),
    [
        ("http://localhost/v1/chat/completions", "evil.example"),
        ("http://evil.example/v1/chat/completions", "evil.example"),
        ("/v1/chat/completions", "localhost, evil.example"),
        ("/v1/chat/completions", "evil.example#localhost"),
        ("/v1/chat/completions", "evil.example:80@localhost"),
        ("/v1/chat/completions", "localhost\u00a0"),
    ],
)
def test_the_host_is_that_of_the_header_whatever_the_target_says(proxy: Proxy, target: str, host: str) -> None:
    data = body()
    with connected(proxy) as connection:
        connection.send(
            f"POST {target} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(data)}\r\n\r\n".encode("latin-1")
            + data
        )
        assert connection.answer().status == 403


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("header", ["Content-Type: text/plain", "Origin: https://evil.example", "Origin: null"])
def test_a_second_header_that_would_be_refused_alone_is_not_overlooked(proxy: Proxy, header: str) -> None:
    with connected(proxy) as connection:
        connection.send(post(CHAT.path, body(), header))
        assert connection.answer().status in (403, 415)


def test_of_two_keys_the_first_counts_and_a_list_is_none() -> None:
    with running_proxy(api_keys=("the-right-key",)) as proxy:
        for headers, status in (
            (("X-Api-Key: wrong", "X-Api-Key: the-right-key"), 401),
            (("X-Api-Key: wrong, the-right-key",), 401),
            (("Authorization: Bearer wrong", "X-Api-Key: the-right-key"), 401),
            (("X-Api-Key: the-right-key", "X-Api-Key: wrong"), 200),
        ):
            with connected(proxy) as connection:
                connection.send(post(CHAT.path, body(), *headers))
                assert connection.answer().status == status, headers


@pytest.mark.parametrize("protocol", ["h2c", "WebSocket, h2c"])
@pytest.mark.parametrize("pause", [0, 0.1], ids=["at once", "body apart"])
@pytest.mark.parametrize("chunked", [False, True])
def test_an_upgrade_to_what_is_not_spoken_is_as_none(proxy: Proxy, protocol: str, pause: float, chunked: bool) -> None:
    """So ask Java's HttpClient, and `curl --http2`, which post all the same."""
    data = body()
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(data)}"
    upgrade = ("Connection: Upgrade, HTTP2-Settings", f"Upgrade: {protocol}", "HTTP2-Settings: AAMAAABkAAQAAP__")
    with connected(proxy) as connection:
        for _ in range(2):
            connection.send(head(CHAT.path, *upgrade, length))
            time.sleep(pause)
            connection.send((chunks(data) if chunked else data) + GET)
            assert "choices" in connection.answer().json
            assert connection.answer().json == {"status": "ok"}


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("protocol", ["h2c", "websocket", "WebSocket, h2c"])
@pytest.mark.parametrize("pause", [0, 0.1], ids=["at once", "body apart"])
def test_an_upgrade_of_a_post_smuggles_nothing(proxy: Proxy, protocol: str, pause: float) -> None:
    data = post(CHAT.path, body())
    upgrade = ("Connection: Upgrade", f"Upgrade: {protocol}", "Sec-WebSocket-Version: 13")
    with connected(proxy) as connection:
        connection.send(head("/v1/responses", *upgrade, f"Content-Length: {len(data)}"))
        time.sleep(pause)
        connection.send(data + GET)
        assert connection.answer().status == 400
        if protocol == "websocket":
            assert connection.is_closed()
        else:
            assert connection.answer().json == {"status": "ok"}


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("more", [b"", b"Connection: Upgrade\r\nUpgrade: h2c\r\n"])
@pytest.mark.parametrize("target", [b"localhost", b"evil.example:443"])
def test_a_tunnel_is_refused(proxy: Proxy, target: bytes, more: bytes) -> None:
    with connected(proxy) as connection:
        connection.send(b"CONNECT %b HTTP/1.1\r\nHost: localhost\r\n%b\r\n" % (target, more) + post(CHAT.path, body()))
        assert connection.answer().status == 400
        assert connection.is_closed()


HANDSHAKE = (
    b"GET /v1/responses HTTP/1.1\r\n%bConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%b\r\n"
)


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("host", "more", "status"),
    [
        (b"Host: localhost\r\n", b"", 101),
        (b"Host: evil.example\r\n", b"", 403),
        (b"Host: evil.example\r\n", b"Origin: http://evil.example\r\n", 403),
        (b"Host: localhost\r\n", b"Origin: http://evil.example\r\n", 403),
        (b"Host: localhost\r\n", b"Origin: null\r\n", 403),
        (b"Host: localhost\r\n", b"Origin: http://localhost\r\nOrigin: http://evil.example\r\n", 400),
        (b"", b"", 400),
        (b"Host: localhost\r\nHost: localhost\r\n", b"", 400),
    ],
)
def test_the_guard_of_a_websocket(proxy: Proxy, host: bytes, more: bytes, status: int) -> None:
    with connected(proxy) as connection:
        connection.send(HANDSHAKE % (host, more))
        assert connection.answer().status == status


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("before", [b"", GET], ids=["", "one that waits"])
def test_a_websocket_behind_an_answer_that_is_not_out_ends_the_connection_after_it(
    proxy: Proxy, before: bytes, waits: bool
) -> None:
    handshake = HANDSHAKE % (b"Host: localhost\r\n", b"")
    stream = post(CHAT.path, body(stream=True, prompt='@@{"text": ["a", "b"], "delay": 0.2}@@'))
    with connected(proxy) as connection:
        if waits:
            connection.send(stream)
            assert connection.begins()
            connection.send(before + handshake)
        else:
            connection.send(stream + before + handshake)
        answer, _, rest = connection.rest().partition(b"data: [DONE]\n\n\r\n0\r\n\r\n")
        assert answer.count(b"HTTP/1.1 ") == 1
        assert rest.count(b"HTTP/1.1 200 ") == rest.count(b"HTTP/1.1 ") == bool(before)


# --- Heads without end ---


@pytest.mark.usefixtures("untouched")
@every_api
@pytest.mark.parametrize("step", [1000, 10**6], ids=["piece by piece", "at once"])
@pytest.mark.parametrize("shape", ["one header", "many headers", "a long address"])
def test_a_head_beyond_its_limit_is_a_413(proxy: Proxy, api: Api, step: int, shape: str) -> None:
    fill = HEAD_LIMIT + 1000
    if shape == "a long address":
        data = head(f"{api.path}?{'x' * fill}")
    elif shape == "one header":
        data = head(api.path, f"X-Long: {'x' * fill}")
    else:
        data = head(api.path, *(f"X-{number}: x" for number in range(fill // 8)))
    with connected(proxy) as connection:
        for start in range(0, len(data), step):
            connection.send(data[start : start + step])
        check_error(connection.answer(), api, 413)
        assert connection.is_closed()


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("end", [b"0\r\nX-Trailer: ", b"1;x="], ids=["trailer", "chunk extension"])
@pytest.mark.parametrize("is_answered", [False, True])
def test_what_is_neither_head_nor_body_has_the_same_limit(proxy: Proxy, end: bytes, is_answered: bool) -> None:
    """The parser keeps a trailer in memory until it is whole."""
    more = ["Origin: https://evil.example"] if is_answered else []
    with connected(proxy) as connection:
        connection.send(head(CHAT.path, "Transfer-Encoding: chunked", *more) + b"2\r\n{}\r\n" + end)
        if is_answered:
            assert connection.answer().status == 403
        for _ in range(8):
            connection.send(b"x" * 16 * 1024)
            time.sleep(0.02)
        check_error(connection.answer(), CHAT, 413)
        assert connection.is_closed()


def test_a_head_within_its_limit_is_read(proxy: Proxy) -> None:
    with connected(proxy) as connection:
        for _ in range(3):  # each head is counted for itself
            connection.send(post(CHAT.path, body(), f"X-Long: {'x' * (HEAD_LIMIT - 1000)}"))
            assert connection.answer().status == 200


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("start", [b"", b"G", b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nX-Slow: "])
def test_a_head_that_does_not_come_is_a_408(proxy: Proxy, start: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_SECONDS", 0.2)
    with connected(proxy) as connection:
        connection.send(start)
        check_error(connection.answer(), MESSAGES if b"messages" in start else CHAT, 408)
        assert connection.is_closed()


@pytest.mark.usefixtures("untouched")
def test_a_head_that_trickles_is_a_408(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_SECONDS", 0.3)
    with connected(proxy) as connection:
        connection.send(b"GET /v1/models HTTP/1.1\r\n")
        for number in range(8):
            connection.send(b"X-%d: x\r\n" % number)
            time.sleep(0.05)
        check_error(connection.answer(), CHAT, 408)


def test_a_second_head_has_its_own_time(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_SECONDS", 0.3)
    with connected(proxy) as connection:
        connection.send(GET)
        assert connection.answer().status == 200
        time.sleep(0.4)  # an idle connection is kept
        connection.send(GET)
        assert connection.answer().status == 200
        connection.send(GET[:10])
        check_error(connection.answer(), CHAT, 408)


# --- Slow bodies ---


@pytest.mark.usefixtures("untouched")
@every_api
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_does_not_come_is_a_408(
    proxy: Proxy, api: Api, chunked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body_module, "IDLE", 0.2)
    with connected(proxy) as connection:
        if chunked:
            connection.send(head(api.path, "Transfer-Encoding: chunked") + b'9\r\n{"model')
        else:
            connection.send(head(api.path, "Content-Length: 100") + b'{"model')
        check_error(connection.answer(), api, 408)


def test_a_slow_body_that_goes_on_coming_is_read(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_module, "IDLE", 0.5)
    data = body()
    with connected(proxy) as connection:
        connection.send(head(CHAT.path, f"Content-Length: {len(data)}"))
        for start in range(0, len(data), 12):
            connection.send(data[start : start + 12])
            time.sleep(0.06)
        assert connection.answer().status == 200


# --- What follows an answer ---


REFUSED = b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n"


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("asked", "status", "more"),
    [
        (GET, 200, b"\r\n"),
        (REFUSED + b"Content-Length: 1000\r\n\r\n", 415, b"\r\n"),
        (REFUSED + b"Content-Length: 1000\r\n\r\n", 415, b"x" * 1000),
        (REFUSED + b"Transfer-Encoding: chunked\r\n\r\n", 415, b"1\r\nx"),
    ],
)
def test_what_begins_no_request_does_not_keep_the_connection(
    asked: bytes, status: int, more: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "KEEP_ALIVE", 0.5)
    with running_proxy() as proxy, connected(proxy) as connection:
        connection.send(asked)
        assert connection.answer().status == status
        connection.send(more)
        assert connection.is_closed()


def test_a_request_that_began_before_an_answer_was_out_has_all_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "KEEP_ALIVE", 0.1)
    with running_proxy() as proxy, connected(proxy) as connection:
        second = post(CHAT.path, body(prompt='@@{"text": ["a", "b"], "delay": 0.5}@@'))
        connection.send(GET + second[:20])
        assert connection.answer().status == 200
        time.sleep(0.2)
        connection.send(second[20:])
        assert connection.answer().status == 200


def test_the_rest_of_a_refused_body_is_read_so_that_its_client_sees_the_refusal() -> None:
    with running_proxy(body_limit=100_000) as proxy, connected(proxy) as connection:
        connection.send(REFUSED + b"Content-Length: 300000\r\n\r\n")
        assert connection.answer().status == 415
        connection.send(b"x" * 300_000 + GET)
        assert connection.answer().status == 200


def test_a_refused_body_that_is_larger_than_any_may_be_has_a_moment_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "REST_SECONDS", 0.3)
    with running_proxy(body_limit=100_000) as proxy, connected(proxy) as connection:
        connection.send(REFUSED + b"Transfer-Encoding: chunked\r\n\r\n")
        assert connection.answer().status == 415
        connection.send(chunks(b"x" * 100_001, end=b""))
        assert connection.is_closed()


def test_slow_clients_cost_the_others_nothing(proxy: Proxy) -> None:
    with connected(proxy) as slow, connected(proxy) as slower, connected(proxy) as quick:
        slow.send(head(CHAT.path, "Content-Length: 100") + b"{")
        slower.send(b"POST /v1/chat")
        quick.send(post(CHAT.path, body()))
        assert quick.answer().status == 200
