"""Conditions on metadata, which is a column of JSON text."""

from collections.abc import Mapping

from sqlalchemy import Column, ColumnElement, cast, exists, func, select, true

from augment_open_proxy.journal.store.access import Access
from augment_open_proxy.journal.store.coding import to_column


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
