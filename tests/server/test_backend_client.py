"""The client of the backend on real sockets, with a backend that says what the test wrote, in both event loops."""

import asyncio
import contextlib
import datetime
import gc
import os
import re
import socket
import ssl
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from augment_open_proxy.core.errors import ErrorKind, Problem, ProxyError
from augment_open_proxy.upstream import client as client_module
from augment_open_proxy.upstream.client import Answer, Client, Patience, Timeouts
from augment_open_proxy.upstream.http import pool as pool_module
from tests.flow import read

HEADERS = {"Content-Type": "application/json", "Authorization": "Bearer the-token"}
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"
CLOSE, RESET = object(), object()
PATIENT = Timeouts(5.0, 5.0, 5.0)

Step = bytes | float | object | asyncio.Event
"""What a backend does: it sends bytes, waits (seconds, or for an event), or ends the connection."""


class Backend:
    """Answers each request by the next of its scripts. `requests` are those that came, each with its connection."""

    def __init__(self) -> None:
        self.scripts: list[list[Step]] = []
        self.requests: list[tuple[bytes, bytes, int]] = []
        self.first_reads: list[bytes] = []
        self.writers: list[asyncio.StreamWriter] = []
        self.left = asyncio.Event()
        """Whether a connection was ended by the client, while its answer was sent or after."""
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/chat-stream"

    def connections_asked(self) -> list[int]:
        return [number for _, _, number in self.requests]

    def says(self, *scripts: bytes | list[Step]) -> None:
        self.scripts += [[script] if isinstance(script, bytes) else script for script in scripts]

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = len(self.writers)
        self.writers.append(writer)
        try:
            while True:
                first = await reader.read(65536)
                if not first:
                    break
                self.first_reads.append(first)
                head, _, body = first.partition(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                if length > len(body):
                    body += await reader.readexactly(length - len(body))
                self.requests.append((head, body, number))
                if not await self._act(reader, writer, self.scripts.pop(0)):
                    return
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        self.left.set()

    async def _act(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, script: list[Step]) -> bool:
        """Whether the connection goes on."""
        for step in script:
            if isinstance(step, bytes):
                writer.write(step)
                await writer.drain()
            elif isinstance(step, asyncio.Event):
                await step.wait()
            elif isinstance(step, float):
                await asyncio.sleep(step)
            else:
                (writer.transport.abort if step is RESET else writer.close)()
                return False
        return True

    @contextlib.asynccontextmanager
    async def running(self, context: ssl.SSLContext | None = None) -> AsyncIterator["Backend"]:
        def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(self.handle(reader, writer))
            self._tasks.add(task)

        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for writer in self.writers:
                writer.transport.abort()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)


Story = Callable[[Backend, Client], Awaitable[None]]
Run = Callable[..., None]


