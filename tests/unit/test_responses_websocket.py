"""Messages of a WebSocket → what they ask for; problems → error events; events → messages."""

import json
from typing import Any

import pytest

from augment_open_proxy.core.conversation import Text
from augment_open_proxy.core.errors import ErrorKind, Problem, ProxyError
from augment_open_proxy.core.events import BlockDelta, BlockStart, BlockStop, Event, Finish, Opening, Usage
from augment_open_proxy.dialects.dialect import Delivery, StreamRenderer
from augment_open_proxy.dialects.framing import joined
from augment_open_proxy.dialects.openai_responses import OPENAI_RESPONSES
from augment_open_proxy.dialects.openai_responses.request import parse
from augment_open_proxy.dialects.openai_responses.websocket import (
    ACKNOWLEDGED,
    Create,
    Messages,
    Refusal,
    parse_message,
    render_problem,
    render_refusal,
)
from tests.golden.test_open_responses import DOCUMENT, check

EVENTS: list[Event] = [
    Opening("resp_1", 0, "m", 1),
    BlockStart(0, Text("")),
    BlockDelta(0, "a\nb\u2028"),
    BlockStop(0),
    Finish("stop", 1, Usage(1, 1)),
]


def message(**fields: Any) -> bytes:
    return json.dumps({"type": "response.create", **fields}).encode()


def refusal(**fields: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        parse_message(message(**fields))
    return caught.value


def test_a_message_is_the_body_of_a_request() -> None:
    text = message(model="m", input="x", stream=True, background=None, stream_id=None, generate=True)
    assert parse_message(text) == Create(None, text)
    text = message(model="m", input="x", stream_id="a.B-1_", previous_response_id="resp_1")
    assert parse_message(text) == Create("a.B-1_", text, previous="resp_1")


def test_what_is_not_to_be_generated_is_a_body_without_that_word() -> None:
    create = parse_message(message(model="m", input="\ud800x", generate=False))
    assert create is not None
    assert not create.generates
    assert json.loads(create.body) == {"type": "response.create", "model": "m", "input": "\ufffdx"}
    assert parse(create.body).request.model == "m"


def test_an_acknowledgement_asks_for_nothing() -> None:
    assert parse_message(message(type=ACKNOWLEDGED, response_id="r")) is None


@pytest.mark.parametrize(
    ("fields", "code", "param", "lane"),
    [
        ({"stream_id": ""}, "invalid_stream_id", "stream_id", None),
        ({"stream_id": "a\n"}, "invalid_stream_id", "stream_id", None),
        ({"stream_id": "a", "type": "x"}, "unknown_event", "type", "a"),
        ({"stream_id": "a", "background": True}, "unsupported_parameter", "background", "a"),
        ({"stream_id": "a", "stream": False}, "unsupported_parameter", "stream", "a"),
        ({"type": "response.steer"}, "unsupported_event", None, None),
    ],
)
def test_what_is_refused_says_why_and_in_which_lane(
    fields: dict[str, Any], code: str, param: str | None, lane: str | None
) -> None:
    refused = refusal(**fields)
    assert (refused.code, refused.param, refused.lane, refused.status) == (code, param, lane, 400)


@pytest.mark.parametrize("text", [b"", b"[]", b"5", b"{", b"\xff", b'{"type":"response.create"', b"[" * 100_000])
def test_what_is_no_json_object_is_a_fault(text: bytes) -> None:
    with pytest.raises(ProxyError) as caught:
        parse_message(text)
    assert caught.value.problem.kind is ErrorKind.INVALID_REQUEST


def test_a_refusal_as_an_event() -> None:
    event = json.loads(render_refusal(Refusal("a_code", "No.", "field"), "lane"))
    assert event == {
        "type": "error",
        "status": 400,
        "error": {"type": "invalid_request_error", "code": "a_code", "message": "No.", "param": "field"},
        "stream_id": "lane",
    }
    assert "stream_id" not in json.loads(render_refusal(Refusal("a_code", "No."), None))


@pytest.mark.parametrize("kind", list(ErrorKind))
def test_each_problem_has_a_status_and_a_code(kind: ErrorKind) -> None:
    event = json.loads(render_problem(Problem(kind, "No.", "field"), None, {}))
    assert event["status"] >= 400
    assert event["error"]["code"]
    if DOCUMENT.exists():
        check("WebSocketErrorEvent", event)


def test_headers_are_those_of_http() -> None:
    event = json.loads(render_problem(Problem(ErrorKind.RATE_LIMITED, "No."), "a", {"retry-after": "5"}))
    assert (event["status"], event["stream_id"], event["error"]["headers"]) == (429, "a", {"retry-after": "5"})


@pytest.mark.parametrize("lane", [None, "a"])
def test_events_as_messages_are_those_of_a_stream_with_their_lane(lane: str | None) -> None:
    def stream() -> StreamRenderer:
        return OPENAI_RESPONSES.stream(Delivery(stream=True))

    messages = Messages(stream(), lane)
    lines = (messages.feed(EVENTS) + messages.heartbeat()).split(b"\n")
    assert lines.pop() == b""
    renderer = stream()
    frames = [*renderer.feed(EVENTS), *renderer.heartbeat()]
    expected = [json.loads(joined(data)) for _, data in frames]
    if lane is not None:
        expected = [{**event, "stream_id": lane} for event in expected]
    assert [json.loads(line) for line in lines] == expected
