"""Stop sequences, limits and tool choice hold for any reply, however its events are cut into deltas and batches."""

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

from hypothesis import example, given, settings
from hypothesis import strategies as st

from augment_open_proxy.core.conversation import ChatRequest, Message, Role, Text, Thinking, ToolCall, ToolResult
from augment_open_proxy.core.errors import Problem, ProxyError
from augment_open_proxy.core.events import Block, BlockDelta, BlockStart, BlockStop, Event, Finish, Opening, Usage
from augment_open_proxy.core.reply import fold
from augment_open_proxy.policies import history
from augment_open_proxy.policies.limits import OutputLimit
from augment_open_proxy.policies.stop import StopSequences
from augment_open_proxy.policies.tool_choice import CallLimit
from augment_open_proxy.tokens.counter import TokenCounter
from tests.properties import grammar

OPENING = Opening("id", 1, "m", 10)
COUNTER = TokenCounter()
texts = st.text(alphabet="abé ", min_size=1, max_size=20)
blocks: st.SearchStrategy[Any] = st.one_of(
    st.builds(Text, texts), st.builds(Thinking, texts), st.builds(lambda text: ToolCall("id", "f", text), texts)
)
replies = st.lists(blocks, max_size=4)
stop_lists = st.lists(texts.map(lambda text: text[:3]), min_size=1, max_size=3)
cuts = st.lists(st.integers(1, 5), min_size=1, max_size=5)


def content(block: Block) -> str:
    return block.arguments if isinstance(block, ToolCall) else block.text


def emptied(block: Block) -> Block:
    return ToolCall(block.id, block.name, "") if isinstance(block, ToolCall) else type(block)("")


def events_of(reply: list[Block], sizes: list[int]) -> list[Event]:
    """The reply's events, each block's text in deltas of these sizes, over and over. Calls come whole, as they do."""
    events: list[Event] = [OPENING]
    for index, block in enumerate(reply):
        events.append(BlockStart(index, emptied(block)))
        rest, turn = content(block), 0
        while rest:
            size = len(rest) if isinstance(block, ToolCall) else sizes[turn % len(sizes)]
            events.append(BlockDelta(index, rest[:size]))
            rest, turn = rest[size:], turn + 1
        events.append(BlockStop(index))
    return [*events, Finish("stop", 1, Usage())]


def run(feed: Callable[[list[Event]], list[Event]], events: list[Event], batch: int) -> list[Event]:
    """What comes out, up to the first terminal, after which nothing is asked any more."""
    out: list[Event] = []
    for start in range(0, len(events), batch):
        out += feed(events[start : start + batch])
        if out and isinstance(out[-1], Finish):
            break
    return out


@given(
    reply=replies,
    sizes=cuts,
    batch=st.integers(1, 9),
    stops=st.lists(texts.map(lambda t: t[:3]), min_size=1, max_size=3),
)
@settings(max_examples=400)
def test_the_text_ends_before_the_first_stop_sequence(
    reply: list[Block], sizes: list[int], batch: int, stops: list[str]
) -> None:
    out = run(StopSequences(tuple(stops)).feed, events_of(reply, sizes), batch)
    grammar.check(out)
    given_out = fold(out)
    expected: list[Block] = []
    found: str | None = None
    for block in reply:
        if isinstance(block, Text):
            places = [(block.text.find(s) + len(s), block.text.find(s), s) for s in stops if s in block.text]
            if places:
                _, place, found = min(places)
                if place:
                    expected.append(Text(block.text[:place]))
                break
        expected.append(block)
    assert list(given_out.blocks) == expected
    assert isinstance(given_out.end, Finish)
    assert given_out.end.stop_sequence == found
    assert given_out.end.reason == ("stop" if found is None else "stop_sequence")


@given(
    reply=replies,
    sizes=cuts,
    batch=st.integers(1, 9),
    stops=st.lists(texts.map(lambda t: t[:3]), min_size=1, max_size=3),
)
@settings(max_examples=200)
def test_only_what_could_begin_a_stop_sequence_is_held_back(
    reply: list[Block], sizes: list[int], batch: int, stops: list[str]
) -> None:
    feed = StopSequences(tuple(stops))
    came = gone = ""
    for event in events_of(reply, sizes):
        out = feed.feed([event])
        if any(isinstance(given_out, Finish) for given_out in out):
            break
        if isinstance(event, BlockStart):
            came = gone = ""
        if isinstance(event, BlockDelta):
            came += event.text
        gone += "".join(given_out.text for given_out in out if isinstance(given_out, BlockDelta))
        held = came[len(gone) :]
        assert came.startswith(gone)
        assert not held or any(stop.startswith(held) for stop in stops) or isinstance(event, BlockStop)