def new_loop(name: str) -> asyncio.AbstractEventLoop:
    if name == "asyncio":
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = pytest.importorskip("uvloop").new_event_loop()
    return loop


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Tells a story about a backend and a client, within ten seconds."""

    def tell(
        story: Story,
        timeouts: Timeouts = PATIENT,
        ca_file: Path | None = None,
        context: ssl.SSLContext | None = None,
    ) -> None:
        async def whole() -> None:
            async with asyncio.timeout(10), Backend().running(context) as backend:
                client = Client(timeouts, ca_file)
                try:
                    await story(backend, client)
                finally:
                    await client.close()

        with asyncio.Runner(loop_factory=lambda: new_loop(request.param)) as runner:
            runner.run(whole())
        gc.collect()  # what was left open would be told now, as a warning, which is an error

    return tell


async def body_of(answer: Answer) -> bytes:
    body = b""
    while data := await read(answer):
        body += data
    return body


async def ask(backend: Backend, client: Client, body: bytes = b"{}", **options: Any) -> bytes:
    async with client.stream(backend.url, HEADERS, body, **options) as answer:
        return await body_of(answer)


async def problem_of(asking: Awaitable[object]) -> Problem:
    with pytest.raises(ProxyError) as raised:
        await asking
    return raised.value.problem


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 (nothing tells of it)
        await asyncio.sleep(0.005)


# ---------------------------------------------------------------- requests


def test_a_small_request_is_one_write(run: Run) -> None:
    async def story(backend: Backend, client: Client) -> None:
        backend.says(OK)
        assert await ask(backend, client, b"x" * 20_000) == b"hi"
        (whole,) = backend.first_reads
        head, _, body = whole.partition(b"\r\n\r\n")
        assert body == b"x" * 20_000
        assert head.decode().split("\r\n") == [
            "POST /chat-stream HTTP/1.1",
            f"Host: 127.0.0.1:{backend.port}",
            *("Accept: */*", "Accept-Encoding: gzip, deflate"),
            *("Content-Type: application/json", "Authorization: Bearer the-token", "Content-Length: 20000"),
        ]

    run(story)


def test_nothing_waits_for_more_to_send(run: Run) -> None:
    async def story(backend: Backend, client: Client) -> None:
        backend.says(OK)
        async with client.stream(backend.url, HEADERS, b"{}") as answer:
            sock = answer._connection._transport.get_extra_info("socket")
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    run(story)


def test_a_large_one_arrives_whole(run: Run) -> None:
    async def story(backend: Backend, client: Client) -> None:
        body = bytes(range(256)) * 40_000
        backend.says(OK, OK)
        for _ in range(2):
            assert await ask(backend, client, body) == b"hi"
        assert [asked for _, asked, _ in backend.requests] == [body, body]
        assert backend.connections_asked() == [0, 0]

    run(story)


def test_a_header_cannot_bring_another(run: Run) -> None:
    async def story(backend: Backend, client: Client) -> None:
        headers = {"Authorization": "Bearer the-token\r\nX-Evil: 1"}
        call = client.stream(backend.url, headers, b"{}")
        problem = await problem_of(call.__aenter__())
        assert problem.kind is ErrorKind.AUTHENTICATION
        assert "the-token" not in problem.message
        assert not backend.writers

    run(story)


def test_an_address_that_is_none_is_told(run: Run) -> None:
    async def story(_: Backend, client: Client) -> None:
        problem = await problem_of(client.stream("ftp://a.test", HEADERS, b"").__aenter__())
        assert problem == Problem(
            ErrorKind.AUTHENTICATION, "The address of the Augment backend (AUGMENT_API_URL) is invalid."
        )

    run(story)


def test_no_cookie_is_kept(run: Run) -> None:
    async def story(backend: Backend, client: Client) -> None:
        backend.says(OK.replace(b"\r\n\r\n", b"\r\nSet-Cookie: a=b\r\n\r\n"), OK)
        for _ in range(2):
            await ask(backend, client)
        assert all(b"cookie" not in head.lower() for head, _, _ in backend.requests)

    run(story)


# ---------------------------------------------------------------- connections that are kept


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (OK, True),
        (CHUNKED + b"2\r\nhi\r\n" + END, True),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, True),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi", True),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", False),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi", False),
        (OK + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", False),
        (OK + b"x", False),
    ],
)
def test_a_connection_is_kept_where_both_sides_may(run: Run, said: bytes, kept: bool) -> None:
    async def story(backend: Backend, client: Client) -> None:
        backend.says(said, OK)
        for _ in range(2):
            assert await ask(backend, client) == b"hi"
        assert backend.connections_asked() == [0, 0 if kept else 1]

    run(story)


def test_a_body_until_the_close_is_whole(run: Run) -> None:
    async def story(backend: Backend, client: Client) -> None:
        backend.says([b"HTTP/1.1 200 OK\r\n\r\nhi", 0.02, b" there", CLOSE], OK)
        assert await ask(backend, client) == b"hi there"
        assert await ask(backend, client) == b"hi"

    run(story)


def test_what_was_used_last_is_used_next(run: Run) -> None:
    async def story(backend: Backend, client: Client) -> None:
        backend.says(*[[0.05, OK]] * 3, OK, OK)
        await asyncio.gather(*[ask(backend, client) for _ in range(3)])
        await ask(backend, client)
        await ask(backend, client)
        assert backend.connections_asked()[3] == backend.connections_asked()[4]
        assert len(backend.writers) == 3

    run(story)


def test_so_many_are_kept_at_most(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "IDLE_LIMIT", 2)

    async def story(backend: Backend, client: Client) -> None:
        backend.says(*[[0.05, OK]] * 6)
        await asyncio.gather(*[ask(backend, client) for _ in range(3)])
        await asyncio.gather(*[ask(backend, client) for _ in range(3)])
        assert len(backend.writers) == 4

    run(story)


def test_and_each_for_so_long(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "IDLE_SECONDS", 0.2)

    async def story(backend: Backend, client: Client) -> None:
        backend.says(OK, [0.12, OK], OK)
        await ask(backend, client)
        await asyncio.sleep(0.12)
        await ask(backend, client)
        assert backend.connections_asked() == [0, 0]
        await asyncio.sleep(0.12)
        assert not backend.left.is_set(), "its time is counted from its last use"
        await backend.left.wait()
        await ask(backend, client)
        assert backend.connections_asked() == [0, 0, 1]

    run(story)


def test_each_has_its_own_time(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "IDLE_SECONDS", 0.2)

    async def story(backend: Backend, client: Client) -> None:
        backend.says(OK, [0.1, OK])
        await asyncio.gather(ask(backend, client), ask(backend, client))
        assert len(client.pool._all) == 2
        await until(lambda: len(client.pool._all) == 1)
        await until(lambda: not client.pool._all)

    run(story)


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n", OK])
def test_one_that_the_backend_ends_while_idle_is_never_asked(run: Run, said: bytes) -> None:
    """Nor one on which it says something: an answer that came before its request would be another's."""

    async def story(backend: Backend, client: Client) -> None:
        gone = asyncio.Event()
        backend.says([OK, gone, said, CLOSE], OK)
        assert await ask(backend, client) == b"hi"
        gone.set()
        await until(lambda: not client.pool._all)
        assert not any(client.pool._idle.values())
        assert await ask(backend, client) == b"hi"
        assert backend.connections_asked() == [0, 1]

    run(story)


@pytest.mark.parametrize("end", [CLOSE, RESET])
@pytest.mark.parametrize("body", [b"{}", bytes(300_000)], ids=["small", "large"])
def test_where_one_that_was_kept_ends_before_any_answer_a_new_one_is_asked(run: Run, end: object, body: bytes) -> None:
    """The backend had closed it already, most likely; others that are kept may have ended as well."""

    async def story(backend: Backend, client: Client) -> None:
        backend.says([0.05, OK], [0.05, OK], [end], OK)
        await asyncio.gather(ask(backend, client), ask(backend, client))
        assert await ask(backend, client, body) == b"hi"
        assert backend.connections_asked()[3] == 2
        assert backend.requests[3][1] == body

    run(story)


@pytest.mark.parametrize("end", [CLOSE, RESET])
def test_a_new_one_that_ends_before_any_answer_may_be_asked_again(run: Run, end: object) -> None:
    async def story(backend: Backend, client: Client) -> None:
        backend.says(OK, [end], [end])
        assert await ask(backend, client) == b"hi"
        problem = await problem_of(ask(backend, client))
        assert problem.kind is ErrorKind.BACKEND
        assert problem.message.startswith("The connection to the Augment backend broke before its answer: ")
        assert problem.remedy == "again"
        assert backend.connections_asked() == [0, 0, 1], "it is up to the caller to ask again"

    run(story)


@pytest.mark.parametrize("said", [b"H", b"HTTP/1.1 100 Continue\r\n\r\n", b"nonsense"])
def test_nor_is_another_one_asked_where_an_answer_began(run: Run, said: bytes) -> None:
    async def story(backend: Backend, client: Client) -> None:
        backend.says(OK, [said, CLOSE])
        assert await ask(backend, client) == b"hi"
        assert "broke before its answer" in (await problem_of(ask(backend, client))).message
        assert backend.connections_asked() == [0, 0]

    run(story)


