"""The way to the backend: TLS with an own authority, HTTP proxies from the environment, kept-alive connections."""

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2 as httpx
import pytest
import trustme

from tests.server.test_http import CHAT, chat
from tests.servers import Proxy, running_proxy


class Forwarder:
    """A TCP server on loopback that forwards to another, under TLS or as an HTTP proxy. `seen` are its first lines."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.target = 0
        self.seen: list[str] = []
        self.port = 0
        self._context = context

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.readline()
        self.seen.append(first.decode().strip())
        to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self.target)
        if first.startswith(b"CONNECT"):
            while await reader.readline() not in (b"\r\n", b""):
                pass
            writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        else:
            to_writer.write(first)
        await asyncio.gather(pipe(reader, to_writer), pipe(to_reader, writer))

    @contextlib.contextmanager
    def running(self) -> Iterator["Forwarder"]:
        started = threading.Event()
        stop: list[Callable[[], object]] = []

        async def serve() -> None:
            stopped = asyncio.Event()
            loop = asyncio.get_running_loop()
            server = await asyncio.start_server(self.handle, "127.0.0.1", 0, ssl=self._context)
            self.port = server.sockets[0].getsockname()[1]
            stop.append(lambda: loop.call_soon_threadsafe(stopped.set))
            started.set()
            await stopped.wait()
            server.close()

        thread = threading.Thread(target=lambda: asyncio.run(serve()))
        thread.start()
        assert started.wait(5)
        try:
            yield self
        finally:
            stop[0]()
            thread.join(5)


async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def tls(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


def ask(proxy: Proxy) -> httpx.Response:
    return httpx.post(proxy.url + CHAT, json=chat(), timeout=20, trust_env=False)


def test_a_backend_with_a_certificate_of_a_named_authority_is_trusted(authority: trustme.CA, tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    with Forwarder(tls(authority, "localhost")).running() as backend:
        url = f"https://localhost:{backend.port}"
        with running_proxy(augment_api_url=url, ca_file=ca_file) as proxy:
            backend.target = port_of(proxy.simulator.url)
            assert ask(proxy).status_code == 200
        with running_proxy(augment_api_url=url) as proxy:
            answer = ask(proxy)
            assert answer.status_code == 502
            assert "AOP_CA_FILE" in answer.json()["error"]["message"]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_environment_s_proxy_is_used_but_not_for_loopback(
    scheme: str, authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The backend's name is known to the HTTP proxy alone, which leads to the simulator."""
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    with (
        Forwarder(tls(authority, "tenant.test")).running() as backend,
        Forwarder().running() as http_proxy,
    ):
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{http_proxy.port}")
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        with running_proxy(augment_api_url=f"{scheme}://tenant.test", ca_file=ca_file) as proxy:
            backend.target = port_of(proxy.simulator.url)
            http_proxy.target = backend.port if scheme == "https" else backend.target
            answer = ask(proxy)
            assert answer.status_code == 200
        expected = "CONNECT tenant.test:443" if scheme == "https" else "POST http://tenant.test/chat-stream"
        assert http_proxy.seen[0].startswith(expected)

        with running_proxy() as proxy:
            assert ask(proxy).status_code == 200
        assert len(http_proxy.seen) == 1, "loopback is never asked of a proxy"


def test_no_proxy_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    with Forwarder().running() as http_proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{http_proxy.port}")
        monkeypatch.setenv("no_proxy", "tenant.invalid")
        with running_proxy(augment_api_url="http://tenant.invalid") as proxy:
            assert "cannot be reached" in ask(proxy).json()["error"]["message"]
        assert http_proxy.seen == []


def test_connections_are_kept_and_used_again() -> None:
    with Forwarder().running() as backend, running_proxy(augment_api_url=f"http://127.0.0.1:{backend.port}") as proxy:
        backend.target = port_of(proxy.simulator.url)
        for _ in range(5):
            assert ask(proxy).status_code == 200
        assert len(backend.seen) == 1
        assert len(proxy.simulator.requests) == 5


def test_a_backend_that_closes_an_idle_connection_costs_no_request() -> None:
    with running_proxy() as proxy:
        assert ask(proxy).status_code == 200
        assert proxy.call(lambda: close_all(open_connections(proxy))) > 0
        proxy.wait_for(lambda: not proxy.call(lambda: open_connections(proxy)))
        assert ask(proxy).status_code == 200


def close_all(transports: list[asyncio.Transport]) -> int:
    for transport in transports:
        transport.close()
    return len(transports)


def open_connections(proxy: Proxy) -> list[asyncio.Transport]:
    runner = proxy.simulator._runner
    assert runner is not None
    assert runner.server is not None
    return [c.transport for c in runner.server.connections if c.transport and not c.transport.is_closing()]


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


def test_a_name_that_cannot_be_resolved_is_told() -> None:
    with running_proxy(augment_api_url="http://tenant.invalid") as proxy:
        answer = ask(proxy)
        assert answer.status_code == 502
        assert "cannot be reached" in answer.json()["error"]["message"]


def test_the_sockets_of_the_server_are_of_loopback() -> None:
    with running_proxy() as proxy:
        assert proxy.url.startswith("http://127.0.0.1:")
        with pytest.raises(OSError), socket.create_connection(("127.0.0.2", port_of(proxy.url)), timeout=1):
            pass
