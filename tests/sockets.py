"""A WebSocket of the proxy's `/v1/responses`, as a client sees it."""

import contextlib
import json
from collections.abc import Iterator
from typing import Any

from websockets.sync.client import connect
from websockets.sync.connection import Connection

from tests.servers import Proxy

Event = dict[str, Any]
MODEL = "claude-sonnet-4-5"
LAST = ("response.completed", "response.incomplete", "response.failed", "error")
"""The types of what ends a response."""


def ws_url(proxy: Proxy, path: str = "/v1/responses") -> str:
    return proxy.url.replace("http://", "ws://") + path


class Socket:
    """`seen` has all events so far."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.seen: list[Event] = []

    def send(self, given: Any = "Hi.", **fields: Any) -> None:
        """Ask for a response to `given`."""
        self.connection.send(
            json.dumps({"type": "response.create", "model": MODEL, "input": given, "store": False, **fields})
        )

    def receive(self, seconds: float = 10) -> Event:
        text = self.connection.recv(timeout=seconds)
        assert isinstance(text, str)
        event: Event = json.loads(text)
        self.seen.append(event)
        return event

    def response(self) -> list[Event]:
        """The events until the end of a response, whichever ends first."""
        events = [self.receive()]
        while events[-1]["type"] not in LAST:
            events.append(self.receive())
        return events

    def ask(self, given: Any = "Hi.", **fields: Any) -> Any:
        """The response object."""
        self.send(given, **fields)
        last = self.response()[-1]
        assert last["type"] in ("response.completed", "response.incomplete"), last
        return last["response"]

    def refused(self, given: Any = "Hi.", **fields: Any) -> Event:
        """The error event that comes instead of a response."""
        self.send(given, **fields)
        return self.error()

    def error(self) -> Event:
        event = self.receive()
        assert event["type"] == "error", event
        return event


@contextlib.contextmanager
def opened(proxy: Proxy, path: str = "/v1/responses", **how: Any) -> Iterator[Socket]:
    """A connection; `how` is for `websockets.sync.client.connect`."""
    with connect(ws_url(proxy, path), **{"max_size": None, "proxy": None, **how}) as connection:
        yield Socket(connection)


def text(response: Any) -> str:
    """What a response object says."""
    return "".join(part["text"] for item in response["output"] for part in item.get("content", ()))
