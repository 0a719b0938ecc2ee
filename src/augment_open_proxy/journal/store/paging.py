"""A part of a list: by what comes before or after it, and by metadata, which is a column of JSON text."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Column, ColumnElement, Row, Select, cast, exists, func, select, true

from augment_open_proxy.journal.store.access import Access
from augment_open_proxy.journal.store.coding import to_column
from augment_open_proxy.journal.store.records import Page


async def read_page(
    access: Access,
    query: Select[Any],
    number: Column[int],
    id_: Column[str],
    page: Page,
    known: ColumnElement[bool],
) -> tuple[Sequence[Row[Any]], bool]:
    """The rows of `query` on the page, in its order, and whether there are more in the direction that was asked for.

    With `before` alone these are the last ones before it. Raises `LookupError` where `after` or `before` is not among
    the `known`.
    """
    goes_back = page.before is not None and page.after is None
    ascends = page.order == "asc"
    if page.after is not None:
        place = await _place(access, number, id_, page.after, known)
        query = query.where(number > place if ascends else number < place)
    if page.before is not None:
        place = await _place(access, number, id_, page.before, known)
        query = query.where(number < place if ascends else number > place)
    reads_up = ascends != goes_back
    rows = await access.read(query.order_by(number if reads_up else number.desc()).limit(page.limit + 1))
    found = rows[: page.limit]
    return found[::-1] if goes_back else found, len(rows) > page.limit


async def _place(access: Access, number: Column[int], id_: Column[str], anchor: str, known: ColumnElement[bool]) -> int:
    rows = await access.read(select(number).where(id_ == to_column(anchor), known))
    if not rows:
        raise LookupError(anchor)
    place: int = rows[0][0]
    return place


def metadata_holds(access: Access, column: Column[str], wanted: Mapping[str, str]) -> ColumnElement[bool]:
    """Whether each key of `wanted` has that value."""
    if not wanted:
        return true()
    written = {to_column(key): to_column(value) for key, value in wanted.items()}
    if not access.is_sqlite:
        from sqlalchemy.dialects.postgresql import JSONB

        return cast(column, JSONB).contains(written)
    condition: ColumnElement[bool] = true()
    for key, value in written.items():
        pairs = func.json_each(column).table_valued("key", "value")
        condition &= exists(select(pairs.c.key).where(pairs.c.key == key, pairs.c.value == value))
    return condition
