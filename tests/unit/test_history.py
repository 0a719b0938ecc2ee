"""A conversation that the backend can take: something to answer at its end, and one message for each turn."""

from typing import Any

import msgspec
import pytest

from augment_open_proxy.core.conversation import ChatRequest, Image, Message, Part, Text, Thinking, ToolCall, ToolResult
from augment_open_proxy.core.errors import ErrorKind, Problem, ProxyError
from augment_open_proxy.policies.history import prepare

HELLO = Message("user", (Text("Hello."),))
EMPTY = Message("user", ())
BLANK = Message("user", (Text(""),))
LATER_SYSTEM = Message("system", (Text("Be brief."),))
EMPTY_SYSTEM = Message("system", (Text(""),))


def assistant(*parts: Part) -> Message:
    return Message("assistant", parts)


def call(id_: str) -> ToolCall:
    return ToolCall(id_, "run", "{}")


def results(*ids: str) -> Message:
    return Message("user", tuple(ToolResult(id_, (Text("done"),)) for id_ in ids))


SAID = assistant(Text("Hi."))
HM = Thinking("Hm.")


def request(*messages: Message, system: tuple[str, ...] = ()) -> ChatRequest:
    return ChatRequest("m", messages, system=system)


def prepared(*messages: Message, **fields: Any) -> tuple[Message, ...]:
    return prepare(request(*messages, **fields))[0].messages


def refusal(*messages: Message, **fields: Any) -> Problem:
    with pytest.raises(ProxyError) as caught:
        prepare(msgspec.structs.replace(request(*messages, **fields), place="input"))
    problem = caught.value.problem
    assert (problem.kind, problem.param) == (ErrorKind.INVALID_REQUEST, "input")
    return problem


@pytest.mark.parametrize(
    "messages",
    [
        (HELLO,),
        (BLANK,),
        (Message("user", (Image("image/png", "AAAA"),)),),
        (HELLO, SAID, HELLO),
        (SAID, HELLO),
        (HELLO, SAID, LATER_SYSTEM),
        (LATER_SYSTEM,),
        (HELLO, assistant(call("a")), results("a")),
        (HELLO, assistant(Text("So:"), call("a"), call("b")), results("b"), results("a")),
        (HELLO, assistant(call("a"), call("b")), results("a", "b"), HELLO),
        (HELLO, assistant(call("a")), LATER_SYSTEM, results("a")),
        (HELLO, assistant(call("a")), results("a"), SAID, HELLO),
    ],
)
def test_what_can_be_answered_stays_as_it_is(messages: tuple[Message, ...]) -> None:
    asked = request(*messages)
    assert prepare(asked) == (asked, None)


def test_a_system_prompt_alone_can_be_answered() -> None:
    assert prepared(system=("Tell a story.",)) == ()
    assert prepared(EMPTY, system=("Tell a story.",)) == (EMPTY,)


@pytest.mark.parametrize(
    ("messages", "joined"),
    [
        ((SAID, SAID), (assistant(Text("Hi."), Text("Hi.")),)),
        # Codex 0.94 sends its calls, then its text, then the results.
        ((assistant(call("a")), SAID, results("a")), (assistant(call("a"), Text("Hi.")), results("a"))),
        (
            (assistant(HM), assistant(call("a")), assistant(call("b")), results("a", "b")),
            (assistant(HM, call("a"), call("b")), results("a", "b")),
        ),
        ((SAID, assistant(), SAID), (assistant(Text("Hi."), Text("Hi.")),)),
        ((SAID, HELLO, SAID), (SAID, HELLO, SAID)),
        ((SAID, LATER_SYSTEM, SAID), (SAID, LATER_SYSTEM, SAID)),
        ((HELLO, HELLO), (HELLO, HELLO)),
    ],
)
def test_neighbouring_assistant_messages_are_one_turn(
    messages: tuple[Message, ...], joined: tuple[Message, ...]
) -> None:
    assert prepared(*messages, HELLO) == (*joined, HELLO)


@pytest.mark.parametrize("last", [SAID, assistant(), assistant(HM)])
def test_a_history_that_ends_with_an_assistant_message_is_refused_with_the_reason(last: Message) -> None:
    message = refusal(HELLO, last).message
    assert "ends with an assistant message" in message
    assert "prefill" in message
    assert "user message" in message


