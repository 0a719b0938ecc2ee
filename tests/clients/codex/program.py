"""Codex as a program: `codex exec` against a proxy, with a home and a working folder of its own.

It is told to call nobody else; it would seek plugins at GitHub and ChatGPT. What it asks of its HTTP proxy all the
same ends at a `Trap`, which lets nothing out.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from augment_open_proxy.simulator import ChatStreamRequest, Received
from tests.clients.claude_code.program import Trap
from tests.servers import Proxy

FOLDER = Path(__file__).parent
VERSION: str = json.loads((FOLDER / "package.json").read_bytes())["dependencies"]["@openai/codex"]
MODEL = "gpt-5.4"
SECONDS = 30
"""What one run may take; most take a third of one."""
KEY = 'env_key = "ANY_KEY"'
KEY_BY_COMMAND = 'auth = { command = "echo", args = ["any"] }'
"""With a command for its key, or a ChatGPT account, Codex asks for the list of models; with a plain key it does not."""

CONFIG = """
model = "{model}"
model_provider = "augment"
approval_policy = "never"
sandbox_mode = "danger-full-access"
check_for_update_on_startup = false
{settings}

[analytics]
enabled = false

[feedback]
enabled = false

[features]
plugins = false

[model_providers.augment]
name = "augment-open-proxy"
base_url = "{base_url}"
wire_api = "responses"
supports_websockets = {websockets}
{key}
"""


def require() -> Path:
    """The path of the program. Skips the test where npm is missing, and fails it where only the program is."""
    packages = sorted((FOLDER / "node_modules" / "@openai").glob("codex-*"))
    found = [path for package in packages for path in sorted(package.glob("vendor/*/bin/codex*"))]
    program = next((path for path in found if path.name in ("codex", "codex.exe")), None)
    if program is not None:
        return program
    if shutil.which("npm") is None:
        pytest.skip("npm is not on PATH: Codex itself is not tested.")
    pytest.fail("Codex is not installed: run `make setup-clients` (npm ci in tests/clients/codex).", False)


@dataclass(frozen=True)
class Run:
    """What the program said, and what it made the proxy do. `lines` are those of the proxy's log, parsed."""

    code: int
    events: list[dict[str, Any]]
    lines: list[dict[str, Any]]
    received: list[Received]
    err: str

    @property
    def thread(self) -> str:
        (started,) = self.of("thread.started")
        thread = started["thread_id"]
        assert isinstance(thread, str)
        return thread

    @property
    def text(self) -> str:
        """Its last words."""
        text = self.items("agent_message")[-1]["text"]
        assert isinstance(text, str)
        return text

    @property
    def usage(self) -> dict[str, int]:
        """All tokens of the thread so far, as it counts them."""
        (completed,) = self.of("turn.completed")
        usage = completed["usage"]
        assert isinstance(usage, dict)
        return usage

    @property
    def failure(self) -> str:
        """What it says of a failed turn."""
        (failed,) = self.of("turn.failed")
        message = failed["error"]["message"]
        assert isinstance(message, str)
        return message

    @property
    def requests(self) -> list[ChatStreamRequest]:
        """What the backend was asked."""
        assert all(received.request for received in self.received), "the backend refused a request as malformed"
        return [received.request for received in self.received if received.request]

    def of(self, type_: str) -> list[dict[str, Any]]:
        """The events of a type."""
        return [event for event in self.events if event["type"] == type_]

    def items(self, type_: str) -> list[dict[str, Any]]:
        """The finished items of a type."""
        return [event["item"] for event in self.of("item.completed") if event["item"]["type"] == type_]

    def must_succeed(self) -> None:
        assert self.code == 0, (self.events, self.err)
        assert self.of("turn.completed"), (self.events, self.err)


@dataclass
class Codex:
    """A user's installation: what one run leaves in its home is there for the next. The proxy's log must be JSON.

    `settings` are further lines of its configuration, `key` is the provider's line for the key. With `websockets` it
    asks over a WebSocket instead of posting.
    """

    proxy: Proxy
    folder: Path
    trap: Trap
    model: str = MODEL
    settings: str = ""
    key: str = KEY
    websockets: bool = False
    work: Path = field(init=False)

    def __post_init__(self) -> None:
        self.work = self.folder / "work"
        self.work.mkdir()
        self.home = self.folder / "home"
        self.home.mkdir()
        config = CONFIG.format(
            model=self.model,
            settings=self.settings,
            base_url=self.proxy.base_url,
            key=self.key,
            websockets=str(self.websockets).lower(),
        )
        (self.home / "config.toml").write_text(config)

    def ask(self, prompt: str, /, *flags: str, refused: tuple[int, ...] = ()) -> Run:
        """One turn of a new thread. `refused` are the statuses from 400 on that the proxy gives, in order.

        Fails where the proxy gives others, and where the program calls anybody else.
        """
        return self._turn(["exec", *flags], [prompt], refused)

    def resume(self, prompt: str, /, *flags: str, thread: str | None = None) -> Run:
        """One more turn of a thread, or of the last one."""
        last, words = (["--last"], [prompt]) if thread is None else ([], [thread, prompt])
        return self._turn(["exec", "resume", *last, *flags], words, ())

    def models(self, *flags: str) -> list[dict[str, Any]]:
        """The models that it knows, and all that it knows of each."""
        code, out, err = self.run(["debug", "models", *flags])
        assert code == 0, err
        models = json.loads(out)["models"]
        assert isinstance(models, list)
        return models

    def _turn(self, command: list[str], words: list[str], refused: tuple[int, ...]) -> Run:
        line_count, request_count = len(self.proxy.lines), len(self.proxy.simulator.requests)
        flags = ["--json", "--strict-config", "--skip-git-repo-check"]
        code, out, err = self.run([*command, *flags, "--", *words])
        self.proxy.call(lambda: None)  # the server has written its lines by now
        lines = [json.loads(line) for line in self.proxy.lines[line_count:]]
        failed = [line["status"] for line in lines if line["status"] is None or line["status"] >= 400]
        assert failed == list(refused), f"the proxy refused: {lines}\n{out}\n{err}"
        try:
            events = [json.loads(line) for line in out.splitlines()]
        except ValueError:
            pytest.fail(f"Codex (exit code {code}) did not print JSON: {out}\n{err}")
        return Run(code, events, lines, list(self.proxy.simulator.requests)[request_count:], err)

    def run(self, arguments: list[str]) -> tuple[int, str, str]:
        """Exit code, output and errors of the program."""
        process = subprocess.Popen(
            [str(require()), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.work,
            env=self._environment(),
            start_new_session=True,
        )
        with process:
            try:
                out, err = process.communicate(timeout=SECONDS)
            except subprocess.TimeoutExpired:
                _kill(process.pid)
                out, err = process.communicate()
                pytest.fail(f"Codex did not end within {SECONDS} s: {out[-4000:]!r}\n{err[-4000:]!r}")
            finally:
                _kill(process.pid)
        assert self.trap.called == [], f"Codex called somebody else than the proxy: {self.trap.called}"
        return process.returncode, out.decode(), err.decode()

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "CODEX_HOME": str(self.home),
            "ANY_KEY": "any",
            "HTTP_PROXY": self.trap.url,
            "HTTPS_PROXY": self.trap.url,
            "NO_PROXY": "127.0.0.1,localhost",
            "RUST_LOG": "error",
        }


def _kill(group: int) -> None:
    """The program and what its tools started; the group is empty where all have ended."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