def test_closing_the_client_closes_all(run: Run) -> None:
    async def story(backend: Backend, client: Client) -> None:
        backend.says(OK, [CHUNKED])
        await ask(backend, client)
        async with client.stream(backend.url, HEADERS, b"{}") as answer:
            reading = asyncio.create_task(problem_of(read(answer)))
            await asyncio.sleep(0.02)
            await client.close()
            assert "broke" in (await reading).message
        await backend.left.wait()

    run(story)


# ---------------------------------------------------------------- answers that end early, or are left


@pytest.mark.parametrize("end", [CLOSE, RESET])
@pytest.mark.parametrize(
    "said", [CHUNKED + b"2\r\nhi\r\n", CHUNKED + b"5\r\nhi", OK.replace(b"Length: 2", b"Length: 3"), CHUNKED]
)
def test_an_answer_that_is_cut_off_is_an_error(run: Run, said: bytes, end: object) -> None:
    async def story(backend: Backend, client: Client) -> None:
        backend.says([said, 0.05, end])
        async with client.stream(backend.url, HEADERS, b"{}") as answer:
            if b"hi" in said:
                assert await read(answer) == b"hi"
            problem = await problem_of(read(answer))
        assert problem.message.startswith("The connection to the Augment backend broke: ")
        assert problem.remedy == "again"

    run(story)


@pytest.mark.parametrize(
    "said", [b"", b"HTTP/1.1 200 OK\r\nContent-Le", b"HTTP/1.1 100 Continue\r\n\r\n", b"no HTTP\r\n"]
)
def test_a_head_that_is_none_is_an_error(run: Run, said: bytes) -> None:
    async def story(backend: Backend, client: Client) -> None:
        backend.says([said, CLOSE])
        assert "broke before its answer" in (await problem_of(ask(backend, client))).message

    run(story)


def test_a_call_that_is_left_midway_ends_its_connection(run: Run) -> None:
    async def story(backend: Backend, client: Client) -> None:
        backend.says([CHUNKED + b"2\r\nhi\r\n"], OK)
        async with client.stream(backend.url, HEADERS, b"{}") as answer:
            assert await read(answer) == b"hi"
        await backend.left.wait()
        assert await ask(backend, client) == b"hi"
        assert backend.connections_asked() == [0, 1]

    run(story)


def test_one_whose_answer_is_there_is_kept_though_nobody_read_it(run: Run) -> None:
    async def story(backend: Backend, client: Client) -> None:
        backend.says([CHUNKED + b"2\r\nhi\r\n", 0.02, b"5\r\nthere\r\n" + END], OK)
        async with client.stream(backend.url, HEADERS, b"{}") as answer:
            assert await read(answer) == b"hi"
            await asyncio.sleep(0.1)
        assert await ask(backend, client) == b"hi"
        assert backend.connections_asked() == [0, 0]

    run(story)


def test_what_arrives_is_given_on_in_the_call_that_brings_it(run: Run) -> None:
    """No task wakes up for it: a piece is taken before anything else that is ready runs."""

    async def story(backend: Backend, client: Client) -> None:
        backend.says([CHUNKED + b"2\r\nhi\r\n", 0.05, b"5\r\nthere\r\n", 0.05, b"3\r\nyou\r\n" + END])
        taken: list[bytes] = []
        tasks: list[object] = []

        def take(data: bytes) -> bool:
            taken.append(data)
            tasks.append(asyncio.current_task())
            return True

        async with client.stream(backend.url, HEADERS, b"{}") as answer:
            assert await answer.pump(take) == b"you"
        assert taken == [b"hi", b"there"]
        assert tasks[1] is None, "it was not the reader's"

    run(story)


def test_a_taker_that_has_enough_finds_the_rest_later(run: Run) -> None:
    async def story(backend: Backend, client: Client) -> None:
        backend.says([CHUNKED, 0.05, b"2\r\nhi\r\n", 0.05, b"5\r\nthere\r\n", 0.05, b"3\r\nyou\r\n" + END])
        taken: list[bytes] = []

        def take(data: bytes) -> bool:
            taken.append(data)
            return len(taken) < 2

        async with client.stream(backend.url, HEADERS, b"{}") as answer:
            assert await answer.pump(take) is None
            await asyncio.sleep(0.2)
            assert taken == [b"hi", b"there"]
            assert await body_of(answer) == b"you"

    run(story)


@pytest.mark.parametrize("arrives", ["before it is waited for", "later"])
def test_what_a_taker_raises_is_raised(run: Run, arrives: str) -> None:
    async def story(backend: Backend, client: Client) -> None:
        backend.says([CHUNKED, 0.0 if arrives == "before it is waited for" else 0.1, b"2\r\nhi\r\n", 20.0])

        def take(data: bytes) -> bool:
            raise ValueError("a fault of ours")

        async with client.stream(backend.url, HEADERS, b"{}") as answer:
            await asyncio.sleep(0.05)
            with pytest.raises(ValueError, match="a fault of ours"):
                await answer.pump(take)

    run(story)


def test_one_that_is_cancelled_takes_nothing_more(run: Run) -> None:
    async def story(backend: Backend, client: Client) -> None:
        backend.says([CHUNKED + b"2\r\nhi\r\n", 0.05, b"5\r\nthere\r\n", 20.0])
        taken: list[bytes] = []
        reading: list[asyncio.Task[bytes | None]] = []

        def take(data: bytes) -> bool:
            taken.append(data)
            reading[0].cancel()
            return True

        async with client.stream(backend.url, HEADERS, b"{}") as answer:
            reading.append(asyncio.create_task(answer.pump(take)))
            await asyncio.wait(reading)
            await asyncio.sleep(0.1)
        assert taken == [b"hi"]

    run(story)


