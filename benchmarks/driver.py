"""The load: keeps so many requests under way, on a kept-alive connection each, and then verifies every answer.

Run as `python -m benchmarks.driver`: reads a `Job` as JSON from stdin, and prints its `Outcome`.
"""

import asyncio
import math
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
_AT_HAND = 256
"""MiB of memory that are taken beforehand. The answers are kept until all have come, and to take a new page for them
costs more than to read them, which the target would share: on two cores it waits for the driver.
"""


class Load:
    """What the connections share: the request, how often it is still to be sent, and the answers."""

    def __init__(self, job: Job) -> None:
        exchange = job.exchange
        self.request = (
            f"POST {exchange.path} HTTP/1.1\r\nHost: localhost:{job.port}\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer any\r\nContent-Length: {len(exchange.body)}\r\n\r\n"
        ).encode() + exchange.body
        self.first_content = job.first_content.encode()
        self.first_contents: list[float] = []
        self.longest_gap = 0.0
        self.most_open = 0
        self._left = job.count
        self._end = math.inf if job.seconds is None else max(time.monotonic(), job.start_at) + job.seconds
        self._under_way = 0
        self._open = 0
        self.answers: list[tuple[int, bytes]] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def take(self) -> bool:
        """Whether one more request is to be sent."""
        if self._left == 0 or time.monotonic() >= self._end:
            return False
        self._left -= 1
        self._under_way += 1
        return True

    def begin_answer(self) -> None:
        self._open += 1
        self.most_open = max(self.most_open, self._open)

    def end_answer(self, status: int, body: bytes) -> None:
        self._open -= 1
        self._under_way -= 1
        self.answers.append((status, body))

    def check_end(self) -> None:
        if not self._under_way and not self.done.done():
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
        self._waits_for_content = False
        self._sent = self._last = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one only in what it does

    def send(self) -> None:
        """Send the next request, if there is one."""
        self._waits = self._load.take()
        if self._waits and self._transport is not None:
            self._waits_for_content = bool(self._load.first_content)
            self._sent = time.perf_counter()
            self._transport.write(self._load.request)

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        if self._last:
            self._load.longest_gap = max(self._load.longest_gap, now - self._last)
        self._last = now
        if self._waits_for_content and self._load.first_content in data:
            self._waits_for_content = False
            self._load.first_contents.append(now - self._sent)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._load.fail(f"an answer is not HTTP: {error}")

    def connection_lost(self, error: Exception | None) -> None:
        if self._waits:
            self._load.fail("a connection was closed before the answer's end")

    # httptools' callbacks
    def on_message_begin(self) -> None:
        self._load.begin_answer()

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        self._load.end_answer(self._parser.get_status_code(), b"".join(self._body))
        self._body.clear()
        self._last = 0.0
        self.send()
        self._load.check_end()


def take_memory() -> None:
    """Have it at hand: what is freed here stays with the process (`benchmarks/load.py`)."""
    [bytearray(b"x") * 2**20 for _ in range(_AT_HAND)]


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
            await asyncio.sleep(job.start_at - time.monotonic())
            started = time.perf_counter()
            for _, connection in made:
                connection.send()
            load.check_end()
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
    return Outcome(seconds, len(load.answers), load.first_contents, load.longest_gap, load.most_open)


if __name__ == "__main__":
    take_memory()
    outcome = uvloop.run(drive(msgspec.json.decode(sys.stdin.buffer.read(), type=Job)))
    sys.stdout.buffer.write(msgspec.json.encode(outcome))
