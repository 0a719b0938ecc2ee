"""Any replies that the grammar allows, side by side, in any batches, with heartbeats in between: the frames are whole,
and add up to the whole reply of each choice.
"""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import replace

from augment_open_proxy.core.conversation import Text, Thinking, ToolCall
from augment_open_proxy.core.errors import ErrorKind, Problem
from augment_open_proxy.core.events import (
    BlockDelta,
    BlockStart,
    BlockStop,
    Cancelled,
    Event,
    Failure,
    Finish,
    FinishReason,
    Opening,
    Usage,
)
from augment_open_proxy.dialects.anthropic_messages import ANTHROPIC_MESSAGES
from augment_open_proxy.dialects.dialect import Delivery, Dialect, Streamed, renderer
from augment_open_proxy.dialects.framing import joined
from augment_open_proxy.dialects.openai_chat import OPENAI_CHAT
from augment_open_proxy.dialects.openai_completions import OPENAI_COMPLETIONS
from augment_open_proxy.dialects.openai_responses import OPENAI_RESPONSES
from augment_open_proxy.dialects.openai_responses.stream import ResponsesStream
from augment_open_proxy.dialects.registry import DIALECTS
from tests.pipeline import CREATED, TURN_ID
from tests.properties import grammar, test_anthropic_messages, test_openai_chat, test_openai_completions
from tests.properties.test_openai_responses import built, check_frame, events_in

REASONS: tuple[FinishReason, ...] = ("stop", "stop_sequence", "length", "tool_use", "content_filter")
counts = st.none() | st.integers(0, 10**6)
usages = st.builds(Usage, counts, counts, counts, counts, counts)
finishes = st.builds(
    Finish, st.sampled_from(REASONS), st.none() | st.integers(0, 9), usages, st.none() | st.just(CREATED)
)
problems = st.builds(
    Problem, st.sampled_from(ErrorKind), st.text(), st.none() | st.text(), st.none() | st.floats(0, 9e3)
)
terminals = st.one_of(finishes, finishes, finishes, problems.map(Failure))
tricky = st.sampled_from(["\u2028", "\u0085\r\n\n", "data: x\n\n", '"}'])
pieces = st.lists(st.text(min_size=1, max_size=8) | tricky, max_size=4)
objects = st.dictionaries(st.text(max_size=3), st.text(max_size=5) | st.integers(), max_size=3).map(json.dumps)


@st.composite
def blocks(draw: st.DrawFn) -> tuple[Text | Thinking | ToolCall, list[str], str | None]:
    """A block as it begins, its deltas, and what it is closed with."""
    kind = draw(st.sampled_from(["text", "thinking", "call", "custom"]))
    if kind == "text":
        return Text(""), draw(pieces), None
    if kind == "thinking":
        return Thinking(""), draw(pieces), draw(st.none() | st.just("seal"))
    call = ToolCall(draw(st.text(max_size=5)), draw(st.text(max_size=5)), "", custom=kind == "custom")
    arguments: str = draw(objects)
    place = draw(st.integers(0, len(arguments)))
    return call, [piece for piece in (arguments[:place], arguments[place:]) if piece], None


@st.composite
def runs(draw: st.DrawFn, ends: st.SearchStrategy[Event] = terminals) -> list[Event]:
    """A reply. A failure may cut off its last block."""
    events: list[Event] = [Opening(TURN_ID, CREATED, draw(st.text(max_size=5)), draw(st.integers(0, 99)))]
    end = draw(ends)
    drawn = draw(st.lists(blocks(), max_size=4))
    for index, (block, deltas, opaque) in enumerate(drawn):
        is_cut = not isinstance(end, Finish) and index == len(drawn) - 1 and draw(st.booleans())
        events += (BlockStart(index, block), *(BlockDelta(index, text) for text in deltas))
        events.append(BlockStop(index, None if is_cut else opaque, is_cut=is_cut))
    events.append(end)
    grammar.check(events)
    return events


class Schedule(Struct, frozen=True):
    """What a renderer is fed: batches with the number of their choice; `None` stands for a heartbeat."""

    choices: int
    steps: list[tuple[int, list[Event]] | None]

    @property
    def failure(self) -> Failure | None:
        last = next(step for step in reversed(self.steps) if step)[1][-1]
        return last if isinstance(last, Failure) else None

    def rendered(self, rendering: Any, *, beats: bool = True) -> bytes:
        out = b""
        for step in self.steps:
            if step is not None:
                out += joined(rendering.feed(step[1], step[0]))
            elif beats:
                out += rendering.heartbeat()
        return out


@st.composite
def schedules(draw: st.DrawFn, most: int, ends: st.SearchStrategy[Event] = terminals) -> Schedule:
    """Up to `most` choices. As the relay has it, each opening comes alone, and the first failure ends all."""
    choices = draw(st.integers(1, most))
    left = [draw(runs(ends)) for _ in range(choices)]
    model = left[0][0]
    steps: list[tuple[int, list[Event]] | None] = [(choice, [model]) for choice in range(choices)]
    left = [events[1:] for events in left]
    while any(left):
        choice = draw(st.sampled_from([number for number, events in enumerate(left) if events]))
        size = draw(st.integers(1, len(left[choice])))
        batch, left[choice] = left[choice][:size], left[choice][size:]
        steps += [None] * draw(st.integers(0, 1))
        steps.append((choice, batch))
        if isinstance(batch[-1], Failure):
            break
    return Schedule(choices, steps)


