"""Responses: numbers and indices are coherent, and the final object is what the deltas built, for any answer."""

import json
import uuid
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augment_open_proxy.core.conversation import ChatRequest, CustomTool, Message, Text, ThinkingOutput
from augment_open_proxy.core.events import Event
from augment_open_proxy.dialects.dialect import Delivery, Parsed
from augment_open_proxy.dialects.framing import Frame, joined
from augment_open_proxy.dialects.openai_responses import OPENAI_RESPONSES
from augment_open_proxy.dialects.openai_responses.reply import Shape
from augment_open_proxy.dialects.openai_responses.stored import items
from augment_open_proxy.dialects.openai_responses.stream import ResponsesStream
from augment_open_proxy.dialects.openai_responses.wire import Echo
from tests.cases import parsed_request, per_case, upstream_answer
from tests.pipeline import TURN_ID, reply_events, streamed, whole, whole_reply
from tests.properties.strategies import answers, any_bytes, cuts, places

ENDS = ("response.completed", "response.incomplete", "response.failed")


def parsed(thinking: ThinkingOutput, shape: Shape | None = None) -> Parsed:
    return Parsed(
        ChatRequest(
            "gpt-5",
            (Message("user", (Text("Go."),)),),
            tools=(CustomTool("apply_patch", ""),),
            thinking=thinking,
        ),
        Delivery(stream=True, shape=shape),
    )


@pytest.mark.parametrize("thinking", get_args(ThinkingOutput))
@given(data=any_bytes, at=places)
@settings(max_examples=150)
def test_the_final_object_is_what_the_deltas_built(thinking: ThinkingOutput, data: bytes, at: list[int]) -> None:
    events = events_in(streamed(OPENAI_RESPONSES, parsed(thinking), cuts(data, at)))
    check_frame(events)
    end = events[-1]
    items = built(events[2:-1], may_be_cut=end["type"] == "response.failed")
    assert end["response"]["output"] == items
    reply = whole(OPENAI_RESPONSES, parsed(thinking), [data])
    if reply["status"] == 200:
        assert reply["body"] == end["response"]
    else:
        assert end["type"] == "response.failed"
        assert end["response"]["error"]["code"]


@per_case
def test_a_truncation_anywhere_fails_once(scenario: str, dialect: Any) -> None:
    if dialect is not OPENAI_RESPONSES:
        return
    data = upstream_answer(scenario)
    for place in range(len(data)):
        events = events_in(streamed(OPENAI_RESPONSES, parsed_request(scenario, dialect), [data[:place]]))
        check_frame(events)
        assert [event["type"] in ENDS for event in events].count(True) == 1


def events_in(body: bytes) -> list[Any]:
    events = []
    for frame in body.decode().removesuffix("\n\n").split("\n\n"):
        name, data = frame.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        events.append(event)
    return events


def check_frame(events: list[Any]) -> None:
    """The numbers, the beginning and the end."""
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    queued = ["response.queued"] if events[0]["response"]["background"] else []
    beginning = ["response.created", *queued, "response.in_progress"]
    assert [event["type"] for event in events[: len(beginning)]] == beginning
    assert events[-1]["type"] in ENDS
    assert not any(event["type"] in ENDS for event in events[:-1])
    assert len({event["response"]["id"] for event in events if "response" in event}) == 1


def built(events: list[Any], *, may_be_cut: bool) -> list[Any]:
    """The items, checked against the deltas that came before. A failure may cut off the last one, and it has no end."""
    items: list[Any] = []
    current: dict[str, Any] = {}
    for event in events:
        assert event["output_index"] == len(items)
        kind = event["type"]
        if kind == "response.output_item.added":
            assert not current
            current = {"id": event["item"]["id"], "text": "", "done": None}
        elif kind == "response.output_item.done":
            check_item(event["item"], current)
            items.append(event["item"])
            current = {}
        else:
            assert event["item_id"] == current["id"]
            if kind.endswith(".delta"):
                assert event["delta"]
                assert current["done"] is None
                current["text"] += event["delta"]
            elif kind.endswith(("_text.done", "_arguments.done", "_input.done")):
                current["done"] = event.get("text", event.get("arguments", event.get("input")))
                assert current["done"] == current["text"]
    assert not current or may_be_cut
    return items


