"""Stored responses: the items of a turn with their ids, and the response object as it is shown again."""

import json
from typing import Any

import pytest
from openai.types.responses import Response
from openai.types.responses.response_item import ResponseItem
from pydantic import TypeAdapter

from augment_open_proxy.core.conversation import Text, Thinking, ToolCall
from augment_open_proxy.core.errors import ErrorKind, Problem
from augment_open_proxy.core.events import (
    Block,
    BlockDelta,
    BlockStart,
    BlockStop,
    Cancelled,
    Event,
    Failure,
    Finish,
    Opening,
    Usage,
)
from augment_open_proxy.core.reply import Reply, fold
from augment_open_proxy.dialects.dialect import TurnItems
from augment_open_proxy.dialects.openai_responses.reply import render
from augment_open_proxy.dialects.openai_responses.request import parse
from augment_open_proxy.dialects.openai_responses.stored import (
    LONGEST_ID,
    given_items,
    items,
    made_items,
    render_begun,
    render_deleted,
    render_turn,
)

HEX = "0123456789abcdef0123456789abcdef"
ID = "resp_01234567-89ab-cdef-0123-456789abcdef"
OPENING = Opening(ID, 1_750_000_000, "gpt-5", 10)
USAGE = Usage(7, 5)
DONE = Finish("stop", 1, USAGE, at=1_750_000_009)
HELLO: dict[str, Any] = {"role": "user", "content": "Hello."}
ENCRYPTED = "reasoning.encrypted_content"

_item: TypeAdapter[Any] = TypeAdapter(ResponseItem)
_response = TypeAdapter(Response)


def body(given: Any = "Hello.", **fields: Any) -> bytes:
    return json.dumps({"model": "gpt-5", "input": given, **fields}).encode()


def given(*sent: Any) -> list[Any]:
    """The items of an input, as they are listed; valid by the SDK."""
    listed = given_items(body(list(sent)), ID)
    shown = [json.loads(item.json) for item in listed]
    assert [item.id for item in listed] == [item["id"] for item in shown]
    for item in shown:
        _item.validate_python(item)
    return shown


def made(*blocks: Block, **fields: Any) -> list[Any]:
    """The items of a reply."""
    return [json.loads(item.json) for item in made_items(body(**fields), Reply(OPENING, blocks, DONE))]


def block(index: int, kind: Block, *pieces: str, opaque: str | None = None) -> list[Event]:
    return [BlockStart(index, kind), *(BlockDelta(index, piece) for piece in pieces), BlockStop(index, opaque)]


def shown(events: list[Event], *, is_running: bool = False, gives_seals: bool = False, **fields: Any) -> Any:
    """The response object of a stored turn; valid by the SDK."""
    response = json.loads(render_turn(body(**fields), OPENING, events, is_running=is_running, gives_seals=gives_seals))
    _response.validate_python(response)
    return response


# --- The items of the input ---


def test_an_item_gets_a_type_an_id_and_a_status() -> None:
    assert given(HELLO) == [
        {
            "type": "message",
            "id": f"msg_{HEX}8000",
            "status": "completed",
            "role": "user",
            "content": [{"type": "input_text", "text": "Hello."}],
        }
    ]


def test_a_text_is_a_message_of_the_user() -> None:
    assert given_items(body("Hello."), ID) == given_items(body([HELLO]), ID)


def test_no_input_has_no_items() -> None:
    assert given_items(body(None), ID) == given_items(body([]), ID) == ()


@pytest.mark.parametrize(
    ("item", "prefix"),
    [
        (HELLO, "msg"),
        ({"type": "reasoning", "summary": []}, "rs"),
        ({"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"}, "fc"),
        ({"type": "function_call_output", "call_id": "a", "output": "x"}, "fco"),
        ({"type": "custom_tool_call", "call_id": "a", "name": "p", "input": "x"}, "ctc"),
        ({"type": "custom_tool_call_output", "call_id": "a", "output": "x"}, "ctco"),
        ({"type": "local_shell_call", "call_id": "a", "action": {"type": "exec", "command": [], "env": {}}}, "lsh"),
        ({"type": "local_shell_call_output", "output": "x"}, "lsho"),
        ({"type": "compaction", "encrypted_content": "sealed"}, "cmp"),
        ({"type": "additional_tools", "tools": [{"type": "local_shell"}]}, "at"),
        ({"type": "mcp_approval_response", "approval_request_id": "a", "approve": True}, "item"),
    ],
)
def test_the_id_tells_the_kind_the_turn_and_the_place(item: dict[str, Any], prefix: str) -> None:
    (_, listed) = given(HELLO, item)
    assert listed["id"] == f"{prefix}_{HEX}8001"


