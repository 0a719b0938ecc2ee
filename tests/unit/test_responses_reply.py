"""`Reply` and events → response objects and events, held to the types of OpenAI's SDK, and what Codex reads of them."""

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from openai.types.responses import Response, ResponseStreamEvent
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
    FinishReason,
    Opening,
    Terminal,
    Usage,
)
from augment_open_proxy.core.reply import Reply
from augment_open_proxy.dialects.dialect import Delivery, renderer
from augment_open_proxy.dialects.framing import joined
from augment_open_proxy.dialects.openai_errors import RESPONSES_ERRORS
from augment_open_proxy.dialects.openai_responses import OPENAI_RESPONSES
from augment_open_proxy.dialects.openai_responses.reply import Shape, error_of, render, usage
from augment_open_proxy.dialects.openai_responses.request import parse
from augment_open_proxy.dialects.openai_responses.stream import ResponsesStream
from augment_open_proxy.server.models import CODEX_LIST
from tests.cases import FOLDER

OPENING = Opening("resp_12-34", 1_750_000_000, "gpt-5", 10)
USAGE = Usage(input=7, output=5, cache_read=2, cache_creation=1, reasoning=3)
DONE = Finish("stop", 1, USAGE, at=1_750_000_009)
FAILED = Failure(Problem(ErrorKind.BACKEND, "It broke."))
PLAIN = Delivery(stream=True)
SEALED = Delivery(stream=True, shape=Shape(gives_seals=True))
BLOCKS: tuple[Block, ...] = (
    Thinking("Hm.", "seal"),
    Text("Hi."),
    ToolCall("a", "f", "{}"),
    ToolCall("b", "p", "x", True),
)
OTHER_CODES = {error_of(Problem(kind, "")).code for kind in ErrorKind}
"""Codes that Codex or people read; the SDK's type of them is a closed list."""

_response = TypeAdapter(Response)
_event: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


def delivery(**fields: Any) -> Delivery:
    """How the reply of a request is delivered."""
    return parse(json.dumps({"model": "gpt-5", "input": "Hi.", "stream": True, **fields}).encode()).delivery


def whole(*blocks: Block, end: Terminal = DONE, to: Delivery = PLAIN) -> Any:
    """A response object, valid by the SDK."""
    made = json.loads(render([Reply(OPENING, blocks, end)], to))
    _response.validate_python(known(made))
    return made


def known(response: Any) -> Any:
    """The response with a code that the SDK's types know."""
    error = response["error"]
    if error and error["code"] in OTHER_CODES:
        return {**response, "error": {**error, "code": "server_error"}}
    return response


def checked(event: Any) -> Any:
    """An event, valid by the SDK's type of that name."""
    given = {**event, "response": known(event["response"])} if "response" in event else event
    assert _event.validate_python(given).type == event["type"]
    return event


def events_in(body: bytes) -> list[Any]:
    """The events of a stream, each on one line."""
    events = []
    for frame in body.decode().removesuffix("\n\n").split("\n\n"):
        name, data = frame.splitlines()
        events.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {events[-1]['type']}"
    return events


def pieces(index: int, block: Block, *texts: str, opaque: str | None = None) -> list[Event]:
    return [BlockStart(index, block), *(BlockDelta(index, text) for text in texts), BlockStop(index, opaque)]


def stream(*given: Event, end: Terminal = DONE, to: Delivery = PLAIN) -> list[Any]:
    return [checked(event) for event in events_in(joined(renderer(OPENAI_RESPONSES, to).feed([OPENING, *given, end])))]


def kinds(events: list[Any]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events]


# --- Messages that the reply's end cut off ---


@pytest.mark.parametrize(
    ("reason", "status"), [("length", "incomplete"), ("content_filter", "incomplete"), ("stop", "completed")]
)
def test_the_last_message_is_as_incomplete_as_its_response(reason: FinishReason, status: str) -> None:
    end = Finish(reason, 2, USAGE)
    response = whole(Text("One."), Text("Tw"), end=end)
    assert [item["status"] for item in response["output"]] == ["completed", status]
    assert response["output"][1]["content"][0]["text"] == "Tw"
    events = stream(*pieces(0, Text(""), "One."), *pieces(1, Text(""), "Tw"), end=end)
    assert [event["item"] for event in events if event["type"].endswith("item.done")] == response["output"]
    assert events[-1]["response"]["output"] == response["output"]


