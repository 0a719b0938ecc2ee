"""How the proxy stops: replies in flight end, or are told that they don't; and how it tells orchestrators its state."""

import asyncio
import json
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from augment_open_proxy.journal.log import Log
from augment_open_proxy.server import http_protocol, run
from augment_open_proxy.server.assembly import open_app
from augment_open_proxy.settings import Settings
from augment_open_proxy.simulator import Send, Step
from tests.asking import APIS, CHAT, Api, ask, every_api, read, request, streamed_and_whole
from tests.server.test_process import running, url_in
from tests.servers import Proxy, running_proxy

SLOW = json.dumps({"scenario": "slow", "seconds": 0.1, "text": ["one ", "two ", "three ", "four ", "five"]})
STOPPED = "The proxy is being stopped"
both_signals = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])


class Streaming:
    """A stream whose beginning has come; `rest` reads it to its end."""

    def __init__(self, url: str, api: Api, prompt: str, model: str = "claude-sonnet-4-5") -> None:
        self._api = api
        self._client = httpx.Client(timeout=20)
        body = request(api, model, True, prompt)
        self._stream = self._client.stream("POST", url + api.path, json=body)
        self._answer = self._stream.__enter__()
        self._lines = self._answer.iter_lines()
        self._seen: list[str] = []
        while not self._has_content():
            self._seen.append(next(self._lines))

    def _has_content(self) -> bool:
        return any(self._api.delta(json.loads(line[6:])) for line in self._seen if line.startswith("data: {"))

    def rest(self) -> Any:
        self._seen += self._lines
        self._stream.__exit__(None, None, None)
        self._client.close()
        return read(self._api, self._answer.status_code, self._answer.headers, "\n".join(self._seen))


def finished(process: "subprocess.Popen[str]") -> tuple[str, str]:
    """Its output and errors, once it has ended well."""
    output, errors = process.communicate(timeout=10)
    assert process.returncode == 0, errors
    return output, errors


@contextmanager
def demo(tmp_path: Path, grace_ms: int = 30_000, port: int = 0) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    with running(tmp_path, "demo", "--port", str(port), "--shutdown-grace-ms", str(grace_ms)) as (process, banner):
        yield process, url_in(banner)


# --- The first signal ---


@both_signals
def test_replies_in_flight_end_well(tmp_path: Path, number: int) -> None:
    with demo(tmp_path) as (process, url):
        streams = [Streaming(url, api, f"@@{SLOW}@@") for api in APIS]
        process.send_signal(number)
        for stream in streams:
            answer = stream.rest()
            assert (answer.text, answer.error) == ("one two three four five", None)
        output, errors = finished(process)
        assert errors == ""
        assert output.count(" 200 ") == 3


def test_a_whole_reply_in_flight_ends_well(tmp_path: Path) -> None:
    with demo(tmp_path) as (process, url):
        answers: list[httpx.Response] = []

        def post() -> None:
            body = request(CHAT, "claude-sonnet-4-5", False, f"@@{SLOW}@@")
            answers.append(httpx.post(url + CHAT.path, json=body, timeout=20))

        thread = threading.Thread(target=post)
        thread.start()
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        thread.join(10)
        assert answers[0].json()["choices"][0]["message"]["content"] == "one two three four five"
        finished(process)


def test_nothing_new_is_accepted(tmp_path: Path) -> None:
    with demo(tmp_path) as (process, url):
        stream = Streaming(url, CHAT, f"@@{SLOW}@@")
        process.send_signal(signal.SIGTERM)
        time.sleep(0.25)
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{url}/livez")
        assert stream.rest().error is None
        finished(process)


def test_an_idle_proxy_ends_at_once(tmp_path: Path) -> None:
    with demo(tmp_path) as (process, url), httpx.Client(base_url=url) as client:
        assert client.get("/").status_code == 200, "the connection stays open"
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        finished(process)
        assert time.monotonic() - started < 3


def is_refused(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, timeout=5).close()
    except ConnectionError:
        return True
    return False


def address_of(proxy: Proxy) -> tuple[str, int]:
    host, _, port = proxy.url.removeprefix("http://").partition(":")
    return host, int(port)


@pytest.mark.parametrize("sent_before", [0, 10], ids=["nothing of its head", "a part of its head"])
def test_a_connection_that_was_just_opened_has_its_request_answered(
    monkeypatch: pytest.MonkeyPatch, sent_before: int
) -> None:
    monkeypatch.setattr(http_protocol, "LAST_HEAD_SECONDS", 10)
    head = b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n"
    with running_proxy() as proxy, socket.create_connection(address_of(proxy), timeout=10) as connection:
        connection.sendall(head[:sent_before])
        proxy.stop()
        proxy.wait_for(lambda: is_refused(address_of(proxy)))
        connection.sendall(head[sent_before:])
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"\r\nconnection: close\r\n" in answer


def test_what_arrives_on_an_idle_connection_as_it_stops_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "READ_FIRST", 2)
    head = b"GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n"
    with running_proxy() as proxy, socket.create_connection(address_of(proxy), timeout=10) as connection:
        connection.sendall(head)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
        proxy.stop()
        proxy.wait_for(lambda: httpx.get(f"{proxy.url}/readyz", timeout=5).status_code == 503)
        connection.sendall(head)
        assert connection.recv(65536).startswith(b"HTTP/1.1 503 "), "it is not reset"


def test_a_connection_that_asks_nothing_keeps_nobody_waiting() -> None:
    with running_proxy() as proxy, socket.create_connection(address_of(proxy), timeout=10) as connection:
        started = time.monotonic()
        proxy.stop()
        assert connection.recv(1) == b""
        assert time.monotonic() - started < 3


