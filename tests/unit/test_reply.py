"""Folding events: the whole reply is what its stream gave in pieces."""

import pytest

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
    Terminal,
    Usage,
)
from augment_open_proxy.core.reply import Fold, Reply, fold

OPENING = Opening("id", 1, "model", 10)
FINISH = Finish("stop", 1, Usage(1, 2))


def block(index: int, start: Block, *texts: str, opaque: str | None = None) -> list[Event]:
    deltas = [BlockDelta(index, text) for text in texts]
    return [BlockStart(index, start), *deltas, BlockStop(index, opaque)]


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        (block(0, Text(""), "Hello", ", ", "world"), Text("Hello, world")),
        (block(0, Text("")), Text("")),
        (block(0, Thinking(""), "Hm", "…"), Thinking("Hm…")),
        (block(0, Thinking(""), "Hm", opaque="sealed"), Thinking("Hm", "sealed")),
        (block(0, ToolCall("a", "f", ""), '{"x"', ":1}"), ToolCall("a", "f", '{"x":1}')),
        (block(0, ToolCall("a", "f", "", custom=True), "raw"), ToolCall("a", "f", "raw", custom=True)),
    ],
)
def test_a_block_is_the_join_of_its_deltas(events: list[Event], expected: Block) -> None:
    assert fold([OPENING, *events, FINISH]) == Reply(OPENING, (expected,), FINISH)


def test_what_was_cut_off_is_no_part_of_the_reply() -> None:
    """Half a call must not be run, and what comes from the store is taken for whole."""
    end = Failure(Problem(ErrorKind.BACKEND, "It broke."))
    cut: list[Event] = [BlockStart(1, ToolCall("a", "f", "")), BlockDelta(1, '{"x"'), BlockStop(1, is_cut=True)]
    assert fold([OPENING, *block(0, Text(""), "a"), *cut, end]) == Reply(OPENING, (Text("a"),), end)


def test_blocks_keep_their_order() -> None:
    events = [*block(0, Thinking(""), "a"), *block(1, Text(""), "b"), *block(2, Text(""), "c")]
    assert fold([OPENING, *events, FINISH]).blocks == (Thinking("a"), Text("b"), Text("c"))


@pytest.mark.parametrize("end", [FINISH, Failure(Problem(ErrorKind.BACKEND, "It broke.")), Cancelled()])
def test_any_end_makes_a_reply_of_what_there_was(end: Terminal) -> None:
    assert fold([OPENING, end]) == Reply(OPENING, (), end)
    assert fold([OPENING, *block(0, Text(""), "a"), end]).blocks == (Text("a"),)


def test_there_is_no_reply_before_its_end() -> None:
    folding = Fold()
    for event in (OPENING, *block(0, Text(""), "a")):
        folding.feed([event])
        assert folding.reply is None
    folding.feed([FINISH])
    assert folding.reply == Reply(OPENING, (Text("a"),), FINISH)


def test_batches_do_not_matter() -> None:
    events = [OPENING, *block(0, Text(""), "a", "b"), *block(1, ToolCall("i", "f", ""), "{}"), FINISH]
    for size in range(1, len(events) + 1):
        folding = Fold()
        for start in range(0, len(events), size):
            folding.feed(events[start : start + size])
        assert folding.reply == fold(events)


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ([], "must end"),
        ([OPENING], "must end"),
        ([FINISH], "must begin"),
        ([OPENING, BlockStop(0), FINISH], "without an open block"),
        ([OPENING, *block(0, Text("")), BlockStop(0), FINISH], "without an open block"),
    ],
)
def test_events_against_the_grammar_are_refused(events: list[Event], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        fold(events)