def test_each_piece_that_is_given_on_begins_the_wait_anew(run: Run) -> None:
    async def story(backend: Backend, client: Client) -> None:
        pieces: list[Step] = [step for _ in range(5) for step in (0.1, b"1\r\n.\r\n")]
        backend.says([CHUNKED, *pieces, 0.3, END], [CHUNKED, 0.1, b"1\r\n.\r\n", 20.0])
        taken: list[bytes] = []

        def take(data: bytes) -> bool:
            taken.append(data)
            return True

        async with client.stream(backend.url, HEADERS, b"{}") as answer:
            assert await answer.pump(take) == b""
        assert b"".join(taken) == b"....."
        loop = asyncio.get_running_loop()
        started = loop.time()
        async with client.stream(backend.url, HEADERS, b"{}") as answer:
            problem = await problem_of(answer.pump(take))
        assert "sent nothing more for" in problem.message
        assert 0.45 <= loop.time() - started < 2

    run(story, Timeouts(5.0, 5.0, 0.4))


def test_an_answer_knows_its_end_where_that_came_with_its_last_bytes(run: Run) -> None:
    async def story(backend: Backend, client: Client) -> None:
        backend.says(OK, [CHUNKED + b"2\r\nhi\r\n", 0.05, END])
        async with client.stream(backend.url, HEADERS, b"{}") as answer:
            assert [bool(await read(answer)), answer.is_at_end] == [True, True]
        async with client.stream(backend.url, HEADERS, b"{}") as answer:
            assert [bool(await read(answer)), answer.is_at_end] == [True, False]
            assert [bool(await read(answer)), answer.is_at_end] == [False, True]

    run(story)


@pytest.mark.parametrize("said", [b"", CHUNKED, CHUNKED + b"2\r\nhi\r\n"])
def test_a_cancelled_wait_ends_the_connection(run: Run, said: bytes) -> None:
    async def story(backend: Backend, client: Client) -> None:
        backend.says([said])
        asking = asyncio.create_task(ask(backend, client))
        await until(lambda: bool(backend.requests))
        await asyncio.sleep(0.05)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await backend.left.wait()

    run(story)


