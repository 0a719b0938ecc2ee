"""What is stored, as structs. Times are in Unix seconds; `owner` is who may see a thing (a digest of a client key)."""

from typing import Literal

from msgspec import Struct

from augment_open_proxy.core.events import Event, Failure, Finish
from augment_open_proxy.core.listing import Item as Item
from augment_open_proxy.core.listing import Order as Order
from augment_open_proxy.core.listing import Page as Page
from augment_open_proxy.core.reply import Reply, fold

TurnKind = Literal["response", "message", "completion"]
RequestState = Literal["waiting", "running", "succeeded", "errored", "canceled", "expired"]
"""Of a request of a batch; all but the first two are final."""


class Turn(Struct, frozen=True, kw_only=True):
    """One turn: a response, a message of a thread, or a chat completion.

    `request` is the body as the client sent it, `replies` are the events that the client got, for each choice. A turn
    `is_running` as long as a background task produces it; until then `replies` holds what there is so far.
    Turns that go on from one another have the same `root`, the id of the first, and live as long as the youngest.
    """

    id: str
    kind: TurnKind
    owner: str
    root: str
    created: int
    model: str
    request: bytes
    replies: tuple[tuple[Event, ...], ...]
    previous: str | None = None
    conversation: str | None = None
    background: bool = False
    is_running: bool = False
    metadata: dict[str, str] = {}

    @property
    def is_whole(self) -> bool:
        """Whether every reply came to its good end."""
        return bool(self.replies) and all(events and isinstance(events[-1], Finish) for events in self.replies)

    def folded(self) -> list[Reply]:
        """The whole replies of a turn that is over. Raises `ValueError` for one that is not."""
        return [fold(events) for events in self.replies]

    @property
    def failure(self) -> Failure | None:
        """How it failed, where it did."""
        ends = (events[-1] for events in self.replies if events)
        return next((end for end in ends if isinstance(end, Failure)), None)


class Conversation(Struct, frozen=True, kw_only=True):
    """A conversation of the Responses API."""

    id: str
    owner: str
    created: int
    metadata: dict[str, str] = {}


class Batch(Struct, frozen=True, kw_only=True):
    """A message batch; `counts` are its requests by their state."""

    id: str
    owner: str
    created: float
    expires: float
    cancelled: float | None = None
    ended: float | None = None
    counts: dict[RequestState, int] = {}


class BatchRequest(Struct, frozen=True, kw_only=True):
    """A request of a batch: `number` is its place, `params` its body."""

    batch: str
    number: int
    custom_id: str
    params: bytes
    owner: str = ""
    headers: bytes = b""
