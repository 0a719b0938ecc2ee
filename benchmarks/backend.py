"""A stand-in for the Augment backend, and OpenAI's API for peers, that costs next to nothing: answers made beforehand.

Run as `python -m benchmarks.backend`: reads `{marker: Script}` as JSON from stdin, prints its port, and serves until
it is ended. Each line is an HTTP chunk of its own; all go out in one write, or each at its time.
"""

import asyncio
import re
import sys
from collections.abc import Mapping
from typing import cast

import httptools
import msgspec
import uvloop
from msgspec import Struct

from benchmarks.model import Script, marker

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nTransfer-Encoding: chunked\r\n\r\n"
_END = b"0\r\n\r\n"
_UNKNOWN = b'{"error":"the request names no scenario"}'
_REFUSAL = b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
_MARKER = re.compile(re.escape(marker("@")).replace("@", r"\w+").encode())
_MARKER_SIZE = 64
"""Bytes that no marker is longer than."""
_STREAMS = re.compile(rb'"stream": ?true')


class Answer(Struct, frozen=True):
    """What is written, and the seconds between two writes."""

    writes: tuple[bytes, ...]
    pause: float = 0.0


class Answers(Struct, frozen=True):
    """What one scenario's requests are answered."""

    augment: Answer
    openai_stream: Answer
    openai_reply: Answer


def rendered(script: Script) -> Answers:
    """The answers with their heads, ready to be written."""
    events = (*(f"data: {event}\n\n" for event in script.events), "data: [DONE]\n\n")
    return Answers(
        _answer(b"application/x-ndjson", tuple(f"{line}\n" for line in script.lines), script.pause),
        _answer(b"text/event-stream", events, script.pause),
        _answer(b"application/json", (script.reply,), 0),
    )


def _answer(media_type: bytes, pieces: tuple[str, ...], pause: float) -> Answer:
    data = [piece.encode() for piece in pieces]
    first, *others = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in data]
    writes = [_HEAD % media_type + first, *others]
    writes[-1] += _END
    return Answer(tuple(writes) if pause else (b"".join(writes),), pause)


_REFUSED = Answer((_REFUSAL % (len(_UNKNOWN), _UNKNOWN),))


class Connection(asyncio.Protocol):
    """Answers one request after another; the scenario is known by its marker in the body."""

    def __init__(self, answers: Mapping[bytes, Answers]) -> None:
        self._answers = answers
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._path = b""
        self._body = bytearray()
        self._marker: bytes | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one only in what it does

    def connection_lost(self, error: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._transport = None

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            if self._transport is not None:
                self._transport.close()

    # httptools' callbacks
    def on_message_begin(self) -> None:
        self._path, self._marker = b"", None
        self._body.clear()

    def on_url(self, url: bytes) -> None:
        self._path += url

    def on_body(self, body: bytes) -> None:
        if self._marker is not None and not self._is_openai:
            return  # nothing else of it matters, and a body of 10 MB must not hold up other answers
        searched_from = max(0, len(self._body) - _MARKER_SIZE)
        self._body += body
        if self._marker is None and (found := _MARKER.search(self._body, searched_from)):
            self._marker = found[0]

    def on_message_complete(self) -> None:
        answer = self._answer()
        self._write(answer, 0, self._loop.time())

    @property
    def _is_openai(self) -> bool:
        return self._path.endswith(b"/chat/completions")

    def _answer(self) -> Answer:
        answers = self._answers.get(self._marker or b"")
        if answers is None:
            return _REFUSED
        if self._is_openai:
            return answers.openai_stream if _STREAMS.search(self._body) else answers.openai_reply
        return answers.augment

    def _write(self, answer: Answer, number: int, due: float) -> None:
        if self._transport is None:
            return
        self._transport.write(answer.writes[number])
        if number + 1 < len(answer.writes):
            due += answer.pause
            self._timer = self._loop.call_at(due, self._write, answer, number + 1, due)
        elif not self._parser.should_keep_alive():
            self._transport.close()


async def _serve(scripts: dict[str, Script]) -> None:
    answers = {marker.encode(): rendered(script) for marker, script in scripts.items()}
    server = await asyncio.get_running_loop().create_server(lambda: Connection(answers), "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(msgspec.json.decode(sys.stdin.buffer.read(), type=dict[str, Script])))
