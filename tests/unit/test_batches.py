"""Message batches without a server: bodies, pages, what is shown, which failures are tried again, what is stored."""

import json
from typing import Any

import msgspec
import pytest

from augment_open_proxy.core.errors import ErrorKind, Problem, ProxyError
from augment_open_proxy.core.listing import Page
from augment_open_proxy.dialects.anthropic_messages import batches
from augment_open_proxy.dialects.anthropic_messages.batches import (
    Entry,
    Times,
    describe,
    parse_batch,
    read_batch_page,
    render_result,
    unknown_place,
)
from augment_open_proxy.server.batch_runner import LONGEST_PAUSE, TRIES, kept_headers, pause_after

PARAMS: dict[str, Any] = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "Hi."}]}


def body(*requests: dict[str, Any]) -> bytes:
    return json.dumps({"requests": requests}).encode()


def one(custom_id: Any = "a", **params: Any) -> dict[str, Any]:
    return {"custom_id": custom_id, "params": PARAMS | params}


def refused(data: bytes) -> Problem:
    with pytest.raises(ProxyError) as raised:
        parse_batch(data)
    assert raised.value.problem.kind is ErrorKind.INVALID_REQUEST
    return raised.value.problem


# ---------------------------------------------------------------------- bodies


def test_each_request_keeps_its_params_as_they_were_sent() -> None:
    params = b'{ "model": "m",\n "messages": [{"role":"user","content":"\xc3\xa9 \\u00e9"}], "new": [1.50] }'
    entries = parse_batch(b'{"requests": [{"params": ' + params + b', "custom_id": "a-B_9"}], "more": 1}')
    assert entries == (Entry("a-B_9", params),)


def test_a_half_of_a_character_is_mended_later() -> None:
    (entry,) = parse_batch(body(one(messages=[{"role": "user", "content": "\ud83d"}])))
    assert rb"\ud83d" in entry.params or rb"\ufffd" in entry.params


@pytest.mark.parametrize(
    ("data", "param"),
    [
        (b"{}", "requests"),
        (b'{"requests": {}}', "requests"),
        (body(), "requests"),
        (body({"params": PARAMS}), "requests[0].custom_id"),
        (body({"custom_id": "a"}), "requests[0].params"),
        (body(one(), one(5)), "requests[1].custom_id"),
        (body(one("")), "requests[0].custom_id"),
        (body(one("a" * 65)), "requests[0].custom_id"),
        (body(one("a b")), "requests[0].custom_id"),
        (body(one("é")), "requests[0].custom_id"),
        (body(one("a\n")), "requests[0].custom_id"),
        (body(one("a"), one("b"), one("a")), "requests[2].custom_id"),
        (body({"custom_id": "a", "params": "x"}), "requests[0].params"),
        (body({"custom_id": "a", "params": None}), "requests[0].params"),
        (body({"custom_id": "a", "params": {"messages": []}}), "requests[0].params.model"),
        (body(one(model=" ")), "requests[0].params.model"),
        (body(one(), one("b", messages=[])), "requests[1].params.messages"),
        (body(one(messages=[{"role": "user", "content": 5}])), "requests[0].params.messages[0].content"),
        (body(one(messages=[{"role": "fool", "content": ""}])), "requests[0].params.messages[0].role"),
        (body(one(max_tokens=0)), "requests[0].params.max_tokens"),
        (body(one(tools=[{"type": "web_search_20250305", "name": "w"}])), "requests[0].params.tools"),
        (body(one(stream=True)), "requests[0].params.stream"),
    ],
)
def test_a_refusal_names_the_field_by_its_whole_path(data: bytes, param: str) -> None:
    problem = refused(data)
    assert problem.param == param
    assert problem.message.startswith(param)


def test_a_body_that_is_not_json_is_refused() -> None:
    assert "not valid JSON" in refused(b'{"requests": [').message
    assert "JSON object" in refused(b"[]").message


def test_stream_false_and_ids_of_any_allowed_length_are_taken() -> None:
    assert len(parse_batch(body(one("a" * 64, stream=False), one("_")))) == 2


