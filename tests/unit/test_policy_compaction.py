"""Compaction: the model is asked for a summary, and the client gets it sealed, or is told that there is none."""

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from augment_open_proxy.core.conversation import (
    ChatRequest,
    Message,
    OutputFormat,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from augment_open_proxy.core.errors import ErrorKind, Problem
from augment_open_proxy.core.events import (
    Block,
    BlockDelta,
    BlockStart,
    BlockStop,
    Event,
    Failure,
    Finish,
    FinishReason,
    Opening,
    Usage,
)
from augment_open_proxy.core.reply import fold
from augment_open_proxy.policies.chain import Chain, policies
from augment_open_proxy.policies.compaction import INSTRUCTION, prepare
from augment_open_proxy.policies.seal import SUMMARY, THINKING, unseal
from augment_open_proxy.tokens.counter import TokenCounter
from tests.properties import grammar

SECRET = b"secret"
LOOK = Tool("look", "Looks.", msgspec.Raw(b"{}"))
TALK = (
    Message("user", (Text("What is there?"),)),
    Message("assistant", (ToolCall("a", "look", "{}"),)),
    Message("user", (ToolResult("a", (Text("A tree."),)),)),
    Message("assistant", (Text("A tree."),)),
)
REQUEST = ChatRequest(
    "gpt-5",
    TALK,
    system=("Be brief.",),
    tools=(LOOK,),
    tool_choice=ToolChoice("required", ("look",)),
    output_format=OutputFormat("text.format"),
    effort="high",
    thinking="carried",
    compacts=True,
)
OPENING = Opening("resp_1", 0, "gpt-5", 10)
USAGE = Usage(5, 3)


def block(index: int, kind: Block, *pieces: str) -> list[Event]:
    return [BlockStart(index, kind), *(BlockDelta(index, piece) for piece in pieces), BlockStop(index)]


def fed(events: list[Event], *cuts: int) -> list[Event]:
    """What the client gets, the events coming in batches that end at `cuts`."""
    machine = prepare(REQUEST, SECRET)[1]
    assert machine is not None
    at = sorted({0, len(events), *(min(cut, len(events)) for cut in cuts)})
    return [out for start, end in pairwise(at) for out in machine.feed(events[start:end])]


# --- The request ---


def test_the_model_is_asked_for_a_summary_after_all_that_was_said() -> None:
    asked, _ = prepare(REQUEST, SECRET)
    assert asked.messages == (*TALK, Message("user", (Text(INSTRUCTION),)))
    assert (asked.model, asked.system, asked.effort) == ("gpt-5", ("Be brief.",), "high")


def test_the_model_can_do_nothing_else_and_its_thinking_is_not_shown() -> None:
    asked, _ = prepare(REQUEST, SECRET)
    assert (asked.tools, asked.tool_choice, asked.output_format) == ((), ToolChoice(), None)
    assert asked.thinking == "none"


def test_a_request_that_asks_for_an_answer_is_not_touched() -> None:
    asked = msgspec.structs.replace(REQUEST, compacts=False)
    assert prepare(asked, SECRET) == (asked, None)


# --- The reply ---


def test_the_summary_is_one_sealed_block() -> None:
    events = fed([OPENING, *block(0, Text(""), "They saw ", "a tree."), Finish("stop", 1, USAGE)])
    grammar.check(events)
    reply = fold(events)
    (summary,) = reply.blocks
    assert isinstance(summary, Thinking)
    assert summary.text == ""
    assert unseal(SECRET, summary.opaque or "", "", purpose=SUMMARY) == "They saw a tree."
    assert unseal(SECRET, summary.opaque or "", "", purpose=THINKING) is None
    assert (reply.opening, reply.end) == (OPENING, Finish("stop", 1, USAGE))


def test_the_opening_comes_at_once_and_the_summary_at_the_end() -> None:
    machine = prepare(REQUEST, SECRET)[1]
    assert machine is not None
    assert machine.feed([OPENING]) == [OPENING]
    assert machine.feed(block(0, Text(""), "A tree.")) == []
    assert len(machine.feed([Finish("stop", 1, USAGE)])) == 3


@pytest.mark.parametrize("pieces", [(), ("",), (" ", "\n")])
def test_no_summary_is_a_failure_since_all_would_be_lost(pieces: tuple[str, ...]) -> None:
    events = fed([OPENING, *block(0, Text(""), *pieces), Finish("stop", 1, USAGE)])
    end = grammar.check(events)
    assert isinstance(end, Failure)
    assert end.problem.kind is ErrorKind.BACKEND
    assert "no summary" in end.problem.message


@pytest.mark.parametrize("reason", ["length", "content_filter", "tool_use"])
def test_half_a_summary_is_a_failure(reason: FinishReason) -> None:
    end = grammar.check(fed([OPENING, *block(0, Text(""), "They saw"), Finish(reason, 2, USAGE)]))
    assert isinstance(end, Failure)
    assert end.problem.kind is ErrorKind.BACKEND
    assert "did not come to the end" in end.problem.message


def test_a_failure_stays_what_it_was() -> None:
    failure = Failure(Problem(ErrorKind.RATE_LIMITED, "Too many.", retry_after=3))
    cut: list[Event] = [BlockStart(0, Text("")), BlockDelta(0, "They"), BlockStop(0, is_cut=True)]
    assert fed([OPENING, *cut, failure]) == [OPENING, failure]


@given(pieces=st.lists(st.text(min_size=1), max_size=6), cuts=st.lists(st.integers(0, 12), max_size=4))
def test_the_cuts_do_not_matter(pieces: list[str], cuts: list[int]) -> None:
    events = [OPENING, *block(0, Text(""), *pieces), Finish("stop", 1, USAGE)]
    assert fed(events, *cuts) == fed(events)
    grammar.check(fed(events))


# --- With the other policies ---


def test_what_the_model_thought_is_no_part_of_the_summary() -> None:
    chain = Chain(REQUEST, policies(SECRET, TokenCounter()))
    events = [OPENING, *block(0, Thinking(""), "Hm."), *block(1, Text(""), "A tree."), Finish("stop", 1, USAGE)]
    (summary,) = fold(out for event in events for out in chain.feed([event])).blocks
    assert isinstance(summary, Thinking)
    assert unseal(SECRET, summary.opaque or "", "", purpose=SUMMARY) == "A tree."
