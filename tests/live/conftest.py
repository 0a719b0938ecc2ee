"""The proxy as a process on the user's own account: `make test-live`, and nothing else, runs what is here."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from augment_open_proxy.core.errors import ProxyError
from augment_open_proxy.upstream.credentials import CredentialSource
from tests.server.test_process import url_in

BANNER_SECONDS = 20


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return None if config.getoption("--live") else True


@pytest.fixture(scope="session")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The proxy's address. Skips where there are no credentials, with what to do about it."""
    _require_credentials()
    state = tmp_path_factory.mktemp("state")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AOP_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "augment_open_proxy", "--port", "0"],
        env={**kept, "AOP_STATE_DIR": str(state), "AOP_LOGGING": "none"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        lines: list[str] = []
        for line in process.stderr:
            lines.append(line)
            if "OPENAI_BASE_URL" in line:
                break
        yield url_in("".join(lines))
    finally:
        process.terminate()
        try:
            process.communicate(timeout=BANNER_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def _require_credentials() -> None:
    environ = os.environ
    source = CredentialSource(
        environ.get("AUGMENT_API_TOKEN") or None,
        environ.get("AUGMENT_API_URL") or None,
        environ.get("AUGMENT_SESSION_AUTH") or None,
        Path.home(),
    )
    try:
        source.current()
    except ProxyError as error:
        pytest.skip(f"The live tests need an Augment account. {error.problem.message}")
