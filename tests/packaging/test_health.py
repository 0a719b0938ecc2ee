"""The command `health`: what a container's health check runs, without a shell."""

import http.server
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from augment_open_proxy import cli
from tests.servers import Proxy


@pytest.fixture(autouse=True)
def clean_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings but those of the test."""
    for name in list(os.environ):
        if name.startswith(("AOP_", "AUGMENT_", "XDG_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)


@contextmanager
def answering(status: int) -> Iterator[int]:
    """The port of a server that answers every request with `status`."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 (as the base class has it)
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        try:
            yield server.server_port
        finally:
            thread.join(10)


def port_of(proxy: Proxy) -> str:
    return proxy.url.rpartition(":")[2]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "0.0.0.0"])  # noqa: S104 (nothing listens there)
def test_a_proxy_that_answers_is_healthy(
    proxy: Proxy, host: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AOP_HOST", host)
    monkeypatch.setenv("AOP_PORT", port_of(proxy))
    assert cli.main(["health"]) == 0
    assert capsys.readouterr() == ("", "")


def test_keys_are_of_no_concern(monkeypatch: pytest.MonkeyPatch, proxy: Proxy) -> None:
    monkeypatch.setenv("AOP_API_KEY", "not-the-key-of-that-proxy")
    assert cli.main(["health", "--port", port_of(proxy)]) == 0


def test_nobody_on_the_port_is_not_healthy(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
    assert cli.main(["health", "--host", "127.0.0.1", "--port", str(port)]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"augment-open-proxy: no answer on port {port} of 127.0.0.1: ")
    assert error.count("\n") == 1


def test_silence_is_not_healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "HEALTH_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert cli.main(["health", "--host", "127.0.0.1", "--port", str(silent.getsockname()[1])]) == 1


def test_another_status_is_not_healthy(capsys: pytest.CaptureFixture[str]) -> None:
    with answering(503) as port:
        assert cli.main(["health", "--host", "127.0.0.1", "--port", str(port)]) == 1
    assert "status 503" in capsys.readouterr().err


def test_any_free_port_cannot_be_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["health", "--port", "0"]) == 2
    assert "--port" in capsys.readouterr().err
