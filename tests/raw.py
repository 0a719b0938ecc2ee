"""Bytes to and from a port, where a client library would send none but proper requests."""

import contextlib
import json
import socket
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from tests.servers import Proxy


class Answer(NamedTuple):
    """One HTTP answer; `body` is as it came, chunks and all where it is chunked."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Connection:
    """A connection to the proxy."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._data = b""

    def send(self, data: bytes) -> None:
        with contextlib.suppress(ConnectionError):  # it may have been refused already
            self._socket.sendall(data)

    def answer(self) -> Answer:
        """The next answer; it must have a length."""
        while b"\r\n\r\n" not in self._data:
            assert self._receive(), f"the connection ended after {self._data!r}"
        head, _, self._data = self._data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        length = int(headers.get("content-length", "0"))
        while len(self._data) < length:
            assert self._receive(), "the connection ended in the body"
        body, self._data = self._data[:length], self._data[length:]
        return Answer(int(first.split(" ")[1]), headers, body)

    def begins(self) -> bool:
        """Whether something of an answer comes; it is kept for what reads it."""
        return bool(self._data) or self._receive()

    def is_closed(self) -> bool:
        """Whether the proxy closes the connection, and sends nothing more."""
        while self._receive():
            pass
        return not self._data

    def rest(self) -> bytes:
        """All that comes until the proxy closes the connection."""
        while self._receive():
            pass
        return self._data

    def _receive(self) -> bool:
        try:
            data = self._socket.recv(65536)
        except ConnectionError:
            return False
        self._data += data
        return bool(data)


@contextlib.contextmanager
def connected(proxy: Proxy, seconds: float = 10) -> Iterator[Connection]:
    """A connection on which nothing takes longer than `seconds`."""
    url = urlsplit(proxy.url)
    with socket.create_connection((url.hostname or "", url.port or 0), timeout=seconds) as opened:
        yield Connection(opened)


def post(path: str, body: bytes, *headers: str, version: str = "1.1", length: bool = True) -> bytes:
    """The bytes of a request; `headers` replace none but that of the length, which may be left out."""
    lines = [f"POST {path} HTTP/{version}", "Host: localhost", "Content-Type: application/json", *headers]
    if length:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