def open_files() -> set[str]:
    return set(os.listdir("/dev/fd"))  # noqa: PTH208 (these are numbers)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_cancelled_opening_closes_its_socket_once(run: Run, scheme: str) -> None:
    """Wherever it is cancelled. Closed twice, the second time would be another's, who was given the same number."""

    async def story(backend: Backend, client: Client) -> None:
        backend.handle = ignore  # type: ignore[method-assign]
        before = open_files()
        for rounds in range(30):
            url = f"{scheme}://127.0.0.1:{backend.port}/"
            call = asyncio.create_task(client.stream(url, HEADERS, b"{}").__aenter__())
            for _ in range(rounds):
                await asyncio.sleep(0)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            others = [os.open(os.devnull, os.O_RDONLY) for _ in range(4)]
            del call
            await asyncio.sleep(0.01)
            gc.collect()
            for other in others:
                os.close(other)
        await asyncio.sleep(0.05)
        assert len(open_files() - before) <= 1, "that of the folder itself"

    async def ignore(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while await reader.read(65536):
                pass
        writer.close()

    gc.freeze()  # so that what other tests left need not be looked at each time
    try:
        run(story)
    finally:
        gc.unfreeze()


def test_a_request_that_nobody_reads_is_dropped_when_it_is_cancelled(run: Run) -> None:
    """Though most of it was not sent yet: nobody waits for a backend that is stuck."""

    async def story(_: Backend, client: Client) -> None:
        accepted, ended = asyncio.Event(), asyncio.Event()

        async def stuck(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            reader._transport.pause_reading()  # type: ignore[attr-defined]
            accepted.set()
            await ended.wait()
            reader._transport.resume_reading()  # type: ignore[attr-defined]
            size = 0
            with contextlib.suppress(ConnectionError):
                while data := await reader.read(2**20):
                    size += len(data)
            writer.close()
            received.set_result(size)

        received: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        server = await asyncio.start_server(stuck, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        call = asyncio.create_task(client.stream(url, HEADERS, bytes(50_000_000)).__aenter__())
        await accepted.wait()
        await asyncio.sleep(0.1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        ended.set()
        assert await received < 50_000_000
        server.close()

    run(story)


def test_a_refusal_that_comes_before_the_body_is_sent_is_read(run: Run) -> None:
    async def story(_: Backend, client: Client) -> None:
        done = asyncio.Event()

        async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1000)
            writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 8\r\n\r\ntoo much")
            await done.wait()
            writer.transport.abort()

        server = await asyncio.start_server(refuse, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        problem = await problem_of(client.stream(url, HEADERS, bytes(50_000_000)).__aenter__())
        assert problem.kind is ErrorKind.CONTEXT_TOO_LONG
        assert problem.message.endswith("too much")
        assert not any(client.pool._idle.values())
        done.set()
        server.close()

    run(story)


# ---------------------------------------------------------------- much


def test_the_backend_waits_for_a_reader_that_does_not_read(run: Run) -> None:
    async def story(backend: Backend, client: Client) -> None:
        piece = b"10000\r\n" + bytes(65536) + b"\r\n"
        backend.says([CHUNKED, *[piece] * 300, END])
        async with client.stream(backend.url, HEADERS, b"{}") as answer:
            await read(answer)
            await asyncio.sleep(0.3)
            connection = answer._connection
            assert connection._size <= 2 * 256 * 1024 + 65536
            body = len(connection.take()) + len(await body_of(answer))
            assert 300 * 65536 - 600_000 < body < 300 * 65536
        assert client.pool._idle

    run(story)


def packed(body: bytes, bits: int) -> bytes:
    packer = zlib.compressobj(wbits=bits)
    return packer.compress(body) + packer.flush()


@pytest.mark.parametrize(("name", "bits"), [("gzip", 31), ("deflate", 15), ("deflate", -15)])
def test_a_packed_answer_is_unpacked(run: Run, name: str, bits: int) -> None:
    async def story(backend: Backend, client: Client) -> None:
        body = bytes(50_000_000)
        data = packed(body, bits)
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {name}\r\nContent-Length: {len(data)}\r\n\r\n".encode()
        backend.says([head, data], OK)
        size = 0
        async with client.stream(backend.url, HEADERS, b"{}") as answer:
            while piece := await read(answer):
                assert len(piece) <= 256 * 1024
                size += len(piece)
        assert size == len(body)
        assert await ask(backend, client) == b"hi"
        assert backend.connections_asked() == [0, 0]

    run(story)


@pytest.mark.parametrize("cut", [5, 20])
def test_one_that_is_cut_off_inside_is_an_error(run: Run, cut: int) -> None:
    async def story(backend: Backend, client: Client) -> None:
        data = packed(b"hello " * 100, 31)[:-cut]
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(data)}\r\n\r\n"
        backend.says(head.encode() + data)
        assert "gzip body is cut off" in (await problem_of(ask(backend, client))).message

    run(story)


def test_an_encoding_that_was_not_asked_for_is_refused(run: Run) -> None:
    async def story(backend: Backend, client: Client) -> None:
        backend.says(
            OK.replace(b"\r\n\r\n", b"\r\nContent-Encoding: br\r\n\r\n"),
            b"HTTP/1.1 503 Busy\r\nContent-Encoding: br\r\nContent-Length: 2\r\n\r\n\xff\xff",
        )
        problem = await problem_of(ask(backend, client))
        assert problem.remedy is None
        assert "encoded as 'br', which was not asked for" in problem.message
        assert (await problem_of(ask(backend, client))).kind is ErrorKind.OVERLOADED

    run(story)


# ---------------------------------------------------------------- refusals


def test_a_refusal_s_words_are_read_within_bounds(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_ERROR_BODY_SECONDS", 0.1)

    async def story(backend: Backend, client: Client) -> None:
        head = b"HTTP/1.1 500 Oh\r\nContent-Type: text/plain\r\n"
        backend.says(
            head + b"Content-Length: 25\r\n\r\nthe-token is what you sent",
            [head + b"Content-Length: 100\r\n\r\nfirst words"],
            [head + b"Content-Length: 100\r\n\r\nfirst words", CLOSE],
            [head + b"\r\n" + b"x" * 100_000, CLOSE],
            b"HTTP/1.1 429 Slow\r\nRetry-After: 1.5\r\nContent-Length: 0\r\n\r\n",
        )
        assert (await problem_of(ask(backend, client))).message.endswith("*** is what you sen")
        for _ in range(2):
            assert (await problem_of(ask(backend, client))).message.endswith("first words")
        assert (await problem_of(ask(backend, client))).message.endswith("x…")
        assert (await problem_of(ask(backend, client))).retry_after == 1.5

    run(story)


def test_a_connection_is_kept_after_a_refusal(run: Run) -> None:
    async def story(backend: Backend, client: Client) -> None:
        backend.says(b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy", OK)
        assert (await problem_of(ask(backend, client))).kind is ErrorKind.OVERLOADED
        assert await ask(backend, client) == b"hi"
        assert backend.connections_asked() == [0, 0]

    run(story)


def test_a_redirect_is_told_and_not_followed(run: Run) -> None:
    async def story(backend: Backend, client: Client) -> None:
        backend.says(b"HTTP/1.1 307 There\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n")
        assert "redirects (status 307)" in (await problem_of(ask(backend, client))).message
        assert len(backend.requests) == 1

    run(story)


# ---------------------------------------------------------------- times

SHORT = 0.15


@pytest.mark.parametrize(
    ("timeouts", "patience", "said", "expected"),
    [
        (Timeouts(5.0, SHORT, 5.0), Patience(), [b"HTTP/1.1 "], "AOP_HEADERS_TIMEOUT_MS"),
        (Timeouts(5.0, 5.0, SHORT), Patience(), [CHUNKED], "AOP_BODY_TIMEOUT_MS"),
        (Timeouts(5.0, 5.0, SHORT), Patience(), [CHUNKED + b"2\r\nhi\r\n"], "AOP_BODY_TIMEOUT_MS"),
        (Timeouts(None, None, None), Patience(first_byte=SHORT), [], "AOP_FIRST_BYTE_TIMEOUT_MS"),
        (Timeouts(5.0, 5.0, 5.0), Patience(first_byte=SHORT), [0.1, CHUNKED], "AOP_FIRST_BYTE_TIMEOUT_MS"),
        (Timeouts(5.0, 5.0, 5.0), Patience(None, SHORT), [CHUNKED, 0.3, b"2\r\nhi\r\n"], "AOP_STALL_TIMEOUT_MS"),
    ],
)
def test_a_silence_ends_when_its_time_is_over(
    run: Run, timeouts: Timeouts, patience: Patience, said: list[Step], expected: str
) -> None:
    async def story(backend: Backend, client: Client) -> None:
        backend.says([*said, 20.0])
        began = asyncio.get_running_loop().time()
        problem = await problem_of(ask(backend, client, patience=patience))
        took = asyncio.get_running_loop().time() - began
        assert problem.kind is ErrorKind.TIMEOUT
        assert expected in problem.message
        waited = sum(step for step in said if isinstance(step, float)) if "STALL" in expected else 0.0
        assert SHORT - 0.01 <= took - waited < SHORT + 1
        await until(lambda: not client.pool._all)

    run(story, timeouts)


def test_the_clock_stands_while_nobody_waits_and_begins_anew_with_each_wait(run: Run) -> None:
    async def story(backend: Backend, client: Client) -> None:
        pieces: list[Step] = [step for _ in range(4) for step in (b"2\r\nhi\r\n", 0.2)]
        backend.says([CHUNKED, *pieces, END], [0.2, OK], [OK, 20.0])
        async with client.stream(backend.url, HEADERS, b"{}") as answer:
            assert await read(answer) == b"hi"
            await asyncio.sleep(0.5)
            assert (await body_of(answer))[:2] == b"hi"
        assert await ask(backend, client) == b"hi"
        assert backend.connections_asked() == [0, 0]

    run(story, Timeouts(5.0, 0.3, 0.3))


def test_a_shorter_limit_is_kept_though_a_longer_one_is_timed(run: Run) -> None:
    async def story(backend: Backend, client: Client) -> None:
        backend.says([0.05, OK], [20.0])
        assert await ask(backend, client) == b"hi"
        began = asyncio.get_running_loop().time()
        await problem_of(ask(backend, client, patience=Patience(SHORT)))
        assert asyncio.get_running_loop().time() - began < SHORT + 1
        assert backend.connections_asked() == [0, 0]

    run(story)


@pytest.mark.parametrize("patience", [Patience(), Patience(first_byte=0.3)])
def test_the_first_byte_has_a_time_of_its_own_or_the_request_s(run: Run, patience: Patience) -> None:
    async def story(backend: Backend, client: Client) -> None:
        backend.says([0.2, CHUNKED, 0.2, b"2\r\nhi\r\n" + END])
        if patience.first_byte is None:
            assert await ask(backend, client, patience=patience) == b"hi"
        else:
            assert "FIRST_BYTE" in (await problem_of(ask(backend, client, patience=patience))).message

    run(story, Timeouts(5.0, 5.0, 0.3))


def test_a_silence_may_count_as_the_end(run: Run) -> None:
    async def story(backend: Backend, client: Client) -> None:
        backend.says([CHUNKED + b"2\r\nhi\r\n", 0.1, b"5\r\nthere\r\n", 0.3, b"4\r\nmore\r\n", 20.0])
        async with client.stream(backend.url, HEADERS, b"{}") as answer:
            assert await read(answer) == b"hi"
            assert await read(answer, silence=5.0) == b"there"
            assert await read(answer, silence=0.1) == b""
            assert await read(answer) == b"more"

    run(story)


def test_connecting_ends_when_its_time_is_over(run: Run) -> None:
    """TLS is part of it: the backend takes the connection, and says nothing."""

    async def story(_: Backend, client: Client) -> None:
        accepted: list[asyncio.StreamWriter] = []
        server = await asyncio.start_server(lambda _, writer: accepted.append(writer), "127.0.0.1", 0)
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        problem = await problem_of(client.stream(url, HEADERS, b"{}").__aenter__())
        assert problem.kind is ErrorKind.TIMEOUT
        assert "could not be reached within 0.15 s (AOP_CONNECT_TIMEOUT_MS)" in problem.message
        assert problem.remedy == "again"
        accepted[0].transport.abort()
        server.close()

    run(story, Timeouts(SHORT, 5.0, 5.0))


def test_a_backend_that_is_not_there_is_told(run: Run) -> None:
    async def story(backend: Backend, client: Client) -> None:
        free = await asyncio.start_server(backend.handle, "127.0.0.1", 0)
        backend.port = free.sockets[0].getsockname()[1]
        free.close()
        problem = await problem_of(ask(backend, client))
        assert problem.message.startswith("The Augment backend cannot be reached: ")
        assert problem.remedy == "again"

    run(story)


# ---------------------------------------------------------------- TLS


NOW, DAY = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    return file


def tls(authority: trustme.CA, *names: str, days: tuple[int, int] = (-1, 1)) -> ssl.SSLContext:
    """A server whose certificate is good from the first of the days, counted from now, until the second."""
    begin, end = (NOW + DAY * number for number in days)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["h2", "http/1.1"])
    authority.issue_cert(*names, not_before=begin, not_after=end).configure_cert(context)
    return context


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_tls_with_a_trusted_certificate(run: Run, authority: trustme.CA, ca_file: Path, name: str) -> None:
    async def story(backend: Backend, client: Client) -> None:
        backend.says(OK, [CHUNKED + b"2\r\nhi\r\n" + END], [CHUNKED + b"2\r\nhi\r\n", CLOSE], OK)
        for _ in range(2):
            async with client.stream(f"https://{name}:{backend.port}/x", HEADERS, bytes(200_000)) as answer:
                assert await body_of(answer) == b"hi"
        assert backend.connections_asked() == [0, 0]
        object_ = backend.writers[0].get_extra_info("ssl_object")
        assert object_.selected_alpn_protocol() == "http/1.1"
        assert object_.version() in ("TLSv1.2", "TLSv1.3")
        async with client.stream(f"https://{name}:{backend.port}/x", HEADERS, b"") as answer:
            assert await read(answer) == b"hi"
            assert "broke" in (await problem_of(read(answer))).message

    run(story, ca_file=ca_file, context=tls(authority, name))


@pytest.mark.parametrize(
    ("host", "name", "days", "reason"),
    [
        (
            "localhost",
            "other.test",
            (-1, 1),
            "(Hostname mismatch, certificate is not valid for 'localhost'); check its",
        ),
        ("127.0.0.1", "other.test", (-1, 1), "certificate is not valid for '127.0.0.1'); check its address."),
        ("localhost", "localhost", (-2, -1), "(certificate has expired); check the clock of this machine."),
        ("localhost", "localhost", (1, 2), "(certificate is not yet valid); check the clock of this machine."),
    ],
)
def test_a_certificate_of_another_name_or_time_is_not(
    run: Run, authority: trustme.CA, ca_file: Path, host: str, name: str, days: tuple[int, int], reason: str
) -> None:
    """A CA file would not help."""

    async def story(backend: Backend, client: Client) -> None:
        problem = await problem_of(client.stream(f"https://{host}:{backend.port}/", HEADERS, b"").__aenter__())
        assert problem.message.startswith("The certificate of the Augment backend is not trusted (")
        assert reason in problem.message
        assert "AOP_CA_FILE" not in problem.message
        assert problem.remedy is None
        assert not backend.requests

    run(story, ca_file=ca_file, context=tls(authority, name, days=days))


def test_a_certificate_of_another_authority_is_not(run: Run, authority: trustme.CA) -> None:
    async def story(backend: Backend, client: Client) -> None:
        problem = await problem_of(client.stream(f"https://localhost:{backend.port}/", HEADERS, b"").__aenter__())
        assert problem.message.startswith("The certificate of the Augment backend is not trusted (unable to get local")
        assert "AOP_CA_FILE" in problem.message
        assert problem.remedy is None
        assert not backend.requests

    run(story, context=tls(authority, "localhost"))


def careless(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """An authority whose certificates lack what RFC 5280 asks for, as companies' own often do; a server with one."""
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "An authority")])
    common = x509.CertificateBuilder(issuer, None, key.public_key(), 1, NOW - DAY, NOW + DAY)
    name = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    root = common.subject_name(issuer).add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=False)
    leaf = common.subject_name(x509.Name([])).add_extension(name, critical=True)
    root_file, leaf_file = folder / "root.pem", folder / "leaf.pem"
    root_file.write_bytes(root.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))
    leaf_file.write_bytes(
        leaf.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
        + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(leaf_file)
    return root_file, context


def test_a_careless_authority_is_trusted_by_every_python(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python 3.13 begins to refuse them; Node, and so Augment's own CLI, does not."""
    file, context = careless(tmp_path)
    as_ever = ssl.create_default_context

    def as_of_3_13() -> ssl.SSLContext:
        made = as_ever()
        made.verify_flags |= ssl.VERIFY_X509_STRICT
        return made

    monkeypatch.setattr(ssl, "create_default_context", as_of_3_13)

    async def story(backend: Backend, client: Client) -> None:
        backend.says(OK)
        async with client.stream(f"https://localhost:{backend.port}/x", HEADERS, b"") as answer:
            assert await body_of(answer) == b"hi"

    run(story, ca_file=file, context=context)


def test_plain_http_where_tls_is_spoken_is_an_error(run: Run, authority: trustme.CA, ca_file: Path) -> None:
    async def story(backend: Backend, client: Client) -> None:
        assert "broke before its answer" in (await problem_of(ask(backend, client))).message

    run(story, ca_file=ca_file, context=tls(authority, "localhost"))


# ---------------------------------------------------------------- proxies


class HttpProxy:
    """An HTTP proxy that leads everywhere to one port. `answer` is what it says to CONNECT."""

    def __init__(self, target: int) -> None:
        self.heads: list[bytes] = []
        self.answer = b"HTTP/1.1 200 Connection established\r\n\r\n"
        self.ended = asyncio.Event()
        self._target = target

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head)
            is_tunnel = head.startswith(b"CONNECT")
            if is_tunnel:
                writer.write(self.answer)
            if not is_tunnel or b" 200 " in self.answer:
                await self._forward(reader, writer, b"" if is_tunnel else head)
            elif not self.answer:
                await reader.read()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            self.ended.set()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, first: bytes) -> None:
        to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self._target)
        to_writer.write(first)
        await asyncio.gather(pipe(reader, to_writer), pipe(to_reader, writer))

    @contextlib.asynccontextmanager
    async def running(self, context: ssl.SSLContext | None = None) -> AsyncIterator[str]:
        """Its address."""
        server = await asyncio.start_server(self.handle, "127.0.0.1", 0, ssl=context)
        try:
            yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()


