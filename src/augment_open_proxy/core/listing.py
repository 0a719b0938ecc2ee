"""Items of lists, and which part of a list is asked for."""

from typing import Literal

from msgspec import Struct

Order = Literal["asc", "desc"]


class Item(Struct, frozen=True):
    """A member of a list: its id, and itself in the JSON of its API."""

    id: str
    json: bytes


class Page(Struct, frozen=True):
    """At most `limit`, those after (or before) the one with that id, in the direction of `order`."""

    limit: int = 20
    order: Order = "desc"
    after: str | None = None
    before: str | None = None
