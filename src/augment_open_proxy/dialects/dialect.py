"""What a client API is to the pipeline: where it listens, how it is read, how replies and errors look in it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Protocol

from msgspec import Struct

from augment_open_proxy.core.conversation import ChatRequest
from augment_open_proxy.core.errors import ErrorKind, Problem
from augment_open_proxy.core.events import Cancelled, Event, Failure, Finish, Opening
from augment_open_proxy.core.listing import Item
from augment_open_proxy.core.reply import Fold, Reply
from augment_open_proxy.core.steps import Steps, whole
from augment_open_proxy.dialects.framing import Frame, Pieces, joined, sse


class Delivery(Struct, frozen=True):
    """How the client wants its reply: as a stream or whole, with so many choices, and, in the stream, with the usage.

    `shape` is for the renderer of the dialect that parsed the request; another one does without.
    """

    stream: bool = False
    include_usage: bool = False
    choices: int = 1
    shape: Struct | None = None


class References(Struct, frozen=True):
    """What a request refers to in the store: the turn it goes on from, its conversation, single items."""

    previous: str | None = None
    conversation: str | None = None
    items: tuple[str, ...] = ()


class PastTurn(Struct, frozen=True):
    """A stored turn: its request's body, and its reply."""

    request: bytes
    reply: Reply


class Recalled(Struct, frozen=True):
    """What the references stand for: the turns that came before, oldest first; all items of the conversation, and
    single ones by their id, in the API's JSON.
    """

    turns: tuple[PastTurn, ...] = ()
    items: tuple[bytes, ...] = ()
    by_id: Mapping[str, bytes] = {}


NO_REFERENCES = References()
NOTHING = Recalled()


TurnKind = Literal["response", "message", "completion"]


class Keep(Struct, frozen=True):
    """That a turn is to be stored, and whether it runs in the background."""

    background: bool = False
    metadata: dict[str, str] = {}


class Parsed(Struct, frozen=True):
    """What a parser makes of a body: what is asked, how the answer is to be delivered, and what is to be stored.

    `body` is there where it may differ from the one that came: it says itself what that one took from elsewhere.
    """

    request: ChatRequest
    delivery: Delivery
    keep: Keep | None = None
    body: bytes | None = None


class TurnItems(Struct, frozen=True):
    """The items of a stored turn: those that its request gave, and those of its reply."""

    given: tuple[Item, ...] = ()
    made: tuple[Item, ...] = ()


def has_no_items(body: bytes, reply: Reply) -> TurnItems:
    """The items of a turn, in an API without any."""
    return TurnItems()


class Draft(Struct, frozen=True):
    """A body that was read: what `parse` needs to have recalled, and how it goes on.

    References that were not recalled stand for nothing. `parse` raises `ProxyError`.
    """

    parse: Callable[[Recalled], Steps[Parsed]]
    references: References = NO_REFERENCES


Read = Callable[[bytes], Steps[Draft]]
"""A body → its draft. Raises `ProxyError`."""


def parsed(read: Read, body: bytes, recalled: Recalled = NOTHING) -> Parsed:
    """What a body asks for. Raises `ProxyError` (invalid request) that names the field by its path."""
    return whole(whole(read(body)).parse(recalled))


class ErrorShape(Struct, frozen=True):
    """How a dialect shows one kind of error."""

    status: int
    type: str
    code: str | None = None
    retry: bool | None = None
    """What `x-should-retry` tells the SDKs, where their own rule would be wrong."""


class StreamRenderer(Protocol):
    """Events of a choice → frames. `heartbeat` gives what keeps a client waiting and means nothing."""

    def feed(self, events: list[Event], choice: int = 0) -> list[Frame]: ...

    def heartbeat(self) -> list[Frame]: ...


class Dialect(Struct, frozen=True):
    """One client API. `paths` take chat requests; `prefixes` say which other paths are told errors in its shape."""

    name: str
    paths: tuple[str, ...]
    prefixes: tuple[str, ...]
    id_prefix: str
    request_id_header: str
    errors: Mapping[ErrorKind, ErrorShape]
    read: Read
    stream: Callable[[Delivery], StreamRenderer]
    render_reply: Callable[[Sequence[Reply], Delivery], bytes]
    """The replies, one for each choice → the body."""
    render_error: Callable[[Problem, str], bytes]
    """The problem and the request's id → the body of the error."""
    keeps: TurnKind | None = None
    """As what turns are stored."""
    opens_with_usage: bool = False
    """Whether a stream begins with the tokens of the prompt."""
    items: Callable[[bytes, Reply], TurnItems] = has_no_items
    """The body and the reply of a stored turn → its items, with the ids under which they are found again."""
    render_begun: Callable[[Opening, Delivery], bytes] | None = None
    """What is answered at once where the turn runs in the background."""

    def parse(self, body: bytes, recalled: Recalled = NOTHING) -> Parsed:
        """The body, and what it refers to → what is asked, in one go. Raises `ProxyError`."""
        return parsed(self.read, body, recalled)

    def references(self, body: bytes) -> References:
        """What a body refers to. Raises `ProxyError`."""
        return whole(self.read(body)).references


class Renderer(Protocol):
    """Events of a choice → the bytes of the body, streamed or whole."""

    media_type: str

    def feed(self, events: list[Event], choice: int = 0) -> bytes | Pieces: ...

    def heartbeat(self) -> bytes: ...


class Streamed:
    """The body as server-sent events."""

    __slots__ = ("_renderer",)

    media_type = "text/event-stream; charset=utf-8"

    def __init__(self, renderer: StreamRenderer) -> None:
        self._renderer = renderer

    def feed(self, events: list[Event], choice: int = 0) -> bytes | Pieces:
        return sse(self._renderer.feed(events, choice))

    def heartbeat(self) -> bytes:
        return joined(sse(self._renderer.heartbeat()))


_ENDS = (Finish, Cancelled)


class Whole:
    """The body as one JSON document, at the end; a failure has none, its status tells it."""

    media_type = "application/json"

    def __init__(self, render: Callable[[Sequence[Reply], Delivery], bytes], delivery: Delivery) -> None:
        self._folds = [Fold() for _ in range(delivery.choices)]
        self._render = render
        self._delivery = delivery

    def feed(self, events: list[Event], choice: int = 0) -> bytes:
        self._folds[choice].feed(events)
        if not isinstance(events[-1], _ENDS):
            return b""
        replies = [fold.reply for fold in self._folds if fold.reply and not isinstance(fold.reply.end, Failure)]
        return self._render(replies, self._delivery) if len(replies) == len(self._folds) else b""

    def heartbeat(self) -> bytes:
        return b""


def renderer(dialect: Dialect, delivery: Delivery) -> Renderer:
    """The renderer of a reply in `dialect`."""
    return Streamed(dialect.stream(delivery)) if delivery.stream else Whole(dialect.render_reply, delivery)
