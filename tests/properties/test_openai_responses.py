"""Responses: numbers and indices are coherent, and the final object is what the deltas built, for any answer."""

import json
from typing import Any

import pytest
from hypothesis import given, settings

from augment_open_proxy.core.conversation import ChatRequest, CustomTool, Message, Text, ThinkingOutput
from augment_open_proxy.dialects.dialect import Delivery, Parsed
from augment_open_proxy.dialects.openai_responses import OPENAI_RESPONSES
from tests.cases import parsed_request, per_case, upstream_answer
from tests.pipeline import streamed, whole
from tests.properties.strategies import any_bytes, cuts, places

ENDS = ("response.completed", "response.incomplete", "response.failed")


def parsed(thinking: ThinkingOutput) -> Parsed:
    return Parsed(
        ChatRequest(
            "gpt-5",
            (Message("user", (Text("Go."),)),),
            tools=(CustomTool("apply_patch", ""),),
            thinking=thinking,
        ),
        Delivery(stream=True),
    )


@pytest.mark.parametrize("thinking", ["plain", "sealed", "omitted", "none"])
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
    assert [event["type"] for event in events[:2]] == ["response.created", "response.in_progress"]
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
