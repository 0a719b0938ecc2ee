"""What the backend's refusals mean (`DIALECTS.md`, "One table of errors"): its own words, and a kind."""

import html
import re

import msgspec

from augment_open_proxy.core.errors import ErrorKind, Problem, Remedy
from augment_open_proxy.core.jsontext import UNREADABLE
from augment_open_proxy.upstream import wire

LIMITED_RETRY_AFTER = 5.0
"""Seconds after which a client may ask again where the backend limits the rate and names no time: without one Codex
gives up at once."""
_MESSAGE_LIMIT = 2000
_HTML_LIMIT = 8192
_CREDITS = re.compile(
    r"(out of|no|insufficient|exhausted|used (up )?all|exceeded)\b.{0,40}\b(credit|balance)"
    r"|credits?\b.{0,40}\b(exhausted|used up|depleted|ran out|run out|exceeded)",
    re.IGNORECASE | re.DOTALL,
)
_CONTEXT = re.compile(
    r"(prompt|context|conversation)\b.{0,40}\b(too long|too large|exceeds?)"
    r"|(input|request)( \w+){0,2} too (long|large)|input (length|tokens?)\b.{0,40}\bexceeds?|exceeds?\b.{0,20}\btokens"
    r"|context[ _](length|window)|augmentTooLarge|maximum.{0,20}tokens",
    re.IGNORECASE | re.DOTALL,
)
_UNSEEN = re.compile(r"<(script|style|head)\b.*?</\1\s{0,9}>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<[^<>]*>")
_SECRET = re.compile(
    r"""((?:bearer|token|key|secret|password)["']?\s{0,9}[:=]?\s{0,9}["']?)([\w.~+/=-]{16,})""", re.IGNORECASE
)

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
_TOLD_BY_WORDS: dict[ErrorKind, tuple[ErrorKind, ...]] = {
    ErrorKind.INVALID_REQUEST: (ErrorKind.BILLING, ErrorKind.CONTEXT_TOO_LONG),
    ErrorKind.PERMISSION: (ErrorKind.BILLING, ErrorKind.CONTEXT_TOO_LONG),
    ErrorKind.BACKEND: (ErrorKind.BILLING, ErrorKind.CONTEXT_TOO_LONG),
    ErrorKind.RATE_LIMITED: (ErrorKind.BILLING,),  # its texts speak of requests and tokens that exceed a limit
}
"""What the words of an answer may make of the kind that its status says."""

_REMEDIES: dict[int, Remedy] = {401: "new_token", 404: "base_model", 408: "again", 429: "again", 499: "again"}
_SIGNATURES = re.compile(
    r"thought[_ ]?signature|function[_ ]?(call|response)s?\b.{0,80}\b(order|turn|follow|precede|match|equal)",
    re.IGNORECASE | re.DOTALL,
)
"""How Gemini's refusal of a history reads, whose calls lack what it signed (`WIRE.md`, "Gemini-routed history")."""
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


def from_status(status: int, body: bytes, content_type: str, retry_after: float | None) -> Problem:
    """The problem behind a status that is not 200. `retry_after` is in seconds."""
    words = _words(body, content_type)
    kind = _KINDS.get(status)
    if kind is None:
        kind = ErrorKind.INVALID_REQUEST if 400 <= status < 500 else ErrorKind.BACKEND
    kind = _told_by(words, kind)
    if kind is ErrorKind.RATE_LIMITED and retry_after is None:
        retry_after = LIMITED_RETRY_AFTER
    explanation = _EXPLANATIONS.get(kind, "The Augment backend answered with status {status}").format(status=status)
    return msgspec.structs.replace(_problem(kind, explanation, words, retry_after), remedy=_remedy(status, kind, words))


def _remedy(status: int, kind: ErrorKind, words: str) -> Remedy | None:
    if kind in (ErrorKind.BILLING, ErrorKind.CONTEXT_TOO_LONG):
        return None
    if status == 400 and _SIGNATURES.search(words):
        return "plain_history"
    return "again" if status >= 500 else _REMEDIES.get(status)


def from_line(error: object) -> Problem:
    """The problem that the backend names in a line of an answer that began with status 200."""
    words = _one_line(_text(error))
    kind = _told_by(words, ErrorKind.BACKEND)
    explanation = _EXPLANATIONS.get(kind, "The Augment backend failed in the middle of its answer")
    return _problem(kind, explanation, words, None)


def from_another(content_type: bytes) -> Problem:
    """An answer with status 200 of which no line can be read, and which says that it is something else."""
    return Problem(
        ErrorKind.BACKEND,
        f"What answers is not the Augment backend, but sends {content_type[:100].decode('latin-1')}: check "
        "AUGMENT_API_URL, and whether the network asks for a login.",
    )


def _problem(kind: ErrorKind, explanation: str, words: str, retry_after: float | None) -> Problem:
    shown = _SECRET.sub(r"\1***", words)
    if len(shown) > _MESSAGE_LIMIT:
        shown = shown[:_MESSAGE_LIMIT] + "…"
    return Problem(kind, f"{explanation}: {shown}" if shown else f"{explanation}.", retry_after=retry_after)


def _told_by(words: str, kind: ErrorKind) -> ErrorKind:
    possible = _TOLD_BY_WORDS.get(kind, ())
    if ErrorKind.BILLING in possible and _CREDITS.search(words):
        return ErrorKind.BILLING
    if ErrorKind.CONTEXT_TOO_LONG in possible and _CONTEXT.search(words):
        return ErrorKind.CONTEXT_TOO_LONG
    return kind


def _words(body: bytes, content_type: str) -> str:
    """The message in `body`: JSON's `error` and `message`, the text of HTML, else the body as it is."""
    try:
        parsed = msgspec.json.decode(body, type=wire.ErrorBody)
    except UNREADABLE:
        text = body.decode(errors="replace")
        if "html" in content_type.lower() or text.lstrip()[:1] == "<":
            text = html.unescape(_TAG.sub(" ", _UNSEEN.sub(" ", text[:_HTML_LIMIT])))
        return _one_line(text)
    texts = dict.fromkeys(text for text in (_text(parsed.error), _text(parsed.message)) if text)
    return _one_line(": ".join(texts) or body.decode(errors="replace"))


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


def _one_line(text: str) -> str:
    return " ".join(text.split())