@pytest.mark.parametrize("id_", ["msg_1", "x", "i" * LONGEST_ID])
def test_an_item_keeps_the_id_that_the_client_gave_it(id_: str) -> None:
    assert given({**HELLO, "id": id_})[0]["id"] == id_


@pytest.mark.parametrize("id_", [None, "", "i" * (LONGEST_ID + 1)])
def test_an_id_that_is_none_or_too_long_to_be_kept_is_replaced(id_: str | None) -> None:
    assert given({**HELLO, "id": id_})[0]["id"] == f"msg_{HEX}8000"


def test_a_status_stays_and_reasoning_and_compactions_have_none() -> None:
    stopped = {"role": "assistant", "status": "incomplete", "content": [{"type": "output_text", "text": "Ha"}]}
    reasoning = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "seal"}
    compaction = {"type": "compaction", "id": "cmp_1", "encrypted_content": "sealed"}
    listed = given(stopped, reasoning, compaction)
    assert listed[0]["status"] == "incomplete"
    assert listed[1:] == [reasoning, compaction]


@pytest.mark.parametrize(
    ("message", "content"),
    [
        (
            {"role": "assistant", "content": "Hi."},
            [{"type": "output_text", "text": "Hi.", "annotations": [], "logprobs": []}],
        ),
        (
            {"role": "assistant", "content": [{"type": "output_text", "text": "Hi.", "annotations": None}]},
            [{"type": "output_text", "text": "Hi.", "annotations": [], "logprobs": []}],
        ),
        ({"role": "developer", "content": "Be brief."}, [{"type": "input_text", "text": "Be brief."}]),
        ({"role": "user", "content": [{"type": "text", "text": "Hi."}]}, [{"type": "input_text", "text": "Hi."}]),
        (
            {"role": "user", "content": [{"type": "input_image", "image_url": "https://x.test/a.png"}]},
            [{"type": "input_image", "image_url": "https://x.test/a.png", "detail": "auto", "file_id": None}],
        ),
        (
            {"role": "user", "content": [{"type": "input_image", "image_url": "https://x.test", "detail": "low"}]},
            [{"type": "input_image", "image_url": "https://x.test", "detail": "low", "file_id": None}],
        ),
    ],
)
def test_content_is_listed_with_what_the_api_fills_in(message: dict[str, Any], content: Any) -> None:
    assert given(message)[0]["content"] == content


@pytest.mark.parametrize(
    "item",
    [
        {"type": "item_reference", "id": "msg_1"},
        {"id": "msg_1"},
        {"type": "compaction_trigger"},
    ],
)
def test_what_is_no_content_is_not_listed_and_the_others_keep_their_places(item: dict[str, Any]) -> None:
    assert [listed["id"] for listed in given(HELLO, item, HELLO)] == [f"msg_{HEX}8000", f"msg_{HEX}8002"]


def test_an_id_that_came_before_is_replaced_by_one_of_ours() -> None:
    """Else a page that begins after it would begin at the wrong one of the two."""
    sent = [{**HELLO, "id": "msg_1"}, {**HELLO, "id": "msg_2"}]
    assert [item["id"] for item in given(*sent, *sent)] == ["msg_1", "msg_2", f"msg_{HEX}8002", f"msg_{HEX}8003"]
    assert [item.id for item in given_items(body(sent), ID, {"msg_1"})] == [f"msg_{HEX}8000", "msg_2"]


def test_text_that_had_to_be_mended_is_mended_again() -> None:
    for sent in ("a\ud800b", [{"role": "user", "content": "a\ud800b"}]):
        (item,) = given_items(body(sent), ID)
        assert json.loads(item.json)["content"][0]["text"] == "a\ufffdb"


# --- The items of the reply ---


def test_a_message_that_was_cut_off_is_incomplete() -> None:
    reply = Reply(OPENING, (Text("Ha"),), Finish("length", 2, USAGE))
    (item,) = made_items(body(), reply)
    assert json.loads(item.json)["status"] == "incomplete"


def test_the_items_of_the_reply_count_from_zero_and_have_the_seals() -> None:
    """Asked for or not: they are what a conversation goes on from."""
    reasoning, message, call, custom = made(
        Thinking("Hm.", "seal"), Text("Hi."), ToolCall("a", "f", "{}"), ToolCall("b", "p", "x", custom=True)
    )
    assert [item["id"] for item in (reasoning, message, call, custom)] == [
        f"rs_{HEX}0000",
        f"msg_{HEX}0001",
        f"fc_{HEX}0002",
        f"ctc_{HEX}0003",
    ]
    assert reasoning["encrypted_content"] == "seal"
    assert message["content"][0]["text"] == "Hi."
    assert (call["arguments"], custom["input"]) == ("{}", "x")


