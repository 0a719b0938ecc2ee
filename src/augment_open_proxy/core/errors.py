"""What can go wrong, in no API's spelling. Each dialect has one table from `ErrorKind` to its status, type and code."""

from enum import StrEnum
from typing import Literal

from msgspec import Struct


class ErrorKind(StrEnum):
    """The kinds of failure that clients tell apart (`DIALECTS.md`, "One table of errors")."""

    INVALID_REQUEST = "invalid_request"
    AUTHENTICATION = "authentication"
    BILLING = "billing"
    PERMISSION = "permission"
    NOT_FOUND = "not_found"
    MODEL_NOT_FOUND = "model_not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    CONTEXT_TOO_LONG = "context_too_long"
    REQUEST_TOO_LARGE = "request_too_large"
    REQUEST_TIMEOUT = "request_timeout"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    PREVIOUS_NOT_FOUND = "previous_not_found"
    STORE = "store"
    UPGRADE_REQUIRED = "upgrade_required"
    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    BACKEND = "backend"
    TIMEOUT = "timeout"
    INTERNAL = "internal"


Remedy = Literal["again", "again_or_other_model", "other_model", "base_model", "plain_history", "new_token"]
"""What may help against a failure before the first content; `upstream/recovery.py` decides whether it is tried."""


class Problem(Struct, frozen=True):
    """One failure, as data.

    `param` is the path of the field at fault, such as `messages[0].content`; `retry_after` is in seconds;
    `message` is for the user to read, without secrets.
    """

    kind: ErrorKind
    message: str
    param: str | None = None
    retry_after: float | None = None
    remedy: Remedy | None = None


class ProxyError(Exception):
    """A `Problem` on its way to the client."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


FAILED = Problem(ErrorKind.INTERNAL, "The proxy failed; its log on stderr says more.")
"""What an exception means that nobody expects."""
TOO_DEEP = Problem(ErrorKind.INVALID_REQUEST, "The body is nested too deeply.")
"""What a `RecursionError` means where a client's JSON is read: parsers let pass what a function here may not follow."""


def invalid_request(message: str, param: str | None = None) -> ProxyError:
    """The client's request is at fault, in the field `param`."""
    return ProxyError(Problem(ErrorKind.INVALID_REQUEST, message, param))
