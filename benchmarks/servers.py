"""Starts what is measured and what it needs, each as a child process, on loopback and in a temporary folder."""

import contextlib
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from benchmarks import peer
from benchmarks.model import DIALECTS, BenchmarkError, Dialect, Scenario, Target
from benchmarks.nginx import find_nginx, nginx_command

ROOT = Path(__file__).parent.parent
START_SECONDS = 20.0
STOP_SECONDS = 5.0
_RETRY_SECONDS = 0.001
_PROBE = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
PROXY_LOG = "at info, into a file"
_NGINX_SHARE, _PEER_SHARE = 4.0, 0.05


class Servers(Struct, frozen=True):
    """What runs: the stand-in for the backend, the proxy on it, nginx where there is one, and a peer if asked for."""

    backend: Target
    proxy: Target
    nginx: Target | None = None
    peer: Target | None = None

    def targets(self, dialects: Sequence[Dialect] = DIALECTS) -> list[Target]:
        """What is compared: the proxy and the peer in each of the dialects, and nginx."""
        spoken = [msgspec.structs.replace(self.proxy, surface=dialect) for dialect in dialects]
        if self.peer is not None:
            spoken += (msgspec.structs.replace(self.peer, surface=one) for one in dialects if one in peer.DIALECTS)
        return [*spoken, *([self.nginx] if self.nginx else [])]


@contextlib.contextmanager
def running(scenarios: Iterable[Scenario], *, with_peer: bool = False) -> Iterator[Servers]:
    """All of them, with a backend that knows these scenarios."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aop-bench-")))
        backend = stack.enter_context(running_backend(scenarios))
        proxy = stack.enter_context(running_proxy(folder, backend.port))
        command = find_nginx()
        nginx = stack.enter_context(_nginx(command, folder, backend.port)) if command else None
        compared = stack.enter_context(_peer(folder, backend.port)) if with_peer else None
        yield Servers(backend, proxy, nginx, compared)


@contextlib.contextmanager
def running_backend(scenarios: Iterable[Scenario]) -> Iterator[Target]:
    command = [sys.executable, "-m", "benchmarks.backend"]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with ending(process):
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(msgspec.json.encode({scenario.marker: scenario.script for scenario in scenarios}))
        process.stdin.close()
        port = process.stdout.readline()
        if not port:
            raise BenchmarkError("the backend did not start")
        yield Target("backend", "backend", int(port), process.pid)


@contextlib.contextmanager
def running_proxy(
    folder: Path,
    backend: int,
    command: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    seconds: float = START_SECONDS,
) -> Iterator[Target]:
    """The proxy in front of the port `backend`, with default settings and its state in `folder`.

    `command` is what starts it if not the command that a user has; its start may take so many `seconds`.
    """
    port = free_port()
    home, log = folder / "home", folder / "proxy.log"
    home.mkdir()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*(command or proxy_command()), "--port", str(port)],
            cwd=home,
            env={**proxy_environment(home, backend), **(environment or {})},
            stdout=output,
            stderr=output,
        )
    with ending(process):
        _wait_for(process, port, "the proxy", log, seconds)
        yield Target("proxy", "chat", port, process.pid)


def proxy_command() -> list[str]:
    """The command that a user has."""
    command = Path(sys.executable).parent / "augment-open-proxy"
    if not command.exists():
        raise BenchmarkError(f"{command} is missing: run `make setup`")
    return [str(command)]


def proxy_module() -> list[str]:
    """The same, for what must start the interpreter itself."""
    return [sys.executable, "-m", "augment_open_proxy"]


def proxy_environment(home: Path, backend: int) -> dict[str, str]:
    """Where the backend is, and nothing else that the proxy would heed."""
    return {
        "HOME": str(home),
        "PATH": str(home / "bin"),  # which is not there, so that `auggie` is not found
        "LANG": "C.UTF-8",
        "AUGMENT_API_TOKEN": "benchmark",
        "AUGMENT_API_URL": f"http://127.0.0.1:{backend}",
    }


@contextlib.contextmanager
def _nginx(command: str, folder: Path, backend: int) -> Iterator[Target]:
    port, log = free_port(), folder / "nginx.log"
    with log.open("wb") as output:
        process = subprocess.Popen(nginx_command(command, folder, port, backend), stdout=output, stderr=output)
    with ending(process):
        _wait_for(process, port, "nginx", log)
        yield Target("nginx", "backend", port, process.pid, share=_NGINX_SHARE)


@contextlib.contextmanager
def _peer(folder: Path, backend: int) -> Iterator[Target]:
    port, log = free_port(), folder / "peer.log"
    command, environment = peer.command(folder, port, backend)
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output)
    with ending(process):
        _wait_for(process, port, peer.NAME, log, peer.START_SECONDS)
        yield Target(peer.NAME, "chat", port, process.pid, share=_PEER_SHARE)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _wait_for(
    process: subprocess.Popen[bytes], port: int, name: str, log: Path, seconds: float = START_SECONDS
) -> None:
    if not has_answered(process, port, seconds):
        raise BenchmarkError(f"{name} did not start:\n{log.read_text(encoding='utf-8', errors='replace')[-2000:]}")


def has_answered(process: subprocess.Popen[bytes], port: int, seconds: float = START_SECONDS) -> bool:
    """Whether a server comes to answer. It is asked as soon as the port is there; the question waits in its queue."""
    end = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=seconds) as asked:
            asked.sendall(_PROBE)
            if asked.recv(64):
                return True
        time.sleep(_RETRY_SECONDS)
    return False


@contextlib.contextmanager
def ending(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Ends the process, and closes its pipes."""
    with process:
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
