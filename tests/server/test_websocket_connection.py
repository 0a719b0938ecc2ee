"""The connection of a WebSocket: who may open one, its limits, who leaves, and how it ends."""

import contextlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from augment_open_proxy.server import websocket
from augment_open_proxy.simulator import Pause, Send, Step
from tests.server.test_http import raw
from tests.server.test_process import running, url_in
from tests.servers import Proxy, running_proxy
from tests.sockets import MODEL, Socket, opened, text, ws_url

END = b'{"stop_reason":1}\n'
HANDSHAKE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with running_proxy(store="memory") as running:
        yield running


def refused(proxy: Proxy, path: str = "/v1/responses", **headers: str) -> tuple[int, Any]:
    """Status and body of a handshake that is refused."""
    with pytest.raises(InvalidStatus) as caught:
        connect(ws_url(proxy, path), additional_headers=headers, proxy=None)
    response = caught.value.response
    return response.status_code, json.loads(response.body or b"null")


def closed(client: Socket) -> tuple[int, str]:
    """Code and reason with which the proxy closes."""
    with pytest.raises(ConnectionClosed) as caught:
        client.receive()
    assert caught.value.rcvd is not None
    return caught.value.rcvd.code, caught.value.rcvd.reason


def busy(proxy: Proxy, client: Socket, *rest: Step | bytes) -> None:
    """The client reads a response whose backend has begun, and goes on as `rest` says."""
    proxy.call(lambda: proxy.simulator.script([b'{"text":"Hm, "}\n', *rest]))
    client.send()
    while client.receive()["type"] != "response.output_text.delta":
        pass


# ---------------------------------------------------------------- handshake


@pytest.mark.parametrize("path", ["/v1/responses", "/responses", "/v1/responses/", "/v1/responses?x=1"])
def test_it_is_opened_at_the_paths_of_responses(proxy: Proxy, path: str) -> None:
    with opened(proxy, path) as client:
        assert client.ask()["status"] == "completed"
        proxy.wait_for(lambda: len(proxy.lines) == 1)
        assert f" WS {path.partition('?')[0]} 200 " in proxy.lines[-1]


