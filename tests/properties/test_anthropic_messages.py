"""Messages: what the events add up to, by the rules of the SDK's accumulator, is the whole message.

The rules: `accumulate_event` in `lib/streaming/_messages.py` of Anthropic's Python SDK. Strict where it is lenient.
"""

import json
from typing import Any, get_args

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from augment_open_proxy.core.conversation import ChatRequest, Message, Text, ThinkingOutput, Tool
from augment_open_proxy.core.events import Failure
from augment_open_proxy.core.reply import fold
from augment_open_proxy.dialects.anthropic_messages import ANTHROPIC_MESSAGES
from augment_open_proxy.dialects.dialect import Delivery, Parsed
from augment_open_proxy.policies.seal import unseal
from tests.pipeline import INPUT_ESTIMATE, SECRET, TURN_ID, reply_events, streamed, whole
from tests.properties.strategies import answers, any_bytes, cuts, places

OUTPUTS: tuple[ThinkingOutput, ...] = get_args(ThinkingOutput)
TOOLS = tuple(Tool(name, "", msgspec.Raw(b'{"type":"object"}')) for name in ("read", "apply_patch"))
DELTAS = {
    "text": {"text_delta": "text"},
    "thinking": {"thinking_delta": "thinking", "signature_delta": "signature"},
    "tool_use": {"input_json_delta": "partial_json"},
}
"""What may come into a block of each type, and in which field."""

BROKEN_CALL = (
    b'{"nodes":[{"type":5,"tool_use":{"tool_use_id":"toolu_1","tool_name":"read","input_json":"{\\"a\\":"}}]}\n'
    b'{"stop_reason":3}\n'
)


def asked(thinking: ThinkingOutput, *, tools: bool) -> Parsed:
    request = ChatRequest(
        "claude-sonnet-4-5",
        (Message("user", (Text("Go."),)),),
        tools=TOOLS if tools else (),
        thinking=thinking,
        whole_arguments=True,
    )
    return Parsed(request, Delivery(stream=True))


parsed_requests = st.builds(
    lambda thinking, tools: asked(thinking, tools=tools), st.sampled_from(OUTPUTS), st.booleans()
)


@given(parsed=parsed_requests, data=any_bytes, at=places)
@example(parsed=asked("plain", tools=False), data=BROKEN_CALL, at=[])
@example(parsed=asked("sealed", tools=True), data=BROKEN_CALL, at=[])
@settings(max_examples=500)
def test_the_events_add_up_to_the_whole_message(parsed: Parsed, data: bytes, at: list[int]) -> None:
    events = read(streamed(ANTHROPIC_MESSAGES, parsed, cuts(data, at)))
    reply = whole(ANTHROPIC_MESSAGES, parsed, [data])
    if reply["status"] == 200:
        assert events[-1] == {"type": "message_stop"}
        assert without_nulls(added_up(events)) == without_nulls(reply["body"])
    else:
        assert events[-1] == reply["body"], "the error is the same, and the last thing said"
        added_up(events)


@given(parsed=parsed_requests, data=answers, place=st.integers(0, 10_000))
@settings(max_examples=300)
def test_an_answer_that_was_cut_gives_one_error_at_the_end_and_no_success(
    parsed: Parsed, data: bytes, place: int
) -> None:
    cut = data[: place % (len(data) + 1)]
    batches = reply_events(ANTHROPIC_MESSAGES, parsed, [cut])
    events = read(streamed(ANTHROPIC_MESSAGES, parsed, [cut]))
    added_up(events)
    kinds = [event["type"] for event in events]
    failed = isinstance(batches[-1][-1], Failure)
    assert kinds.count("error") == failed
    assert kinds.count("message_stop") == kinds.count("message_delta") == (not failed)
    assert kinds[-1] == ("error" if failed else "message_stop")


@given(data=answers)
def test_how_thinking_is_shown_changes_nothing_else(data: bytes) -> None:
    replies = {thinking: whole(ANTHROPIC_MESSAGES, asked(thinking, tools=True), [data]) for thinking in OUTPUTS}
    if replies["plain"]["status"] != 200:
        assert all(reply == replies["plain"] for reply in replies.values())
        return
    content = {thinking: reply["body"]["content"] for thinking, reply in replies.items()}
    thoughts = [block["thinking"] for block in content["plain"] if block["type"] == "thinking"]
    assert [b for b in content["plain"] if b["type"] != "thinking"] == content["none"]
    for thinking in ("sealed", "carried", "omitted"):
        given_out = [block for block in content[thinking] if block["type"] == "thinking"]
        shown = [""] * len(thoughts) if thinking == "omitted" else thoughts
        assert [block["thinking"] for block in given_out] == shown
        opened = [unseal(SECRET, block["signature"], block["thinking"]) for block in given_out]
        assert opened == thoughts, "each seal opens when it comes back"
    assert len({json.dumps(reply["body"]["usage"]) for reply in replies.values()}) == 1


