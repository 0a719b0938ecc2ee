"""What the backend's refusals mean (`DIALECTS.md`, "One table of errors"): its own words, and a kind."""

import re

import msgspec

from augment_open_proxy.core.errors import ErrorKind, Problem
from augment_open_proxy.upstream import wire

_MESSAGE_LIMIT = 2000
_CREDITS = re.compile(
    r"(out of|no|insufficient|exhausted|used (up )?all|exceeded)\b.{0,40}\b(credit|balance)"
    r"|credits?\b.{0,40}\b(exhausted|used up|depleted|ran out|run out|exceeded)",
    re.IGNORECASE | re.DOTALL,
)
_CONTEXT = re.compile(
    r"(prompt|context|input|conversation|request)\b.{0,40}\b(too long|too large|exceeds?)"
    r"|context[ _](length|window)|augmentTooLarge|maximum.{0,20}tokens",
    re.IGNORECASE | re.DOTALL,
)
_TAGS = re.compile(r"<(script|style|head)\b.*?</\1\s*>|<[^>]*>", re.IGNORECASE | re.DOTALL)
_SECRETS = re.compile(r"(bearer\s+)[\w.~+/=-]{8,}", re.IGNORECASE)

_KINDS: dict[int, ErrorKind] = {
    401: ErrorKind.AUTHENTICATION,
    402: ErrorKind.BILLING,
    403: ErrorKind.PERMISSION,
    404: ErrorKind.MODEL_NOT_FOUND,
    408: ErrorKind.TIMEOUT,
    413: ErrorKind.CONTEXT_TOO_LONG,
    429: ErrorKind.RATE_LIMITED,
    499: ErrorKind.BACKEND,
    503: ErrorKind.OVERLOADED,
    504: ErrorKind.TIMEOUT,
    529: ErrorKind.OVERLOADED,
}


def from_status(status: int, body: bytes, content_type: str, retry_after: float | None) -> Problem:
    """The problem behind a status that is not 200. `retry_after` is in seconds."""
    words = _words(body, content_type)
    kind = _KINDS.get(status)
    if kind is None:
        kind = ErrorKind.INVALID_REQUEST if 400 <= status < 500 else ErrorKind.BACKEND
    if 400 <= status < 500 and kind in (ErrorKind.INVALID_REQUEST, ErrorKind.PERMISSION, ErrorKind.RATE_LIMITED):
        kind = _kind_of_words(words) or kind
    explanation = _EXPLANATIONS.get(kind, "The Augment backend answered with status {status}").format(status=status)
    return Problem(kind, f"{explanation}: {words}" if words else f"{explanation}.", retry_after=retry_after)


def from_line(error: object) -> Problem:
    """The problem that the backend names in a line of an answer that began with status 200."""
    words = _clean(_text(error))
    kind = _kind_of_words(words) or ErrorKind.BACKEND
    explanation = _EXPLANATIONS.get(kind, "The Augment backend failed in the middle of its answer")
    return Problem(kind, f"{explanation}: {words}" if words else f"{explanation}.")


_EXPLANATIONS = {
    ErrorKind.AUTHENTICATION: (
        "The Augment backend refused the credentials "
        "(run `auggie login`, or check AUGMENT_API_TOKEN and AUGMENT_API_URL)"
    ),
    ErrorKind.BILLING: "The Augment account has no credits left",
    ErrorKind.PERMISSION: "The Augment account may not do this",
    ErrorKind.MODEL_NOT_FOUND: "The Augment backend does not know this model or address",
    ErrorKind.CONTEXT_TOO_LONG: "prompt is too long",
    ErrorKind.RATE_LIMITED: "The Augment backend limits the rate of requests",
    ErrorKind.OVERLOADED: "The Augment backend is overloaded (status {status})",
    ErrorKind.TIMEOUT: "The Augment backend timed out (status {status})",
}


def _kind_of_words(words: str) -> ErrorKind | None:
    if _CREDITS.search(words):
        return ErrorKind.BILLING
    if _CONTEXT.search(words):
        return ErrorKind.CONTEXT_TOO_LONG
    return None


def _words(body: bytes, content_type: str) -> str:
    """The message in `body`: JSON's `error` or `message`, the text of HTML, else the body as it is."""
    try:
        parsed = msgspec.json.decode(body, type=wire.ErrorBody)
    except (msgspec.DecodeError, UnicodeDecodeError):
        text = body.decode(errors="replace")
        if "html" in content_type.lower() or text.lstrip()[:1] == "<":
            text = _TAGS.sub(" ", text)
        return _clean(text)
    return _clean(_text(parsed.error) or _text(parsed.message) or body.decode(errors="replace"))


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case str():
            return value
        case {"message": str(message)}:
            return message
        case _:
            return msgspec.json.encode(value).decode()


def _clean(text: str) -> str:
    words = _SECRETS.sub(r"\1***", " ".join(text.split()))
    return words if len(words) <= _MESSAGE_LIMIT else words[:_MESSAGE_LIMIT] + "…"
