"""Runs a script of this folder in Node, where the official SDK is installed. No network but the loopback."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent


def require() -> str:
    """The path of Node. Skips the test where Node is missing, and fails it where only the SDK is."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node.js is not on PATH: the parity with the official SDK is not tested.")
    if not (FOLDER / "node_modules" / "@augmentcode" / "auggie-sdk").is_dir():
        pytest.fail("The official SDK is not installed: run `make setup` (npm ci in tests/sdk_parity).", pytrace=False)
    return node


def run(script: str, given: object, timeout: float = 30) -> Any:
    """What the script prints as JSON, given JSON. The Node process ends here, or is killed after `timeout` seconds."""
    done = subprocess.run(
        [require(), FOLDER / script],
        input=json.dumps(given).encode(),
        capture_output=True,
        cwd=FOLDER,
        env={"PATH": os.environ["PATH"]},
        timeout=timeout,
    )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)
