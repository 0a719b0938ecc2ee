"""Errors of the Responses API: OpenAI's shape, with a code for each kind, since `response.failed` has nothing else."""

from augment_open_proxy.core.errors import ErrorKind
from augment_open_proxy.dialects import openai_errors
from augment_open_proxy.dialects.dialect import ErrorShape

ERRORS: dict[ErrorKind, ErrorShape] = {
    **openai_errors.ERRORS,
    ErrorKind.INVALID_REQUEST: ErrorShape(400, "invalid_request_error", "invalid_prompt"),
}