async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@contextlib.asynccontextmanager
async def through(
    proxy: HttpProxy, prefix: str, ca_file: Path, context: ssl.SSLContext | None
) -> AsyncIterator[Client]:
    """A client whose environment names the proxy, as `prefix` and its address."""
    async with proxy.running(context) as address:
        with pytest.MonkeyPatch.context() as patch:
            for name in ("http_proxy", "https_proxy"):
                patch.setenv(name, prefix + address)
            for name in ("no_proxy", "NO_PROXY"):
                patch.delenv(name, raising=False)
            client = Client(Timeouts(0.5, 5.0, 5.0), ca_file)
            try:
                yield client
            finally:
                await client.close()
        await asyncio.wait_for(proxy.ended.wait(), 5) if proxy.heads else None


CREDENTIALS = b"Proxy-Authorization: Basic bWU6cEBzcw==\r\n"


@pytest.mark.parametrize("is_secure", [False, True])
def test_tls_goes_through_a_tunnel(run: Run, authority: trustme.CA, ca_file: Path, is_secure: bool) -> None:
    """The proxy sees the host's name, and neither the request nor the token; the backend sees no credentials of it."""

    async def story(backend: Backend, _: Client) -> None:
        proxy = HttpProxy(backend.port)
        context = tls(authority, "127.0.0.1") if is_secure else None
        prefix = f"http{'s' * is_secure}://me:p%40ss@"
        async with through(proxy, prefix, ca_file, context) as client:
            backend.says(OK, OK)
            for body in (b"{}", bytes(300_000)):
                async with client.stream("https://tenant.test/x", HEADERS, body) as answer:
                    assert await body_of(answer) == b"hi"
        (head,) = proxy.heads
        assert head == b"CONNECT tenant.test:443 HTTP/1.1\r\nHost: tenant.test:443\r\n" + CREDENTIALS + b"\r\n"
        assert backend.connections_asked() == [0, 0]
        assert b"Proxy-" not in backend.requests[0][0]
        assert backend.requests[0][0].startswith(b"POST /x HTTP/1.1\r\nHost: tenant.test\r\n")

    run(story, context=tls(authority, "tenant.test"))