def test_a_call_is_whole_in_any_case() -> None:
    assert whole(ToolCall("a", "f", "{}"), end=Finish("length", 2, USAGE))["output"][0]["status"] == "completed"


def test_a_message_that_ended_before_a_failure_is_told_as_done() -> None:
    assert kinds(stream(*pieces(0, Text(""), "One."), end=FAILED))[-2:] == ["output_item.done", "failed"]


# --- The response object ---

SCHEMA = Path(__file__).parents[3] / "shared" / "openresponses-2026-04-24.json"


def test_the_response_has_each_field_of_the_sdk() -> None:
    """Null where it has none."""
    assert sorted(Response.model_fields.keys() - whole().keys()) == []


def test_the_fields_are_the_same_whatever_the_end() -> None:
    for end in (Finish("length", 2, USAGE), FAILED, Cancelled()):
        assert whole(end=end).keys() == whole().keys()


@pytest.mark.skipif(not SCHEMA.exists(), reason="../shared/openresponses-2026-04-24.json is not there")
def test_the_response_has_each_field_of_open_responses() -> None:
    fields = json.loads(SCHEMA.read_text())["components"]["schemas"]["ResponseResource"]["properties"]
    assert sorted(fields.keys() - whole().keys()) == []


@pytest.mark.parametrize(
    ("reason", "status", "why"),
    [
        ("stop", "completed", None),
        ("tool_use", "completed", None),
        ("length", "incomplete", {"reason": "max_output_tokens"}),
        ("content_filter", "incomplete", {"reason": "content_filter"}),
    ],
)
def test_the_end_is_the_status(reason: FinishReason, status: str, why: Any) -> None:
    end = Finish(reason, 1, USAGE, at=1_750_000_009)
    made = whole(Text("Hi."), end=end)
    assert (made["status"], made["incomplete_details"], made["error"]) == (status, why, None)
    assert made["completed_at"] == (1_750_000_009 if status == "completed" else None)
    last = stream(*pieces(0, Text(""), "Hi."), end=end)[-1]
    assert (last["type"], last["response"]) == (f"response.{status}", made)


def test_a_failure_keeps_what_was_given_and_says_why() -> None:
    last = stream(*pieces(0, Text(""), "Hi."), end=FAILED)[-1]
    assert last["type"] == "response.failed"
    assert last["response"] == whole(Text("Hi."), end=FAILED)
    assert last["response"]["error"] == {"code": "server_error", "message": "It broke."}
    assert (last["response"]["usage"], last["response"]["completed_at"]) == (None, None)


def test_what_was_cancelled_ends_without_an_event() -> None:
    assert whole(Text("Hi."), end=Cancelled())["status"] == "cancelled"
    assert kinds(stream(*pieces(0, Text(""), "Hi."), end=Cancelled()))[-1] == "output_item.done"


def test_the_response_says_when_by_whom_and_under_which_id() -> None:
    made = whole()
    assert (made["id"], made["created_at"], made["model"]) == ("resp_12-34", 1_750_000_000, "gpt-5")
    assert (made["object"], made["output"]) == ("response", [])


def test_items_have_ids_of_their_kind_each_its_own() -> None:
    made = whole(*BLOCKS, Text("Bye."))["output"]
    assert [item["id"].partition("_")[0] for item in made] == ["rs", "msg", "fc", "ctc", "msg"]
    assert len({item["id"] for item in made}) == 5
    again = json.loads(render([Reply(msgspec.structs.replace(OPENING, id="resp_56-78"), BLOCKS, DONE)], PLAIN))
    assert {item["id"] for item in made}.isdisjoint(item["id"] for item in again["output"]), "nor those of another"


