"""The policies of a request, in their order: requests go through them towards the backend, events come back."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from augment_open_proxy.core.conversation import ChatRequest
from augment_open_proxy.core.events import Event
from augment_open_proxy.policies import arguments, custom_tools, history, sealing, usage


class Feed(Protocol):
    """A machine between the backend's events and the client: a batch in, a batch out."""

    def feed(self, events: list[Event]) -> list[Event]: ...


Prepare = Callable[[ChatRequest], tuple[ChatRequest, Feed | None]]
"""Changes a request, or raises `ProxyError`; gives the machine for its reply, `None` where there is nothing to do."""


def policies(secret: bytes) -> tuple[Prepare, ...]:
    """All policies, in the order in which a request meets them. Seals are made with `secret`."""
    return (
        partial(sealing.prepare, secret=secret),
        history.prepare,
        arguments.prepare,
        custom_tools.prepare,
        usage.prepare,
    )


class Chain:
    """The policies applied to one request: `request` is what the backend is asked, `feed` is what the client gets."""

    def __init__(self, request: ChatRequest, policies: Sequence[Prepare]) -> None:
        self._feeds: list[Feed] = []
        for prepare in policies:
            request, feed = prepare(request)
            if feed is not None:
                self._feeds.insert(0, feed)
        self.request = request

    def feed(self, events: list[Event]) -> list[Event]:
        for feed in self._feeds:
            if not events:
                break
            events = feed.feed(events)
        return events
