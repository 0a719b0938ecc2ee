"""The suite for the real backend (tests/live), run on the simulator: so it is known to work before an account pays."""

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.servers import running_proxy

ROOT = Path(__file__).parents[2]
SECONDS = 50
COMMAND = [*(sys.executable, "-m", "pytest", "-n", "0", "-v"), f"-c{ROOT / 'pyproject.toml'}", str(ROOT / "tests/live")]
NOTHING_COLLECTED = 5

pytestmark = pytest.mark.timeout(2.5 * SECONDS)
"""Each run starts Python and all of pytest anew, which takes long beside others; none has more than two."""


def run(tmp_path: Path, *flags: str, **more: str) -> subprocess.CompletedProcess[str]:
    """A run that finds no account of whoever runs the tests: not in the environment, the home folder or `.env`."""
    foreign = ("AOP_", "AUGMENT_", "COV_", "PYTEST_", "XDG_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    nobody = {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path), "PATH": str(tmp_path)}
    return subprocess.run(
        [*COMMAND, *flags],
        cwd=tmp_path,
        env={**kept, **nobody, **more},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def test_it_passes_on_the_simulator_and_costs_what_it_says(tmp_path: Path) -> None:
    with running_proxy() as backend:
        simulator = backend.simulator
        account = {"AUGMENT_API_URL": simulator.url, "AUGMENT_API_TOKEN": simulator.token}
        done = run(tmp_path, "--live", **account)
        requests = [received.request for received in simulator.requests]
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^=+ 14 passed in ", done.stdout, re.MULTILINE), done.stdout
    assert all(requests), "the backend refused a request as malformed"
    models = Counter(request.model for request in requests if request is not None)
    assert models == {"claude-haiku-4-5": 10, "claude-opus-4-7-medium": 2, "claude-sonnet-4-6": 1}
    with_history = [request for request in requests if request is not None and request.chat_history]
    assert len(with_history) == 2, "after the tool's result, and after the previous response"


def test_it_bears_a_model_that_hangs_but_none_that_gives_an_empty_answer(tmp_path: Path) -> None:
    with running_proxy() as backend:
        account = {"AUGMENT_API_URL": backend.simulator.url, "AUGMENT_API_TOKEN": backend.simulator.token}
        only = ("--live", "-k", "hang")
        hanging = {"AOP_LIVE_HANGING_MODEL": "claude-sim-hang", "AOP_LIVE_SILENCE_SECONDS": "1"}
        done = run(tmp_path, *only, **account, **hanging)
        assert re.search(r"^=+ 1 passed, ", done.stdout, re.MULTILINE), done.stdout
        done = run(tmp_path, *only, **account, AOP_LIVE_HANGING_MODEL="claude-sim-empty-answer")
        assert re.search(r"^=+ 1 failed, ", done.stdout, re.MULTILINE), done.stdout
        assert "AssertionError: assert ''" in done.stdout


def test_without_an_account_it_skips_and_says_why(tmp_path: Path) -> None:
    done = run(tmp_path, "--live")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The live tests need an Augment account." in done.stdout
    assert "auggie login" in done.stdout
    assert re.search(r"^=+ 14 skipped in ", done.stdout, re.MULTILINE), done.stdout


def test_nothing_of_it_runs_unasked(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == NOTHING_COLLECTED, done.stdout + done.stderr
