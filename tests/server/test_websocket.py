"""Responses over a WebSocket: what is told, what goes on from what, lanes, and what is refused."""

import json
from collections.abc import Iterator
from typing import Any

import httpx2 as httpx
import pytest

from augment_open_proxy.dialects.openai_responses import websocket as dialect
from augment_open_proxy.server import relay, websocket
from augment_open_proxy.simulator import Cut, Pause, Send
from tests.golden.test_open_responses import DOCUMENT, check, event_schemas
from tests.servers import Proxy, running_proxy
from tests.sockets import LAST, MODEL, Event, Socket, opened, text

END = b'{"stop_reason":1}\n'


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with running_proxy(store="memory") as running:
        yield running


@pytest.fixture
def client(proxy: Proxy) -> Iterator[Socket]:
    """All that it was told is valid by the public document, but for what OpenAI alone has."""
    with opened(proxy) as socket:
        yield socket
    for event in socket.seen:
        if event["type"] != "keepalive" and DOCUMENT.exists():
            shown = {name: value for name, value in event.items() if name != "stream_id"}
            check("WebSocketErrorEvent" if event["type"] == "error" else event_schemas()[event["type"]], shown)


def say(words: Any, **more: Any) -> str:
    """A prompt that has the simulator say `words`."""
    return f"@@{json.dumps({'text': words, **more})}@@"


def record(proxy: Proxy, number: int = 1) -> str:
    """The record that is the `number`th; it comes after the last event."""
    proxy.wait_for(lambda: len(proxy.lines) >= number)
    return proxy.lines[number - 1]


def asked(proxy: Proxy) -> Any:
    """What the backend was asked last."""
    body = json.loads(proxy.simulator.requests[-1].body)
    return body["message"], body["chat_history"], body.get("nodes"), body.get("tool_definitions")


# ------------------------------------------------------------------- events


def test_a_response_is_told_as_the_events_of_its_stream(proxy: Proxy, client: Socket) -> None:
    body = {"model": MODEL, "input": say(["One ", "two."], thinking="Hm."), "reasoning": {"summary": "auto"}}
    client.send(body["input"], reasoning=body["reasoning"])
    told = client.response()
    streamed = httpx.post(f"{proxy.base_url}/responses", json={**body, "store": False, "stream": True}, timeout=20)
    lines = [json.loads(line[6:]) for line in streamed.text.split("\n") if line.startswith("data: ")]
    assert [event["type"] for event in told] == [line["type"] for line in lines]
    assert [event["sequence_number"] for event in told] == list(range(len(told)))
    assert text(told[-1]["response"]) == text(lines[-1]["response"]) == "One two."
    assert not any("stream_id" in event for event in told)


def test_each_response_has_a_record(proxy: Proxy, client: Socket) -> None:
    ids = [client.ask()["id"] for _ in range(2)]
    record(proxy, 2)
    assert len(proxy.lines) == 2
    for id_, line in zip(ids, proxy.lines, strict=True):
        assert " INFO WS /v1/responses 200 " in line
        assert f"model={MODEL} stream=true req={id_} tokens=" in line
        assert "tokens=?" not in line


def test_what_was_said_is_logged_where_bodies_are() -> None:
    with running_proxy(store="memory", logging="body", log_format="json") as proxy, opened(proxy) as client:
        response = client.ask(say("Hello."))
        line = json.loads(record(proxy))
        assert line["request"]["input"] == say("Hello.")
        assert text(line["response"]) == "Hello."
        assert line["requestId"] == response["id"]


def test_stream_true_is_no_fault(client: Socket) -> None:
    """Codex and OpenAI's agents say so."""
    assert client.ask(stream=True)["status"] == "completed"


def test_what_the_client_is_not_told_in_headers_is_in_the_record(proxy: Proxy, client: Socket) -> None:
    client.ask(temperature=0.3)
    assert "ignored parameters: temperature" in record(proxy)


# --------------------------------------------------------------- going on


