"""Usage that the backend leaves out is estimated by length; what it told stays."""

import pytest
from msgspec import Raw

from augment_open_proxy.core.conversation import ChatRequest, Message, OutputFormat, Text, Thinking, ToolCall
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
from augment_open_proxy.policies.chain import Chain, Feed, policies
from augment_open_proxy.policies.limits import OutputLimit
from augment_open_proxy.policies.stop import StopSequences
from augment_open_proxy.policies.tool_choice import CallLimit
from augment_open_proxy.policies.usage import UsageEstimate, prepare
from augment_open_proxy.tokens.counter import TokenCounter, for_model
from augment_open_proxy.tokens.length import estimate_text
from augment_open_proxy.tokens.request import estimate_request

OPENING = Opening("id", 1, "m", input_estimate=50)
TEXT = "It is sunny in Bern today, and warm. "
ONCE, TWICE = (estimate_text(TEXT * times) for times in (1, 2))


def block(index: int, start: Block, *texts: str) -> list[Event]:
    return [BlockStart(index, start), *(BlockDelta(index, text) for text in texts), BlockStop(index)]


ANSWER = block(0, Text(""), TEXT)


def usage(events: list[Event], told: Usage, size: int = 1) -> Usage:
    feed = UsageEstimate(ChatRequest("m", ()))
    run = [OPENING, *events, Finish("stop", 1, told)]
    out = [event for start in range(0, len(run), size) for event in feed.feed(run[start : start + size])]
    assert out[:-1] == run[:-1]
    end = out[-1]
    assert isinstance(end, Finish)
    assert (end.reason, end.raw_reason) == ("stop", 1)
    return end.usage


def test_the_request_stays_the_same() -> None:
    request = ChatRequest("m", (Message("user", (Text("Hello."),)),))
    same, feed = prepare(request)
    assert same is request
    assert isinstance(feed, UsageEstimate)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (Usage(), Usage(50, ONCE, reasoning=0)),
        (Usage(input=7), Usage(7, ONCE, reasoning=0)),
        (Usage(output=3), Usage(50, 3, reasoning=0)),
        (Usage(7, 3, 100, 20), Usage(7, 3, 100, 20, 0)),
        (Usage(0, 3, cache_read=100), Usage(0, 3, 100, reasoning=0)),  # all of the prompt came from the cache
    ],
)
def test_what_is_left_out_is_estimated_and_what_was_told_stays(told: Usage, expected: Usage) -> None:
    assert usage(ANSWER, told) == expected


def test_the_prompt_is_estimated_where_the_opening_did_not_tell_it() -> None:
    """As in the APIs whose streams begin without usage: the estimate takes time, and most turns need none."""
    request = ChatRequest("gpt-5", (Message("user", (Text(TEXT),)),))
    _, feed = prepare(request)
    feed.feed([Opening("id", 1, "gpt-5", input_estimate=0), *ANSWER])
    (end,) = feed.feed([Finish("stop", 1, Usage(output=3))])
    assert isinstance(end, Finish)
    assert end.usage == Usage(estimate_request(request), 3, reasoning=0)


@pytest.mark.parametrize("told", [Usage(0, 0), Usage(0, 0, 0, 0)])
def test_a_zero_that_cannot_be_is_estimated_too(told: Usage) -> None:
    """A prompt without tokens, or text without tokens, breaks the clients' meters like a missing count."""
    completed = usage(ANSWER, told)
    assert (completed.prompt, completed.output) == (50, ONCE)


def test_an_estimate_of_the_prompt_does_not_count_cached_tokens_twice() -> None:
    assert usage(ANSWER, Usage(output=3, cache_read=30)).prompt == 50
    assert usage(ANSWER, Usage(output=3, cache_read=3000)).prompt == 3000


