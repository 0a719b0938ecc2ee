"""A real PostgreSQL for the tests: a server of their own on loopback, a database of its own for each test."""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

START_SECONDS = 30
SERVER_SETTINGS = (
    # Only because these tests throw everything away: a crash of the machine may take what was committed.
    "fsync=off",
    "full_page_writes=off",
    "listen_addresses=127.0.0.1",
)

KEEPER = """
"$@" &
read -r _
kill -INT $! && wait $!
rm -rf "$0"
"""
"""Ends the server, without waiting for its clients, when our end of the pipe closes: also when we are killed."""


class Postgres:
    """A server that runs."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs = programs
        self._folder = folder
        self._port = _free_port()
        self._as_user = _ordinary_user()
        if self._as_user:
            os.chown(folder, self._as_user["user"], self._as_user["group"])
        self._process = self._start()

    def create(self) -> str:
        """The URL of a new and empty database."""
        name = f"test_{uuid.uuid4().hex}"
        self.execute(f"CREATE DATABASE {name}")
        return f"postgresql://tester@127.0.0.1:{self._port}/{name}"

    def drop(self, url: str) -> None:
        self.execute(f"DROP DATABASE IF EXISTS {url.rpartition('/')[2]} WITH (FORCE)")

    def disconnect(self, url: str) -> None:
        """End all connections to a database, as a restart of the server does."""
        name = url.rpartition("/")[2]
        self.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")  # noqa: S608

    @contextlib.contextmanager
    def away(self, url: str) -> Iterator[None]:
        """Meanwhile nobody is connected to a database, and nobody can be."""
        name = url.rpartition("/")[2]
        self.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        self.disconnect(url)
        try:
            yield
        finally:
            self.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")

    def execute(self, sql: str, database: str = "postgres") -> str:
        """What psql prints for `sql`."""
        where = ["-h", str(self._folder), "-p", str(self._port), "-U", "tester", "-d", database]
        command = [str(self._programs / "psql"), *where, "-qAtX", "-c", sql]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, cwd=self._folder)
        if done.returncode:
            raise RuntimeError(done.stderr)
        return done.stdout

    def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)

    def _start(self) -> "subprocess.Popen[bytes]":
        data = self._folder / "data"
        init = ["initdb", "-D", data, "-U", "tester", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        done = self._run(init)
        if done.returncode:
            raise RuntimeError(done.stderr.decode())
        settings = [f"-c{setting}" for setting in (*SERVER_SETTINGS, f"unix_socket_directories={self._folder}")]
        with (self._folder / "log").open("wb") as log:
            server: list[str | Path] = [self._programs / "postgres", "-D", data, "-p", str(self._port), *settings]
            process = subprocess.Popen(
                ["/bin/sh", "-c", KEEPER, data, *server],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                **self._as_user,
            )
        end = time.monotonic() + START_SECONDS
        while self._run(["pg_isready", "-q", "-h", self._folder, "-p", str(self._port)]).returncode:
            if time.monotonic() > end:
                process.communicate()
                raise RuntimeError((self._folder / "log").read_text())
            time.sleep(0.05)
        return process

    def _run(self, command: list[Any]) -> "subprocess.CompletedProcess[bytes]":
        program, *arguments = command
        return subprocess.run(
            [self._programs / program, *arguments], capture_output=True, timeout=60, cwd=self._folder, **self._as_user
        )


def find_programs() -> Path | None:
    """The folder with `initdb` and `postgres`: Debian's newest, else the one on the PATH."""
    versions = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    newest = sorted(versions, key=lambda path: int(path.parts[-3]) if path.parts[-3].isdigit() else 0)
    if newest:
        return newest[-1].parent
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


@contextlib.contextmanager
def running_postgres() -> Iterator[Postgres]:
    """Skips the test where there is no PostgreSQL; in CI it fails then."""
    programs = find_programs()
    if programs is None:
        message = "PostgreSQL is not installed (scripts/install-postgresql)"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    with tempfile.TemporaryDirectory(prefix="aop-pg-") as folder:
        server = Postgres(programs, Path(folder))
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with running_postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: Postgres) -> Iterator[str]:
    """An empty database for one test."""
    url = postgres.create()
    yield url
    postgres.drop(url)


def _ordinary_user() -> dict[str, Any]:
    """PostgreSQL does not run as root."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    return {}


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