def test_there_is_a_largest_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "MOST_REQUESTS", 2)
    assert len(parse_batch(body(one("a"), one("b")))) == 2
    assert "1 to 2" in refused(body(one("a"), one("b"), one("c"))).message


# ----------------------------------------------------------------------- pages


@pytest.mark.parametrize(
    ("query", "page"),
    [
        ({}, Page(20, "desc")),
        ({"beta": "true", "after_id": "", "before_id": ""}, Page(20, "desc")),
        ({"limit": "1", "after_id": "x"}, Page(1, "desc", "x")),
        ({"limit": "1000", "before_id": "y"}, Page(1000, "desc", None, "y")),
    ],
)
def test_a_page_is_read(query: dict[str, str], page: Page) -> None:
    assert read_batch_page(query.items()) == page


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "x", "1.0", "", "9" * 5000, "٣"])
def test_a_limit_that_is_none_is_refused(limit: str) -> None:
    with pytest.raises(ProxyError) as raised:
        read_batch_page([("limit", limit)])
    assert raised.value.problem.param == "limit"


def test_an_unknown_place_is_told_by_its_parameter() -> None:
    page = Page(20, "desc", "x", "y")
    assert unknown_place(page, "x").problem.param == "after_id"
    assert unknown_place(page, "y").problem.param == "before_id"


# -------------------------------------------------------------------- what is shown


@pytest.mark.parametrize(
    ("cancelled", "ended", "status"),
    [(None, None, "in_progress"), ("c", None, "canceling"), ("c", "e", "ended"), (None, "e", "ended")],
)
def test_requests_are_counted_by_their_result_when_the_batch_has_ended(
    cancelled: str | None, ended: str | None, status: str
) -> None:
    counts = {"succeeded": 3, "errored": 2, "canceled": 1}
    batch = describe("msgbatch_1", Times("t", "u", cancelled, ended), counts, "http://localhost/x")
    assert batch.processing_status == status
    shown = msgspec.to_builtins(batch.request_counts)
    assert sum(shown.values()) == 6
    assert shown["processing"] == (0 if ended else 6)
    assert (batch.results_url is None) == (ended is None)


def test_a_line_of_the_results_is_one_line() -> None:
    line = render_result("a", "succeeded", b'{"text":"one\\ntwo"}')
    assert line == b'{"custom_id":"a","result":{"type":"succeeded","message":{"text":"one\\ntwo"}}}\n'
    assert render_result("a", "canceled", None) == b'{"custom_id":"a","result":{"type":"canceled"}}\n'


# ------------------------------------------------------------------------- tries


def test_pauses_grow_and_end() -> None:
    problem = Problem(ErrorKind.OVERLOADED, "")
    assert [pause_after(problem, tries) for tries in range(1, TRIES + 1)] == [2, 4, 8, 16, None]


@pytest.mark.parametrize(("wish", "pause"), [(0.5, 2), (30, 30), (1e9, LONGEST_PAUSE)])
def test_the_backend_s_own_wish_is_honoured(wish: float, pause: float) -> None:
    assert pause_after(Problem(ErrorKind.RATE_LIMITED, "", retry_after=wish), 1) == pause


@pytest.mark.parametrize(
    ("kind", "again"),
    [
        (ErrorKind.BACKEND, True),
        (ErrorKind.TIMEOUT, True),
        (ErrorKind.STORE, True),
        (ErrorKind.INVALID_REQUEST, False),
        (ErrorKind.AUTHENTICATION, False),
        (ErrorKind.BILLING, False),
        (ErrorKind.MODEL_NOT_FOUND, False),
        (ErrorKind.CONTEXT_TOO_LONG, False),
        (ErrorKind.INTERNAL, False),
    ],
)
def test_only_what_may_pass_is_tried_again(kind: ErrorKind, again: bool) -> None:
    assert (pause_after(Problem(kind, ""), 1) is not None) == again


def test_a_session_is_stored_and_a_key_never_is() -> None:
    headers = [(b"authorization", b"Bearer k"), (b"x-api-key", b"k"), (b"api-key", b"k"), (b"cookie", b"c")]
    assert kept_headers({"headers": headers}) == b""
    assert kept_headers({"headers": [*headers, (b"session_id", b"s\xe9")]}) == '[["session_id","sé"]]'.encode()
