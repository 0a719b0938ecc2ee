"""Starts what is measured and what it needs, each as a child process, on loopback and in a temporary folder."""

import contextlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from benchmarks.model import BenchmarkError, Scenario, Target

ROOT = Path(__file__).parent.parent
START_SECONDS = 20.0
STOP_SECONDS = 5.0
NGINX_MISSING = (
    "nginx is missing, so there are no ratios. Debian: apt-get install nginx-light; Fedora: dnf install nginx"
)
PROXY_LOG = "at info, into a file"

_NGINX_CONF = """\
daemon off;
master_process off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_max_body_size 64m;
    client_body_buffer_size 16m;
    client_body_temp_path {folder}/client;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 100000000;
    upstream backend {{
        server 127.0.0.1:{backend};
        keepalive 256;
        keepalive_requests 100000000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=2048;
        location / {{
            proxy_pass http://backend;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
        }}
    }}
}}
"""
"""Debian's defaults, but for what makes it one process that passes each byte on at once. (As a single process it needs
no rights in the folder but the user's own.)"""


@contextlib.contextmanager
def running(scenarios: Iterable[Scenario]) -> Iterator[list[Target]]:
    """The targets, on a backend that knows these scenarios: the proxy, and nginx where there is one."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aop-bench-")))
        backend = stack.enter_context(_backend(scenarios))
        targets = [stack.enter_context(_proxy(folder, backend))]
        if nginx := find_nginx():
            targets.append(stack.enter_context(_nginx(nginx, folder, backend)))
        yield targets


def find_nginx() -> str | None:
    """nginx' path; Debian installs it where only root's PATH leads."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


@contextlib.contextmanager
def _backend(scenarios: Iterable[Scenario]) -> Iterator[int]:
    """The backend's port."""
    command = [sys.executable, "-m", "benchmarks.backend"]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with _ending(process):
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(msgspec.json.encode({scenario.marker: scenario.lines for scenario in scenarios}))
        process.stdin.close()
        port = process.stdout.readline()
        if not port:
            raise BenchmarkError("the backend did not start")
        yield int(port)


@contextlib.contextmanager
def _proxy(folder: Path, backend: int) -> Iterator[Target]:
    """The proxy as a user has it: the command, default settings, nothing else in the environment."""
    home, bin_, log = folder / "home", folder / "bin", folder / "proxy.log"
    home.mkdir()
    bin_.mkdir()
    environment = {
        "HOME": str(home),
        "PATH": str(bin_),  # empty, so that `auggie` is not found
        "LANG": "C.UTF-8",
        "AUGMENT_API_TOKEN": "benchmark",
        "AUGMENT_API_URL": f"http://127.0.0.1:{backend}",
    }
    port = _free_port()
    command = [_proxy_command(), "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=home, env=environment, stdout=output, stderr=output)
    with _ending(process):
        _wait_for(process, port, "the proxy", log)
        yield Target("proxy", "chat", port, process.pid)


def _proxy_command() -> str:
    command = Path(sys.executable).parent / "augment-open-proxy"
    if not command.exists():
        raise BenchmarkError(f"{command} is missing: run `make setup`")
    return str(command)


@contextlib.contextmanager
def _nginx(command: str, folder: Path, backend: int) -> Iterator[Target]:
    port = _free_port()
    config, log = folder / "nginx.conf", folder / "nginx.log"
    config.write_text(_NGINX_CONF.format(folder=folder, port=port, backend=backend), encoding="utf-8")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [command, "-p", str(folder), "-e", "stderr", "-c", str(config)], stdout=output, stderr=output
        )
    with _ending(process):
        _wait_for(process, port, "nginx", log)
        yield Target("nginx", "backend", port, process.pid, repeat=4)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _wait_for(process: subprocess.Popen[bytes], port: int, name: str, log: Path) -> None:
    """Wait until a server accepts connections."""
    end = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.01)
    raise BenchmarkError(f"{name} did not start:\n{log.read_text(encoding='utf-8', errors='replace')[-2000:]}")


@contextlib.contextmanager
def _ending(process: subprocess.Popen[bytes]) -> Iterator[None]:
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


def nginx_version() -> str:
    """As nginx tells it, or that there is none."""
    command = find_nginx()
    if command is None:
        return "no nginx"
    told = subprocess.run([command, "-v"], capture_output=True, text=True, timeout=10, check=False).stderr
    return told.strip().removeprefix("nginx version: ").replace("/", " ") or command
