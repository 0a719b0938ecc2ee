"""Thinking that clients send back: what is ours goes into the history; a reply's is given out as it was asked for."""

from itertools import pairwise
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augment_open_proxy.core.conversation import ChatRequest, Message, Text, Thinking, ThinkingOutput, ToolCall
from augment_open_proxy.core.errors import ErrorKind, Problem
from augment_open_proxy.core.events import BlockDelta, BlockStart, BlockStop, Event, Failure, Finish, Opening, Usage
from augment_open_proxy.core.reply import fold
from augment_open_proxy.policies.seal import SUMMARY, seal, unseal
from augment_open_proxy.policies.sealing import Hiding, Sealing, prepare
from tests.properties import grammar

SECRET = b"secret"
OPENING = Opening("msg_1", 0, "m", 10)
FINISH = Finish("stop", 1, Usage(1, 1))
HELLO = Message("user", (Text("Hello."),))


# --- A request ---


def request(*messages: Message, thinking: ThinkingOutput = "sealed") -> ChatRequest:
    return ChatRequest("m", messages, thinking=thinking)


def assistant(*parts: Any) -> Message:
    return Message("assistant", parts)


def test_thinking_that_we_gave_goes_into_the_history() -> None:
    shown = Thinking("Hm.", seal(SECRET, "Hm.", carried=False))
    omitted = Thinking("", seal(SECRET, "Aha.", carried=True))
    asked, _ = prepare(request(HELLO, assistant(shown, omitted, Text("Hi.")), HELLO), SECRET)
    assert asked.messages == (HELLO, assistant(Thinking("Hm."), Thinking("Aha."), Text("Hi.")), HELLO)


@pytest.mark.parametrize(
    "opaque",
    [
        "",
        "EqQBCkYIBxgCKkDx",
        seal(b"another", "Hm.", carried=False),
        seal(SECRET, "Hm.", carried=True, purpose=SUMMARY),
    ],
)
def test_thinking_that_we_did_not_give_is_left_out(opaque: str) -> None:
    asked, _ = prepare(request(HELLO, assistant(Thinking("Hm.", opaque), Text("Hi.")), HELLO), SECRET)
    assert asked.messages == (HELLO, assistant(Text("Hi.")), HELLO)


def test_thinking_of_a_dialect_without_seals_stays() -> None:
    asked = request(HELLO, assistant(Thinking("Hm."), Text("Hi.")), HELLO, thinking="plain")
    assert prepare(asked, SECRET) == (asked, None)


def test_a_request_without_thinking_is_not_touched() -> None:
    asked = request(HELLO, assistant(Text("Hi."), ToolCall("a", "run", "{}")), HELLO)
    assert prepare(asked, SECRET)[0] is asked


@pytest.mark.parametrize(
    ("thinking", "machine"),
    [("plain", type(None)), ("sealed", Sealing), ("carried", Sealing), ("omitted", Sealing), ("none", Hiding)],
)
def test_each_way_of_showing_thinking_has_its_machine(thinking: ThinkingOutput, machine: type) -> None:
    assert type(prepare(request(HELLO, thinking=thinking), SECRET)[1]) is machine


# --- A reply ---


def block(index: int, kind: Thinking | Text | ToolCall, *pieces: str) -> list[Event]:
    return [BlockStart(index, kind), *(BlockDelta(index, piece) for piece in pieces), BlockStop(index)]


THINKING, TEXT, CALL = Thinking(""), Text(""), ToolCall("a", "run", "")
REPLY = [
    OPENING,
    *block(0, THINKING, "H", "m."),
    *block(1, TEXT, "Hi", "."),
    *block(2, THINKING, "Aha."),
    *block(3, CALL, "{}"),
    FINISH,
]


def fed(thinking: ThinkingOutput, events: list[Event], cuts: list[int] | None = None) -> list[Event]:
    """What the client gets, the events coming in batches that end at `cuts`."""
    machine = prepare(request(HELLO, thinking=thinking), SECRET)[1]
    if machine is None:
        return events
    at = sorted({0, len(events), *(cuts or [])})
    return [out for start, end in pairwise(at) for out in machine.feed(events[start:end])]


