"""Turns as rows, and the end of one whose process died. Pure."""

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec.structs import replace
from sqlalchemy import Row

from augment_open_proxy.core.errors import ErrorKind, Problem
from augment_open_proxy.core.events import (
    BlockStart,
    BlockStop,
    Cancelled,
    Event,
    Failure,
    Finish,
    Opening,
)
from augment_open_proxy.journal.store.coding import (
    from_column,
    metadata_from_column,
    metadata_to_column,
    pack,
    to_column,
    unpack_events,
    unpack_replies,
)
from augment_open_proxy.journal.store.lives import OVERHEAD
from augment_open_proxy.journal.store.records import Turn

DIED = Failure(Problem(ErrorKind.INTERNAL, "The proxy stopped, or lost its store, before the response ended."))


def turn_to_row(turn: Turn, instance: str | None, lease: float | None) -> dict[str, Any]:
    """The values of its columns, but for its number. Of a turn that runs the events are in its chunks alone."""
    metadata = metadata_to_column(turn.metadata)
    replies = pack(() if turn.is_running else turn.replies)
    return {
        "id": to_column(turn.id),
        "root": to_column(turn.root),
        "kind": turn.kind,
        "owner": to_column(turn.owner),
        "previous": turn.previous and to_column(turn.previous),
        "conversation": turn.conversation and to_column(turn.conversation),
        "created": turn.created,
        "model": to_column(turn.model),
        "background": turn.background,
        "bytes": OVERHEAD + len(turn.request) + len(replies) + len(metadata),
        "instance": instance,
        "lease": lease,
        "is_cancelled": False,
        "metadata": metadata,
        "request": turn.request,
        "replies": replies,
    }


FIRST = ("id", "root", "life", "kind", "owner", "created", "model", "bytes", "metadata", "request", "replies")
"""What differs among plain turns, in the order of the table."""


def is_plain(turn: Turn) -> bool:
    """Whether `FIRST` says all about a turn: the other columns are NULL or false."""
    return turn.previous is None and turn.conversation is None and not turn.background and not turn.is_running


def first_to_row(turn: Turn, life: int) -> tuple[tuple[Any, ...], int]:
    """The values of `FIRST`, and what the turn counts in its life."""
    metadata = metadata_to_column(turn.metadata)
    replies = pack(turn.replies)
    size = OVERHEAD + len(turn.request) + len(replies) + len(metadata)
    row = (
        to_column(turn.id),
        to_column(turn.root),
        life,
        turn.kind,
        to_column(turn.owner),
        turn.created,
        to_column(turn.model),
        size,
        metadata,
        turn.request,
        replies,
    )
    return row, size


def turn_from_row(row: Row[Any]) -> Turn:
    return Turn(
        id=from_column(row.id),
        kind=row.kind,
        owner=from_column(row.owner),
        root=from_column(row.root),
        created=row.created,
        model=from_column(row.model),
        request=row.request,
        replies=unpack_replies(row.replies),
        previous=row.previous and from_column(row.previous),
        conversation=row.conversation and from_column(row.conversation),
        background=row.background,
        is_running=row.lease is not None,
        metadata=metadata_from_column(row.metadata),
    )


def with_chunks(turn: Turn, chunks: Iterable[bytes]) -> Turn:
    """A running `turn` with the events so far."""
    return replace(turn, replies=(tuple(event for chunk in chunks for event in unpack_events(chunk)),))


def died(turn: Turn) -> Turn:
    """`turn` ended where its process left it."""
    return replace(turn, is_running=False, replies=tuple(_ended(turn, events) for events in turn.replies))


def _ended(turn: Turn, events: Sequence[Event]) -> tuple[Event, ...]:
    if not events:
        return (Opening(turn.id, turn.created, turn.model, 0), DIED)
    if isinstance(events[-1], Finish | Failure | Cancelled):
        return tuple(events)
    edges = [event for event in events if isinstance(event, BlockStart | BlockStop)]
    if edges and isinstance(edges[-1], BlockStart):
        return (*events, BlockStop(edges[-1].index, is_cut=True), DIED)
    return (*events, DIED)
