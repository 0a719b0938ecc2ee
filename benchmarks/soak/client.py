"""A client of the proxy: one request at a time, read to its end or left before it."""

import asyncio
import json
import time
from typing import Any

import aiohttp
from msgspec import Struct

from benchmarks.soak.apis import Api, Seen, read_frame

TIMEOUT = aiohttp.ClientTimeout(total=60, sock_connect=10)
"""Nothing here takes a tenth of it; what does hangs."""


ON_ITS_WAY = 0.1
"""Seconds that a request may be on its way to the proxy."""
JSON = {"Content-Type": "application/json"}


class Wrong(Exception):  # noqa: N818 (a finding)
    """An answer is not what it must be."""


class Texts(Struct, frozen=True):
    """What an answer must say, piece by piece, and only it: each word has the number of the request."""

    number: int
    pieces: tuple[str, ...]

    @property
    def whole(self) -> str:
        return "".join(self.pieces)

    def prompt(self, **directive: Any) -> str:
        """What makes the simulator say so."""
        asked = json.dumps({"text": self.pieces, **directive})
        return f"Number {self.number}. @@{asked}@@"


def texts(number: int, words: int) -> Texts:
    return Texts(number, tuple(f"{number}.{word} " for word in range(words)))


class Client:
    """`away_since` is when the proxy was asked to stop, until it is there again.

    Requests that it was sent then and did not answer are repeated; one that it had before must be answered.
    """

    def __init__(self, url: str) -> None:
        self.away_since: float | None = None
        self.repeated = 0
        self._url = url
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=TIMEOUT)

    async def close(self) -> None:
        await self._session.close()

    async def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and JSON of a whole answer."""
        async with await self._open(method, path, body) as response:
            return response.status, json.loads(await response.read())

    async def ask(self, api: Api, body: dict[str, Any], *, leave_after: int | None = None) -> tuple[int, Seen]:
        """Post a request, and read its answer; with `leave_after`, no further than so many events of its stream."""
        return await self.follow(api, "POST", api.path, body, leave_after=leave_after)

    async def follow(
        self, api: Api, method: str, path: str, body: Any = None, *, leave_after: int | None = None
    ) -> tuple[int, Seen]:
        seen = Seen()
        async with await self._open(method, path, body) as response:
            if response.content_type == "text/event-stream":
                await self._read_stream(api, response, seen, leave_after)
            else:
                value = json.loads(await response.read())
                if response.status == 200:
                    api.whole(value, seen)
                else:
                    seen.failed = value["error"]["message"] != ""
            return response.status, seen

    async def _read_stream(
        self, api: Api, response: aiohttp.ClientResponse, seen: Seen, leave_after: int | None
    ) -> None:
        rest, count = b"", 0
        async for data in response.content.iter_any():
            *frames, rest = (rest + data).split(b"\n\n")
            for frame in frames:
                if (seen.ended or seen.failed) and frame != b"data: [DONE]":
                    raise Wrong(f"{frame[:100]!r} follows the end")
                read_frame(api, frame, seen)
                count += 1
                if count == leave_after:
                    response.close()
                    return
        if rest:
            raise Wrong("a stream ends within an event")

    async def _open(self, method: str, path: str, body: Any) -> aiohttp.ClientResponse:
        """The head of the answer. A connection that ends before it is one of a proxy that has been stopped."""
        data = b"" if body is None else json.dumps(body).encode()
        while True:
            was_away, begun = self.away_since is not None, time.monotonic()
            try:
                return await self._session.request(method, self._url + path, data=data, headers=JSON)
            except aiohttp.ClientConnectionError:
                is_late = self.away_since is not None and begun > self.away_since - ON_ITS_WAY
                if not (was_away or is_late):
                    raise
                self.repeated += 1
                await asyncio.sleep(0.1)
