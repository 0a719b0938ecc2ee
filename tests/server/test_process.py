"""The command as a user starts and stops it: a process of its own, its banner, its exit codes."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2 as httpx
import pytest

COMMAND = (sys.executable, "-m", "augment_open_proxy")


def environment(tmp_path: Path, **more: str) -> dict[str, str]:
    """An environment without the credentials, the settings and the CLI of whoever runs the tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AOP_", "AUGMENT_", "COV_"))}
    return {**kept, "HOME": str(tmp_path), "PATH": str(tmp_path), "AOP_STATE_DIR": str(tmp_path / "state"), **more}


@contextmanager
def running(tmp_path: Path, *arguments: str, **more: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process, and its banner once it takes requests."""
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=tmp_path,
        env=environment(tmp_path, **more),
        stdout=subprocess.PIPE,
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
        yield process, "".join(lines)
    finally:
        process.kill()
        process.communicate()


def url_in(banner: str) -> str:
    found = re.search(r"http://[^\s/]+", banner)
    assert found is not None, banner
    return found[0]


def test_the_demo_serves_without_account_and_ends_on_a_signal_with_zero(tmp_path: Path) -> None:
    with running(tmp_path, "demo", "--port", "0") as (process, banner):
        url = url_in(banner)
        assert "simulation" in banner
        body = {"model": "claude-sonnet-4-5", "messages": [{"role": "user", "content": "Hello there"}]}
        text = httpx.post(f"{url}/v1/chat/completions", json=body).json()["choices"][0]["message"]["content"]
        assert "simulation" in text
        assert "Hello there" in text
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=10)
        assert process.returncode == 0
        assert errors == ""
        assert re.fullmatch(
            r"\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\] INFO POST /v1/chat/completions 200 \d+ms "
            r"model=claude-sonnet-4-5 stream=false req=chatcmpl-[0-9a-f-]{36} tokens=\d+/\d+/\d+\n",
            output,
        )


def test_without_credentials_it_starts_and_says_how_to_get_them(tmp_path: Path) -> None:
    with running(tmp_path, "--port", "0") as (process, banner):
        assert "auggie login" in banner
        assert httpx.get(url_in(banner)).status_code == 200
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)
        assert process.returncode == 0


SIGNALLED = """
import os, sys
from augment_open_proxy.cli import main
from augment_open_proxy.server import listen
open_sockets = listen.open_sockets
def opening(host, port):
    sockets = open_sockets(host, port)
    os.kill(os.getpid(), {number:d})
    return sockets
listen.open_sockets = opening
sys.exit(main())
"""
"""The command, which gets a signal as soon as the port listens."""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_as_soon_as_the_port_listens_ends_it_with_zero(tmp_path: Path, number: signal.Signals) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SIGNALLED.format(number=number), "--port", "0"],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_banner_says_where_the_credentials_come_from_and_never_the_token(tmp_path: Path) -> None:
    secret = "token-4711"
    more = {"AUGMENT_API_TOKEN": secret, "AUGMENT_API_URL": "https://tenant.example"}
    with running(tmp_path, "--port", "0", **more) as (_, banner):
        assert "AUGMENT_API_TOKEN" in banner
        assert secret not in banner


def test_localhost_is_both_loopback_addresses(tmp_path: Path) -> None:
    with running(tmp_path, "--port", "0") as (_, banner):
        port = int(url_in(banner).rpartition(":")[2])
        for address in ("127.0.0.1", "::1"):
            with socket.create_connection((address, port), timeout=5):
                pass


def test_a_port_in_use_ends_the_start_with_one_and_says_how_to_find_who_holds_it(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            [*COMMAND, "--port", str(port)], env=environment(tmp_path), capture_output=True, text=True, timeout=20
        )
    assert done.returncode == 1
    for hint in ("ss -ltnp", "lsof -nP", "netstat -ano"):
        assert hint in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_bad_value_ends_the_start_with_two_and_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [*COMMAND], env=environment(tmp_path, AOP_PORT="no"), capture_output=True, text=True, timeout=20
    )
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    for word in ("AOP_PORT", "'no'", "65535"):
        assert word in done.stderr


def cli(tmp_path: Path, output: str, seconds: float = 0) -> None:
    """A stand-in for `auggie` on the PATH."""
    script = tmp_path / "auggie"
    script.write_text(f"#!{sys.executable}\nimport time\ntime.sleep({seconds})\nprint({output!r})\n")
    script.chmod(0o755)


LISTING = json.dumps({"registryAvailable": True, "models": [{"shortName": "opus9.1", "effortLevels": ["High"]}]})


def test_models_lists_what_the_cli_lists(tmp_path: Path) -> None:
    cli(tmp_path, LISTING)
    done = subprocess.run(
        [*COMMAND, "models"], env=environment(tmp_path), capture_output=True, text=True, timeout=20, check=True
    )
    assert done.stdout.split() == ["claude-opus-9-1", "claude-opus-9-1-high"]


def test_the_listing_comes_behind_the_requests_and_never_in_their_way(tmp_path: Path) -> None:
    cli(tmp_path, LISTING, seconds=3)
    with running(tmp_path, "--port", "0") as (_, banner):
        url = f"{url_in(banner)}/v1/models"
        started = time.monotonic()
        assert httpx.get(url).json()["data"][0]["id"] == "claude-haiku-4-5", "the built-in list comes first"
        assert time.monotonic() - started < 2.5
        while httpx.get(url).json()["data"][0]["id"] != "claude-opus-9-1":
            assert time.monotonic() - started < 20
            time.sleep(0.1)


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["demo", "--help"], ["models", "--help"]])
def test_help_and_version_are_quick_and_on_stdout(tmp_path: Path, arguments: list[str]) -> None:
    done = subprocess.run(
        [*COMMAND, *arguments], env=environment(tmp_path), capture_output=True, text=True, timeout=20, check=True
    )
    assert done.stdout
    assert done.stderr == ""
