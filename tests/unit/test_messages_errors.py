"""The table of errors (`DIALECTS.md`, "One table of errors") as the Messages API shows it, row by row."""

import json
from typing import Any

import pytest

from augment_open_proxy.core.errors import ErrorKind, Problem, ProxyError, invalid_request
from augment_open_proxy.core.events import Failure, Opening
from augment_open_proxy.dialects.anthropic_messages import ANTHROPIC_MESSAGES
from augment_open_proxy.dialects.anthropic_messages.errors import ERRORS, render_error
from augment_open_proxy.dialects.anthropic_messages.request import parse
from augment_open_proxy.dialects.anthropic_messages.stream import MessagesStream
from augment_open_proxy.dialects.dialect import Delivery
from augment_open_proxy.upstream.catalog import BUILT_IN, Catalog
from augment_open_proxy.upstream.problems import from_line, from_status
from tests.pipeline import upstream_request


def shown(problem: Problem) -> tuple[int, str, str]:
    """Status, type and message as the client gets them."""
    error = json.loads(render_error(problem, "req_1"))["error"]
    return ERRORS[problem.kind].status, error["type"], error["message"]


def body(*messages: dict[str, Any], **fields: Any) -> bytes:
    return json.dumps({"model": "claude-sonnet-4-5", "messages": messages, **fields}).encode()


def caught(*messages: dict[str, Any], model: str = "claude-sonnet-4-5") -> Problem:
    with pytest.raises(ProxyError) as error:
        upstream_request(parse(body(*messages, model=model)))
    return error.value.problem


def backend(status: int, words: str = "", retry_after: float | None = None) -> Problem:
    return from_status(status, json.dumps({"error": words}).encode(), "application/json", retry_after)


# --- The shape ---


@pytest.mark.parametrize("kind", ErrorKind)
def test_every_kind_has_the_shape_of_this_api(kind: ErrorKind) -> None:
    error = json.loads(render_error(Problem(kind, "What happened.", "messages[0]"), "req_1"))
    details = error["error"].pop("details", None)
    assert error == {
        "type": "error",
        "error": {"type": ERRORS[kind].type, "message": "What happened."},
        "request_id": "req_1",
    }
    assert details in (None, {"error_code": ERRORS[kind].code})


def test_the_header_of_the_request_id_is_that_of_this_api() -> None:
    assert ANTHROPIC_MESSAGES.request_id_header == "request-id"
    assert ANTHROPIC_MESSAGES.errors is ERRORS


@pytest.mark.parametrize("kind", ErrorKind)
def test_the_types_are_those_that_the_api_documents(kind: ErrorKind) -> None:
    """docs.anthropic.com, "Errors"; the SDKs choose their exception by the status."""
    documented = {
        "invalid_request_error": 400,
        "authentication_error": 401,
        "billing_error": 402,
        "permission_error": 403,
        "not_found_error": 404,
        "request_too_large": 413,
        "rate_limit_error": 429,
        "api_error": 500,
        "timeout_error": 504,
        "overloaded_error": 529,
    }
    shape = ERRORS[kind]
    assert shape.type in documented
    if shape.type == "invalid_request_error":
        assert 400 <= shape.status < 500
    elif kind is ErrorKind.BACKEND:
        assert shape.status == 502, "what the backend did is told apart from what the proxy did"
    elif kind is ErrorKind.REQUEST_TIMEOUT:
        assert shape.status == 408, "the client was too slow, not the backend"
    elif kind is ErrorKind.STORE:
        assert shape.status == 503, "a database that is away comes back"
    else:
        assert shape.status == documented[shape.type]


# --- The rows ---


def test_malformed() -> None:
    with pytest.raises(ProxyError) as error:
        parse(b"{")
    assert shown(error.value.problem)[:2] == (400, "invalid_request_error")
    assert shown(invalid_request("x", "y").problem) == (400, "invalid_request_error", "x")


def test_unknown_model() -> None:
    with pytest.raises(ProxyError) as error:
        Catalog(BUILT_IN).find("llama-3")
    status, type_, message = shown(error.value.problem)
    assert (status, type_) == (404, "not_found_error")
    assert "llama-3" in message