def test_reasoning_has_a_summary_and_a_seal_where_there_are_such() -> None:
    given = whole(Thinking("Hm.", "seal"), Thinking("", "seal"), Thinking("Hm.", None), to=SEALED)["output"]
    summary = {"type": "summary_text", "text": "Hm."}
    assert [item["summary"] for item in given] == [[summary], [], [summary]]
    assert [item.get("encrypted_content") for item in given] == ["seal", "seal", None]


@pytest.mark.parametrize("to", [PLAIN, Delivery(stream=True, shape=Shape())])
def test_seals_are_shown_only_to_those_who_asked(to: Delivery) -> None:
    """What is stored is sealed in any case."""
    (item,) = whole(Thinking("Hm.", "seal"), to=to)["output"]
    assert item == {"type": "reasoning", "id": item["id"], "summary": [{"type": "summary_text", "text": "Hm."}]}
    events = stream(*pieces(0, Thinking("", None), "Hm.", opaque="seal"), to=to)
    assert not any("encrypted_content" in json.dumps(event) for event in events)


def test_what_could_not_be_stored_says_so() -> None:
    """The client learns in time that it has to keep the conversation itself."""
    assert whole()["store"] is True
    assert whole(end=msgspec.structs.replace(DONE, is_unstored=True)) == {**whole(), "store": False}


def test_usage_counts_cached_tokens_within_the_input() -> None:
    assert msgspec.to_builtins(usage(USAGE)) == {
        "input_tokens": 10,
        "input_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 1},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 3},
        "total_tokens": 15,
    }


def test_unknown_usage_is_zero_and_no_null() -> None:
    """Codex fails at anything else than integers."""
    counts = json.dumps(msgspec.to_builtins(usage(Usage())))
    assert re.findall(r": ([^{},]+)", counts) == ["0"] * 6


# --- The stream ---


def test_the_sequence_of_a_reply() -> None:
    events = stream(
        *pieces(0, Thinking("", None), "H", "m.", opaque="seal"),
        *pieces(1, Text(""), "H", "i."),
        *pieces(2, ToolCall("a", "f", ""), "{}"),
        *pieces(3, ToolCall("b", "p", "", custom=True), "x"),
        to=SEALED,
    )
    text, summary = "output_text", "reasoning_summary_text"
    assert kinds(events) == [
        *("created", "in_progress"),
        *("output_item.added", "reasoning_summary_part.added", f"{summary}.delta", f"{summary}.delta"),
        *(f"{summary}.done", "reasoning_summary_part.done", "output_item.done"),
        *("output_item.added", "content_part.added", f"{text}.delta", f"{text}.delta"),
        *(f"{text}.done", "content_part.done", "output_item.done"),
        *("output_item.added", "function_call_arguments.delta", "function_call_arguments.done", "output_item.done"),
        *("output_item.added", "custom_tool_call_input.delta", "custom_tool_call_input.done", "output_item.done"),
        "completed",
    ]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    made = whole(*BLOCKS, to=SEALED)
    assert events[-1]["response"] == made
    assert [event["item"] for event in events if kinds([event]) == ["output_item.done"]] == made["output"]


def test_the_beginning_is_an_empty_response_in_progress() -> None:
    created, started = stream()[:2]
    assert created["response"] == started["response"]
    assert (created["response"]["status"], created["response"]["output"]) == ("in_progress", [])
    assert (created["response"]["usage"], created["response"]["completed_at"]) == (None, None)


def test_hidden_reasoning_has_its_seal_and_no_parts() -> None:
    events = stream(*pieces(0, Thinking("", None), opaque="seal"), to=SEALED)[2:-1]
    assert kinds(events) == ["output_item.added", "output_item.done"]
    assert events[1]["item"]["summary"] == []
    assert events[1]["item"]["encrypted_content"] == "seal"


