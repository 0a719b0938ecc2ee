"""The policies of a request, in their order: requests go through them towards the backend, events come back."""

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import msgspec

from augment_open_proxy.core.conversation import ChatRequest, Message
from augment_open_proxy.core.events import BlockDelta, Event
from augment_open_proxy.policies import (
    arguments,
    compaction,
    custom_tools,
    history,
    limits,
    sealing,
    stop,
    structured,
    tool_choice,
    usage,
)
from augment_open_proxy.tokens.counter import CLAUDE_FACTOR, TokenCounter


class Feed(Protocol):
    """A machine between the backend's events and the client: a batch in, a batch out.

    One for blocks of some kind may have `rests`: while that is true, deltas pass it as they are, and do not wake it. No
    machine before it makes of a single delta the beginning of such a block.
    """

    def feed(self, events: list[Event]) -> list[Event]: ...


@runtime_checkable
class Asking(Protocol):
    """A machine that may need another turn: `again` is then what the conversation goes on with."""

    again: tuple[Message, ...] | None


Prepare = Callable[[ChatRequest], tuple[ChatRequest, Feed | None]]
"""Changes a request, or raises `ProxyError`; gives the machine for its reply, `None` where there is nothing to do."""


def policies(secret: bytes, counter: TokenCounter, claude_factor: float = CLAUDE_FACTOR) -> tuple[Prepare, ...]:
    """All policies, in the order in which a request meets them; the events of the reply meet them the other way.

    Seals are made with `secret`, limits counted with `counter`.
    """
    return (
        lambda request: compaction.prepare(request, secret),
        lambda request: sealing.prepare(request, secret),
        history.prepare,
        lambda request: usage.prepare(request, claude_factor),
        lambda request: limits.prepare(request, counter, claude_factor),
        stop.prepare,
        tool_choice.limit_calls,
        structured.prepare,
        tool_choice.prepare,
        arguments.prepare,
        custom_tools.prepare,
    )


def of_counts(secret: bytes) -> tuple[Prepare, ...]:
    """Those for a request of which only the tokens are counted, which may be any part of a conversation."""
    return lambda request: sealing.prepare(request, secret), structured.prepare


class Chain:
    """The policies applied to one request: `request` is what the backend is asked, `feed` is what the client gets."""

    __slots__ = ("_awake", "_feeds", "request")

    def __init__(self, request: ChatRequest, policies: Sequence[Prepare]) -> None:
        self._feeds: list[Feed] = []
        for prepare in policies:
            request, feed = prepare(request)
            if feed is not None:
                self._feeds.insert(0, feed)
        self._awake: list[Feed] | None = None
        """Those that do not rest, since the last batch that was no single delta; `None` where it is not known."""
        self.request = request

    def estimate_for(self, model: str) -> Callable[[], int]:
        """What estimates the tokens of the prompt for the model with this id, for the reply's usage as well."""
        for feed in self._feeds:
            if isinstance(feed, usage.UsageEstimate):
                feed.asked, feed.model = self.request, model
                return feed.estimate_prompt
        raise LookupError("none of the policies estimates")

    def feed(self, events: list[Event]) -> list[Event]:
        feeds = self._feeds
        if len(events) == 1 and type(events[0]) is BlockDelta:  # as most are that come alone
            if self._awake is None:
                self._awake = [feed for feed in feeds if not getattr(feed, "rests", False)]
            feeds = self._awake
        else:
            self._awake = None
        for feed in feeds:
            if not events:
                break
            events = feed.feed(events)
        return events

    def again(self) -> ChatRequest | None:
        """The request for another turn, where a policy needs one before the client can be answered."""
        for feed in self._feeds:
            if isinstance(feed, Asking) and feed.again:
                messages, feed.again = feed.again, None
                self.request = msgspec.structs.replace(self.request, messages=self.request.messages + messages)
                return self.request
        return None