@given(data=answers)
def test_tool_use_is_the_reason_where_there_is_a_call_and_only_there(data: bytes) -> None:
    reply = whole(ANTHROPIC_MESSAGES, asked("sealed", tools=True), [data])
    if reply["status"] == 200:
        calls = [block for block in reply["body"]["content"] if block["type"] == "tool_use"]
        assert (reply["body"]["stop_reason"] == "tool_use") == bool(calls)
        assert all(isinstance(call["input"], dict) for call in calls)


@given(data=answers)
def test_the_meters_of_clients_never_read_zero(data: bytes) -> None:
    """Claude Code's context meter and its auto-compaction break on it."""
    parsed = asked("sealed", tools=True)
    first, *_, last = read(streamed(ANTHROPIC_MESSAGES, parsed, [data]))
    assert first["message"]["usage"]["input_tokens"] == INPUT_ESTIMATE
    if last["type"] == "message_stop":
        usage = whole(ANTHROPIC_MESSAGES, parsed, [data])["body"]["usage"]
        names = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
        assert sum(usage[name] for name in names) > 0
        if any(fold(e for batch in reply_events(ANTHROPIC_MESSAGES, parsed, [data]) for e in batch).blocks):
            assert usage["output_tokens"] > 0


# --- The accumulator ---


def read(body: bytes) -> list[Any]:
    """The events of a stream; each has its type as its name."""
    events: list[Any] = []
    for frame in body.decode().split("\n\n"):
        if frame:
            name, data = frame.split("\n")
            events.append(json.loads(data.removeprefix("data: ")))
            assert name == f"event: {events[-1]['type']}"
    return events


def added_up(events: list[Any]) -> Any:
    """The message that a client builds, with all that it may rely on checked."""
    first, *rest = [event for event in events if event["type"] != "ping"]
    assert first["type"] == "message_start"
    message = first["message"]
    assert message["id"] == f"msg_{TURN_ID}"
    assert (message["type"], message["role"], message["content"]) == ("message", "assistant", [])
    assert (message["stop_reason"], message["stop_sequence"]) == (None, None)
    is_open = False
    pieces: list[str] = []
    ended = ""
    for event in rest:
        assert ended != "message_stop" and ended != "error", f"{event} follows the end"
        kind = event["type"]
        if kind.startswith("content_block"):
            assert not ended
        match kind:
            case "content_block_start":
                assert not is_open
                assert event["index"] == len(message["content"])
                block = event["content_block"]
                assert block in (
                    {"type": "text", "text": ""},
                    {"type": "thinking", "thinking": "", "signature": ""},
                    {"type": "tool_use", "id": block.get("id"), "name": block.get("name"), "input": {}},
                )
                message["content"].append(block)
                is_open, pieces = True, []
            case "content_block_delta":
                assert is_open
                assert event["index"] == len(message["content"]) - 1
                block, delta = message["content"][-1], event["delta"]
                field = DELTAS[block["type"]][delta["type"]]
                assert not block.get("signature"), "the signature comes last"
                assert delta[field]
                if field == "partial_json":
                    pieces.append(delta[field])
                else:
                    block[field] += delta[field]
            case "content_block_stop":
                assert is_open
                assert event["index"] == len(message["content"]) - 1
                if message["content"][-1]["type"] == "tool_use":
                    message["content"][-1]["input"] = json.loads("".join(pieces) or "{}")
                is_open = False
            case "message_delta":
                assert not is_open
                message |= event["delta"]
                message["usage"] |= event["usage"]
                ended = kind
            case "message_stop":
                assert ended == "message_delta"
                ended = kind
            case "error":
                assert not is_open and not ended
                ended = kind
            case _:
                raise AssertionError(f"an event that this API has not: {event}")
    assert ended in ("message_stop", "error")
    return message


def without_nulls(value: Any) -> Any:
    """SDKs take a field that is null for one that is absent."""
    if isinstance(value, dict):
        return {name: without_nulls(inner) for name, inner in value.items() if inner is not None}
    return [without_nulls(inner) for inner in value] if isinstance(value, list) else value
