"""Requests of 10 MB: while one is read, changed and encoded, the event loop has its turns, and others their lines."""

import asyncio
import dataclasses
import gc
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import msgspec
import pytest

from augment_open_proxy.journal.log import Log
from augment_open_proxy.server.assembly import open_app
from augment_open_proxy.server.run import loop_factory
from augment_open_proxy.settings import Settings

SIZE = 10_000_000
LINE = "The trains of Zürich leave on time; „so does the one to Geneva“.\n"
ANSWER = b'{"text":"Hi"}\n{"stop_reason":1}\n'
PATHS = {"chat": "/v1/chat/completions", "messages": "/v1/messages", "responses": "/v1/responses"}
PIECE = 64 * 1024
MOST = 0.5
"""The longest stretch without a turn of the loop, in parts of all work on the request; in one go it is 0.9."""


def large(api: str, count: int) -> bytes:
    """A request with so many messages, of `SIZE` bytes together."""
    text = (LINE * (SIZE // len(LINE.encode()) // count + 1))[: SIZE // count]
    messages = [{"role": ("user", "assistant")[i % 2], "content": text} for i in range(count)]
    messages.append({"role": "user", "content": "Hi."})
    fields = {"input": messages, "store": False} if api == "responses" else {"messages": messages}
    limit = {"max_tokens": 100} if api == "messages" else {}
    return msgspec.json.encode({"model": "claude-sonnet-4-5", **fields, **limit})


async def backend(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reads a request, and answers it."""
    head = await reader.readuntil(b"\r\n\r\n")
    size = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
    while size:
        size -= len(await reader.read(min(size, PIECE)))
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(ANSWER), ANSWER))
    await writer.drain()
    writer.close()


async def stretches(api: str, body: bytes) -> list[float]:
    """The CPU seconds between the turns of the loop, while the request is served."""
    server = await asyncio.start_server(backend, "127.0.0.1", 0)
    settings = dataclasses.replace(
        Settings(port=0, state_dir=Path("/nonexistent")),
        augment_api_url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}",
        augment_api_token="token",
    )
    scope = {"type": "http", "method": "POST", "path": PATHS[api], "query_string": b"", "client": ("127.0.0.1", 1)}
    scope["headers"] = [(b"host", b"localhost"), (b"content-type", b"application/json"), (b"x-api-key", b"any")]
    pieces = [body[start : start + PIECE] for start in range(0, len(body), PIECE)][::-1]
    sent: list[Any] = []
    found: list[float] = []

    async def receive() -> dict[str, Any]:
        if not pieces:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": pieces.pop(), "more_body": bool(pieces)}

    async def send(message: Any) -> None:
        sent.append(message)

    async def watch() -> None:
        last = time.thread_time()
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            found.append(now - last)
            last = now

    async with server, open_app(settings, Log("none", "text"), use_cli=False) as (app, _):
        watching = asyncio.create_task(watch())
        async with asyncio.timeout(60):
            await app(scope, receive, send)
        watching.cancel()
    assert sent[0]["status"] == 200, sent
    return found


def run(telling: Coroutine[Any, Any, list[float]]) -> list[float]:
    """In the event loop of the server."""
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(telling)


def longest(found: list[float]) -> float:
    """The longest stretch, in parts of all work."""
    return max(found) / sum(each for each in found if each > 0.0005)  # the watch itself takes less


@pytest.mark.parametrize("count", [4, 2000])
@pytest.mark.parametrize("api", PATHS)
def test_others_have_their_turns_while_a_large_request_is_served(api: str, count: int) -> None:
    """By CPU time, and as a part of all work: what else the machine does changes neither, but for memory that a
    host has to find first. That is charged to whoever asks for it (100 ms were seen), and only ever adds: the best of
    three attempts is what the proxy needs."""
    body = large(api, count)
    run(stretches(api, body))  # what is loaded for the first request
    gc.collect()
    gc.freeze()  # as the server does when it starts: the tests' own objects are none of its work
    try:
        parts = [longest(run(stretches(api, body))) for _ in range(3)]
    finally:
        gc.unfreeze()
    assert min(parts) <= MOST, parts
