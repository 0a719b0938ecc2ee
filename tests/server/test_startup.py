"""What the start loads: time is the machine's matter and measured by `make bench`, modules are ours."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

HEAVY = {
    *("aiohttp", "yarl", "aiosqlite", "alembic", "asyncpg", "cryptography", "jsonschema", "pydantic"),
    *("pypdf", "quicktok", "regex", "rich", "sqlalchemy", "sqlite3", "starlette", "websockets"),
}
"""Libraries that a request may need, and the start does not."""
LIMIT = 470
"""Modules in all: a few more than there are, so that one of many joining is seen."""
REPORT = """
import atexit, sys
from augment_open_proxy.__main__ import main
atexit.register(lambda: print(*sys.modules, sep="\\n", flush=True))
sys.exit(main())
"""
"""The command, which tells at its end what it has loaded."""


@contextmanager
def started(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """The command in a process of its own, when it takes requests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AOP_", "AUGMENT_", "COV_"))}
    process = subprocess.Popen(
        [sys.executable, "-c", REPORT, "--port", "0"],
        cwd=tmp_path,
        env={**kept, "HOME": str(tmp_path), "PATH": str(tmp_path), "AOP_STATE_DIR": str(tmp_path / "state")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        assert any("OPENAI_BASE_URL" in line for line in process.stderr)
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names of the modules that are loaded when the proxy takes requests."""
    with started(tmp_path_factory.mktemp("start")) as process:
        process.terminate()
        output, _ = process.communicate(timeout=20)
    names = set(output.split())
    assert "augment_open_proxy.server.app" in names
    return names


def test_no_heavy_library_is_loaded(loaded: set[str]) -> None:
    heavy = HEAVY & {name.partition(".")[0] for name in loaded}
    assert heavy == set()


def test_few_modules_are_loaded(loaded: set[str]) -> None:
    assert len(loaded) <= LIMIT
