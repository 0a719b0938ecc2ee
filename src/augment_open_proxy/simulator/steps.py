"""What one answer does on the wire, as data: a list of steps, played by `server.py`.

1. The first `Send` sends the head of a 200 answer before its bytes; an empty one sends the head only.
2. A list that ends without `Hang`, `Stall`, `Reset` or `Cut` ends the chunked body properly.
3. `Status` is a whole answer of its own, and stands alone or after pauses.
"""

from msgspec import Struct


class Send(Struct, frozen=True):
    """These bytes, in one write."""

    data: bytes


class Pause(Struct, frozen=True):
    """Silence, then the next step."""

    seconds: float


class Hang(Struct, frozen=True):
    """Silence until the client leaves."""


class Stall(Struct, frozen=True):
    """Silence, then the connection is closed as `Cut` does it."""

    seconds: float


class Reset(Struct, frozen=True):
    """A TCP reset."""


class Cut(Struct, frozen=True):
    """The connection is closed properly, the HTTP body not: its final chunk is missing."""


class Status(Struct, frozen=True):
    """A whole answer. The content type is JSON unless `headers` says otherwise."""

    code: int
    body: bytes = b""
    headers: dict[str, str] = {}


Step = Send | Pause | Hang | Stall | Reset | Cut | Status