def checked(body: bytes) -> str:
    """The text of a stream, each line of which is one for any client."""
    text = body.decode()
    assert text.endswith("\n\n")
    for line in text.splitlines():
        assert not line or line.startswith(("data: ", "event: ", ": ")), line
        if line.startswith("data: ") and line != "data: [DONE]":
            json.loads(line[6:])
    return text


# ------------------------------------------------------- OpenAI's two with choices


@pytest.mark.parametrize("dialect", [OPENAI_CHAT, OPENAI_COMPLETIONS], ids=lambda each: each.name)
@given(schedule=schedules(4), usage=st.booleans())
@settings(max_examples=300)
def test_choices_add_up_to_the_whole_each_for_itself(dialect: Dialect, schedule: Schedule, usage: bool) -> None:
    delivery = Delivery(stream=True, include_usage=usage, choices=schedule.choices)
    text = checked(schedule.rendered(renderer(dialect, delivery)))
    frames = [frame for frame in text.split("\n\n") if frame.startswith("data: ")]
    assert schedule.rendered(renderer(dialect, delivery), beats=False).decode() == "".join(f + "\n\n" for f in frames)
    whole = schedule.rendered(renderer(dialect, replace(delivery, stream=False)))
    chunks = [json.loads(frame[6:]) for frame in frames if frame != "data: [DONE]"]
    if schedule.failure:
        assert whole == b""
        assert "data: [DONE]" not in frames
        assert chunks[-1] == json.loads(dialect.render_error(schedule.failure.problem, "id"))
        return
    assert frames[-1] == "data: [DONE]"
    body = json.loads(whole)
    if usage:
        last = chunks.pop()
        assert (last["choices"], last["usage"]) == ([], body["usage"])
    assert all(("usage" in chunk) == usage for chunk in chunks)
    for choice in body["choices"]:
        mine = [chunk for chunk in chunks if chunk["choices"][0]["index"] == choice["index"]]
        assert [chunk["choices"][0]["finish_reason"] for chunk in mine[:-1]] == [None] * (len(mine) - 1)
        assert ADDED_UP[dialect.name](mine) == choice


def added_up_chat(chunks: list[Any]) -> Any:
    index = chunks[0]["choices"][0]["index"]
    message = test_openai_chat.added_up(chunks)
    return {"index": index, "finish_reason": message.pop("finish_reason"), "message": message, "logprobs": None}


ADDED_UP = {"openai_chat": added_up_chat, "openai_completions": test_openai_completions.added_up}


# --------------------------------------------------------------- Anthropic's Messages


@given(schedule=schedules(1))
@settings(max_examples=300)
def test_messages_add_up_to_the_whole(schedule: Schedule) -> None:
    body = schedule.rendered(renderer(ANTHROPIC_MESSAGES, Delivery(stream=True)))
    checked(body)
    events = test_anthropic_messages.read(body.replace(b"msg_", b""))
    whole = schedule.rendered(renderer(ANTHROPIC_MESSAGES, Delivery()))
    if schedule.failure:
        assert events[-1]["error"]["message"] == schedule.failure.problem.message
        assert whole == b""
        return
    assert events[-1] == {"type": "message_stop"}
    events[0]["message"]["id"] = f"msg_{TURN_ID}"
    built_up = {**test_anthropic_messages.added_up(events), "id": TURN_ID}
    assert test_anthropic_messages.without_nulls(built_up) == test_anthropic_messages.without_nulls(json.loads(whole))


# ------------------------------------------------------------------------- Responses


@given(schedule=schedules(1, terminals | st.just(Cancelled())), skip=st.integers(0, 40))
@settings(max_examples=300)
def test_responses_add_up_to_the_last_object_and_can_be_taken_up_anywhere(schedule: Schedule, skip: int) -> None:
    body = schedule.rendered(Streamed(ResponsesStream(Delivery())), beats=False)
    checked(body)
    again = schedule.rendered(Streamed(ResponsesStream(Delivery(), skip=skip)), beats=False)
    assert again == b"".join(frame + b"\n\n" for frame in body.split(b"\n\n")[skip:-1])
    events = events_in(body)
    terminal = schedule.steps[-1][1][-1] if schedule.steps[-1] else None
    if isinstance(terminal, Cancelled):
        return
    check_frame(events)
    assert built(events[2:-1], may_be_cut=schedule.failure is not None) == events[-1]["response"]["output"]
    whole = schedule.rendered(renderer(OPENAI_RESPONSES, Delivery()))
    assert whole == b"" if schedule.failure else json.loads(whole) == events[-1]["response"]


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
@given(schedule=schedules(1))
@settings(max_examples=100)
def test_heartbeats_may_come_anywhere(dialect: Dialect, schedule: Schedule) -> None:
    rendering = renderer(dialect, Delivery(stream=True))
    quiet = schedule.rendered(renderer(dialect, Delivery(stream=True)), beats=False)
    loud = schedule.rendered(rendering)
    beats = sum(step is None for step in schedule.steps)
    assert len(loud.split(b"\n\n")) == len(quiet.split(b"\n\n")) + beats
    left = iter(loud.split(b"\n\n"))
    assert all(frame in left for frame in quiet.split(b"\n\n")), "all that comes without them comes in the same order"