def test_what_is_not_stored_can_be_gone_on_from(proxy: Proxy, client: Socket) -> None:
    tool = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}}
    fields: Any = {
        "tools": [tool],
        "reasoning": {"summary": "auto"},
        "include": ["reasoning.encrypted_content"],
    }
    question = {"role": "user", "content": say("I look.", thinking="Hm.", tool={"name": "look", "input": {}})}
    first = client.ask([question], **fields)
    call = next(item for item in first["output"] if item["type"] == "function_call")
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": "A tree."}
    second = client.ask([result], previous_response_id=first["id"], **fields)
    assert second["previous_response_id"] == first["id"]
    client.ask("And now?", previous_response_id=second["id"], **fields)
    chained = asked(proxy)
    whole = [question, *first["output"], result, *second["output"], {"role": "user", "content": "And now?"}]
    client.ask(whole, **fields)
    assert chained == asked(proxy)


def test_an_id_that_is_unknown_is_told_with_its_code(client: Socket) -> None:
    error = client.refused(previous_response_id="resp_unknown")
    assert error["status"] == 400
    assert error["error"]["type"] == "invalid_request_error"
    assert error["error"]["code"] == "previous_response_not_found"
    assert error["error"]["param"] == "previous_response_id"
    assert client.ask()["status"] == "completed", "the connection goes on"


def test_what_is_not_stored_is_known_on_its_connection_alone(proxy: Proxy, client: Socket) -> None:
    first = client.ask()
    with opened(proxy) as other:
        assert other.refused(previous_response_id=first["id"])["error"]["code"] == "previous_response_not_found"
    answer = httpx.get(f"{proxy.base_url}/responses/{first['id']}", timeout=20)
    assert answer.status_code == 404


def test_what_is_stored_is_known_everywhere(proxy: Proxy, client: Socket) -> None:
    first = client.ask(say("Hello."), store=True)
    shown = httpx.get(f"{proxy.base_url}/responses/{first['id']}", timeout=20).json()
    assert shown == first
    with opened(proxy) as other:
        second = other.ask("And?", previous_response_id=first["id"])
        assert "Hello." in json.dumps(asked(proxy)[1])
        third = other.ask("And then?", store=True, previous_response_id=second["id"])
        other.ask("And now?", previous_response_id=third["id"])
        assert asked(proxy)[1][0]["response_text"] == "Hello."
    body = {"model": MODEL, "input": "Go on.", "previous_response_id": first["id"]}
    assert httpx.post(f"{proxy.base_url}/responses", json=body, timeout=20).status_code == 200


def test_what_is_stored_is_each_key_s_own(proxy: Proxy) -> None:
    with opened(proxy, additional_headers={"authorization": "Bearer one"}) as one:
        first = one.ask(store=True)
        one.ask(previous_response_id=first["id"])
    with opened(proxy, additional_headers={"authorization": "Bearer two"}) as two:
        assert two.refused(previous_response_id=first["id"])["error"]["code"] == "previous_response_not_found"


def test_without_generating_a_request_is_kept_to_be_gone_on_from(proxy: Proxy, client: Socket) -> None:
    client.send([{"role": "user", "content": "I am Ada."}], generate=False)
    events = client.response()
    assert [event["type"] for event in events] == ["response.created", "response.in_progress", "response.completed"]
    warm = events[-1]["response"]
    assert (warm["status"], warm["output"], warm["usage"]["total_tokens"]) == ("completed", [], 0)
    assert len(proxy.simulator.requests) == 0
    assert "the model was not asked" in record(proxy)
    client.ask("Who am I?", previous_response_id=warm["id"])
    chained = asked(proxy)
    client.ask([{"role": "user", "content": "I am Ada."}, {"role": "user", "content": "Who am I?"}])
    assert chained == asked(proxy)


def test_nothing_to_answer_yet_is_no_fault_where_nothing_is_generated(proxy: Proxy, client: Socket) -> None:
    warm = client.ask([], generate=False, instructions="Be brief.", store=True)
    assert httpx.get(f"{proxy.base_url}/responses/{warm['id']}", timeout=20).json()["output"] == []
    assert text(client.ask(say("Yes."), previous_response_id=warm["id"])) == "Yes."
    assert client.refused([])["error"]["param"] == "input"


