"""Errors as OpenAI's two APIs show them: `{"error": {"message", "type", "param", "code"}}`."""

import msgspec
from msgspec import Struct

from augment_open_proxy.core.errors import ErrorKind, Problem
from augment_open_proxy.dialects.dialect import ErrorShape

_encoder = msgspec.json.Encoder()


class ErrorDetail(Struct, frozen=True):
    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(Struct, frozen=True):
    error: ErrorDetail


ERRORS: dict[ErrorKind, ErrorShape] = {
    ErrorKind.INVALID_REQUEST: ErrorShape(400, "invalid_request_error"),
    ErrorKind.AUTHENTICATION: ErrorShape(401, "invalid_request_error", "invalid_api_key", retry=False),
    ErrorKind.BILLING: ErrorShape(429, "insufficient_quota", "insufficient_quota", retry=False),
    ErrorKind.PERMISSION: ErrorShape(403, "permission_error"),
    ErrorKind.NOT_FOUND: ErrorShape(404, "invalid_request_error", "not_found"),
    ErrorKind.MODEL_NOT_FOUND: ErrorShape(404, "invalid_request_error", "model_not_found"),
    ErrorKind.METHOD_NOT_ALLOWED: ErrorShape(405, "invalid_request_error", "method_not_allowed"),
    ErrorKind.CONTEXT_TOO_LONG: ErrorShape(400, "invalid_request_error", "context_length_exceeded"),
    ErrorKind.REQUEST_TOO_LARGE: ErrorShape(413, "invalid_request_error", "request_too_large"),
    ErrorKind.REQUEST_TIMEOUT: ErrorShape(408, "invalid_request_error", "request_timeout"),
    ErrorKind.UNSUPPORTED_MEDIA_TYPE: ErrorShape(415, "invalid_request_error", "unsupported_media_type"),
    ErrorKind.PREVIOUS_NOT_FOUND: ErrorShape(400, "invalid_request_error", "previous_response_not_found"),
    ErrorKind.UPGRADE_REQUIRED: ErrorShape(426, "invalid_request_error", "websocket_unsupported"),
    ErrorKind.RATE_LIMITED: ErrorShape(429, "rate_limit_error", "rate_limit_exceeded"),
    ErrorKind.OVERLOADED: ErrorShape(503, "server_error", "server_error"),
    ErrorKind.BACKEND: ErrorShape(502, "server_error", "server_error"),
    ErrorKind.TIMEOUT: ErrorShape(504, "server_error", "server_error"),
    ErrorKind.STORE: ErrorShape(503, "server_error", "server_error"),
    ErrorKind.INTERNAL: ErrorShape(500, "server_error", "server_error"),
}
RESPONSES_ERRORS = {
    **ERRORS,
    ErrorKind.INVALID_REQUEST: ErrorShape(400, "invalid_request_error", "invalid_prompt"),
}
"""Those of the Responses API: each has a code, since `response.failed` has nothing else."""


def render_problem(problem: Problem) -> bytes:
    """The error object, the same as a body and within a stream."""
    shape = ERRORS[problem.kind]
    return _encoder.encode(ErrorBody(ErrorDetail(problem.message, shape.type, problem.param, shape.code)))


def render_error(problem: Problem, request_id: str) -> bytes:
    """The body of an error; the id stands in a header."""
    return render_problem(problem)