@pytest.mark.parametrize(
    ("messages", "unanswered"),
    [
        ((assistant(call("a")),), ["a"]),
        ((assistant(call("a")), HELLO), ["a"]),
        ((assistant(call("a"), call("b")), results("b")), ["a"]),
        ((assistant(call("a"), call("b"), call("c")), results("x"), HELLO), ["a", "b", "c"]),
        ((assistant(call("a")), SAID), ["a"]),
        ((assistant(call("a")), results("a"), assistant(call("b")), results("a")), ["b"]),
        ((results("a"), assistant(call("a")), HELLO), ["a"]),
    ],
)
def test_an_unanswered_call_is_refused_and_named(messages: tuple[Message, ...], unanswered: list[str]) -> None:
    message = refusal(HELLO, *messages).message
    assert "have no result" in message
    assert [id_ for id_ in "abc" if f"run ({id_})" in message] == unanswered


NOT_RUN = (Text("The tool was not run."),)


def not_run(*ids: str) -> Message:
    return Message("user", tuple(ToolResult(id_, NOT_RUN, is_error=True) for id_ in ids))


@pytest.mark.parametrize(
    ("messages", "mended"),
    [
        # A call without a result gets one.
        ((assistant(call("a")), HELLO, SAID), (assistant(call("a")), not_run("a"), HELLO, SAID)),
        ((assistant(call("a"), call("b")), results("a"), SAID), None),
        # A result without a call becomes text.
        (
            (results("x"), SAID),
            (
                Message(
                    "user",
                    (Text("Result of the tool call x, which is not in this conversation:"), Text("done")),
                ),
                SAID,
            ),
        ),
        # A call's id that was there before becomes another, and its result's with it.
        (
            (assistant(call("a")), results("a"), assistant(call("a")), results("a"), SAID),
            (assistant(call("a")), results("a"), assistant(call("a-2")), results("a-2"), SAID),
        ),
        (
            (assistant(call("a"), call("a")), results("a", "a"), SAID),
            (assistant(call("a"), call("a-2")), results("a", "a-2"), SAID),
        ),
        # What says nothing is left out.
        ((HELLO, assistant(), HELLO, SAID), (HELLO, HELLO, SAID)),
        ((HELLO, assistant(Text("")), HELLO, SAID), (HELLO, HELLO, SAID)),
        ((assistant(Text(""), call("a")), results("a"), SAID), (assistant(call("a")), results("a"), SAID)),
        ((Message("user", (Text(""), Text("Hello."))), SAID), (HELLO, SAID)),
        # Thinking that nothing follows is left of a reply that broke off; Anthropic refuses it in every later turn.
        ((assistant(HM), HELLO, SAID), (HELLO, SAID)),
        ((assistant(HM), assistant(HM), HELLO, SAID), (HELLO, SAID)),
        ((assistant(HM, Text("Hi."), HM), HELLO, SAID), (assistant(HM, Text("Hi.")), HELLO, SAID)),
        ((assistant(HM, call("a"), HM), results("a"), SAID), (assistant(HM, call("a")), results("a"), SAID)),
        (
            (assistant(HM), assistant(call("a")), results("a"), assistant(HM), HELLO, SAID),
            (assistant(HM, call("a")), results("a"), HELLO, SAID),
        ),
    ],
)
def test_the_past_is_mended_neutrally(messages: tuple[Message, ...], mended: tuple[Message, ...] | None) -> None:
    if mended is None:
        mended = (messages[0], not_run("b"), *messages[1:])
    assert prepared(*messages, HELLO) == (*mended, HELLO)


def test_each_call_has_one_result_and_each_result_one_call_however_they_came() -> None:
    sound = prepared(
        results("a"), assistant(call("a"), call("b"), call("a")), HELLO, results("a", "c", "a", "a"), SAID, HELLO
    )
    for i, message in enumerate(sound):
        calls = [part.id for part in message.content if isinstance(part, ToolCall)]
        if message.role == "assistant":
            group = []
            for following in sound[i + 1 :]:
                if following.role == "assistant":
                    break
                group += [part.call_id for part in following.content if isinstance(part, ToolResult)]
            assert sorted(group) == sorted(calls)
            assert len(set(calls)) == len(calls)


@pytest.mark.parametrize(
    "messages",
    [
        (EMPTY,),
        (EMPTY, EMPTY),
        (EMPTY_SYSTEM,),
        (Message("system", ()),),
        (HELLO, SAID, EMPTY),
        (HELLO, SAID, EMPTY_SYSTEM),
        (),
    ],
)
def test_an_empty_end_is_refused(messages: tuple[Message, ...]) -> None:
    assert "nothing to answer" in refusal(*messages).message


def test_a_system_prompt_is_no_end_after_an_answer() -> None:
    assert "nothing to answer" in refusal(HELLO, SAID, EMPTY, system=("Tell a story.",)).message
    assert "nothing to answer" in refusal(EMPTY, system=("",)).message