def test_a_turn_that_could_not_be_gone_on_from_is_forgotten(client: Socket) -> None:
    """Open Responses demands it: the client has to send all of the conversation, without what made it fail."""
    first = client.ask()
    error = client.refused(previous_response_id=first["id"], input=5)
    assert error["status"] == 400
    assert client.refused(previous_response_id=first["id"])["error"]["code"] == "previous_response_not_found"


# ------------------------------------------------------------------- lanes


def test_lanes_run_side_by_side_and_name_themselves(proxy: Proxy, client: Socket) -> None:
    proxy.call(lambda: proxy.simulator.script([b'{"text":"slow"}\n', Pause(1), Send(END)]))
    client.send(stream_id="slow")
    while client.receive()["type"] != "response.output_text.delta":
        pass
    client.send(say("quick"), stream_id="quick")
    client.send(say("plain"))
    ends = [client.response()[-1] for _ in range(3)]
    assert {event.get("stream_id") for event in ends[:2]} == {"quick", None}
    assert ends[2]["stream_id"] == "slow"
    for event in client.seen:
        assert event.get("stream_id", "plain") in ("slow", "quick", "plain")
    assert {text(end["response"]) for end in ends} == {"slow", "quick", "plain"}


def test_the_requests_of_a_lane_are_answered_one_after_the_other(proxy: Proxy, client: Socket) -> None:
    proxy.call(lambda: proxy.simulator.script([b'{"text":"first"}\n', Pause(0.3), Send(END)]))
    client.send(stream_id="a")
    client.send(say("second"), stream_id="a")
    client.send(stream_id="a", background=True)
    first, second = client.response(), client.response()
    assert [text(events[-1]["response"]) for events in (first, second)] == ["first", "second"]
    assert client.error()["stream_id"] == "a"


def test_a_lane_forks_a_conversation(proxy: Proxy, client: Socket) -> None:
    first = client.ask("One.", stream_id="main")
    client.ask("Left.", stream_id="critic", previous_response_id=first["id"])
    assert "One." in json.dumps(asked(proxy))
    second = client.ask("Right.", stream_id="main", previous_response_id=first["id"])
    assert "Left." not in json.dumps(asked(proxy))
    assert client.refused(5, stream_id="critic", previous_response_id=second["id"])["stream_id"] == "critic"
    client.ask("On.", stream_id="main", previous_response_id=second["id"])
    assert "Right." in json.dumps(asked(proxy)), "the failure of a lane is no matter of another"


@pytest.mark.parametrize("name", ["", "a b", "é", "x" * 257, 5, ["a"]])
def test_a_lane_has_a_plain_name(client: Socket, name: Any) -> None:
    error = client.refused(stream_id=name)
    assert (error["status"], error["error"]["code"]) == (400, "invalid_stream_id")
    assert error["error"]["param"] == "stream_id"
    assert "stream_id" not in error
    assert client.ask(stream_id="x" * 256)["status"] == "completed"


def test_there_is_a_limit_of_lanes_but_none_of_requests(client: Socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "MOST_LANES", 2)
    for name in ("a", "b", "a", None):
        client.ask(stream_id=name)
    error = client.refused(stream_id="c")
    assert (error["stream_id"], error["error"]["code"]) == ("c", "websocket_stream_limit_reached")
    assert client.ask(stream_id="b")["status"] == "completed"


