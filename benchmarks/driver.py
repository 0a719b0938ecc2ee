"""The load: keeps so many requests under way, on a kept-alive connection each, and then verifies every answer.

Run as `python -m benchmarks.driver`: reads a `Job` as JSON from stdin, and prints its `Outcome`.
"""

import asyncio
import sys
import time
from typing import cast

import httptools
import msgspec
import uvloop

from benchmarks.model import Job, Outcome
from benchmarks.reading import fault

TIME_LIMIT = 120.0
"""Seconds after which a round counts as failed."""


class Load:
    """What the connections share: the request, how often it is still to be sent, and the answers."""

    def __init__(self, job: Job) -> None:
        exchange = job.exchange
        self.request = (
            f"POST {exchange.path} HTTP/1.1\r\nHost: localhost:{job.port}\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer any\r\nContent-Length: {len(exchange.body)}\r\n\r\n"
        ).encode() + exchange.body
        self.left = job.count
        self.wanted = job.count
        self.answers: list[tuple[int, bytes]] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def take(self) -> bool:
        """Whether one more request is to be sent."""
        if self.left == 0:
            return False
        self.left -= 1
        return True

    def keep(self, status: int, body: bytes) -> None:
        self.answers.append((status, body))
        if len(self.answers) == self.wanted and not self.done.done():
            self.done.set_result(None)

    def fail(self, message: str) -> None:
        if not self.done.done():
            self.done.set_exception(ConnectionError(message))


class Connection(asyncio.Protocol):
    """Sends one request after another."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._body: list[bytes] = []
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._waits = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one only in what it does

    def send(self) -> None:
        """Send the next request, if there is one."""
        self._waits = self._load.take()
        if self._waits and self._transport is not None:
            self._transport.write(self._load.request)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._load.fail(f"an answer is not HTTP: {error}")

    def connection_lost(self, error: Exception | None) -> None:
        if self._waits:
            self._load.fail("a connection was closed before the answer's end")

    # httptools' callbacks
    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        self._load.keep(self._parser.get_status_code(), b"".join(self._body))
        self._body.clear()
        self.send()


async def drive(job: Job) -> Outcome:
    """Run the load, and say how long it took. Reading the answers comes after the clock has stopped."""
    load = Load(job)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: load.fail(f"the driver failed: {context}"))
    try:
        async with asyncio.timeout(TIME_LIMIT):
            made = [
                await loop.create_connection(lambda: Connection(load), "127.0.0.1", job.port)
                for _ in range(min(job.concurrency, job.count))
            ]
            started = time.perf_counter()
            for _, connection in made:
                connection.send()
            await load.done
    except TimeoutError:
        return Outcome(error=f"{len(load.answers)} of {job.count} answers came within {TIME_LIMIT:g} s")
    except OSError as error:
        return Outcome(error=str(error))
    seconds = time.perf_counter() - started
    for transport, _ in made:
        transport.close()
    exchange = job.exchange
    for status, body in load.answers:
        if wrong := fault(exchange.form, status, body, exchange.expected):
            return Outcome(error=f"{exchange.path}: {wrong}")
    return Outcome(wall_seconds=seconds)


if __name__ == "__main__":
    outcome = uvloop.run(drive(msgspec.json.decode(sys.stdin.buffer.read(), type=Job)))
    sys.stdout.buffer.write(msgspec.json.encode(outcome))
