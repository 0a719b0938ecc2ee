"""An answer on its connection: one write for head and body, framed as the head says, and never to who has left."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any, cast

import pytest
from uvicorn.protocols.http.flow_control import FlowControl

from augment_open_proxy.dialects.framing import Pieces, joined
from augment_open_proxy.server.asgi import body_of
from augment_open_proxy.server.http_cycle import Cycle, Gathering

START = "http.response.start"
BODY = "http.response.body"
NAMED = [(b"content-type", b"text/plain")]


class Transport:
    """Stands for a connection: what was written to it, call by call."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.is_closed = False

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def writelines(self, pieces: Iterable[bytes | memoryview]) -> None:
        self.written += map(bytes, pieces)

    def close(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed


def cycle_on(
    transport: Transport, method: str = "POST", version: str = "1.1", *, keep_alive: bool = True, ends: list[int]
) -> Cycle:
    logger = logging.getLogger("test")
    connection = cast("asyncio.Transport", transport)
    return Cycle(
        scope=cast("Any", {"method": method, "http_version": version}),
        transport=cast("asyncio.Transport", Gathering(connection, asyncio.get_running_loop())),
        flow=FlowControl(connection),
        logger=logger,
        access_logger=logger,
        access_log=False,
        default_headers=[(b"date", b"today")],
        message_event=asyncio.Event(),
        expect_100_continue=False,
        keep_alive=keep_alive,
        on_response=lambda: ends.append(1),
    )


def sent(
    *messages: dict[str, Any], method: str = "POST", version: str = "1.1", keep_alive: bool = True
) -> tuple[list[bytes], bool, int]:
    """What was written, a message in each turn; whether the connection was closed, and how often the answer ended."""

    async def run() -> tuple[list[bytes], bool, int]:
        transport, ends = Transport(), list[int]()
        cycle = cycle_on(transport, method, version, keep_alive=keep_alive, ends=ends)
        for message in messages:
            await cycle.send(message)
            await asyncio.sleep(0)
        return transport.written, transport.is_closed, len(ends)

    return asyncio.run(run())


def start(*headers: tuple[bytes, bytes], status: int = 200) -> dict[str, Any]:
    return {"type": START, "status": status, "headers": [*NAMED, *headers]}


def body(data: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": BODY, "body": data, "more_body": more}


HEAD = b"HTTP/1.1 200 OK\r\ndate: today\r\ncontent-type: text/plain\r\n"


def test_head_and_body_are_one_write() -> None:
    written, is_closed, ends = sent(start((b"content-length", b"2")), body(b"hi"))
    assert written == [HEAD + b"content-length: 2\r\n\r\nhi"]
    assert (is_closed, ends) == (False, 1)


def test_a_stream_is_chunked_and_its_first_chunk_goes_with_the_head() -> None:
    written, _, ends = sent(start(), body(b"a" * 16, more=True), body(b"b", more=True), body(b""))
    chunked = HEAD + b"transfer-encoding: chunked\r\n\r\n"
    assert written == [chunked + b"10\r\n" + b"a" * 16 + b"\r\n", b"1\r\nb\r\n", b"0\r\n\r\n"]
    assert ends == 1


LARGE = b"x" * 100_000


@pytest.mark.parametrize(
    ("messages", "version", "expected"),
    [
        ((start((b"content-length", b"100000")), body(LARGE)), "1.1", HEAD + b"content-length: 100000\r\n\r\n%b"),
        (
            (start(), body(LARGE, more=True), body(b"")),
            "1.1",
            HEAD + b"transfer-encoding: chunked\r\n\r\n186a0\r\n%b\r\n0\r\n\r\n",
        ),
        (
            (start(), body(b"a", more=True), body(LARGE, more=True), body(b"")),
            "1.1",
            HEAD + b"transfer-encoding: chunked\r\n\r\n1\r\na\r\n186a0\r\n%b\r\n0\r\n\r\n",
        ),
        ((start(), body(LARGE, more=True), body(b"")), "1.0", HEAD + b"connection: close\r\n\r\n%b"),
    ],
    ids=["whole", "the first chunk", "another chunk", "to HTTP/1.0"],
)
def test_a_large_body_is_written_without_a_copy(
    messages: tuple[dict[str, Any], ...], version: str, expected: bytes
) -> None:
    written, _, ends = sent(*messages, version=version, keep_alive=version != "1.0")
    assert b"".join(written) == expected % LARGE
    assert any(data is LARGE for data in written)
    assert ends == 1


def test_a_large_body_is_not_sent_to_who_asked_for_the_head() -> None:
    written, _, ends = sent(start((b"content-length", b"100000")), body(LARGE), method="HEAD")
    assert written == [HEAD + b"content-length: 100000\r\n\r\n"]
    assert ends == 1


def test_the_last_chunk_ends_the_answer_in_one_write() -> None:
    written, _, _ = sent(start(), body(b"a", more=True), body(b"b"))
    assert written[1] == b"1\r\nb\r\n0\r\n\r\n"


def test_to_http_1_0_a_stream_ends_with_its_connection() -> None:
    """It knows no chunks (RFC 9112, 7)."""
    told = sent(start(), body(b"a", more=True), body(b"b"), version="1.0", keep_alive=False)
    assert told == ([HEAD + b"connection: close\r\n\r\na", b"b"], True, 1)


@pytest.mark.parametrize("end", [body(b""), body(b"never sent")])
def test_the_answer_to_head_has_no_body(end: dict[str, Any]) -> None:
    written, _, ends = sent(start((b"content-length", b"10")), end, method="HEAD")
    assert written == [HEAD + b"content-length: 10\r\n\r\n"]
    assert ends == 1


def test_a_status_without_a_body_is_not_chunked() -> None:
    written, _, _ = sent(start(status=204), body(b""))
    assert written == [b"HTTP/1.1 204 No Content\r\ndate: today\r\ncontent-type: text/plain\r\n\r\n"]


def test_a_connection_that_is_not_kept_is_said_to_close_and_closed() -> None:
    told = sent(start((b"content-length", b"0"), (b"connection", b"close")), body(b""))
    assert told == ([HEAD + b"content-length: 0\r\nconnection: close\r\n\r\n"], True, 1)
    assert sent(start((b"content-length", b"0")), body(b""), keep_alive=False) == told


@pytest.mark.parametrize("value", [b"a\r\nset-cookie: b", b"a\nb", b"a\rb", b"a\0b"])
def test_a_header_that_would_be_more_than_one_is_not_sent(value: bytes) -> None:
    with pytest.raises(RuntimeError, match="header"):
        sent(start((b"x-aop-notice", value)), body(b""))


@pytest.mark.parametrize("data", [b"", b"a", b"abc"])
def test_a_body_of_another_length_than_announced_is_an_error(data: bytes) -> None:
    with pytest.raises(RuntimeError, match="not as long"):
        sent(start((b"content-length", b"2")), body(data))


@pytest.mark.parametrize("messages", [(body(b""),), (start(), start()), (start(), body(b""), body(b""))])
def test_what_is_out_of_order_is_an_error(messages: tuple[dict[str, Any], ...]) -> None:
    with pytest.raises(RuntimeError, match="does not belong here"):
        sent(*messages)


@pytest.mark.parametrize("headers", [(), ((b"content-length", b"4"),)])
@pytest.mark.parametrize("method", ["POST", "HEAD"])
@pytest.mark.parametrize("second", [b"cd", (b"c", memoryview(b"d"))], ids=["whole", "in pieces"])
def test_parts_of_a_body_need_no_message(
    headers: tuple[tuple[bytes, bytes], ...], method: str, second: bytes | Pieces
) -> None:
    parts = [b"ab", b"", second, b""]

    async def run() -> list[bytes]:
        transport = Transport()
        cycle = cycle_on(transport, method, ends=[])
        await cycle.send(start(*headers))
        send_body = body_of(cycle.send)
        assert send_body == cycle.send_body
        for number, part in enumerate(parts):
            await send_body(part, number < len(parts) - 1)
        await asyncio.sleep(0)
        return transport.written

    messages = [body(joined(part), more=number < len(parts) - 1) for number, part in enumerate(parts)]
    assert b"".join(asyncio.run(run())) == b"".join(sent(start(*headers), *messages, method=method)[0])


def test_another_server_is_sent_a_message_for_each_part() -> None:
    messages: list[Any] = []

    async def send(message: Any) -> None:
        messages.append(message)

    async def run() -> None:
        await body_of(send)(b"a", True)
        await body_of(send)((b"b", memoryview(b"c")), True)
        await body_of(send)(b"", False)

    asyncio.run(run())
    assert messages == [body(b"a", more=True), body(b"bc", more=True), body(b"")]


def test_a_client_that_was_answered_is_not_asked_for_its_body() -> None:
    async def run() -> list[bytes]:
        transport = Transport()
        cycle = cycle_on(transport, ends=[])
        cycle.waiting_for_100_continue = True
        await cycle.send(start((b"content-length", b"0")))
        await cycle.send(body(b""))
        assert await cycle.receive() == {"type": "http.disconnect"}
        await asyncio.sleep(0)
        return transport.written

    assert asyncio.run(run()) == [HEAD + b"content-length: 0\r\n\r\n"]


def test_nothing_is_written_to_a_client_that_has_left() -> None:
    async def run() -> list[bytes]:
        transport = Transport()
        cycle = cycle_on(transport, ends=[])
        await cycle.send(start())
        cycle.disconnected = True
        await cycle.send(body(b"late"))
        await asyncio.sleep(0)
        return transport.written

    assert asyncio.run(run()) == []


# --- Writes that wait for the end of the turn ---


def gathered(use: Callable[[Gathering, Transport], None]) -> list[bytes]:
    """What was written one turn after `use`."""

    async def run() -> list[bytes]:
        transport = Transport()
        use(Gathering(cast("asyncio.Transport", transport), asyncio.get_running_loop()), transport)
        await asyncio.sleep(0)
        return transport.written

    return asyncio.run(run())


def test_what_is_kept_goes_out_together_at_the_end_of_the_turn() -> None:
    def use(gathering: Gathering, transport: Transport) -> None:
        gathering.write_later(b"a")
        gathering.write_later(b"b")
        assert transport.written == []

    assert gathered(use) == [b"ab"]


@pytest.mark.parametrize("at_once", [lambda one: one.write(b"b"), lambda one: one.writelines([b"b"])])
def test_what_is_written_at_once_goes_out_behind_what_was_kept(at_once: Callable[[Gathering], None]) -> None:
    def use(gathering: Gathering, transport: Transport) -> None:
        gathering.write_later(b"a")
        at_once(gathering)
        assert transport.written == [b"a", b"b"]
        gathering.write_later(b"c")

    assert gathered(use) == [b"a", b"b", b"c"]


def test_a_connection_is_closed_after_what_was_kept() -> None:
    def use(gathering: Gathering, transport: Transport) -> None:
        gathering.write_later(b"a")
        gathering.close()
        assert (transport.written, gathering.is_closing()) == ([b"a"], True)

    assert gathered(use) == [b"a"]


def test_what_was_kept_for_a_lost_connection_is_dropped() -> None:
    def use(gathering: Gathering, transport: Transport) -> None:
        gathering.write_later(b"a")
        transport.is_closed = True

    assert gathered(use) == []
