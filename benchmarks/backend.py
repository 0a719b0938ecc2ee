"""A stand-in for the Augment backend that costs next to nothing: fixed answers, rendered before the first request.

Run as `python -m benchmarks.backend`: reads `{marker: [line, …]}` as JSON from stdin, prints its port, and serves until
it is ended. Each line is an HTTP chunk of its own, and all go out in one write.
"""

import asyncio
import sys
from typing import cast

import httptools
import msgspec
import uvloop

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
_UNKNOWN = b'{"error":"the request names no scenario"}'
_REFUSAL = b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"


def rendered(lines: list[str]) -> bytes:
    """The whole answer, head included."""
    data = [f"{line}\n".encode() for line in lines]
    return _HEAD + b"".join(b"%x\r\n%b\r\n" % (len(line), line) for line in data) + b"0\r\n\r\n"


class Connection(asyncio.Protocol):
    """Answers one request after another; the scenario is known by its marker in the body."""

    def __init__(self, answers: dict[bytes, bytes]) -> None:
        self._answers = answers
        self._body: list[bytes] = []
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one only in what it does

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            if self._transport is not None:
                self._transport.close()

    # httptools' callbacks
    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        body = b"".join(self._body)
        self._body.clear()
        answer = next((answer for marker, answer in self._answers.items() if marker in body), None)
        if self._transport is not None:
            self._transport.write(answer or _REFUSAL % (len(_UNKNOWN), _UNKNOWN))
            if not self._parser.should_keep_alive():
                self._transport.close()


async def _serve(scripts: dict[str, list[str]]) -> None:
    answers = {marker.encode(): rendered(lines) for marker, lines in scripts.items()}
    server = await asyncio.get_running_loop().create_server(lambda: Connection(answers), "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(msgspec.json.decode(sys.stdin.buffer.read(), type=dict[str, list[str]])))
