"""A headless Chromium, and the server of the pages that it opens; both on loopback."""

import contextlib
import json
import os
import queue
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx2 as httpx
import pytest

PAGES = Path(__file__).parent
START_SECONDS = 30
REPORT_SECONDS = 30
NAMES = ("rebind.example", "evil.example")
"""Names that the browser takes for this machine."""
_RULES = ", ".join(f"MAP {name} 127.0.0.1" for name in NAMES)
_OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
    f"--host-resolver-rules={_RULES}",
)


class Browser:
    """A browser that runs; `port` is that of its tools for developers."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"

    def open(self, url: str) -> str:
        """Open a tab; gives its id."""
        made = httpx.put(f"{self._url}/json/new?{quote(url, safe='')}", timeout=10, trust_env=False)
        tab: str = made.raise_for_status().json()["id"]
        return tab

    def close(self, tab: str) -> None:
        httpx.get(f"{self._url}/json/close/{tab}", timeout=10, trust_env=False)


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """Skips the test where there is no Chromium, except in CI, where it fails."""
    program = shutil.which("chromium")
    if program is None:
        assert not os.environ.get("CI"), "Chromium is missing: scripts/install-chromium"
        pytest.skip("Chromium is not installed: scripts/install-chromium")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        process = subprocess.Popen(
            [program, *_OPTIONS, f"--user-data-dir={folder}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": folder},
        )
        try:
            yield Browser(_port(process, Path(folder) / "DevToolsActivePort"))
        finally:
            process.terminate()
            process.wait(10)


def _port(process: subprocess.Popen[bytes], file: Path) -> int:
    end = time.monotonic() + START_SECONDS
    while not file.exists() or "\n" not in file.read_text():
        assert process.poll() is None, "Chromium ended at once"
        assert time.monotonic() < end, "Chromium did not start in time"
        time.sleep(0.05)
    return int(file.read_text().splitlines()[0])


class Site:
    """Serves the pages of this folder, and takes their reports. All else goes to `target`, byte for byte: to the
    browser, that is a name which was rebound from the attacker's server to the proxy, while the page was open."""

    def __init__(self, target: str) -> None:
        self.reports: queue.Queue[dict[str, Any]] = queue.Queue()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self.reports, urlsplit(target).port or 0))
        self.port = self._server.server_address[1]

    def report(self, browser: Browser, name: str, page: str, target: str = "") -> dict[str, Any]:
        """What `page` of the host `name` reports of its attempts on `target`."""
        tab = browser.open(f"http://{name}:{self.port}/pages/{page}?{target}")
        try:
            return self.reports.get(timeout=REPORT_SECONDS)
        finally:
            browser.close(tab)

    def __enter__(self) -> "Site":
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(reports: "queue.Queue[dict[str, Any]]", port: int) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith("/pages/"):
                data = (PAGES / Path(urlsplit(self.path).path).name).read_bytes()
                self._answer(data, "text/html" if ".html" in self.path else "text/javascript")
            else:
                self._pass_on()

        def do_POST(self) -> None:
            if self.path == "/report":
                reports.put(json.loads(self._body()))
                self._answer(b"", "text/plain")
            else:
                self._pass_on()

        do_OPTIONS = do_PUT = do_DELETE = do_POST  # noqa: N815 (as http.server calls them)

        def _body(self) -> bytes:
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))

        def _answer(self, data: bytes, media_type: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def _pass_on(self) -> None:
            self.close_connection = True
            head = f"{self.requestline}\r\n" + "".join(
                f"{name}: {value}\r\n" for name, value in self.headers.items() if name.lower() != "connection"
            )
            upgrade = "Upgrade" if "Upgrade" in self.headers else "close"
            with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
                connection.sendall(f"{head}Connection: {upgrade}\r\n\r\n".encode("latin-1") + self._body())
                while data := connection.recv(65536):
                    self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Nothing: the reports say it all."""

    return Handler
