"""Message batches (https://platform.claude.com/docs/en/api/messages/batches): bodies → requests, and what is shown of
a batch.

A result is stored as the bare `message` or `error`; its line is made when it is asked for.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec
from msgspec import Raw, Struct

from augment_open_proxy.core.errors import ErrorKind, Problem, ProxyError, invalid_request
from augment_open_proxy.core.listing import Page
from augment_open_proxy.dialects.anthropic_messages import wire
from augment_open_proxy.dialects.anthropic_messages.request import parse
from augment_open_proxy.dialects.reading import read

State = Literal["succeeded", "errored", "canceled", "expired"]
MOST_REQUESTS = 100_000
LARGEST_PAGE = 1000
_CUSTOM_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_decode = msgspec.json.Decoder(wire.BatchBody)
_encode = msgspec.json.Encoder().encode


class Entry(Struct, frozen=True):
    """A request of a batch: `params` is a Messages body."""

    custom_id: str
    params: bytes


class Times(Struct, frozen=True):
    """Of a batch, in the form of RFC 3339."""

    created: str
    expires: str
    cancelled: str | None = None
    ended: str | None = None


# ------------------------------------------------------------------ requests


def parse_batch(body: bytes) -> tuple[Entry, ...]:
    """The requests of a batch. Raises `ProxyError` that names the first field at fault, in `params` too.

    Large batches take seconds: call it in a thread.
    """
    wire_entries = read(_decode, body).requests
    if not 1 <= len(wire_entries) <= MOST_REQUESTS:
        raise invalid_request(f"requests must hold 1 to {MOST_REQUESTS} requests.", "requests")
    seen: set[str] = set()
    entries: list[Entry] = []
    for i, wire_entry in enumerate(wire_entries):
        entry = Entry(wire_entry.custom_id, bytes(wire_entry.params))
        _check_custom_id(entry.custom_id, seen, f"requests[{i}].custom_id")
        _check_params(entry.params, f"requests[{i}].params")
        seen.add(entry.custom_id)
        entries.append(entry)
    return tuple(entries)


def _check_custom_id(custom_id: str, seen: set[str], path: str) -> None:
    if _CUSTOM_ID.fullmatch(custom_id) is None:
        raise invalid_request(f"{path} must match ^{_CUSTOM_ID.pattern}$.", path)
    if custom_id in seen:
        raise invalid_request(f"{path}: {custom_id} is there already; each must be unique within its batch.", path)


def _check_params(params: bytes, path: str) -> None:
    if not params.startswith(b"{"):
        raise invalid_request(f"{path} must be an object.", path)
    try:
        parsed = parse(params)
    except ProxyError as error:
        raise ProxyError(_within(error.problem, path)) from None
    if parsed.delivery.stream:
        raise invalid_request(f"{path}.stream must not be true: batches have no streams.", f"{path}.stream")


def _within(problem: Problem, path: str) -> Problem:
    """A problem of a body, as one of the `path` that the body stands at."""
    param = f"{path}.{problem.param}" if problem.param else path
    names_it = problem.param is not None and problem.message.startswith(problem.param)
    message = f"{path}.{problem.message}" if names_it else f"{param}: {problem.message}"
    return msgspec.structs.replace(problem, message=message, param=param)


def read_batch_page(query: Iterable[tuple[str, str]]) -> Page:
    """`limit` (1 to 1000, 20 by default), `after_id` and `before_id`; the newest come first. Raises `ProxyError`."""
    given = dict(query)
    limit = given.get("limit", "20")
    if re.fullmatch(r"0{0,9}[1-9][0-9]{0,3}", limit) is None or int(limit) > LARGEST_PAGE:
        raise invalid_request(f"limit must be a number from 1 to {LARGEST_PAGE}.", "limit")
    return Page(int(limit), "desc", given.get("after_id") or None, given.get("before_id") or None)


def unknown_place(page: Page, id_: str) -> ProxyError:
    """The error for an id in a query that no batch has."""
    param = "after_id" if id_ == page.after else "before_id"
    return invalid_request(f"{param}: there is no batch {id_!r}.", param)


# --------------------------------------------------------------- what is shown


def describe(id_: str, times: Times, counts: Mapping[str, int], results_url: str) -> wire.MessageBatch:
    """The batch. `counts` are its requests by their state; as at Anthropic, all are processing until it has ended."""
    is_over = times.ended is not None
    shown = {state: counts.get(state, 0) for state in ("succeeded", "errored", "canceled", "expired")}
    status: Literal["in_progress", "canceling", "ended"] = "in_progress"
    if is_over:
        status = "ended"
    elif times.cancelled is not None:
        status = "canceling"
    return wire.MessageBatch(
        id=id_,
        processing_status=status,
        request_counts=wire.BatchCounts(**shown) if is_over else wire.BatchCounts(processing=sum(counts.values())),
        ended_at=times.ended,
        created_at=times.created,
        expires_at=times.expires,
        cancel_initiated_at=times.cancelled,
        results_url=results_url if is_over else None,
    )


def render_batch(batch: wire.MessageBatch) -> bytes:
    return _encode(batch)


def render_batches(batches: Sequence[wire.MessageBatch], *, has_more: bool) -> bytes:
    first, last = (batches[0].id, batches[-1].id) if batches else (None, None)
    return _encode(wire.BatchList(list(batches), has_more, first, last))


def render_deleted_batch(id_: str) -> bytes:
    return _encode(wire.DeletedBatch(id=id_))


def render_result(custom_id: str, state: State, result: bytes | None) -> bytes:
    """A line of the results, with its end. `result` is the message or the error, where there is one."""
    made: wire.Succeeded | wire.Errored | wire.NotRun
    match state:
        case "succeeded":
            made = wire.Succeeded(message=Raw(result or b"null"))
        case "errored":
            made = wire.Errored(error=Raw(result or b"null"))
        case _:
            made = wire.NotRun(state)
    return _encode(wire.BatchResult(custom_id, made)) + b"\n"


# The words are Anthropic's, which programs may look for.


def batch_not_found(id_: str) -> ProxyError:
    return ProxyError(Problem(ErrorKind.NOT_FOUND, f"Message Batch {id_} not found."))


def no_results_yet(id_: str) -> ProxyError:
    return ProxyError(Problem(ErrorKind.NOT_FOUND, f"Message Batch {id_} has no available results."))


def still_in_progress() -> ProxyError:
    return invalid_request("In progress batches cannot be deleted. Consider canceling the batch instead.")
