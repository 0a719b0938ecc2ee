"""The policies of a reply, one after another: what each sees, and in which order."""

import msgspec
import pytest

from augment_open_proxy.core.conversation import (
    ChatRequest,
    CustomTool,
    Message,
    Text,
    Thinking,
    ThinkingOutput,
    ToolCall,
)
from augment_open_proxy.core.events import BlockDelta, BlockStart, BlockStop, Event, Finish, Opening, Terminal, Usage
from augment_open_proxy.policies.chain import Chain, Feed, Prepare
from augment_open_proxy.policies.chain import policies as all_policies
from augment_open_proxy.tokens.counter import TokenCounter

REQUEST = ChatRequest("m", (Message("user", (Text("Hello."),)),))
START: Event = BlockStart(0, Text(""))
DELTA: Event = BlockDelta(0, "a")
STOP: Event = BlockStop(0)


class Seen:
    """A machine that passes all on, and keeps what it saw. It rests where no call is open."""

    def __init__(self, *, can_rest: bool) -> None:
        self.batches: list[list[Event]] = []
        self._can_rest = can_rest
        self._is_call = False

    @property
    def rests(self) -> bool:
        return self._can_rest and not self._is_call

    def feed(self, events: list[Event]) -> list[Event]:
        self.batches.append(events)
        for event in events:
            if isinstance(event, BlockStart):
                self._is_call = isinstance(event.block, ToolCall)
            elif isinstance(event, BlockStop):
                self._is_call = False
        return events


class Swallowing:
    """A machine that lets nothing through."""

    def feed(self, events: list[Event]) -> list[Event]:
        return []


def chain_of(*feeds: Feed) -> Chain:
    """The feeds in the order in which a reply meets them."""

    def preparing(feed: Feed) -> Prepare:
        return lambda request: (request, feed)

    return Chain(REQUEST, [preparing(feed) for feed in reversed(feeds)])


def test_a_machine_that_rests_is_spared_single_deltas_and_nothing_else() -> None:
    resting, other = Seen(can_rest=True), Seen(can_rest=False)
    chain = chain_of(resting, other)
    call: Event = BlockStart(1, ToolCall("a", "f", ""))
    batches: list[list[Event]] = [[START], [DELTA], [DELTA, DELTA], [STOP], [call], [DELTA], [STOP, START], [DELTA]]
    assert [chain.feed(batch) for batch in batches] == batches
    assert other.batches == batches
    assert resting.batches == [[START], [DELTA, DELTA], [STOP], [call], [DELTA], [STOP, START]]


def test_nobody_is_given_nothing() -> None:
    after = Seen(can_rest=False)
    chain = chain_of(Swallowing(), after)
    assert chain.feed([START]) == chain.feed([DELTA]) == []
    assert after.batches == []


@pytest.mark.parametrize("thinking", ["plain", "none", "carried", "omitted", "sealed"])
@pytest.mark.parametrize("whole_arguments", [True, False])
@pytest.mark.parametrize("stop", [(), ("aad",), ("cb",), ("d",)])
@pytest.mark.parametrize("limit", [None, 1, 3, 9])
def test_with_all_policies_one_event_at_a_time_is_the_same_as_all_at_once(
    thinking: ThinkingOutput, whole_arguments: bool, stop: tuple[str, ...], limit: int | None
) -> None:
    request = ChatRequest(
        "m",
        REQUEST.messages,
        max_output_tokens=limit,
        thinking=thinking,
        whole_arguments=whole_arguments,
        stop=stop,
        tools=(CustomTool("f", "", None),),
    )
    reply: list[Event] = [
        Opening("id", 1, "m", 5),
        *(START, DELTA, DELTA, STOP),
        *(BlockStart(1, Thinking("")), BlockDelta(1, "b"), BlockDelta(1, "c"), BlockStop(1)),
        *(BlockStart(2, ToolCall("t", "f", "")), BlockDelta(2, "{"), BlockDelta(2, "}"), BlockStop(2)),
        *(BlockStart(3, Text("")), BlockDelta(3, "d"), BlockStop(3)),
        Finish("tool_use", 3, Usage(1, 2)),
    ]

    def fed(size: int) -> list[Event]:
        chain = Chain(request, all_policies(b"secret", TokenCounter()))
        given: list[Event] = []
        for start in range(0, len(reply), size):
            given += chain.feed(reply[start : start + size])
            if given and isinstance(given[-1], Terminal):
                break
        if isinstance(given[-1], Finish) and given[-1].raw_reason is None:
            given[-1] = msgspec.structs.replace(given[-1], usage=Usage())  # what it took may be known
        return given

    assert fed(1) == fed(2) == fed(100)