def test_a_tunnel_that_ends_as_it_opens_is_told(authority: trustme.CA, ca_file: Path) -> None:
    """Before the event loop has given the connection its transport. Only asyncio's own loop lets a test do this."""

    async def story() -> None:
        loop = asyncio.get_running_loop()
        start_tls = loop.start_tls

        async def ended(transport: Any, protocol: Any, *args: Any, **options: Any) -> Any:
            secured = await start_tls(transport, protocol, *args, **options)
            protocol.connection_lost(None)
            return secured

        loop.start_tls = ended  # type: ignore[method-assign]
        async with (
            asyncio.timeout(10),
            Backend().running(tls(authority, "tenant.test")) as backend,
            through(HttpProxy(backend.port), "http://", ca_file, None) as client,
        ):
            problem = await problem_of(client.stream("https://tenant.test/x", HEADERS, b"{}").__aenter__())
            assert "broke before its answer: the connection was closed" in problem.message
            assert not client.pool._all

    asyncio.run(story())


@pytest.mark.parametrize("is_secure", [False, True])
def test_plain_http_is_asked_of_the_proxy(run: Run, authority: trustme.CA, ca_file: Path, is_secure: bool) -> None:
    async def story(backend: Backend, _: Client) -> None:
        proxy = HttpProxy(backend.port)
        context = tls(authority, "127.0.0.1") if is_secure else None
        prefix = f"http{'s' * is_secure}://me:p%40ss@"
        async with through(proxy, prefix, ca_file, context) as client:
            backend.says(OK)
            async with client.stream("http://tenant.test:81/x", HEADERS, b"{}") as answer:
                assert await body_of(answer) == b"hi"
        (head,) = proxy.heads
        assert head.startswith(b"POST http://tenant.test:81/x HTTP/1.1\r\nHost: tenant.test:81\r\n")
        assert CREDENTIALS in head

    run(story)


