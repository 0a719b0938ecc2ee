"""Lists as OpenAI's APIs give them: `{"object": "list", "data", "first_id", "last_id", "has_more"}`, page by page."""

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec
from msgspec import Raw, Struct

from augment_open_proxy.core.errors import ProxyError, invalid_request
from augment_open_proxy.core.listing import Item, Order, Page

LARGEST_PAGE = 100
_ORDERS: dict[str, Order] = {"asc": "asc", "desc": "desc"}
_encode = msgspec.json.Encoder().encode


class _List(Struct, frozen=True, kw_only=True):
    object: Literal["list"] = "list"
    data: list[Raw]
    first_id: str | None
    last_id: str | None
    has_more: bool


def read_page(query: Iterable[tuple[str, str]], default: Order = "desc") -> Page:
    """`limit` (1 to 100, 20 by default), `order` and `after`. Raises `ProxyError`."""
    given = dict(query)
    limit = given.get("limit", "20")
    if not limit.isascii() or not limit.isdigit() or len(limit) > 9 or not 1 <= int(limit) <= LARGEST_PAGE:
        raise invalid_request(f"limit must be a number from 1 to {LARGEST_PAGE}.", "limit")
    order = _ORDERS.get(given.get("order", default))
    if order is None:
        raise invalid_request("order must be asc or desc.", "order")
    return Page(int(limit), order, given.get("after") or None)


def cut(items: Sequence[Item], page: Page) -> tuple[Sequence[Item], bool]:
    """The page of a list that is in ascending order, and whether there is more. Raises `ProxyError`."""
    ordered = items if page.order == "asc" else items[::-1]
    start = 0
    if page.after is not None:
        start = next((i + 1 for i, item in enumerate(ordered) if item.id == page.after), -1)
        if start < 0:
            raise unknown_cursor(page.after)
    return ordered[start : start + page.limit], start + page.limit < len(ordered)


def unknown_cursor(after: str) -> ProxyError:
    """The error for an `after` that is not in the list."""
    return invalid_request(f"after: there is no {after!r} in this list.", "after")


def render_list(items: Sequence[Item], *, has_more: bool) -> bytes:
    return _encode(
        _List(
            data=[Raw(item.json) for item in items],
            first_id=items[0].id if items else None,
            last_id=items[-1].id if items else None,
            has_more=has_more,
        )
    )
