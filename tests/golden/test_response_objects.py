"""The objects around stored responses, each as one golden file in `objects/`, valid by the Open Responses document."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from augment_open_proxy.core.conversation import Text
from augment_open_proxy.core.errors import ErrorKind, Problem
from augment_open_proxy.core.events import BlockDelta, BlockStart, Cancelled, Event, Failure, Opening
from augment_open_proxy.core.listing import Item, Page
from augment_open_proxy.dialects.dialect import NOTHING, Parsed, PastTurn, Recalled
from augment_open_proxy.dialects.openai_lists import cut, render_list
from augment_open_proxy.dialects.openai_responses import OPENAI_RESPONSES
from augment_open_proxy.dialects.openai_responses.compaction import OPENAI_COMPACTION
from augment_open_proxy.dialects.openai_responses.stored import items, render_begun, render_deleted, render_turn
from augment_open_proxy.dialects.openai_responses.wire import InputTokens
from tests.cases import upstream_answer
from tests.golden.test_cases import expect, pretty
from tests.golden.test_open_responses import DOCUMENT, check
from tests.pipeline import CREATED, INPUT_ESTIMATE, TURN_ID, reply_events, whole, whole_reply

FOLDER = Path(__file__).parent / "objects"
REQUEST: dict[str, Any] = {
    "model": "gpt-5.4",
    "instructions": "Be brief.",
    "input": [
        {"role": "developer", "content": "Talk like a pirate."},
        {"role": "user", "content": [{"type": "input_text", "text": "What is in the file?"}]},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA"},
        {"type": "function_call", "call_id": "call_1", "name": "read", "arguments": '{"path": "a.txt"}'},
        {"type": "function_call_output", "call_id": "call_1", "output": "Treasure."},
        {"role": "assistant", "content": "Treasure, arr."},
        {"type": "message", "role": "user", "content": "Where?"},
    ],
    "metadata": {"topic": "treasure"},
    "reasoning": {"summary": "auto"},
}
OPENING = Opening("resp_" + TURN_ID, CREATED, "gpt-5.4", INPUT_ESTIMATE)


def body(**more: Any) -> bytes:
    return msgspec.json.encode(REQUEST | more)


def parsed(**more: Any) -> Parsed:
    return OPENAI_RESPONSES.parse(body(**more), NOTHING)


def events() -> list[Event]:
    return [
        event for batch in reply_events(OPENAI_RESPONSES, parsed(), [upstream_answer("thinking")]) for event in batch
    ]


def shown(data: bytes, name: str, request: pytest.FixtureRequest, schema: str | None = None) -> None:
    """The golden file says the same, and the document allows it."""
    value = json.loads(data)
    expect(FOLDER / f"{name}.json", pretty(value), request)
    if schema is not None and DOCUMENT.exists():
        check(schema, value)


def test_a_background_response_at_its_beginning(request: pytest.FixtureRequest) -> None:
    shown(render_begun(OPENING, parsed(background=True).delivery), "response_queued", request, "ResponseResource")


def test_a_running_response(request: pytest.FixtureRequest) -> None:
    data = render_turn(body(background=True), OPENING, [], is_running=True)
    shown(data, "response_in_progress", request, "ResponseResource")


def test_a_stored_response(request: pytest.FixtureRequest) -> None:
    data = render_turn(body(), OPENING, events(), is_running=False)
    shown(data, "response_completed", request, "ResponseResource")


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("response_failed", Failure(Problem(ErrorKind.BACKEND, "The backend closed the connection."))),
        ("response_cancelled", Cancelled()),
    ],
)
def test_a_response_without_a_good_end(name: str, end: Event, request: pytest.FixtureRequest) -> None:
    begun: list[Event] = [OPENING, BlockStart(0, Text("")), BlockDelta(0, "Half a"), end]
    data = render_turn(body(background=True), OPENING, begun, is_running=False)
    shown(data, name, request, "ResponseResource")


def test_a_deleted_response(request: pytest.FixtureRequest) -> None:
    shown(render_deleted(OPENING.id), "response_deleted", request)


def test_the_input_items(request: pytest.FixtureRequest) -> None:
    found = items(body(), whole_reply(OPENAI_RESPONSES, parsed(), [upstream_answer("thinking")]))
    page, has_more = cut((*found.given, *found.made), Page(limit=100, order="asc"))
    shown(render_list(page, has_more=has_more), "response_input_items", request)
    for item in page:
        if DOCUMENT.exists():
            check("ItemField", json.loads(item.json))


def test_a_list_of_nothing(request: pytest.FixtureRequest) -> None:
    nothing: tuple[Item, ...] = ()
    shown(render_list(nothing, has_more=False), "list_empty", request)


def test_the_input_tokens(request: pytest.FixtureRequest) -> None:
    shown(msgspec.json.encode(InputTokens(input_tokens=42)), "response_input_tokens", request)


def test_a_compaction(request: pytest.FixtureRequest) -> None:
    past = PastTurn(body(), whole_reply(OPENAI_RESPONSES, parsed(), [upstream_answer("thinking")]))
    asked = msgspec.json.encode({"model": "gpt-5.4", "input": "So?", "previous_response_id": OPENING.id})
    compaction = OPENAI_COMPACTION.parse(asked, Recalled((past,)))
    answer = whole(OPENAI_COMPACTION, compaction, [upstream_answer("text")])
    assert answer["status"] == 200
    shown(msgspec.json.encode(answer["body"]), "response_compaction", request, "CompactResource")
