"""The backend's refusals, by the table of errors in `DIALECTS.md`: a kind, and the backend's own words."""

import json
import time

import pytest

from augment_open_proxy.core.errors import ErrorKind
from augment_open_proxy.dialects.openai_errors import ERRORS
from augment_open_proxy.upstream.problems import LIMITED_RETRY_AFTER, from_line, from_status

HTML = b"""<!DOCTYPE html><html><head><title>502 Bad Gateway</title><style>b { color: red }</style></head>
<body><script>var x = "<b>";</script><h1>Bad   gateway</h1>\n<!-- hidden --><p>at the <b>edge</b></p></body></html>"""
CREDITS = [
    "You have run out of credits.",
    "Your credits are used up",
    "Insufficient credits",
    "No credits left on this account",
    "insufficient balance",
    "Credit limit exceeded",
    "You have exceeded your credit allowance",
    "credits exhausted for this month",
    "used all of your credits",
]
CONTEXT = [
    "prompt is too long: 210000 tokens > 200000 maximum",
    "Input is too long for requested model.",
    "This model's maximum context length is 128000 tokens",
    "The request exceeds the context window",
    "context_length_exceeded",
    "augmentTooLarge",
    "conversation is too large",
    "input length and max_tokens exceed context limit",
]
RATES = [
    "Too many requests",
    "Request limit exceeded",
    "Your request rate exceeds the limit",
    "Rate limit reached: maximum of 100000 tokens per minute",
    "Too many concurrent conversations: limit exceeded",
]


def kind(status: int, words: str = "") -> ErrorKind:
    return from_status(status, words.encode(), "text/plain", None).kind


def message(body: bytes, content_type: str = "application/json", status: int = 400) -> str:
    return from_status(status, body, content_type, None).message


# --- The table ---


@pytest.mark.parametrize(
    ("status", "words", "expected", "shown"),
    [
        (401, "", ErrorKind.AUTHENTICATION, (401, "invalid_api_key")),
        (402, "", ErrorKind.BILLING, (429, "insufficient_quota")),
        (400, "You are out of credits.", ErrorKind.BILLING, (429, "insufficient_quota")),
        (403, "", ErrorKind.PERMISSION, (403, None)),
        (404, "", ErrorKind.MODEL_NOT_FOUND, (404, "model_not_found")),
        (400, "", ErrorKind.INVALID_REQUEST, (400, None)),
        (405, "", ErrorKind.INVALID_REQUEST, (400, None)),
        (422, "", ErrorKind.INVALID_REQUEST, (400, None)),
        (413, "", ErrorKind.CONTEXT_TOO_LONG, (400, "context_length_exceeded")),
        (400, "The prompt is too long.", ErrorKind.CONTEXT_TOO_LONG, (400, "context_length_exceeded")),
        (429, "", ErrorKind.RATE_LIMITED, (429, "rate_limit_exceeded")),
        (503, "", ErrorKind.OVERLOADED, (503, "server_error")),
        (529, "", ErrorKind.OVERLOADED, (503, "server_error")),
        (500, "", ErrorKind.BACKEND, (502, "server_error")),
        (502, "", ErrorKind.BACKEND, (502, "server_error")),
        (520, "", ErrorKind.BACKEND, (502, "server_error")),
        (499, "", ErrorKind.BACKEND, (502, "server_error")),  # retriable, so no fault of the client's
        (504, "", ErrorKind.TIMEOUT, (504, "server_error")),
        (204, "", ErrorKind.BACKEND, (502, "server_error")),
    ],
)
def test_each_row_of_the_table(status: int, words: str, expected: ErrorKind, shown: tuple[int, str | None]) -> None:
    assert kind(status, words) is expected
    assert (ERRORS[expected].status, ERRORS[expected].code) == shown


def test_what_another_try_cannot_mend_is_not_to_be_tried_again() -> None:
    """By themselves the SDKs try a 429 twice, and Claude Code a 401 ten times."""
    assert {kind: shape.retry for kind, shape in ERRORS.items() if shape.retry is not None} == {
        ErrorKind.AUTHENTICATION: False,
        ErrorKind.BILLING: False,
    }


# --- What words tell ---


@pytest.mark.parametrize("status", [400, 403, 429, 500])
@pytest.mark.parametrize("words", CREDITS)
def test_words_about_credits_tell_more_than_the_status(words: str, status: int) -> None:
    assert kind(status, words) is ErrorKind.BILLING


@pytest.mark.parametrize("status", [400, 422, 500])
@pytest.mark.parametrize("words", CONTEXT)
def test_words_about_the_context_tell_more_than_the_status(words: str, status: int) -> None:
    """A 5xx for it would make Claude Code retry for ever; `prompt is too long` makes it compact."""
    assert kind(status, words) is ErrorKind.CONTEXT_TOO_LONG
    assert message(words.encode(), "text/plain", status).startswith("prompt is too long")


@pytest.mark.parametrize("words", RATES)
def test_a_limit_of_rate_is_no_limit_of_context(words: str) -> None:
    """A client told that its context is too long compacts a conversation that is sound."""
    assert kind(429, words) is ErrorKind.RATE_LIMITED


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "Unidentified internal error"),
        (400, "function call and response order"),
        (400, "Image exceeds 5 MB"),
        (400, "Bad request: the image exceeds 5 MB"),
        (400, "Invalid request: tool name exceeds 64 characters"),
        (400, "request failed: file too large"),
        (400, "the name of a tool is too long"),
        (400, "invalid credentials format"),
        (403, "No access; ask for accreditation"),
    ],
)
def test_other_words_tell_nothing(status: int, words: str) -> None:
    assert kind(status, words) in (ErrorKind.INVALID_REQUEST, ErrorKind.PERMISSION)


