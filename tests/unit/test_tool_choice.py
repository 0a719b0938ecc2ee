"""Tool choice: which tools are offered, what is said to the model, and that a required call is asked for once more."""

import msgspec
import pytest

from augment_open_proxy.core.conversation import ChatRequest, Message, Text, Thinking, Tool, ToolCall, ToolChoice
from augment_open_proxy.core.errors import ErrorKind, Problem, ProxyError
from augment_open_proxy.core.events import BlockDelta, BlockStart, BlockStop, Event, Failure, Finish, Opening, Usage
from augment_open_proxy.policies.tool_choice import RequiredCall, prepare

ASKED = Message("user", (Text("Hi."),))
OPENING = Opening("id", 1, "m", 10)
TOOLS = tuple(Tool(name, "", msgspec.Raw(b"{}")) for name in ("read", "write"))


def request(choice: ToolChoice, tools: tuple[Tool, ...] = TOOLS) -> ChatRequest:
    return ChatRequest("m", (ASKED,), tools=tools, tool_choice=choice)


def names(asked: ChatRequest) -> list[str]:
    return [tool.name for tool in asked.tools]


def said(text: str, usage: Usage | None = None) -> list[Event]:
    return [
        BlockStart(0, Thinking("")),
        BlockDelta(0, "Hm."),
        BlockStop(0),
        BlockStart(1, Text("")),
        BlockDelta(1, text),
        BlockStop(1),
        Finish("stop", 1, usage or Usage()),
    ]


CALLED: list[Event] = [
    BlockStart(0, Text("")),
    BlockDelta(0, "I read."),
    BlockStop(0),
    BlockStart(1, ToolCall("a", "read", "")),
    BlockDelta(1, "{}"),
    BlockStop(1),
    Finish("tool_use", 3, Usage(5, 6)),
]


def test_auto_changes_nothing() -> None:
    asked = request(ToolChoice())
    assert prepare(asked) == (asked, None)


def test_none_offers_no_tools() -> None:
    asked, feed = prepare(request(ToolChoice("none")))
    assert (asked.tools, asked.messages, feed) == ((), (ASKED,), None)


def test_allowed_tools_are_the_only_ones_offered() -> None:
    asked, feed = prepare(request(ToolChoice("auto", ("write",))))
    assert (names(asked), asked.messages, feed) == (["write"], (ASKED,), None)


@pytest.mark.parametrize(
    ("choice", "offered", "demand"),
    [
        (ToolChoice("required"), ["read", "write"], "This turn must be a call of one of the tools read, write."),
        (ToolChoice("required", ("write",)), ["write"], "This turn must be a call of the tool write."),
    ],
)
def test_a_required_call_is_asked_for(choice: ToolChoice, offered: list[str], demand: str) -> None:
    asked, feed = prepare(request(choice))
    assert names(asked) == offered
    assert asked.messages == (ASKED, Message("system", (Text(demand),)))
    assert isinstance(feed, RequiredCall)


@pytest.mark.parametrize(
    ("choice", "tools", "words"),
    [
        (ToolChoice("required", ("erase",)), TOOLS, "erase"),
        (ToolChoice("required"), (), "no tools are offered"),
    ],
)
def test_what_cannot_be_called_is_refused(choice: ToolChoice, tools: tuple[Tool, ...], words: str) -> None:
    with pytest.raises(ProxyError, match=words) as caught:
        prepare(request(choice, tools))
    assert caught.value.problem.param == "tool_choice"


def test_nothing_is_given_out_before_the_call_and_all_of_it_with_it() -> None:
    feed = RequiredCall("Call.", {"read"})
    assert feed.feed([OPENING]) == [OPENING]
    assert feed.feed(CALLED[:3]) == []
    assert feed.feed(CALLED[3:5]) == CALLED[:5]
    assert feed.feed(CALLED[5:]) == CALLED[5:]
    assert feed.again is None


def test_a_reply_without_a_call_is_asked_for_once_more_and_both_turns_are_paid() -> None:
    feed = RequiredCall("Call the tool.", {"read"})
    assert feed.feed([OPENING]) == [OPENING]
    assert feed.feed(said("No.", Usage(1, 2))) == []
    answer, nudge = feed.again or ()
    assert answer == Message("assistant", (Text("No."),)), "its thinking is not repeated"
    assert nudge.role == "user"
    assert nudge.content == (Text("You called no tool that may be called now. Call the tool."),)
    feed.again = None
    assert feed.feed(CALLED) == [*CALLED[:-1], Finish("tool_use", 3, Usage(6, 8))]
    assert feed.again is None


def test_a_call_of_a_tool_that_is_not_offered_is_no_call_and_is_not_repeated() -> None:
    feed = RequiredCall("Call the tool.", {"write"})
    assert feed.feed(CALLED) == []
    answer, _ = feed.again or ()
    assert answer == Message("assistant", (Text("I read."),))
    feed.again = None
    (failure,) = feed.feed(CALLED)
    assert isinstance(failure, Failure)
    assert "called no tool that" in failure.problem.message


def test_what_still_has_no_call_is_an_error_and_no_reply() -> None:
    feed = RequiredCall("Call.", {"read"})
    feed.feed(said("No."))
    (failure,) = feed.feed(said("No!"))
    assert isinstance(failure, Failure)
    assert "called no tool" in failure.problem.message


def test_a_failure_of_the_backend_stays_one() -> None:
    feed = RequiredCall("Call.", {"read"})
    failure = Failure(Problem(ErrorKind.BACKEND, "It broke."))
    assert feed.feed([failure]) == [failure]