@pytest.mark.parametrize(
    ("events", "output", "reasoning"),
    [
        ([], 1, 0),
        (block(0, Text(""), "a"), 1, 0),
        (block(0, Text(""), TEXT, TEXT), TWICE, 0),
        (block(0, ToolCall("a", "f", ""), TEXT), ONCE, 0),
        (block(0, Thinking(""), TEXT), ONCE, ONCE),
        ([*block(0, Thinking(""), TEXT), *block(1, Text(""), TEXT)], 2 * ONCE, ONCE),
        ([*block(0, Thinking(""), TEXT), *ANSWER, *block(2, Thinking(""), TEXT)], ONCE + TWICE, TWICE),
    ],
)
def test_output_is_all_that_was_given_and_reasoning_what_was_thinking(
    events: list[Event], output: int, reasoning: int
) -> None:
    completed = usage(events, Usage())
    assert (completed.output, completed.reasoning) == (output, reasoning)


def test_claude_s_tokens_are_more() -> None:
    feed = UsageEstimate(ChatRequest("claude-sonnet-4-5", ()))
    (*_, end) = feed.feed([OPENING, *ANSWER, Finish("stop", 1, Usage())])
    assert isinstance(end, Finish)
    assert end.usage.output == for_model(ONCE, "claude-sonnet-4-5") > ONCE


def test_reasoning_is_never_more_than_the_output() -> None:
    assert usage(block(0, Thinking(""), TEXT), Usage(7, 3)).reasoning == 3


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_batches_do_not_matter(size: int) -> None:
    events = [*block(0, Thinking(""), TEXT, TEXT), *block(1, Text(""), TEXT)]
    assert usage(events, Usage(), size) == Usage(50, ONCE + TWICE, reasoning=TWICE)


@pytest.mark.parametrize("end", [Failure(Problem(ErrorKind.BACKEND, "It broke.")), Cancelled()])
def test_an_end_without_usage_passes(end: Event) -> None:
    feed = UsageEstimate(ChatRequest("m", ()))
    assert feed.feed([OPENING, *ANSWER]) == [OPENING, *ANSWER]
    assert feed.feed([end]) == [end]


CALL = block(1, ToolCall("a", "f", ""), "{}")
TOLD = Usage(500, 77, 3000, 40)


@pytest.mark.parametrize(
    ("feed", "rest", "output"),
    [
        (StopSequences(("in Bern",)), [], None),
        (OutputLimit(3, TokenCounter(), 3), [], 3),
        (CallLimit(1), [*CALL, *block(2, ToolCall("b", "f", ""), "{}")], None),
    ],
    ids=["a stop sequence", "a limit of the output", "a call too many"],
)
def test_a_turn_that_is_cut_off_where_its_end_is_known_keeps_the_count_of_its_prompt(
    feed: Feed, rest: list[Event], output: int | None
) -> None:
    """Such as one that was held back to be checked. Of the output it has only what is left."""
    *_, end = feed.feed([*ANSWER, *rest, Finish("stop", 1, TOLD)])
    assert isinstance(end, Finish)
    assert end.usage == Usage(500, output, 3000, 40)
    assert end.reason in ("stop_sequence", "length", "tool_use")


def test_as_many_calls_as_are_allowed_change_nothing() -> None:
    turn = [*ANSWER, *CALL, Finish("tool_use", 3, TOLD)]
    assert CallLimit(1).feed(turn) == turn


def test_the_prompt_is_that_which_the_backend_is_asked_and_the_model_the_one_that_answers() -> None:
    """What policies add, such as the schema of an answer, is paid for; the name of a model may be anything."""
    schema = Raw(b'{"type":"object","description":"%s"}' % (TEXT.encode() * 50))
    asked = ChatRequest("any", (Message("user", (Text(TEXT),)),), output_format=OutputFormat("f", schema))
    chain = Chain(asked, policies(b"secret", TokenCounter(), claude_factor=3.0))
    estimate = chain.estimate_for("claude-sonnet-4-5")
    chain.feed([OPENING_WITHOUT_COUNT])
    (*_, end) = chain.feed([*block(0, Text(""), "{}"), Finish("stop", 1, Usage())])
    assert isinstance(end, Finish)
    assert end.usage.input == estimate() == estimate_request(chain.request, "claude-sonnet-4-5", 3.0)
    assert end.usage.output == for_model(estimate_text("{}"), "claude-sonnet-4-5", 3.0)
    assert estimate() > estimate_request(asked, "claude-sonnet-4-5", 3.0) + 50


OPENING_WITHOUT_COUNT = Opening("id", 1, "any", input_estimate=0)