@pytest.mark.parametrize("status", [401, 404])
def test_a_status_that_is_clear_stays(status: int) -> None:
    assert kind(status, "no credit for context length") is kind(status)


# --- The backend's own words ---


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"error":"It broke."}', "It broke."),
        (b'{"message":"It broke."}', "It broke."),
        (b'{"error":{"message":"It broke.","code":5}}', "It broke."),
        (b'{"error":{"code":"E5"}}', '{"code":"E5"}'),
        (b'{"error":["a","b"]}', '["a","b"]'),
        (b'{"error":null,"message":"It broke."}', "It broke."),
        (b'{"error":"","message":"It broke."}', "It broke."),
        (b'{"detail":"It broke."}', '{"detail":"It broke."}'),
        (b'["It broke."]', '["It broke."]'),
        (b"It   broke.\r\n", "It broke."),
        (b"\xff broke", "\ufffd broke"),
        ('{"error":"é 😀"}'.encode(), "é 😀"),
    ],
)
def test_json_and_plain_text(body: bytes, words: str) -> None:
    assert message(body) == f"The Augment backend answered with status 400: {words}"


def test_both_texts_of_a_body_are_kept_and_read() -> None:
    """`error` often has only the status' name, and `message` the reason."""
    body = b'{"statusCode":400,"error":"Bad Request","message":"The tool schema is broken."}'
    assert "The tool schema is broken." in message(body)
    body = b'{"statusCode":400,"error":"Bad Request","message":"The prompt is too long."}'
    assert from_status(400, body, "application/json", None).kind is ErrorKind.CONTEXT_TOO_LONG


@pytest.mark.parametrize("content_type", ["text/html; charset=utf-8", "TEXT/HTML", "", "application/json"])
def test_of_html_only_the_text_remains(content_type: str) -> None:
    assert message(HTML, content_type, 502) == ("The Augment backend answered with status 502: Bad gateway at the edge")


@pytest.mark.parametrize("body", [b"", b" \n", b"<html><body></body></html>"])
def test_without_words_the_explanation_stands_alone(body: bytes) -> None:
    assert message(body, "text/html", 500) == "The Augment backend answered with status 500."


def test_a_long_body_is_cut() -> None:
    assert len(message(b"word " * 10_000)) < 2100
    assert message(b"word " * 10_000).endswith("…")


def test_a_deep_body_is_told_as_it_is() -> None:
    body = b'{"error":' + b"[" * 100_000
    assert message(body).startswith("The Augment backend answered with status 400: {")


@pytest.mark.parametrize(
    "piece", [b"<", b"<script", b"<script>", b"<!--", b"<a ", b"no credi", b"request too ", b"Bearer "]
)
def test_a_body_of_the_largest_size_that_is_read_takes_linear_time(piece: bytes) -> None:
    body = (piece * 65536)[: 64 * 1024]
    start = time.process_time()
    from_status(400, body, "text/html", None)
    assert time.process_time() - start < 3


@pytest.mark.parametrize(
    "words",
    [
        "Bad header: Authorization: Bearer {}",
        "bearer   {} is expired",
        "BEARER\n{}",
        '{"headers":{"authorization":"Bearer {}"}}',
        "Invalid token: {}",
        "The API key {} is not valid",
        '{"error":{"access_token":"{}"}}',
        '{"error":{"accessToken":"{}"}}',
    ],
)
def test_secrets_are_masked(words: str) -> None:
    secret = "aug_5f0c.Zm9v~bar+baz/0123456789-abcdef=="
    text = words.replace("{}", secret)
    for problem in (
        from_status(400, text.encode(), "", None),
        from_status(401, text.encode(), "", None),
        from_line(text),
    ):
        assert secret[:12] not in problem.message
        assert "***" in problem.message


def test_harmless_words_are_not_masked() -> None:
    words = "Bearer token is missing: 5 tokens of an api key"
    assert words in message(words.encode())


def test_the_explanations_help() -> None:
    assert "auggie login" in message(b"", status=401)
    assert "no credits" in message(b"", status=402)
    assert "529" in message(b"{status} {x}", status=529)
    assert "{status} {x}" in message(b"{status} {x}", status=529)


def test_when_to_retry_is_passed_on() -> None:
    assert from_status(429, b"", "", 12.5).retry_after == 12.5
    assert from_status(503, b"", "", None).retry_after is None


def test_a_limited_rate_always_says_when() -> None:
    assert from_status(429, b"", "", None).retry_after == LIMITED_RETRY_AFTER
    assert from_status(429, b"", "", 0.0).retry_after == 0.0
    assert from_status(429, b"out of credits", "", None).retry_after is None, "that is no matter of time"


# --- In a line of an answer ---


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("It broke.", ErrorKind.BACKEND),
        ({"message": "It broke."}, ErrorKind.BACKEND),
        ({"code": 5}, ErrorKind.BACKEND),
        (True, ErrorKind.BACKEND),
        ("", ErrorKind.BACKEND),
        (CREDITS[0], ErrorKind.BILLING),
        ({"message": CONTEXT[0]}, ErrorKind.CONTEXT_TOO_LONG),
    ],
)
def test_an_error_in_a_line(error: object, expected: ErrorKind) -> None:
    problem = from_line(error)
    assert problem.kind is expected
    words = error.get("message", '"code":5') if isinstance(error, dict) else error if isinstance(error, str) else "true"
    assert words in problem.message
    assert json.dumps(problem.message)
