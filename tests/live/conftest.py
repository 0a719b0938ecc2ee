"""The proxy as a process on the user's own account: `make test-live`, and nothing else, runs what is here."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from augment_open_proxy.core.errors import ProxyError
from augment_open_proxy.settings import Settings, load
from augment_open_proxy.upstream.credentials import CredentialSource
from tests.server.test_process import url_in

SILENCE_SECONDS = float(os.environ.get("AOP_LIVE_SILENCE_SECONDS", "60"))
"""How long the backend may be silent until the proxy reports it; less than the clients wait (`test_live.SECONDS`)."""
START_SECONDS = 20
STOP_SECONDS = 40
"""More than the proxy's grace for replies that go on."""


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return None if config.getoption("--live") else True


@pytest.fixture(scope="session")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The proxy's address. Skips where there are no credentials, with what to do about it."""
    settings = load({}, os.environ, Path.cwd())
    _require_credentials(settings)
    folder = tmp_path_factory.mktemp("proxy")
    process = subprocess.Popen(
        [sys.executable, "-m", "augment_open_proxy", "--port", "0"],
        cwd=folder,
        env=_environment(settings, folder),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    overdue = threading.Timer(START_SECONDS, process.kill)
    overdue.start()
    try:
        assert process.stderr is not None
        lines: list[str] = []
        for line in process.stderr:
            lines.append(line)
            if "OPENAI_BASE_URL" in line:
                break
        overdue.cancel()
        yield url_in("".join(lines))
    finally:
        overdue.cancel()
        process.terminate()
        try:
            process.communicate(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def _require_credentials(settings: Settings) -> None:
    source = CredentialSource(
        settings.augment_api_token, settings.augment_api_url, settings.augment_session_auth, Path.home()
    )
    try:
        source.current()
    except ProxyError as error:
        pytest.skip(f"The live tests need an Augment account. {error.problem.message}")


def _environment(settings: Settings, folder: Path) -> dict[str, str]:
    """The user's account and way to the network; of the other settings the defaults, and a state folder of its own."""
    nothing = folder / "empty.toml"
    nothing.touch()
    given = {
        "AUGMENT_API_TOKEN": settings.augment_api_token,
        "AUGMENT_API_URL": settings.augment_api_url,
        "AUGMENT_SESSION_AUTH": _from_anywhere(settings.augment_session_auth),
        "AOP_CA_FILE": settings.ca_file and str(settings.ca_file.absolute()),
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AOP_", "AUGMENT_"))}
    return {
        **kept,
        **{name: value for name, value in given.items() if value},
        "AOP_CONFIG": str(nothing),
        "AOP_STATE_DIR": str(folder / "state"),
        "AOP_LOGGING": "none",
        "AOP_FIRST_BYTE_TIMEOUT_MS": f"{1000 * SILENCE_SECONDS:.0f}",
        "AOP_STALL_TIMEOUT_MS": f"{1000 * SILENCE_SECONDS:.0f}",
    }


def _from_anywhere(session_auth: str | None) -> str | None:
    """The same, where it is the path of a file, from another working directory."""
    if session_auth is None or session_auth.lstrip().startswith("{"):
        return session_auth
    return str(Path(session_auth).expanduser().absolute())