@pytest.mark.parametrize(
    ("answer", "reason", "remedy"),
    [
        (
            b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n",
            "status 407 Proxy Authentication Required: its URL must have the right user and password",
            None,  # a wrong password that is sent again may lock the account
        ),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "status 502 Bad Gateway", "again"),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "status 403 Forbidden", None),
        (b"SSH-2.0\r\n\r\n", "its answer is not valid HTTP", None),
        (b"x" * 100_000, "its answer has no end", None),
        (b"HTTP/1.1 200 OK\r\n\r\nmore", "it sent something before it was spoken to", None),
        (b"HTTP/1.1 ", "it closed the connection", "again"),
    ],
)
def test_a_proxy_that_opens_no_tunnel_is_told(
    run: Run, ca_file: Path, answer: bytes, reason: str, remedy: str | None
) -> None:
    async def story(backend: Backend, _: Client) -> None:
        proxy = HttpProxy(backend.port)
        proxy.answer = answer
        async with through(proxy, "http://me:secret@", ca_file, None) as client:
            problem = await problem_of(client.stream("https://tenant.test/x", HEADERS, b"{}").__aenter__())
        assert problem.message.startswith("The HTTP proxy (HTTPS_PROXY) cannot be used: ")
        assert reason in problem.message
        assert problem.remedy == remedy
        assert "secret" not in problem.message

    run(story)


def test_a_proxy_whose_certificate_is_not_trusted_is_told(run: Run, authority: trustme.CA, ca_file: Path) -> None:
    async def story(backend: Backend, _: Client) -> None:
        proxy = HttpProxy(backend.port)
        async with through(proxy, "https://", ca_file, tls(trustme.CA(), "127.0.0.1")) as client:
            problem = await problem_of(client.stream("https://tenant.test/x", HEADERS, b"{}").__aenter__())
        assert "cannot be used: its certificate is not trusted (unable to get local issuer" in problem.message
        assert "AOP_CA_FILE" in problem.message

    run(story)


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_a_proxy_that_speaks_no_tls_is_told(
    run: Run, ca_file: Path, said: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where HTTPS_PROXY begins with https:// though it should not."""

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        writer.write(said)
        writer.close()

    async def story(backend: Backend, _: Client) -> None:
        proxy = HttpProxy(backend.port)
        monkeypatch.setattr(proxy, "handle", hang_up)
        async with through(proxy, "https://", ca_file, None) as client:
            problem = await problem_of(client.stream("https://tenant.test/x", HEADERS, b"{}").__aenter__())
        assert re.search(r"cannot be used: \S.*; perhaps its URL must begin with http://\.$", problem.message)

    run(story)


def test_its_silence_is_part_of_the_time_to_connect(run: Run, ca_file: Path) -> None:
    async def story(backend: Backend, _: Client) -> None:
        proxy = HttpProxy(backend.port)
        proxy.answer = b""
        async with through(proxy, "http://", ca_file, None) as client:
            problem = await problem_of(client.stream("https://tenant.test/x", HEADERS, b"{}").__aenter__())
        assert "could not be reached within 0.5 s (AOP_CONNECT_TIMEOUT_MS)" in problem.message

    run(story)


def test_a_backend_in_the_tunnel_must_be_trusted(run: Run, authority: trustme.CA, ca_file: Path) -> None:
    async def story(backend: Backend, _: Client) -> None:
        proxy = HttpProxy(backend.port)
        async with through(proxy, "http://", ca_file, None) as client:
            problem = await problem_of(client.stream("https://tenant.test/x", HEADERS, b"{}").__aenter__())
        assert "not trusted" in problem.message
        assert not backend.requests

    run(story, context=tls(authority, "other.test"))


@pytest.mark.parametrize(
    ("url", "reason", "remedy"),
    [
        ("http://127.0.0.1:9", "Connect", "again"),
        ("socks5://127.0.0.1:1080", "not socks5://", None),
        ("http://proxy..test:80", "its URL is not valid", None),
    ],
)
def test_a_proxy_that_cannot_be_used_is_told(
    run: Run, url: str, reason: str, remedy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, url)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)

    async def story(_: Backend, client: Client) -> None:
        for scheme in ("http", "https"):
            problem = await problem_of(client.stream(f"{scheme}://tenant.test/x", HEADERS, b"{}").__aenter__())
            assert problem.message.startswith("The HTTP proxy (HTTPS_PROXY) cannot be used: ")
            assert reason in problem.message
            assert problem.remedy == remedy

    run(story)