def test_what_is_more_than_may_be_in_flight_waits(
    proxy: Proxy, client: Socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy.call(lambda: proxy.simulator.script([b'{"text":"x"}\n', Pause(0.1), Send(END)], times=40))
    for number in range(websocket.MOST_AT_ONCE + 4):
        client.send(stream_id=str(number))
    most = 0
    while sum(event["type"] in LAST for event in client.seen) < websocket.MOST_AT_ONCE + 4:
        client.receive()
        most = max(most, proxy.call(lambda: proxy.simulator.open_calls))
    assert most == websocket.MOST_AT_ONCE


# ----------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("message", "code", "param"),
    [
        ('{"type":"response.create","model":"m","input":"x","background":true}', "unsupported_parameter", "background"),
        ('{"type":"response.create","model":"m","input":"x","stream":false}', "unsupported_parameter", "stream"),
        ('{"type":"response.create","input":"x"}', "invalid_request_error", "model"),
        ('{"type":"response.create","model":"m","input":5}', "invalid_request_error", "input"),
        ('{"type":"response.create","model":"no such model","input":"x"}', "model_not_found", "model"),
        ('{"type":"response.cancel"}', "unknown_event", "type"),
        ('{"type":"response.steer","previous_response_id":"r","input":"x"}', "unsupported_event", None),
        ('{"model":"m","input":"x"}', "unknown_event", "type"),
        ('{"type":{"a":1}}', "unknown_event", "type"),
        ('["response.create"]', "invalid_request_error", None),
        ("response.create", "invalid_request_error", None),
        ("", "invalid_request_error", None),
        ("[" * 5000, "invalid_request_error", None),
        (b'{"type":"response.create"}', "invalid_message", None),
    ],
)
def test_what_cannot_be_served_is_told_and_the_connection_goes_on(
    proxy: Proxy, client: Socket, message: str | bytes, code: str, param: str | None
) -> None:
    client.connection.send(message)
    error = client.error()
    assert (error["error"]["code"], error["error"]["param"]) == (code, param)
    assert error["status"] == (404 if code == "model_not_found" else 400)
    assert client.ask()["status"] == "completed"
    refusal = record(proxy)
    assert f" WARN WS /v1/responses {error['status']} " in refusal
    assert "error=" in refusal
    assert len(proxy.simulator.requests) == 1


def test_an_acknowledgement_is_not_answered(client: Socket) -> None:
    client.connection.send(json.dumps({"type": dialect.ACKNOWLEDGED, "response_id": "resp_1"}))
    client.ask()
    assert client.seen[0]["type"] == "response.created"


# ----------------------------------------------------------------- failures


def test_a_failure_before_the_first_content_is_an_error_event(proxy: Proxy, client: Socket) -> None:
    error = client.refused('@@{"scenario": "error-413"}@@', stream_id="a")
    assert (error["status"], error["stream_id"]) == (400, "a")
    assert error["error"]["code"] == "context_length_exceeded"
    assert error["error"]["headers"]["x-request-id"].startswith("resp_")
    assert " WARN WS /v1/responses 400 " in record(proxy)


def test_a_failure_after_it_ends_the_response(proxy: Proxy, client: Socket) -> None:
    first = client.ask()
    proxy.call(lambda: proxy.simulator.script([b'{"text":"Well, "}\n', Pause(0.2), Cut()]))
    client.send(previous_response_id=first["id"])
    events = client.response()
    assert events[0]["type"] == "response.created"
    assert held(events) == "Well, "
    assert events[-1]["type"] == "response.failed"
    assert events[-1]["response"]["error"]["message"]
    assert client.refused(previous_response_id=first["id"])["error"]["code"] == "previous_response_not_found"


def test_the_client_is_told_that_it_is_waited_for(
    proxy: Proxy, client: Socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "FIRST_HEARTBEAT", 0.1)
    monkeypatch.setattr(relay, "HEARTBEAT", 0.1)
    proxy.call(lambda: proxy.simulator.script([Pause(0.6), Send(b'{"text":"Hi."}\n'), Send(END)]))
    client.send(stream_id="a")
    types = [event["type"] for event in client.response()]
    assert types[:4] == ["response.created", "response.in_progress", "keepalive", "keepalive"]
    assert all(event["stream_id"] == "a" for event in client.seen)
    assert types[-1] == "response.completed"


def held(events: list[Event]) -> str:
    return "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")


def test_the_characters_of_all_languages_arrive(client: Socket) -> None:
    words = "a\u2028b\u2029c\u0085d 🙂 \r\n é\x00"
    client.send(say(words))
    assert held(client.response()) == words
