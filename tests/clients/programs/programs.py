"""Agent programs of PyPI as a table: how each is set up and started. What a turn is, and must be, is in
`test_programs.py`. aider, which has no tools, is in `tests/clients/aider`.

Each has an environment, a home and a working folder of its own. What it calls beside the proxy, such as for news of
its versions, ends at a `Trap`, which lets nothing out.
"""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.clients.agents.programs import CHAT, MESSAGES, MODEL, RESPONSES, Place
from tests.clients.claude_code.program import Trap

FOLDER = Path(__file__).parent
SECONDS = 60
"""What one command may take; the slowest takes a few."""


@dataclass(frozen=True)
class Program:
    """A program that speaks one API. `tool` is its own that runs a command, which it takes as `command`.

    `settings` writes its files before it is started; what is `quiet` turns off calls to others. `usage` is how it
    shows the tokens of a turn, from those of the prompt and of the output; None where it does not.
    """

    command: str
    api: str
    path: str
    tool: str
    arguments: Callable[[Place, str], Sequence[str]]
    settings: Callable[[Place], None] = lambda place: None
    environment: Callable[[Place], Mapping[str, str]] = lambda place: {}
    quiet: Mapping[str, str] = field(default_factory=dict)
    usage: Callable[[int, int], str] | None = None

    @property
    def name(self) -> str:
        return f"{self.command} by {self.api}"


def require(program: Program) -> Path:
    """The path of the program. Skips the test of vibe where Python is too old for it, and fails it where vibe is not
    installed though it could be."""
    folder = FOLDER / program.command / ".venv"
    found = [path for path in (folder / "bin" / program.command, folder / f"Scripts/{program.command}.exe") if path.exists()]
    if found:
        return found[0]
    pytest.fail(f"{program.command} is not installed: run `make setup-clients`.", False)


def run(program: Program, place: Place, trap: Trap, prompt: str) -> tuple[int, str, str]:
    """Exit code, output and errors of one turn."""
    process = subprocess.Popen(
        [str(require(program)), *program.arguments(place, prompt)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=place.work,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(place.home),
            "HTTP_PROXY": trap.url,
            "HTTPS_PROXY": trap.url,
            "NO_PROXY": "127.0.0.1,localhost",
            "NO_COLOR": "1",
            **program.quiet,
            **program.environment(place),
        },
        start_new_session=True,
    )
    with process:
        try:
            out, err = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            _kill(process.pid)
            out, err = process.communicate()
            pytest.fail(f"{program.name} did not end within {SECONDS} s: {out!r}\n{err!r}\n{place.proxy.lines}")
        finally:
            _kill(process.pid)
    return process.returncode, out.decode(), err.decode()


def _kill(group: int) -> None:
    """The program and what its tools started; the group is empty where all have ended."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


# ---------------------------------------------------------------------- gptme


def _gptme(api: str, path: str, model: str) -> Program:
    return Program(
        command="gptme",
        api=api,
        path=path,
        tool="shell",
        arguments=lambda place, prompt: [
            *("--non-interactive", "--output-format", "json", "--tool-format", "tool", "--tools", "shell"),
            *("--model", model, prompt),
        ],
        environment=lambda place: {
            "OPENAI_BASE_URL": place.proxy.base_url,
            "OPENAI_API_KEY": "any",
            "ANTHROPIC_BASE_URL": place.proxy.url,
            "ANTHROPIC_API_KEY": "any",
        },
    )


# ------------------------------------------------------------------------ llm

FUNCTION = """
import subprocess

def shell(command: str) -> str:
    "Run a command."
    return subprocess.run(command, shell=True, capture_output=True, text=True).stdout
"""
"""llm has no tools of its own that do anything to files."""


def _llm(api: str, path: str, *flags: str) -> Program:
    return Program(
        command="llm",
        api=api,
        path=path,
        tool="shell",
        arguments=lambda place, prompt: [
            *("openai", "endpoint", place.proxy.base_url, prompt, "--model", MODEL, "--functions", FUNCTION, *flags),
        ],
    )


# ----------------------------------------------------------------------- vibe


def _vibe(api: str, path: str, style: str) -> Program:
    def settings(place: Place) -> None:
        base = place.proxy.url if style == "anthropic" else place.proxy.base_url
        place.write(
            ".vibe/config.toml",
            f"""
active_model = "augment"
enable_telemetry = false
enable_update_checks = false
enable_auto_update = false

[[providers]]
name = "augment"
api_base = "{base}"
api_key_env_var = "AUGMENT_PROXY_KEY"
api_style = "{style}"
backend = "generic"

[[models]]
name = "{MODEL}"
provider = "augment"
alias = "augment"
""",
        )

    return Program(
        command="vibe",
        api=api,
        path=path,
        tool="bash",
        arguments=lambda place, prompt: ["--prompt", prompt, "--output", "json", "--auto-approve", "--trust"],
        settings=settings,
        environment=lambda place: {"AUGMENT_PROXY_KEY": "any"},
    )


PROGRAMS = (
    _gptme("Chat", CHAT, f"local/{MODEL}"),
    _gptme("Messages", MESSAGES, f"anthropic/{MODEL}"),
    _gptme("Responses", RESPONSES, "openai/gpt-5.4"),
    _llm("Chat", CHAT),
    _llm("Responses", RESPONSES, "--responses"),
    _vibe("Chat", CHAT, "openai"),
    _vibe("Messages", MESSAGES, "anthropic"),
    _vibe("Responses", RESPONSES, "openai-responses"),
)