def check_item(item: Any, current: dict[str, Any]) -> None:
    assert item["id"] == current["id"]
    match item["type"]:
        case "message":
            text = item["content"][0]["text"]
        case "reasoning":
            text = "".join(part["text"] for part in item["summary"])
        case "function_call":
            text = item["arguments"]
        case _:
            text = item["input"]
    assert text == current["text"]


# --- A stream that is taken up again ---

shapes = st.builds(
    lambda background, seals: Shape(Echo(background=background), gives_seals=seals), st.booleans(), st.booleans()
)


def frames(batches: list[list[Event]], rendering: ResponsesStream) -> list[Frame]:
    return [frame for batch in batches for frame in rendering.feed(batch)]


@given(
    data=any_bytes, at=places, shape=shapes, thinking=st.sampled_from(get_args(ThinkingOutput)), skip=st.integers(0, 60)
)
@settings(max_examples=300)
def test_a_stream_that_is_taken_up_again_has_all_frames_but_the_first(
    data: bytes, at: list[int], shape: Shape, thinking: ThinkingOutput, skip: int
) -> None:
    """Whether its events come as they came then or all at once, as from the store."""
    asked = parsed(thinking, shape)
    batches = reply_events(OPENAI_RESPONSES, asked, cuts(data, at))
    expected = frames(batches, ResponsesStream(asked.delivery))[skip:]
    stored = [event for batch in batches for event in batch]
    for again in (batches, [stored], [[event] for event in stored]):
        assert frames(again, ResponsesStream(asked.delivery, skip=skip)) == expected


@given(data=any_bytes, at=places, beats=st.lists(st.integers(0, 10), max_size=5))
def test_heartbeats_change_nothing_of_the_numbers(data: bytes, at: list[int], beats: list[int]) -> None:
    asked = parsed("plain")
    batches = reply_events(OPENAI_RESPONSES, asked, cuts(data, at))
    rendering, quiet = ResponsesStream(asked.delivery), ResponsesStream(asked.delivery)
    last = 0
    for number, batch in enumerate(batches):
        for _ in range(beats.count(number)):
            ((_, beat),) = rendering.heartbeat()
            assert json.loads(joined(beat)) == {"type": "keepalive", "sequence_number": last}
        made = rendering.feed(batch)
        assert made == quiet.feed(batch)
        last = json.loads(joined(made[-1][1]))["sequence_number"] if made else last


# --- Items ---

GIVEN: list[dict[str, Any]] = [
    {"role": "user", "content": "Go."},
    {"role": "assistant", "content": [{"type": "output_text", "text": "Gone."}]},
    {"type": "message", "role": "developer", "content": []},
    {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "a", "output": "x"},
    {"type": "custom_tool_call", "call_id": "b", "name": "p", "input": "x"},
    {"type": "reasoning", "summary": []},
    {"type": "item_reference", "id": "msg_1"},
    {"type": "additional_tools", "role": "developer", "tools": []},
    {"type": "web_search_call", "status": "completed", "action": {"type": "search"}},
]


@given(given=st.text(max_size=5) | st.lists(st.sampled_from(GIVEN), max_size=8), data=answers)
def test_each_item_of_a_turn_has_an_id_of_its_own_that_tells_the_turn(given: Any, data: bytes) -> None:
    body = json.dumps({"model": "gpt-5", "input": given, "instructions": "Be brief."}).encode()
    reply = whole_reply(OPENAI_RESPONSES, parsed("carried"), [data])
    found = items(body, reply)
    ids = [item.id for item in (*found.given, *found.made)]
    assert len(set(ids)) == len(ids)
    assert [json.loads(item.json)["id"] for item in (*found.given, *found.made)] == ids
    assert {uuid.UUID(id_.rpartition("_")[2][:32]) for id_ in ids} <= {uuid.UUID(TURN_ID)}
    assert len(found.made) == len(reply.blocks)
    references = 0 if isinstance(given, str) else sum("id" in item for item in given)
    assert len(found.given) == (1 if isinstance(given, str) else len(given) - references)
    assert items(body, reply) == found, "so that they are found again"