def test_a_shell_call_has_no_deltas() -> None:
    to = delivery(tools=[{"type": "local_shell"}])
    events = stream(*pieces(0, ToolCall("a", "local_shell", ""), '{"command":', '["ls"]}'), to=to)
    assert kinds(events)[2:-1] == ["output_item.added", "output_item.done"]
    assert events[2]["item"]["status"] == "in_progress"
    assert events[3]["item"]["action"]["command"] == ["ls"]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))


@pytest.mark.parametrize("block", [Text(""), ToolCall("a", "f", ""), ToolCall("a", "p", "", custom=True)])
def test_an_empty_block_is_an_empty_item(block: Block) -> None:
    events = stream(*pieces(0, block))
    assert not any(kind.endswith(".delta") for kind in kinds(events))
    assert events[-1]["response"]["output"] == whole(block)["output"]


def test_what_was_cut_off_is_not_told_as_done() -> None:
    """Codex keeps, and runs, whatever is."""
    cut: list[Event] = [BlockStart(1, ToolCall("a", "f", "")), BlockDelta(1, '{"a":'), BlockStop(1, is_cut=True)]
    events = stream(*pieces(0, Text(""), "Hi."), *cut, end=FAILED)
    assert kinds(events)[-3:] == ["output_item.added", "function_call_arguments.delta", "failed"]
    assert events[-1]["response"] == whole(Text("Hi."), end=FAILED)


def test_heartbeats_have_the_number_of_the_event_before_them() -> None:
    """So that a stream that is taken up again is numbered alike, however long the silences were."""
    rendering = renderer(OPENAI_RESPONSES, PLAIN)
    body = joined(rendering.feed([OPENING])) + rendering.heartbeat() + rendering.heartbeat()
    body += joined(rendering.feed([*pieces(0, Text(""), "Hi."), DONE]))
    events = events_in(body)
    assert kinds(events)[:5] == ["created", "in_progress", "keepalive", "keepalive", "output_item.added"]
    assert [event["sequence_number"] for event in events[:5]] == [0, 1, 1, 1, 2]
    others = [event for event in events if event["type"] != "keepalive"]
    assert others == stream(*pieces(0, Text(""), "Hi."))


def test_a_heartbeat_before_all_events_has_the_first_number() -> None:
    assert events_in(renderer(OPENAI_RESPONSES, PLAIN).heartbeat()) == [{"type": "keepalive", "sequence_number": 0}]


# --- In the background, and taken up again ---


def test_a_background_stream_begins_with_a_response_that_is_queued() -> None:
    events = stream(*pieces(0, Text(""), "Hi."), to=delivery(background=True))
    assert kinds(events)[:4] == ["created", "queued", "in_progress", "output_item.added"]
    assert [event["response"]["status"] for event in events[:3]] == ["queued", "queued", "in_progress"]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert all(event["response"]["background"] is True for event in (*events[:3], events[-1]))


@pytest.mark.parametrize("background", [True, False])
@pytest.mark.parametrize("skip", [-1, 0, 1, 2, 3, 7, 10, 11, 1000])
def test_a_stream_goes_on_after_the_events_that_the_client_has(skip: int, background: bool) -> None:
    to = delivery(background=background)
    given = [OPENING, *pieces(0, Text(""), "H", "i."), DONE]
    rest = ResponsesStream(to, skip=skip).feed(given)
    assert rest == ResponsesStream(to).feed(given)[max(skip, 0) :]


# --- Compaction ---

COMPACTING = delivery(input=[{"role": "user", "content": "Hi."}, {"type": "compaction_trigger"}], store=False)


def test_a_compaction_is_one_item_with_the_sealed_summary() -> None:
    made = whole(Thinking("", "seal"), to=COMPACTING)
    (item,) = made["output"]
    assert item == {"type": "compaction", "id": item["id"], "encrypted_content": "seal"}
    assert item["id"].startswith("cmp_")
    assert made["status"] == "completed"


def test_a_compaction_comes_whole() -> None:
    events = stream(*pieces(0, Thinking("", None), opaque="seal"), to=COMPACTING)
    assert kinds(events)[2:-1] == ["output_item.added", "compaction.compacting", "output_item.done"]
    _, _, added, compacting, done, end = events
    assert added["item"] == done["item"]
    assert compacting == {
        "type": "response.compaction.compacting",
        "sequence_number": 3,
        "item_id": done["item"]["id"],
        "output_index": 0,
    }
    assert [done["item"]] == end["response"]["output"]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))


