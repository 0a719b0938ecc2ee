"""What holds for any answer of the backend, cut and broken in any way, in every dialect."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augment_open_proxy.core.conversation import ChatRequest, CustomTool, Message, Text, Thinking, ToolCall
from augment_open_proxy.core.events import BlockDelta, BlockStop, Event, Failure, Finish
from augment_open_proxy.core.reply import fold
from augment_open_proxy.dialects.dialect import Delivery, Dialect, Parsed
from augment_open_proxy.dialects.registry import DIALECTS
from augment_open_proxy.upstream.decode import Decoder
from tests.cases import parsed_request, per_case, upstream_answer
from tests.pipeline import reply_events, streamed, whole
from tests.properties import grammar
from tests.properties.strategies import answers, any_bytes, cuts, places

PARSED = Parsed(
    ChatRequest("claude-sonnet-4-5", (Message("user", (Text("Go."),)),), tools=(CustomTool("apply_patch", ""),)),
    Delivery(stream=True, include_usage=True),
)
per_dialect = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)


def flat(batches: list[list[Event]]) -> list[Event]:
    return [event for batch in batches for event in batch]


def joined(events: list[Event]) -> list[Event]:
    """Neighbouring deltas as one: how often a stream comes in is no part of what it says."""
    out: list[Event] = []
    for event in events:
        last = out[-1] if out else None
        if isinstance(event, BlockDelta) and isinstance(last, BlockDelta):
            out[-1] = BlockDelta(event.index, last.text + event.text)
        else:
            out.append(event)
    return out


@per_dialect
@given(data=any_bytes, at=places)
@settings(max_examples=300, deadline=None)
def test_any_bytes_cut_anywhere_give_one_whole_reply(dialect: Dialect, data: bytes, at: list[int]) -> None:
    events = flat(reply_events(dialect, PARSED, cuts(data, at)))
    grammar.check(events)


@per_dialect
@given(data=any_bytes, at=places)
@settings(max_examples=300, deadline=None)
def test_the_cuts_do_not_matter(dialect: Dialect, data: bytes, at: list[int]) -> None:
    assert streamed(dialect, PARSED, cuts(data, at)) == streamed(dialect, PARSED, [data])


@per_case
def test_each_case_byte_by_byte_gives_the_same(scenario: str, dialect: Dialect) -> None:
    data, parsed = upstream_answer(scenario), parsed_request(scenario, dialect)
    bytewise = [data[i : i + 1] for i in range(len(data))]
    assert streamed(dialect, parsed, bytewise) == streamed(dialect, parsed, [data])
    assert whole(dialect, parsed, bytewise) == whole(dialect, parsed, [data])


@per_case
def test_each_case_cut_once_anywhere_gives_the_same(scenario: str, dialect: Dialect) -> None:
    data, parsed = upstream_answer(scenario), parsed_request(scenario, dialect)
    expected = streamed(dialect, parsed, [data])
    for place in range(len(data)):
        assert streamed(dialect, parsed, [data[:place], data[place:]]) == expected


@per_case
def test_truncation_anywhere_before_the_end_gives_one_error_and_no_success(scenario: str, dialect: Dialect) -> None:
    """The line that tells the end must be whole; a cut before it is an error, whatever has come by then."""
    data, parsed = upstream_answer(scenario), parsed_request(scenario, dialect)
    whole_run = flat(reply_events(dialect, parsed, [data]))
    for place in range(last_line_that_ends(data)):
        events = flat(reply_events(dialect, parsed, [data[:place]]))
        end = grammar.check(events)
        if isinstance(end, Finish):  # a policy ended the reply before the cut
            assert joined(events) == joined(whole_run)
        else:
            assert isinstance(end, Failure), data[:place]


def last_line_that_ends(data: bytes) -> int:
    """Where in `data` the first line with a stop reason or error is not yet whole."""
    start = 0
    for line in data.splitlines(keepends=True):
        try:
            value = json.loads(line.decode("utf-8-sig"))
        except ValueError:
            value = None
        if isinstance(value, dict) and (value.get("stop_reason") or value.get("error")):
            return start + len(line.rstrip(b"\r\n"))
        start += len(line)
    return len(data) if b'"stop_reason":0' not in data else 0


@per_dialect
@given(data=answers)
@settings(max_examples=300, deadline=None)
def test_text_thinking_and_calls_arrive_whole_and_in_order(dialect: Dialect, data: bytes) -> None:
    """What the reply holds is what the lines held: nothing is lost, repeated or moved to another kind of block."""
    reply = fold(with_what_was_cut(flat(reply_events(dialect, PARSED, [data]))))
    texts = "".join(line.get("text") or "" for line in read_lines(data))
    thoughts = "".join(
        node["thinking"].get("content") or node["thinking"].get("summary") or ""
        for node in nodes_of(data, 8)
        if "thinking" in node
    )
    calls = dict.fromkeys(node["tool_use"]["tool_use_id"] for node in nodes_of(data, 5) if "tool_use" in node)
    assert "".join(block.text for block in reply.blocks if isinstance(block, Text)) == texts
    assert "".join(block.text for block in reply.blocks if isinstance(block, Thinking)) == thoughts
    assert [block.id for block in reply.blocks if isinstance(block, ToolCall)] == list(calls)


def with_what_was_cut(events: list[Event]) -> list[Event]:
    """A failure cuts off a block that is open: the client has got what came of it, but it is no part of the reply."""
    return [BlockStop(event.index, event.opaque) if isinstance(event, BlockStop) else event for event in events]


@per_dialect
@given(data=any_bytes)
@settings(max_examples=300, deadline=None)
def test_only_what_is_whole_is_part_of_the_reply(dialect: Dialect, data: bytes) -> None:
    events = flat(reply_events(dialect, PARSED, [data]))
    reply, given_out = fold(events), fold(with_what_was_cut(events))
    is_cut = any(isinstance(event, BlockStop) and event.is_cut for event in events)
    assert reply.blocks == given_out.blocks[: len(given_out.blocks) - is_cut]
    assert not is_cut or isinstance(reply.end, Failure)


def read_lines(data: bytes) -> list[Any]:
    return [json.loads(line) for line in data.splitlines()]


def nodes_of(data: bytes, type_: int) -> list[Any]:
    return [node for line in read_lines(data) for node in line.get("nodes") or [] if node["type"] == type_]


@given(data=any_bytes, at=places)
@settings(max_examples=200, deadline=None)
def test_folding_is_what_the_stream_gives(data: bytes, at: list[int]) -> None:
    events = flat(reply_events(DIALECTS[0], PARSED, cuts(data, at)))
    reply = fold(events)
    assert reply == fold(joined(events))
    assert reply.end == events[-1]


@given(st.data())
@settings(max_examples=50, deadline=None)
def test_nothing_comes_after_the_end(data: st.DataObject) -> None:
    decoder = Decoder()
    decoder.feed(data.draw(answers))
    decoder.close()
    assert decoder.ended
    assert decoder.feed(data.draw(answers)) == []
    assert decoder.close() == []
