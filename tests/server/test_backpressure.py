"""However much the backend sends: what a client has not read yet stays with the backend, not in our memory."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import httpx2 as httpx
import pytest

from augment_open_proxy.simulator import Send, Step
from tests.asking import CHAT, Api, every_api, request
from tests.server.test_process import running, url_in
from tests.servers import Proxy, running_proxy

LINE = b'{"text":"' + b"word " * 13_000 + b'"}\n'
LINES: list[Step] = [Send(LINE)] * 3200
"""200 MB."""
MIB = 2**20

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads memory from /proc")


class Measured:
    """A proxy in a process of its own, on the simulator of another one."""

    def __init__(self, pid: int, url: str, backend: Proxy) -> None:
        self.url = url
        self.backend = backend
        self._pid = pid

    def memory(self, what: str = "VmRSS") -> int:
        """Resident bytes now; with `VmHWM`, the most there were."""
        lines = Path(f"/proc/{self._pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(what))


@contextmanager
def measured(tmp_path: Path) -> Iterator[Measured]:
    with running_proxy() as backend:
        account = {"AUGMENT_API_TOKEN": backend.simulator.token, "AUGMENT_API_URL": backend.simulator.url}
        with running(tmp_path, "--port", "0", **account) as (process, banner):
            proxy = Measured(process.pid, url_in(banner), backend)
            httpx.post(proxy.url + CHAT.path, json=request(CHAT, "claude-sonnet-4-5", True), timeout=20)
            backend.call(partial(backend.simulator.script, [*LINES, Send(b'{"stop_reason":1}\n')]))
            yield proxy


@every_api
def test_a_client_that_stops_reading_stops_the_backend(tmp_path: Path, api: Api) -> None:
    with measured(tmp_path) as proxy, socket.socket() as connection:
        before = proxy.memory()
        host, _, port = proxy.url.removeprefix("http://").partition(":")
        connection.connect((host, int(port)))
        body = json.dumps(request(api, "claude-sonnet-4-5", True)).encode()
        connection.sendall(
            b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            % (api.path.encode(), len(body), body)
        )
        connection.recv(1000)
        time.sleep(0.7)
        assert proxy.backend.simulator.open_calls == 1, "there is more to come"
        assert proxy.memory("VmHWM") - before < 40 * MIB


def test_what_has_passed_is_forgotten(tmp_path: Path) -> None:
    with measured(tmp_path) as proxy:
        before = proxy.memory()
        body = request(CHAT, "claude-sonnet-4-5", True)
        size = 0
        with httpx.stream("POST", proxy.url + CHAT.path, json=body, timeout=60) as answer:
            for piece in answer.iter_raw(MIB):
                size += len(piece)
        assert size > 200_000_000
        assert proxy.memory("VmHWM") - before < 40 * MIB