def test_codex_s_headers_are_taken(proxy: Proxy) -> None:
    headers = {"openai-beta": "responses_websockets=2026-02-06", "session_id": "s", "authorization": "Bearer any"}
    with opened(proxy, additional_headers=headers) as client:
        client.ask("One.")
        client.ask("Two.")
    assert len({received.headers["conversation-id"] for received in proxy.simulator.requests}) == 1


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
def test_the_guard_is_that_of_http(proxy: Proxy, headers: dict[str, str], status: int) -> None:
    request = "".join(f"{name}: {value}\r\n" for name, value in {"Host": "localhost", **headers}.items())
    answer = exchange(proxy, f"GET /v1/responses HTTP/1.1\r\n{request}{HANDSHAKE}\r\n".encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"content-type: application/json" in head.lower()
    assert b"x-request-id: req-" in head.lower()
    assert json.loads(body)["error"]["type"] == "permission_error"
    proxy.wait_for(lambda: len(proxy.lines) == 1)
    assert f" WARN GET /v1/responses {status} " in proxy.lines[-1]


def test_an_origin_of_its_own_is_taken(proxy: Proxy) -> None:
    with opened(proxy, origin=proxy.url) as client:
        assert client.ask()["status"] == "completed"


def test_elsewhere_there_is_none(proxy: Proxy) -> None:
    for path in ("/v1/chat/completions", "/v1/models", "/v1/responses/resp_1", "/"):
        status, body = refused(proxy, path)
        assert status == 426
        assert body["error"]["code"] == "websocket_unsupported"
    status, body = refused(proxy, "/v1/nothing")
    assert (status, body["error"]["code"]) == (404, "not_found")


def test_what_is_no_handshake_gets_an_answer(proxy: Proxy) -> None:
    get = b"GET /v1/responses HTTP/1.1\r\nHost: localhost\r\n"
    assert b" 405 " in raw(proxy, get + b"\r\n")
    assert b" 426 " in raw(proxy, get + b"Upgrade: websocket\r\n\r\n")
    assert b" 400 " in raw(proxy, get + HANDSHAKE.encode().replace(b"Version: 13", b"Version: 7") + b"\r\n")
    assert b" 400 " in raw(proxy, get + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    assert b" 400 " in raw(proxy, get.replace(b"GET", b"POST") + HANDSHAKE.encode() + b"content-length: 0\r\n\r\n")
    assert b" 400 " in raw(proxy, get + b"x: y\r\n" * 200 + HANDSHAKE.encode() + b"\r\n")
    with opened(proxy) as client:
        client.ask()


def test_the_library_is_imported_at_the_first_upgrade() -> None:
    code = "import sys, augment_open_proxy.server.run; sys.exit('websockets' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=20).returncode == 0


def exchange(proxy: Proxy, data: bytes) -> bytes:
    """All that is answered to raw bytes."""
    host, _, port = proxy.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(data)
        return b"".join(iter(lambda: connection.recv(65536), b""))


# ------------------------------------------------------------------- limits


def test_a_message_beyond_the_limit_is_told_and_ends_the_connection() -> None:
    with running_proxy(store="memory", body_limit=100_000) as proxy:
        with opened(proxy) as client:
            assert client.ask("x" * 99_000)["status"] == "completed"
            client.send("x" * 8_000_000)
            error = client.error()
            assert (error["status"], error["error"]["code"]) == (413, "request_too_large")
            assert closed(client)[0] == 1009
        proxy.wait_for(lambda: len(proxy.lines) == 2)
        assert " WARN WS /v1/responses 413 " in proxy.lines[-1]
        assert "AOP_BODY_LIMIT" in proxy.lines[-1]


def test_the_limit_is_of_the_message_and_not_of_its_pieces() -> None:
    with running_proxy(store="memory", body_limit=100_000) as proxy, opened(proxy) as client:
        client.connection.send(["x" * 1000] * 101)
        assert client.error()["status"] == 413
        assert closed(client)[0] == 1009


def test_nothing_is_compressed(proxy: Proxy) -> None:
    """A small message could be a large one."""
    with connect(ws_url(proxy), proxy=None, compression="deflate") as connection:
        assert connection.protocol.extensions == []


def test_what_a_connection_remembers_is_limited() -> None:
    with running_proxy(store="memory", body_limit=100_000) as proxy, opened(proxy) as client:
        first = client.ask("x" * 60_000)
        second = client.ask("x" * 60_000, previous_response_id=first["id"])
        assert client.refused(previous_response_id=second["id"])["error"]["code"] == "previous_response_not_found"


def test_a_connection_that_is_too_old_takes_nothing_new(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "LIFETIME", 0.5)
    with opened(proxy) as client:
        busy(proxy, client, Pause(1.5), Send(b'{"text":"well."}\n'), Send(END))
        time.sleep(0.7)
        client.send(stream_id="a")
        for lane in ("a", None):
            error = client.error()
            assert error.get("stream_id") == lane
            assert (error["status"], error["error"]["code"]) == (400, "websocket_connection_limit_reached")
            if lane is not None:
                assert text(client.response()[-1]["response"]) == "Hm, well.", "what is in flight is told to its end"
        assert closed(client)[0] == 1001


def test_too_old_and_idle(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "LIFETIME", 0.1)
    with opened(proxy) as client:
        assert client.error()["error"]["code"] == "websocket_connection_limit_reached"
        assert closed(client)[0] == 1001


def test_messages_that_come_too_fast_wait(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "MOST_HELD", 2)
    with opened(proxy) as client:
        for _ in range(20):
            client.send()
        for _ in range(20):
            assert client.response()[-1]["type"] == "response.completed"


# ------------------------------------------------------------------ leaving


@pytest.mark.parametrize("cleanly", [True, False])
def test_a_client_that_leaves_cancels_the_backend_s_call(proxy: Proxy, cleanly: bool) -> None:
    with opened(proxy) as client:
        busy(proxy, client, Pause(20), Send(END))
        client.send()
        if cleanly:
            client.connection.close()
        else:
            client.connection.socket.shutdown(socket.SHUT_RDWR)
        proxy.wait_for(lambda: proxy.simulator.closed_early == 1, seconds=1)
    proxy.wait_for(lambda: len(proxy.lines) == 1)
    assert " WS /v1/responses 200 " in proxy.lines[0]
    assert "the client left" in proxy.lines[0]
    proxy.wait_for(lambda: proxy.simulator.open_calls == 0)
    assert len(proxy.simulator.requests) == 1, "what waited is not begun"


def test_a_client_that_leaves_before_the_first_event_has_a_499(proxy: Proxy) -> None:
    with opened(proxy) as client:
        client.send('@@{"scenario": "hang"}@@')
        proxy.wait_for(lambda: proxy.simulator.open_calls == 1)
    proxy.wait_for(lambda: proxy.simulator.closed_early == 1, seconds=1)
    proxy.wait_for(lambda: len(proxy.lines) == 1)
    assert " WS /v1/responses 499 " in proxy.lines[0]


def test_a_client_that_reads_slowly_holds_the_backend_back(proxy: Proxy) -> None:
    piece = b'{"text":"' + b"x" * 65536 + b'"}\n'
    with opened(proxy, max_queue=1) as client:
        proxy.call(lambda: proxy.simulator.script([*[piece] * 300, END]))
        client.send()
        time.sleep(1.5)
        assert proxy.call(lambda: proxy.simulator.open_calls) == 1, "20 MB are not read ahead"
        events = client.response()
        assert len(text(events[-1]["response"])) == 300 * 65536
    proxy.wait_for(lambda: proxy.simulator.open_calls == 0)


# ------------------------------------------------------------------ the end


@contextlib.contextmanager
def process(proxy: Proxy, tmp_path: Path, grace: int) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A proxy that can be stopped, on the simulator of `proxy`, and the URL of its WebSocket."""
    backend = {"AUGMENT_API_TOKEN": proxy.simulator.token, "AUGMENT_API_URL": proxy.simulator.url}
    with running(tmp_path, "--port", "0", AOP_SHUTDOWN_GRACE_MS=str(grace), **backend) as (started, banner):
        yield started, url_in(banner).replace("http://", "ws://") + "/v1/responses"


def test_replies_are_told_to_their_end_when_the_proxy_is_stopped(proxy: Proxy, tmp_path: Path) -> None:
    with (
        process(proxy, tmp_path, 10_000) as (started, url),
        connect(url, proxy=None) as resting,
        connect(url, proxy=None) as connection,
    ):
        idle, client = Socket(resting), Socket(connection)
        busy(proxy, client, Pause(1), Send(b'{"text":"well."}\n'), Send(END))
        client.send()
        started.terminate()
        assert idle.error()["status"] == 503
        assert closed(idle)[0] == 1012
        assert text(client.response()[-1]["response"]) == "Hm, well."
        waiting = client.error()
        assert (waiting["status"], waiting["error"]["code"]) == (503, "server_error")
        assert "being stopped" in client.error()["error"]["message"]
        assert closed(client)[0] == 1012
        assert started.wait(10) == 0


def test_replies_that_take_too_long_then_are_cut_off(proxy: Proxy, tmp_path: Path) -> None:
    with process(proxy, tmp_path, 200) as (started, url), connect(url, proxy=None) as connection:
        client = Socket(connection)
        busy(proxy, client, Pause(20), Send(END))
        started.terminate()
        events = client.response()
        assert events[-1]["type"] == "response.failed"
        assert "being stopped" in events[-1]["response"]["error"]["message"]
        assert client.error()["status"] == 503
        assert closed(client)[0] == 1012
        assert started.wait(10) == 0


def test_http_goes_on_beside_it(proxy: Proxy) -> None:
    with opened(proxy) as client:
        busy(proxy, client, Pause(0.3), Send(END))
        body = {"model": MODEL, "input": "Hi."}
        assert httpx.post(f"{proxy.base_url}/responses", json=body, timeout=20).status_code == 200
        assert client.response()[-1]["type"] == "response.completed"
