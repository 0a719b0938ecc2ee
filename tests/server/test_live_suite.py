"""The suite for the real backend (tests/live), run on the simulator: so it is known to work before an account pays."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.servers import running_proxy

ROOT = Path(__file__).parents[2]
SECONDS = 60
COMMAND = [sys.executable, "-m", "pytest", "-n", "0", "tests/live"]


def run(tmp_path: Path, *flags: str, **more: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AOP_", "AUGMENT_", "COV_"))}
    return subprocess.run(
        [*COMMAND, *flags],
        cwd=ROOT,
        env={**kept, "HOME": str(tmp_path), "PATH": str(tmp_path), **more},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def test_it_passes_on_the_simulator(tmp_path: Path) -> None:
    with running_proxy() as backend:
        simulator = backend.simulator
        done = run(tmp_path, "--live", "-v", AUGMENT_API_URL=simulator.url, AUGMENT_API_TOKEN=simulator.token)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"=+ (\d+) passed in ", done.stdout), done.stdout
    assert "skipped" not in done.stdout


def test_without_an_account_it_skips_and_says_why(tmp_path: Path) -> None:
    done = run(tmp_path, "--live", "-v")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The live tests need an Augment account." in done.stdout
    assert "auggie login" in done.stdout
    assert not re.search(r"\d+ passed", done.stdout)


def test_nothing_of_it_runs_unasked(tmp_path: Path) -> None:
    done = run(tmp_path, "-v")
    assert not re.search(r"\d+ passed", done.stdout), done.stdout