class Noting(TokenCounter):
    """A counter that notes what it has counted."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def count(self, text: str) -> int:
        self.texts.append(text)
        return super().count(text)

    def counted_in_a_row(self, whole: str) -> int:
        """How many of the texts follow one another in `whole` from its beginning: between them, tokens were cut."""
        parts, at = 0, 0
        for text in self.texts:
            if text and whole.startswith(text, at):
                parts, at = parts + 1, at + len(text)
        return parts


@example(reply=[Text("aaébbéa"), Text("aabbbé")], sizes=[2], batch=1, limit=6)
@given(reply=replies, sizes=cuts, batch=st.integers(1, 9), limit=st.integers(1, 30))
@settings(max_examples=400)
def test_the_reply_ends_at_the_limit_and_calls_that_are_whole_pass(
    reply: list[Block], sizes: list[int], batch: int, limit: int
) -> None:
    counter = Noting()
    out = run(OutputLimit(limit, counter, limit).feed, events_of(reply, sizes), batch)
    grammar.check(out)
    given_out = fold(out)
    assert isinstance(given_out.end, Finish)
    whole = [content(block) for block in reply]
    for mine, theirs in zip(given_out.blocks, whole, strict=False):
        assert theirs.startswith(content(mine)), "nothing is changed, only cut"
    for block, text in zip(given_out.blocks, whole, strict=False):
        assert not isinstance(block, ToolCall) or block.arguments == text
    if given_out.end.reason == "length":
        assert [content(block) for block in given_out.blocks] != whole
    else:
        assert [content(block) for block in given_out.blocks] == whole
    written = [content(block) for block in given_out.blocks if not isinstance(block, ToolCall)]
    parts = counter.counted_in_a_row("".join(written))
    assert sum(map(COUNTER.count, written)) <= limit + len(written) + parts, "but for tokens across the cuts"


def test_nothing_is_counted_before_the_limit_could_be_reached() -> None:
    class Never(TokenCounter):
        def count(self, text: str) -> int:
            raise AssertionError("it was counted")

    feed = OutputLimit(100, Never(), 100).feed
    feed([OPENING, BlockStart(0, Text("")), *(BlockDelta(0, "ten bytes.") for _ in range(10)), BlockStop(0)])


@given(reply=replies, sizes=cuts, batch=st.integers(1, 9), limit=st.integers(1, 3))
def test_so_many_calls_pass_and_the_turn_ends_before_the_next(
    reply: list[Block], sizes: list[int], batch: int, limit: int
) -> None:
    out = run(CallLimit(limit).feed, events_of(reply, sizes), batch)
    grammar.check(out)
    given_out = fold(out)
    calls = [place for place, block in enumerate(reply) if isinstance(block, ToolCall)]
    end = calls[limit] if len(calls) > limit else len(reply)
    assert list(given_out.blocks) == reply[:end]


message_parts: dict[Role, st.SearchStrategy[Any]] = {
    "user": st.one_of(
        st.builds(Text, st.sampled_from(["", "Hi."])),
        st.builds(lambda id_: ToolResult(id_, (Text("done"),)), st.sampled_from("ab")),
    ),
    "assistant": st.one_of(
        st.builds(Text, st.sampled_from(["", "So:"])),
        st.builds(Thinking, st.just("Hm.")),
        st.builds(lambda id_: ToolCall(id_, "f", "{}"), st.sampled_from("ab")),
    ),
    "system": st.builds(Text, st.sampled_from(["", "Be brief."])),
}
messages_of_any_kind = st.sampled_from(list(message_parts)).flatmap(
    lambda role: st.lists(message_parts[role], max_size=2).map(lambda parts: Message(role, tuple(parts)))
)


@given(messages=st.lists(messages_of_any_kind, max_size=6))
@settings(max_examples=1000)
def test_the_quick_look_at_a_history_passes_only_what_mending_leaves_as_it_is(messages: list[Message]) -> None:
    asked = ChatRequest("m", tuple(messages), system=("Be kind.",))

    def outcome(*, looks: bool) -> tuple[Message, ...] | Problem:
        with patch.object(history, "_is_sound", history._is_sound if looks else lambda _: False):
            try:
                return history.prepare(asked)[0].messages
            except ProxyError as error:
                return error.problem

    assert outcome(looks=True) == outcome(looks=False)