# --- Lines ---


BREAKS = "a\nb\rc\x85d\u2028e\u2029f\x0bg\x0ch\x1ci"


@pytest.mark.parametrize("times", [1, 1000])
def test_no_text_of_anyone_breaks_a_line(times: int) -> None:
    """Of the model or the client; clients that split decoded text break at more than `\\n`."""
    to = delivery(
        instructions=BREAKS,
        metadata={"a": BREAKS},
        prompt_cache_key=BREAKS,
        tools=[
            {
                "type": "function",
                "name": "f",
                "description": BREAKS * times,
                "parameters": {"type": "object", "x": BREAKS},
            }
        ],
    )
    events = stream(*pieces(0, Text(""), BREAKS), *pieces(1, ToolCall("a", "f", ""), BREAKS), to=to)
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == BREAKS
    assert events[-1]["response"]["instructions"] == BREAKS
    assert events[-1]["response"]["tools"][0]["parameters"]["x"] == BREAKS


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*/openai_responses.sse")), ids=lambda path: path.parent.name)
def test_each_event_of_the_golden_cases_is_valid_by_the_sdk(path: Path) -> None:
    assert all(checked(event) for event in events_in(path.read_bytes()))


# --- What Codex reads ---


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (ErrorKind.CONTEXT_TOO_LONG, "context_length_exceeded"),
        (ErrorKind.BILLING, "insufficient_quota"),
        (ErrorKind.RATE_LIMITED, "rate_limit_exceeded"),
        (ErrorKind.INVALID_REQUEST, "invalid_prompt"),
        (ErrorKind.BACKEND, "server_error"),
        (ErrorKind.OVERLOADED, "server_error"),
        (ErrorKind.TIMEOUT, "server_error"),
        (ErrorKind.INTERNAL, "server_error"),
    ],
)
def test_a_failure_has_the_code_that_is_acted_upon(kind: ErrorKind, code: str) -> None:
    assert error_of(Problem(kind, "No.")) == type(error_of(Problem(kind, "")))(code, "No.")


@pytest.mark.parametrize("kind", ErrorKind)
def test_each_failure_has_a_code_and_a_status(kind: ErrorKind) -> None:
    assert error_of(Problem(kind, "No.")).code
    assert RESPONSES_ERRORS[kind].status >= 400


@pytest.mark.parametrize(("seconds", "told"), [(7, "7s"), (0.5, "0.5s"), (90.0, "90s"), (1_234_567, "1234567s")])
def test_a_limit_says_when_to_try_again(seconds: float, told: str) -> None:
    """Codex' expression for it, in `codex-api/src/sse/responses.rs`."""
    message = error_of(Problem(ErrorKind.RATE_LIMITED, "Too many.", retry_after=seconds)).message
    found = re.search(r"try again in\s*(\d+(?:\.\d+)?)\s*(s|ms|seconds?)", message, re.IGNORECASE)
    assert found is not None
    assert found[1] + found[2] == told


def test_only_limits_say_when_to_try_again() -> None:
    assert error_of(Problem(ErrorKind.OVERLOADED, "Busy.", retry_after=7)).message == "Busy."
    assert error_of(Problem(ErrorKind.RATE_LIMITED, "Too many.")).message == "Too many."


NEEDED = (
    *("slug", "display_name", "base_instructions", "supported_reasoning_levels", "shell_type", "visibility"),
    *("supported_in_api", "priority", "support_verbosity", "truncation_policy", "experimental_supported_tools"),
)


def test_codex_can_decode_the_list_of_models() -> None:
    """Codex 0.169 refuses the whole list for one field that is missing; an empty list leaves it its own."""
    for model in json.loads(CODEX_LIST)["models"]:
        assert [name for name in NEEDED if name not in model] == []