def test_the_items_of_the_reply_are_those_of_the_response() -> None:
    blocks = (
        Thinking("Hm.", "seal"),
        Text("Hi."),
        ToolCall("a", "weather__now", "{}"),
        ToolCall("b", "local_shell", "{}"),
    )
    tools = [
        {"type": "namespace", "name": "weather", "tools": [{"type": "function", "name": "now"}]},
        {"type": "local_shell"},
    ]
    fields: dict[str, Any] = {"tools": tools, "include": [ENCRYPTED]}
    response = json.loads(render([Reply(OPENING, blocks, DONE)], parse(body(**fields)).delivery))
    assert made(*blocks, **fields) == response["output"]
    assert [item["type"] for item in response["output"][2:]] == ["function_call", "local_shell_call"]


def test_a_compaction_is_an_item_of_its_kind() -> None:
    (item,) = made(Thinking("", "sealed"), input=[HELLO, {"type": "compaction_trigger"}])
    assert item == {"type": "compaction", "id": f"cmp_{HEX}0000", "encrypted_content": "sealed"}


def test_a_turn_has_the_items_of_both() -> None:
    reply = Reply(OPENING, (Text("Hi."),), DONE)
    assert items(body(), reply) == TurnItems(given_items(body(), ID), made_items(body(), reply))


# --- The response object ---

EVENTS = [OPENING, *block(0, Thinking(""), "Hm.", opaque="seal"), *block(1, Text(""), "H", "i.")]


@pytest.mark.parametrize("end", [DONE, Finish("length", 2, USAGE), Failure(Problem(ErrorKind.BACKEND, "Broke."))])
def test_a_response_is_shown_again_as_it_was_given(end: Event) -> None:
    fields: dict[str, Any] = {"metadata": {"a": "b"}, "instructions": "Be brief.", "reasoning": {"summary": "auto"}}
    events = [*EVENTS, end]
    assert shown(events, **fields) == json.loads(render([fold(events)], parse(body(**fields)).delivery))


def test_the_seals_are_shown_where_they_were_asked_for_or_are_now() -> None:
    for events, seals in (
        (shown([*EVENTS, DONE]), None),
        (shown([*EVENTS, DONE], include=[ENCRYPTED]), "seal"),
        (shown([*EVENTS, DONE], gives_seals=True), "seal"),
    ):
        assert events["output"][0].get("encrypted_content") == seals


@pytest.mark.parametrize("events", [[], [OPENING], EVENTS[:-1]])
def test_a_response_that_is_running_has_no_output_yet(events: list[Event]) -> None:
    response = shown(events, is_running=True, background=True)
    assert (response["status"], response["output"], response["usage"]) == ("in_progress", [], None)
    assert (response["id"], response["model"], response["background"]) == (ID, "gpt-5", True)


@pytest.mark.parametrize(
    ("end", "status"), [(Cancelled(), "cancelled"), (Failure(Problem(ErrorKind.INTERNAL, "Stopped.")), "failed")]
)
def test_a_response_that_was_ended_has_what_was_whole_by_then(end: Event, status: str) -> None:
    cut: list[Event] = [BlockStart(2, ToolCall("a", "f", "")), BlockDelta(2, '{"a'), BlockStop(2, is_cut=True)]
    response = shown([*EVENTS, *cut, end], background=True)
    assert response["status"] == status
    assert [item["type"] for item in response["output"]] == ["reasoning", "message"]
    assert (response["error"] is not None) == (status == "failed")


def test_what_the_request_refers_to_need_not_be_there_any_more() -> None:
    response = shown([*EVENTS, DONE], input=None, previous_response_id="resp_gone")
    assert response["previous_response_id"] == "resp_gone"
    response = shown([*EVENTS, DONE], input=[{"type": "item_reference", "id": "msg_gone"}], conversation="conv_gone")
    assert response["conversation"] == {"id": "conv_gone"}


def test_a_background_response_begins_queued() -> None:
    response = json.loads(render_begun(OPENING, parse(body(background=True)).delivery))
    _response.validate_python(response)
    assert (response["id"], response["status"], response["output"]) == (ID, "queued", [])
    assert response.keys() == shown([*EVENTS, DONE]).keys()


def test_what_is_deleted_is_told_by_its_id() -> None:
    assert json.loads(render_deleted("resp_1")) == {"id": "resp_1", "object": "response", "deleted": True}
