"""Agent programs of PyPI as a table: how each is set up and started. What a turn is, and must be, is in
`test_programs.py`. aider, which has no tools, is in `tests/clients/aider`.

Each has an environment, a home and a working folder of its own. What it calls beside the proxy, such as for news of
its versions, ends at a `Trap`, which lets nothing out.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.clients.agents.programs import CHAT, MESSAGES, MODEL, RESPONSES, Place
from tests.clients.claude_code.program import Trap

FOLDER = Path(__file__).parent
SECONDS = 60
"""What one command may take; the slowest takes a few."""
NEWER = ("python3.12", "python3.13", "python3.14")
"""Where the Makefile looks for the Python that vibe needs, if the project's own is older."""


@dataclass(frozen=True)
class Program:
    """A program that speaks one API. `tool` is its own that runs a command, which it takes as `command`.

    `settings` writes its files before it is started. `usage` reads what the program counted: the tokens of prompts and
    outputs, a pair for each request or for the turn, from the place and from all that was printed; `is_estimate` says
    that of the prompts it reads only what a stream begins with. `ends` is the tool that the model must call to end a
    turn. `missed` are the hosts that it asks in vain, and does without.
    """

    command: str
    api: str
    path: str
    tool: str
    arguments: Callable[[Place, str], Sequence[str]]
    usage: Callable[[Place, str], list[tuple[int, int]]]
    settings: Callable[[Place], None] = lambda place: None
    environment: Callable[[Place], Mapping[str, str]] = lambda place: {}
    is_estimate: bool = False
    ends: str | None = None
    missed: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        return f"{self.command} by {self.api}"


def require(program: Program) -> Path:
    """The path of the program. Skips the test where no Python is new enough for it, else fails it if it is missing."""
    folder = FOLDER / program.command
    scripts = (folder / ".venv/bin" / program.command, folder / ".venv/Scripts" / f"{program.command}.exe")
    found = [path for path in scripts if path.exists()]
    if found:
        return found[0]
    if program.command == "vibe" and not any(map(_is_312, (sys.executable, *NEWER))):
        pytest.skip("There is no Python 3.12: vibe is not tested.")
    pytest.fail(f"{program.command} is not installed: run `make setup-clients`.", False)


def _is_312(python: str) -> bool:
    if shutil.which(python) is None:
        return False
    asked = [python, "-c", "import sys; sys.exit(sys.version_info < (3, 12))"]
    return subprocess.run(asked, stderr=subprocess.DEVNULL, timeout=SECONDS, check=False).returncode == 0


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
    def settings(place: Place) -> None:
        """A conversation that has a name: gptme asks the model for one, beside the turn, where it has none."""
        config = f'[chat]\nname = "Proof"\nworkspace = "{place.work}"\n'
        place.write(".local/share/gptme/logs/proof/config.toml", config)

    def usage(place: Place, printed: str) -> list[tuple[int, int]]:
        messages = [json.loads(line) for line in printed.splitlines() if line.startswith('{"type": "message"')]
        counted = [message["metadata"]["usage"] for message in messages if message["role"] == "assistant"]
        return [(usage["input_tokens"], usage["output_tokens"]) for usage in counted]

    return Program(
        command="gptme",
        api=api,
        path=path,
        tool="shell",
        arguments=lambda place, prompt: [
            *("--name", "proof", "--model", model, "--tools", "shell", "--tool-format", "tool"),
            *("--non-interactive", "--output-format", "json", prompt),
        ],
        usage=usage,
        settings=settings,
        environment=lambda place: {
            "OPENAI_BASE_URL": place.proxy.base_url,
            "OPENAI_API_KEY": "any",
            "ANTHROPIC_BASE_URL": place.proxy.url,
            "ANTHROPIC_API_KEY": "any",
        },
        ends="complete",
        missed=frozenset({"openaipublic.blob.core.windows.net"}),  # has a tokenizer
    )


# ------------------------------------------------------------------------ llm

FUNCTION = """
import subprocess

def shell(command: str) -> str:
    "Run a command."
    return subprocess.run(command, shell=True, capture_output=True, text=True).stdout
"""
"""llm has no tool of its own that runs a command; it takes functions."""


def _llm(api: str, path: str, **more: bool) -> Program:
    def settings(place: Place) -> None:
        model = {"model_id": "augment", "model_name": MODEL, "api_base": place.proxy.base_url, "supports_tools": True}
        place.write("llm/extra-openai-models.yaml", json.dumps([{**model, **more}]))  # JSON is YAML

    def usage(place: Place, printed: str) -> list[tuple[int, int]]:
        counted = re.findall(r"Token usage: ([\d,]+) input, ([\d,]+) output", printed)
        return [(int(input_.replace(",", "")), int(output.replace(",", ""))) for input_, output in counted]

    return Program(
        command="llm",
        api=api,
        path=path,
        tool="shell",
        arguments=lambda place, prompt: ["--model", "augment", "--functions", FUNCTION, "--usage", prompt],
        usage=usage,
        settings=settings,
        environment=lambda place: {"LLM_USER_PATH": str(place.home / "llm")},
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

[[models]]
name = "{MODEL}"
provider = "augment"
alias = "augment"
""",
        )

    def usage(place: Place, printed: str) -> list[tuple[int, int]]:
        counted = json.loads((place.home / "out/export.json").read_bytes())["usage"]
        return [(counted["input_tokens"], counted["output_tokens"])]

    return Program(
        command="vibe",
        api=api,
        path=path,
        tool="bash",
        arguments=lambda place, prompt: [
            *("--prompt", prompt, "--output", "json", "--output-dir", str(place.home / "out")),
            *("--auto-approve", "--trust"),
        ],
        usage=usage,
        settings=settings,
        environment=lambda place: {"AUGMENT_PROXY_KEY": "any"},
        is_estimate=style == "anthropic",
    )


PROGRAMS = (
    _gptme("Chat", CHAT, f"local/{MODEL}"),
    _gptme("Messages", MESSAGES, f"anthropic/{MODEL}"),
    _gptme("Responses", RESPONSES, "openai/gpt-5.4"),
    _llm("Chat", CHAT),
    _llm("Responses", RESPONSES, responses=True),
    _vibe("Chat", CHAT, "openai"),
    _vibe("Messages", MESSAGES, "anthropic"),
    _vibe("Responses", RESPONSES, "openai-responses"),
)
