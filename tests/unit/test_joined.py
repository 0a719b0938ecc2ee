"""Head and body of an answer go out as one, in good time, and never to a client that has left."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from augment_open_proxy.server.http_protocol import _MOST_JOINED, _Joined


class Transport:
    """Stands for a connection: what was written to it, call by call."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.is_closed = False

    def write(self, data: bytes) -> None:
        if self.is_closed:
            raise RuntimeError("the handler is closed")
        self.written.append(data)

    def close(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed


def told(story: Callable[[Transport, _Joined], Any]) -> Transport:
    """The connection after `story` and one more turn of the event loop, in which nothing may go wrong."""
    transport = Transport()
    faults: list[dict[str, Any]] = []

    async def run() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: faults.append(context))
        story(transport, _Joined(cast("asyncio.Transport", transport), loop))
        await asyncio.sleep(0)

    asyncio.run(run())
    assert faults == []
    return transport


def test_what_is_written_in_one_turn_of_the_loop_goes_out_as_one() -> None:
    def story(transport: Transport, joined: _Joined) -> None:
        joined.write(b"head")
        joined.write(b"body")
        assert transport.written == []

    assert told(story).written == [b"headbody"]


def test_much_of_it_goes_out_at_once() -> None:
    large = b"x" * (_MOST_JOINED + 1)

    def story(transport: Transport, joined: _Joined) -> None:
        joined.write(b"head")
        joined.write(large)
        assert transport.written == [b"head" + large]

    assert told(story).written == [b"head" + large]


def test_closing_loses_nothing() -> None:
    def story(transport: Transport, joined: _Joined) -> None:
        joined.write(b"head")
        joined.close()

    assert told(story).written == [b"head"]


def test_nothing_is_written_to_a_client_that_has_left() -> None:
    def story(transport: Transport, joined: _Joined) -> None:
        joined.write(b"head")
        transport.close()

    assert told(story).written == []