# --- When the grace is over, or a second signal comes ---


def test_what_goes_on_longer_is_told_in_each_api_s_way(tmp_path: Path) -> None:
    with demo(tmp_path, grace_ms=300) as (process, url):
        streams = [Streaming(url, api, "Hi.", "claude-sim-stall") for api in APIS]
        process.send_signal(signal.SIGTERM)
        for stream in streams:
            answer = stream.rest()
            assert answer.text
            assert STOPPED in (answer.error or "")
            assert "[DONE]" not in answer.raw
        output, errors = finished(process)
        assert errors == ""
        assert output.count(STOPPED) == 3


@both_signals
def test_a_second_signal_cuts_off_at_once(tmp_path: Path, number: int) -> None:
    with demo(tmp_path) as (process, url):
        streams = [Streaming(url, api, "Hi.", "claude-sim-stall") for api in APIS]
        process.send_signal(number)
        time.sleep(0.3)
        assert process.poll() is None
        started = time.monotonic()
        process.send_signal(number)
        assert all(STOPPED in stream.rest().error for stream in streams)
        finished(process)
        assert time.monotonic() - started < 3


@every_api
@streamed_and_whole
def test_what_has_not_begun_is_an_error_with_a_status(tmp_path: Path, api: Api, stream: bool) -> None:
    with running_proxy(shutdown_grace=0.1, max_concurrency=1) as proxy:
        answers: list[Any] = []
        threads = [
            threading.Thread(target=lambda: answers.append(ask(proxy, api, "claude-sim-hang", stream)))
            for _ in range(2)  # one waits for the backend, the other for its place
        ]
        for thread in threads:
            thread.start()
        proxy.wait_for(lambda: proxy.simulator.open_calls == 1)
        time.sleep(0.2)
    for thread in threads:
        thread.join(10)
    assert [answer.status for answer in answers] == [api.overloaded] * 2
    assert all(STOPPED in answer.error for answer in answers)


def test_a_client_that_does_not_even_read_that_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "LAST_WORDS", 0.3)
    with socket.socket() as connection:
        with running_proxy(shutdown_grace=None) as proxy:
            lines: list[Step] = [Send(b'{"text":"' + b"x" * 60_000 + b'"}\n')] * 400
            proxy.call(partial(proxy.simulator.script, lines))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(address_of(proxy))
            body = json.dumps(request(CHAT, "claude-sonnet-4-5", True)).encode()
            connection.sendall(
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
            )
            proxy.wait_for(lambda: proxy.simulator.open_calls == 1)
            proxy.hurry()
            started = time.monotonic()
        assert time.monotonic() - started < 3
        assert STOPPED in proxy.lines[0]


# --- Again ---


def test_the_same_port_serves_again_at_once(tmp_path: Path) -> None:
    """Connections that the server has closed linger in TIME_WAIT."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for _ in range(3):
        with demo(tmp_path, port=port) as (process, url):
            assert url.endswith(f":{port}")
            stream = Streaming(url, CHAT, f"@@{SLOW}@@")
            process.send_signal(signal.SIGTERM)
            assert stream.rest().error is None
            finished(process)


# --- Probes ---


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
@pytest.mark.parametrize("headers", [{}, {"Host": "10.1.2.3:7888"}, {"Host": "proxy.example"}, {"Authorization": "no"}])
def test_probes_are_answered_under_any_host_and_without_a_key(path: str, headers: dict[str, str]) -> None:
    with running_proxy() as proxy:
        answer = httpx.get(proxy.url + path, headers=headers)
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
        assert answer.headers["cache-control"] == "no-store"
        assert httpx.head(proxy.url + path, headers=headers).status_code == 200
        assert httpx.get(proxy.url, headers={"Host": "proxy.example"}).status_code == 403, "and nothing else is"


def test_without_credentials_it_lives_and_is_not_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with running_proxy(augment_api_token=None, augment_api_url=None) as proxy:
        assert httpx.get(proxy.url + "/livez").status_code == 200
        answer = httpx.get(proxy.url + "/readyz")
        assert answer.status_code == 503
        assert "credentials" in answer.json()["reason"]
        session = tmp_path / ".augment" / "session.json"
        session.parent.mkdir()
        session.write_text(json.dumps({"accessToken": "t", "tenantURL": proxy.simulator.url}))
        assert httpx.get(proxy.url + "/readyz").status_code == 200


def test_while_it_stops_it_lives_and_is_not_ready(tmp_path: Path) -> None:
    async def story() -> list[tuple[int, bytes]]:
        settings = Settings(state_dir=tmp_path, augment_api_token="t", augment_api_url="http://localhost:9")
        log = Log("none", "text")
        async with open_app(settings, log, use_cli=False) as (app, _):
            before = await probed(app, "/readyz")
            app.is_draining = True
            return [before, await probed(app, "/readyz"), await probed(app, "/livez")]

    before, draining, living = asyncio.run(story())
    assert before[0] == 200
    assert draining[0] == 503
    assert json.loads(draining[1]) == {"status": "unavailable", "reason": "the proxy is being stopped"}
    assert living[0] == 200


async def probed(app: Any, path: str) -> tuple[int, bytes]:
    """Status and body, without a server in between."""
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {"type": "http", "method": "GET", "path": path, "headers": [], "query_string": b""}
    await app(scope, receive, send)
    return sent[0]["status"], sent[1]["body"]
