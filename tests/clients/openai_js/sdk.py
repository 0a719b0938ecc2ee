"""Runs the cases of `run.mjs` in Node, where OpenAI's SDK is installed. No network but the loopback."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent


def require() -> str:
    """The path of Node. Skips the test where Node or npm is missing, and fails it where only the SDK is."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node.js is not on PATH: OpenAI's SDK for JavaScript is not tested.")
    if not (FOLDER / "node_modules" / "openai").is_dir():
        if shutil.which("npm") is None:
            pytest.skip("npm is not on PATH: OpenAI's SDK for JavaScript is not tested.")
        pytest.fail(
            "OpenAI's SDK is not installed: run `make setup-clients` (npm ci in tests/clients/openai_js).",
            pytrace=False,
        )
    return node


def run(base_url: str, case: str, home: Path, **given: Any) -> Any:
    """What a case gives, by name. The Node process ends here, or is killed after 30 seconds."""
    done = subprocess.run(
        [require(), FOLDER / "run.mjs"],
        input=json.dumps({"url": base_url, "name": case, "given": given}).encode(),
        capture_output=True,
        cwd=FOLDER,
        env={"PATH": os.environ["PATH"], "HOME": str(home)},
        timeout=30,
    )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)
