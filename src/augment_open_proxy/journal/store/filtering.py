"""Conditions on metadata, which is a column of JSON text."""

from collections.abc import Mapping

from sqlalchemy import Column, ColumnElement, cast, exists, func, select, true

from augment_open_proxy.journal.store.access import Access
from augment_open_proxy.journal.store.coding import metadata_to_column, to_column


def metadata_holds(access: Access, column: Column[str], wanted: Mapping[str, str]) -> ColumnElement[bool]:
    """Whether each key of `wanted` has that value."""
    if not wanted:
        return true()
    if not access.is_sqlite:
        from sqlalchemy.dialects.postgresql import JSONB

        return cast(column, JSONB).contains(cast(metadata_to_column(wanted), JSONB))
    condition: ColumnElement[bool] = true()
    for key, value in wanted.items():
        pairs = func.json_each(column).table_valued("key", "value")
        found = select(pairs.c.key).where(pairs.c.key == to_column(key), pairs.c.value == to_column(value))
        condition &= exists(found)
    return condition