def test_trailing_assistant_turn() -> None:
    problem = caught({"role": "user", "content": "Hi."}, {"role": "assistant", "content": "("})
    assert shown(problem)[:2] == (400, "invalid_request_error")


def test_no_or_refused_credentials() -> None:
    status, type_, message = shown(backend(401, "expired"))
    assert (status, type_) == (401, "authentication_error")
    assert "expired" in message


@pytest.mark.parametrize(
    "problem",
    [
        backend(402),
        backend(400, "You are out of credits"),
        backend(403, "insufficient credit"),
        backend(429, "no credits left in this account"),
        from_line("All credits are used up"),
    ],
)
def test_credits_used_up(problem: Problem) -> None:
    assert shown(problem)[:2] == (402, "billing_error")


def test_backend_403_and_404() -> None:
    assert shown(backend(403, "not yours"))[:2] == (403, "permission_error")
    assert shown(backend(404, "no such thing"))[:2] == (404, "not_found_error")


@pytest.mark.parametrize("status", [400, 405, 409, 415, 418, 422])
def test_other_backend_4xx(status: int) -> None:
    code, type_, message = shown(backend(status, "Unidentified internal error"))
    assert (code, type_) == (400, "invalid_request_error")
    assert "Unidentified internal error" in message


@pytest.mark.parametrize(
    "problem",
    [
        backend(413),
        backend(413, "augmentTooLarge"),
        backend(400, "input is too long for this model"),
        backend(500, "maximum context length exceeded"),
        from_line({"message": "context window exceeded"}),
    ],
)
def test_context_too_long(problem: Problem) -> None:
    """That text with 400 makes Claude Code compact; a 5xx would make it retry for ever."""
    status, type_, message = shown(problem)
    assert (status, type_) == (400, "invalid_request_error")
    assert message.startswith("prompt is too long")


def test_our_own_body_limit() -> None:
    assert shown(Problem(ErrorKind.REQUEST_TOO_LARGE, "x"))[:2] == (413, "request_too_large")


def test_rate_limits() -> None:
    problem = backend(429, "slow down", retry_after=7)
    assert shown(problem)[:2] == (429, "rate_limit_error")
    assert problem.retry_after == 7


@pytest.mark.parametrize("status", [503, 529])
def test_overload(status: int) -> None:
    assert shown(backend(status))[:2] == (529, "overloaded_error")


@pytest.mark.parametrize("problem", [backend(500), backend(502), backend(499), backend(599), from_line("broken")])
def test_other_backend_5xx_resets_empty_and_cut_streams(problem: Problem) -> None:
    assert shown(problem)[:2] == (502, "api_error")


@pytest.mark.parametrize("problem", [backend(504), backend(408), Problem(ErrorKind.TIMEOUT, "x")])
def test_timeouts(problem: Problem) -> None:
    assert shown(problem)[:2] == (504, "timeout_error")


def test_a_failure_of_the_proxy_itself() -> None:
    assert shown(Problem(ErrorKind.INTERNAL, "x"))[:2] == (500, "api_error")


def test_a_thread_that_is_not_there_has_the_code_that_the_sdk_looks_for() -> None:
    """`lib/threads/_thread_state.py` of Anthropic's Python SDK: it then sends the whole conversation."""
    error = json.loads(render_error(Problem(ErrorKind.PREVIOUS_NOT_FOUND, "x"), "req_1"))
    assert ERRORS[ErrorKind.PREVIOUS_NOT_FOUND].status == 400
    assert error["error"]["type"] == "invalid_request_error"
    assert error["error"]["details"] == {"error_code": "thread_unsupported_request"}


# --- In a stream ---


def test_an_error_in_a_stream_is_the_same_object_and_the_last_event() -> None:
    stream = MessagesStream(Delivery(stream=True))
    problem = backend(529, "later")
    stream.feed([Opening("msg_1", 0, "m", 10)])
    frames = stream.feed([Failure(problem)])
    assert frames == [(b"error", render_error(problem, "msg_1"))]


def test_the_backends_words_stay_without_secrets() -> None:
    message = shown(backend(400, "bad token=abcdefghijklmnopqrstuvwxyz in the request"))[2]
    assert "in the request" in message
    assert "abcdefghijklmnopqrstuvwxyz" not in message
