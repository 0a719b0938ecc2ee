"""Whole answers: errors in the client's dialect, and JSON for clients of any."""

from augment_open_proxy.core.errors import Problem
from augment_open_proxy.dialects.dialect import Dialect
from augment_open_proxy.dialects.registry import DIALECTS
from augment_open_proxy.journal.record import Record
from augment_open_proxy.server.asgi import Headers, Send, respond


async def answer(send: Send, record: Record, body: bytes, media_type: bytes = b"application/json") -> None:
    """An answer that clients of any API read: it has the id of the request as each of them calls it."""
    record.status = 200
    id_ = (record.request_id or "").encode()
    ids = {dialect.request_id_header.encode(): id_ for dialect in DIALECTS}
    await respond(send, 200, [(b"content-type", media_type), *ids.items()], body)


def error_response(dialect: Dialect, problem: Problem, request_id: str) -> tuple[int, Headers, bytes]:
    """Status, headers and body of an error that comes instead of a reply."""
    shape = dialect.errors[problem.kind]
    headers: Headers = [
        (b"content-type", b"application/json"),
        (dialect.request_id_header.encode(), request_id.encode()),
    ]
    if problem.retry_after is not None:
        headers.append((b"retry-after", str(-int(-problem.retry_after // 1)).encode()))
    if shape.retry is not None:
        headers.append((b"x-should-retry", b"true" if shape.retry else b"false"))
    return shape.status, headers, dialect.render_error(problem, request_id)
