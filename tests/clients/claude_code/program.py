"""Claude Code as a program: started headless against a proxy, with a home and a working folder of its own.

It is told to call nobody else. What it asks of its HTTP proxy all the same ends at `Trap`, which writes down who was
called and lets nothing out.
"""

import contextlib
import json
import os
import shutil
import signal
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from augment_open_proxy.journal.record import CLIENT_CLOSED_REQUEST
from augment_open_proxy.simulator import ChatStreamRequest, Received
from tests.servers import Proxy

FOLDER = Path(__file__).parent
VERSION: str = json.loads((FOLDER / "package.json").read_bytes())["dependencies"]["@anthropic-ai/claude-code"]
SECONDS = 30
"""What one run may take; it takes less than one."""
QUIET = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_AUTOUPDATER": "1",
    "DISABLE_BUG_COMMAND": "1",
    "DISABLE_ERROR_REPORTING": "1",
    "DISABLE_TELEMETRY": "1",
}
LET_TOOLS_RUN = {"IS_SANDBOX": "1"}
"""Without it, root may not run tools unasked."""


def require() -> Path:
    """The path of the program. Skips the test where npm is missing, and fails it where only the program is."""
    packages = (FOLDER / "node_modules" / "@anthropic-ai").glob("claude-code-*")
    found = [path for package in sorted(packages) for path in (package / "claude", package / "claude.exe")]
    program = next((path for path in found if path.is_file()), None)
    if program is not None:
        return program
    if shutil.which("npm") is None:
        pytest.skip("npm is not on PATH: Claude Code itself is not tested.")
    pytest.fail(
        "Claude Code is not installed: run `make setup-clients` (npm ci in tests/clients/claude_code).", pytrace=False
    )


class Trap:
    """An HTTP proxy on loopback that takes no call. `called` has the first line of each: method and address."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.called: list[str] = []


@contextlib.contextmanager
def trap() -> Iterator[Trap]:
    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            caught.called.append(self.rfile.readline(1000).decode(errors="replace").strip())
            self.wfile.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        caught = Trap(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, args=[0.05], name="trap")
        thread.start()
        try:
            yield caught
        finally:
            server.shutdown()
            thread.join()


@dataclass(frozen=True)
class Run:
    """What the program said, and what it made the proxy do. `lines` are those of the proxy's log, parsed."""

    code: int
    messages: list[dict[str, Any]]
    lines: list[dict[str, Any]]
    received: list[Received]

    @property
    def beginning(self) -> dict[str, Any]:
        return next(message for message in self.messages if message.get("subtype") == "init")

    @property
    def result(self) -> dict[str, Any]:
        return next(message for message in reversed(self.messages) if message["type"] == "result")

    @property
    def text(self) -> str:
        text = self.result["result"]
        assert isinstance(text, str)
        return text

    @property
    def session(self) -> str:
        session = self.result["session_id"]
        assert isinstance(session, str)
        return session

    @property
    def requests(self) -> list[ChatStreamRequest]:
        """What the backend was asked."""
        assert all(received.request for received in self.received), "the backend refused a request as malformed"
        return [received.request for received in self.received if received.request]

    def blocks(self, role: str, type_: str) -> list[dict[str, Any]]:
        """The content blocks of a type in the messages of a role, as the program shows them."""
        contents = [message["message"]["content"] for message in self.messages if message["type"] == role]
        return [
            block for content in contents if isinstance(content, list) for block in content if block["type"] == type_
        ]

    def must_succeed(self) -> None:
        assert self.code == 0, self.messages
        assert self.result["subtype"] == "success", self.result
        assert self.result["is_error"] is False, self.result


class ClaudeCode:
    """A user's installation: what one run leaves in its home is there for the next. The proxy's log must be JSON."""

    def __init__(self, proxy: Proxy, folder: Path, trapped: Trap) -> None:
        self.work = folder / "work"
        self.work.mkdir()
        self._home = folder / "home"
        self._home.mkdir()
        self._proxy = proxy
        self._trap = trapped

    def ask(self, prompt: str, /, *flags: str, refused: tuple[int, ...] = (), **environment: str) -> Run:
        """One run. `refused` are the statuses from 400 on that the proxy is expected to give, each at least once.

        Fails where the proxy gives any other, and where the program calls anybody else.
        """
        line_count, request_count = len(self._proxy.lines), len(self._proxy.simulator.requests)
        code, out, err = self._run([prompt, *flags], environment)
        self._proxy.call(lambda: None)  # the server has written its lines by now
        lines = [json.loads(line) for line in self._proxy.lines[line_count:]]
        failed = [line for line in lines if line["status"] != CLIENT_CLOSED_REQUEST and not _is_fine(line["status"])]
        assert {line["status"] for line in failed} == set(refused), f"the proxy refused: {failed}\n{err}"
        assert self._trap.called == [], "Claude Code called somebody else than the proxy"
        try:
            messages = [json.loads(line) for line in out.splitlines()]
        except ValueError:
            pytest.fail(f"Claude Code (exit code {code}) did not print JSON: {out}\n{err}")
        assert any(message["type"] == "result" for message in messages), f"no result, exit code {code}: {out}\n{err}"
        return Run(code, messages, lines, list(self._proxy.simulator.requests)[request_count:])

    def _run(self, arguments: list[str], environment: dict[str, str]) -> tuple[int, str, str]:
        command = [str(require()), "--print", "--output-format", "stream-json", "--verbose", *arguments]
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.work,
            env=self._environment() | environment,
            start_new_session=True,
        )
        with process:
            try:
                out, err = process.communicate(timeout=SECONDS)
            except subprocess.TimeoutExpired:
                _kill(process.pid)
                out, err = process.communicate()
                pytest.fail(f"Claude Code did not end within {SECONDS} s: {out!r}\n{err!r}\n{self._proxy.lines}")
            finally:
                _kill(process.pid)
        return process.returncode, out.decode(), err.decode()

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self._home),
            "CLAUDE_CONFIG_DIR": str(self._home / ".claude"),
            "ANTHROPIC_BASE_URL": self._proxy.url,
            "ANTHROPIC_API_KEY": "any",
            "HTTP_PROXY": self._trap.url,
            "HTTPS_PROXY": self._trap.url,
            "NO_PROXY": "127.0.0.1,localhost",
            **QUIET,
            **LET_TOOLS_RUN,
        }


def _is_fine(status: int | None) -> bool:
    return status is not None and status < 400


def _kill(group: int) -> None:
    """The program and what its tools started; the group is empty where all have ended."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
