"""Errors as the Messages API shows them: `{"type": "error", "error": {"type", "message"}, "request_id"}`."""

import msgspec

from augment_open_proxy.core.errors import ErrorKind, Problem
from augment_open_proxy.dialects.anthropic_messages import wire
from augment_open_proxy.dialects.dialect import ErrorShape

_encoder = msgspec.json.Encoder()

ERRORS: dict[ErrorKind, ErrorShape] = {
    ErrorKind.INVALID_REQUEST: ErrorShape(400, "invalid_request_error"),
    # Claude Code tries a 401 ten times, unless it is told not to.
    ErrorKind.AUTHENTICATION: ErrorShape(401, "authentication_error", retry=False),
    ErrorKind.BILLING: ErrorShape(402, "billing_error"),
    ErrorKind.PERMISSION: ErrorShape(403, "permission_error"),
    ErrorKind.NOT_FOUND: ErrorShape(404, "not_found_error"),
    ErrorKind.MODEL_NOT_FOUND: ErrorShape(404, "not_found_error"),
    ErrorKind.METHOD_NOT_ALLOWED: ErrorShape(405, "invalid_request_error"),
    # Claude Code compacts on this text with 400; on a 5xx it would try again for ever.
    ErrorKind.CONTEXT_TOO_LONG: ErrorShape(400, "invalid_request_error"),
    ErrorKind.REQUEST_TOO_LARGE: ErrorShape(413, "request_too_large"),
    ErrorKind.REQUEST_TIMEOUT: ErrorShape(408, "timeout_error"),
    ErrorKind.UNSUPPORTED_MEDIA_TYPE: ErrorShape(415, "invalid_request_error"),
    # On this code, the SDKs send the whole conversation; on any other 400 they give up.
    ErrorKind.PREVIOUS_NOT_FOUND: ErrorShape(400, "invalid_request_error", "thread_unsupported_request"),
    ErrorKind.UPGRADE_REQUIRED: ErrorShape(426, "invalid_request_error"),
    ErrorKind.RATE_LIMITED: ErrorShape(429, "rate_limit_error"),
    ErrorKind.OVERLOADED: ErrorShape(529, "overloaded_error"),
    ErrorKind.BACKEND: ErrorShape(502, "api_error"),
    ErrorKind.TIMEOUT: ErrorShape(504, "timeout_error"),
    ErrorKind.STORE: ErrorShape(503, "api_error"),
    ErrorKind.INTERNAL: ErrorShape(500, "api_error"),
}


def render_error(problem: Problem, request_id: str) -> bytes:
    """The error object, the same as a body and within a stream."""
    shape = ERRORS[problem.kind]
    details = msgspec.UNSET if shape.code is None else wire.ErrorDetails(shape.code)
    return _encoder.encode(
        wire.ErrorBody(error=wire.ErrorDetail(shape.type, problem.message, details), request_id=request_id)
    )
