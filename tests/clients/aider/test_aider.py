"""aider itself: an edit that the model writes is applied to a file. aider gives the model no tools."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from augment_open_proxy.simulator.answer import Content
from tests.clients.claude_code.program import trap
from tests.clients.spoken import spoken
from tests.servers import Proxy, running_proxy

FOLDER = Path(__file__).parent
SECONDS = 90
"""What one run may take; most of it are imports."""
EDIT = """\
I write it.

proof.txt
```
<<<<<<< SEARCH
=======
proof-4711
>>>>>>> REPLACE
```
"""
FLAGS = (
    *("--message", "Write the proof.", "--yes-always", "--no-git", "--edit-format", "diff", "--map-tokens", "0"),
    *("--no-show-model-warnings", "--no-check-update", "--no-show-release-notes", "--analytics-disable"),
    *("--no-suggest-shell-commands", "--no-pretty", "--no-gitignore", "--no-detect-urls"),
)

pytestmark = pytest.mark.timeout(2 * SECONDS)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """One of its own for each test, whose log is JSON."""
    with running_proxy(log_format="json") as running:
        yield running


def program() -> Path:
    found = [path for path in (FOLDER / ".venv/bin/aider", FOLDER / ".venv/Scripts/aider.exe") if path.exists()]
    if not found:
        pytest.fail("aider is not installed: run `make setup-clients`.", False)
    return found[0]


@pytest.mark.parametrize("flag", ["--stream", "--no-stream"])
@pytest.mark.parametrize(
    ("model", "path"),
    [("openai/claude-sonnet-4-5", "/v1/chat/completions"), ("anthropic/claude-sonnet-4-5", "/v1/messages")],
)
def test_it_applies_the_edit(flag: str, model: str, path: str, proxy: Proxy, tmp_path: Path) -> None:
    proxy.simulator.script(spoken(Content((EDIT,))))
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    with trap() as trapped:
        done = subprocess.run(
            [str(program()), "--model", model, flag, *FLAGS],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            cwd=work,
            stdin=subprocess.DEVNULL,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(home),
                "OPENAI_API_BASE": proxy.base_url,
                "OPENAI_API_KEY": "any",
                "ANTHROPIC_BASE_URL": proxy.url,
                "ANTHROPIC_API_BASE": proxy.url,
                "ANTHROPIC_API_KEY": "any",
                "LITELLM_LOCAL_MODEL_COST_MAP": "True",
                "HTTP_PROXY": trapped.url,
                "HTTPS_PROXY": trapped.url,
                "NO_PROXY": "127.0.0.1,localhost",
            },
            check=False,
        )
    proxy.call(lambda: None)  # the server has written its lines by now
    logged = [json.loads(line) for line in proxy.lines]
    assert done.returncode == 0, (done.stdout, done.stderr, logged)
    assert (work / "proof.txt").is_file(), (done.stdout, done.stderr, logged)
    assert (work / "proof.txt").read_text() == "proof-4711\n"
    assert [(line["path"], line["status"]) for line in logged] == [(path, 200)]
    assert "Applied edit to proof.txt" in done.stdout
    if flag == "--no-stream":  # of streams it does not read the usage, and estimates
        assert "Tokens: 23k sent, 17 received" in done.stdout