def test_sealed_thinking_is_shown_with_its_seal() -> None:
    reply = fold(fed("sealed", REPLY))
    assert reply.blocks == (
        Thinking("Hm.", seal(SECRET, "Hm.", carried=False)),
        Text("Hi."),
        Thinking("Aha.", seal(SECRET, "Aha.", carried=False)),
        ToolCall("a", "run", "{}"),
    )


def test_omitted_thinking_is_only_its_seal_which_opens() -> None:
    first, _, second, _ = fold(fed("omitted", REPLY)).blocks
    assert isinstance(first, Thinking)
    assert isinstance(second, Thinking)
    assert (first.text, second.text) == ("", "")
    assert [unseal(SECRET, block.opaque or "", "") for block in (first, second)] == ["Hm.", "Aha."]


def test_carried_thinking_is_shown_and_in_its_seal_which_opens_by_itself() -> None:
    """What is stored, or what a client may cut, comes back without the text beside it."""
    assert fold(fed("carried", REPLY)).blocks[0] == Thinking("Hm.", seal(SECRET, "Hm.", carried=True))


def test_what_was_cut_off_stays_so() -> None:
    cut: list[Event] = [OPENING, BlockStart(0, THINKING), BlockDelta(0, "H"), BlockStop(0, is_cut=True)]
    assert fed("sealed", cut)[-1] == BlockStop(0, seal(SECRET, "H", carried=False), is_cut=True)


def test_hidden_thinking_leaves_no_gap() -> None:
    events = fed("none", REPLY)
    assert events == [OPENING, *block(0, TEXT, "Hi", "."), *block(1, CALL, "{}"), FINISH]


def test_what_is_shown_comes_back_as_history() -> None:
    for thinking in ("sealed", "carried", "omitted"):
        said = assistant(*fold(fed(thinking, REPLY)).blocks)
        asked, _ = prepare(request(HELLO, said, HELLO), SECRET)
        assert [part.text for part in asked.messages[1].content if isinstance(part, Thinking)] == ["Hm.", "Aha."]


def test_deltas_of_shown_thinking_pass_at_once() -> None:
    machine = Sealing(SECRET, "sealed")
    machine.feed([OPENING, BlockStart(0, THINKING)])
    assert machine.feed([BlockDelta(0, "H")]) == [BlockDelta(0, "H")]


def test_an_empty_thinking_block_has_its_seal_too() -> None:
    (only,) = fold(fed("sealed", [OPENING, *block(0, THINKING), FINISH])).blocks
    assert only == Thinking("", seal(SECRET, "", carried=False))


kinds = st.sampled_from([THINKING, TEXT, CALL])
bodies = st.lists(st.tuples(kinds, st.lists(st.text(min_size=1, max_size=5), max_size=3)), max_size=6)
ends = st.sampled_from([FINISH, Failure(Problem(ErrorKind.BACKEND, "broken"))])
outputs: st.SearchStrategy[ThinkingOutput] = st.sampled_from(get_args(ThinkingOutput))


@given(bodies=bodies, end=ends, thinking=outputs, cuts=st.lists(st.integers(0, 40), max_size=6))
@settings(max_examples=200)
def test_any_reply_cut_anywhere_keeps_the_grammar_and_what_is_no_thinking(
    bodies: list[tuple[Thinking | Text | ToolCall, list[str]]],
    end: Finish | Failure,
    thinking: ThinkingOutput,
    cuts: list[int],
) -> None:
    events = [OPENING, *(e for i, (kind, pieces) in enumerate(bodies) for e in block(i, kind, *pieces)), end]
    out = fed(thinking, events, [min(cut, len(events)) for cut in cuts])
    assert out == fed(thinking, events)
    assert grammar.check(out) == end
    others = [b for b in fold(events).blocks if not isinstance(b, Thinking)]
    assert [b for b in fold(out).blocks if not isinstance(b, Thinking)] == others
    given_out = [b for b in fold(out).blocks if isinstance(b, Thinking)]
    assert len(given_out) == (0 if thinking == "none" else sum(kind is THINKING for kind, _ in bodies))
    assert all(isinstance(b.opaque, str) == (thinking not in ("plain", "none")) for b in given_out)


def test_the_events_that_came_in_are_not_changed() -> None:
    before = msgspec.json.encode(REPLY)
    for thinking in get_args(ThinkingOutput):
        fed(thinking, REPLY)
    assert msgspec.json.encode(REPLY) == before
