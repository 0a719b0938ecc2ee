"""Threads of the Messages API: what is stored, what a turn goes on from, and what it may not say again."""

import json
from typing import Any

import pytest

from augment_open_proxy.core.conversation import ChatRequest, Message, Text, Thinking, ToolCall
from augment_open_proxy.core.errors import ErrorKind, Problem, ProxyError
from augment_open_proxy.core.events import Block, Finish, Opening, Usage
from augment_open_proxy.core.reply import Reply
from augment_open_proxy.dialects.anthropic_messages import ANTHROPIC_MESSAGES
from augment_open_proxy.dialects.anthropic_messages.request import parse, parse_count
from augment_open_proxy.dialects.dialect import NO_REFERENCES, NOTHING, Keep, PastTurn, Recalled, References

CREATE: dict[str, Any] = {"type": "create"}
CONTINUE: dict[str, Any] = {"type": "continue", "previous_message_id": "msg_1"}
LOOK: dict[str, Any] = {"name": "look", "description": "Looks.", "input_schema": {"type": "object"}}


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def body(*messages: Any, **fields: Any) -> bytes:
    return json.dumps({"model": "claude-sonnet-4-5", "max_tokens": 10, "messages": messages, **fields}).encode()


def past(*turns: tuple[bytes, tuple[Block, ...]]) -> Recalled:
    """Stored turns: the body of each, and the blocks of its reply."""
    end = Finish("stop", 1, Usage())
    return Recalled(
        tuple(PastTurn(request, Reply(Opening("msg_1", 0, "m", 1), blocks, end)) for request, blocks in turns)
    )


def asked(data: bytes, recalled: Recalled = NOTHING) -> ChatRequest:
    return parse(data, recalled).request


def refusal(data: bytes, recalled: Recalled = NOTHING) -> Problem:
    with pytest.raises(ProxyError) as caught:
        parse(data, recalled)
    assert caught.value.problem.kind is ErrorKind.INVALID_REQUEST
    return caught.value.problem


# --- What is stored ---


@pytest.mark.parametrize("thread", [CREATE, CONTINUE])
def test_the_turns_of_a_thread_are_stored_as_messages(thread: Any) -> None:
    assert parse(body(user("Hi."), thread=thread)).keep == Keep()
    assert ANTHROPIC_MESSAGES.keeps == "message"


@pytest.mark.parametrize("fields", [{}, {"thread": None}])
def test_other_turns_are_not_stored(fields: dict[str, Any]) -> None:
    assert parse(body(user("Hi."), **fields)).keep is None


# --- What a turn refers to ---


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, NO_REFERENCES),
        ({"thread": None}, NO_REFERENCES),
        ({"thread": CREATE}, NO_REFERENCES),
        ({"thread": {**CREATE, "previous_message_id": None}}, NO_REFERENCES),
        ({"thread": CONTINUE}, References(previous="msg_1")),
        ({"metadata": {"user_id": "thread"}}, NO_REFERENCES),
    ],
)
def test_a_turn_refers_to_the_message_that_it_goes_on_from(fields: dict[str, Any], expected: References) -> None:
    assert ANTHROPIC_MESSAGES.references(body(user("Hi."), **fields)) == expected


@pytest.mark.parametrize(
    ("thread", "param"),
    [
        ({"type": "continue"}, "thread"),
        ({"type": "continue", "previous_message_id": ""}, "thread"),
        ({"type": "fork", "previous_message_id": "msg_1"}, "thread"),
        ({"type": "continue", "previous_message_id": 1}, "thread.previous_message_id"),
        ({"previous_message_id": "msg_1"}, "thread.type"),
        ("msg_1", "thread"),
    ],
)
def test_what_is_no_thread_is_refused(thread: Any, param: str) -> None:
    data = body(user("Hi."), thread=thread)
    assert refusal(data).param == param
    with pytest.raises(ProxyError) as caught:
        ANTHROPIC_MESSAGES.references(data)
    assert caught.value.problem.param == param


def test_a_body_that_cannot_be_read_is_refused_before_anything_is_looked_up() -> None:
    for data in (b"{", b'{"thread"'):
        with pytest.raises(ProxyError):
            ANTHROPIC_MESSAGES.references(data)


# --- What came before ---

FIRST = body(user("What is there?"), system="Be brief.", tools=[LOOK], thread=CREATE)
CALL = ToolCall("toolu_1", "look", "{}")
RESULT = user([{"type": "tool_result", "tool_use_id": "toolu_1", "content": "A tree."}])
SECOND = body(RESULT, thread=CONTINUE)


def test_a_thread_goes_on_as_if_all_had_been_sent_again() -> None:
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "seal"}
    called = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}
    whole = body(
        user("What is there?"),
        {"role": "assistant", "content": [thought, {"type": "text", "text": "I look."}, called]},
        RESULT,
        {"role": "assistant", "content": "A tree."},
        user("And behind it?"),
        system="Be brief.",
        tools=[LOOK],
    )
    recalled = past((FIRST, (Thinking("Hm.", "seal"), Text("I look."), CALL)), (SECOND, (Text("A tree."),)))
    assert asked(body(user("And behind it?"), thread=CONTINUE), recalled) == asked(whole)


def test_the_effort_that_a_system_message_set_stays() -> None:
    low = {"role": "system", "output_config": {"effort": "low"}}
    first = body(user("Hi."), low, user("Go."), thread={"type": "create"})
    recalled = past((first, (Text("Gone."),)))
    assert asked(body(user("And?"), thread=CONTINUE, output_config={"effort": "high"}), recalled).effort == "low"
    high = {"role": "system", "output_config": {"effort": "high"}}
    assert asked(body(user("And?"), high, user("So?"), thread=CONTINUE), recalled).effort == "high"


def test_a_turn_has_its_own_parameters() -> None:
    first = body(user("Hi."), thread=CREATE, model="claude-opus-4-5", max_tokens=5, stop_sequences=["x"])
    request = asked(
        body(user("Bye."), thread=CONTINUE, max_tokens=7, thinking={"type": "enabled", "budget_tokens": 2000}),
        past((first, (Text("Hello."),))),
    )
    assert (request.model, request.max_output_tokens, request.stop) == ("claude-sonnet-4-5", 7, ())
    assert (request.effort, request.thinking) == ("low", "sealed")


def test_the_choice_among_the_tools_of_the_thread_is_the_turns() -> None:
    choice = {"type": "tool", "name": "look"}
    request = asked(body(user("Look!"), thread=CONTINUE, tool_choice=choice), past((FIRST, (Text("Hi."),))))
    assert [tool.name for tool in request.tools] == ["look"]
    assert request.tool_choice.names == ("look",)


def test_an_answer_without_content_is_no_message() -> None:
    request = asked(body(user("Hello?"), thread=CONTINUE), past((body(user("Hi."), thread=CREATE), ())))
    assert request.messages == (Message("user", (Text("Hi."),)), Message("user", (Text("Hello?"),)))


def test_text_that_had_to_be_mended_is_mended_again() -> None:
    """A stored body is as the client sent it, lone surrogates and all."""
    request = asked(body(user("Bye."), thread=CONTINUE), past((body(user("a\ud800b"), thread=CREATE), (Text("Hi."),))))
    assert request.messages[0] == Message("user", (Text("a\ufffdb"),))


@pytest.mark.parametrize(("name", "value"), [("system", "Be brief."), ("tools", [LOOK])])
@pytest.mark.parametrize("recalled", [NOTHING, past((FIRST, (Text("Hi."),)))], ids=["nothing", "recalled"])
def test_what_the_thread_was_created_with_cannot_be_sent_again(name: str, value: Any, recalled: Recalled) -> None:
    problem = refusal(body(user("Hi."), thread=CONTINUE, **{name: value}), recalled)
    assert problem.param == name
    assert problem.message.startswith(name)


@pytest.mark.parametrize("fields", [{"system": None, "tools": None}, {"system": "", "tools": []}])
def test_what_says_nothing_may_be_sent(fields: dict[str, Any]) -> None:
    request = asked(body(user("Hi."), thread=CONTINUE, **fields), past((FIRST, (Text("Hi."),))))
    assert request.system == ("Be brief.",)
    assert request.tools


def test_a_turn_that_goes_on_needs_something_to_say() -> None:
    assert refusal(body(thread=CONTINUE), past((FIRST, (Text("Hi."),)))).param == "messages"


def test_what_was_not_recalled_stands_for_nothing() -> None:
    assert asked(body(user("Hi."), thread=CONTINUE)).messages == (Message("user", (Text("Hi."),)),)


# --- Counting ---


def test_the_tokens_of_a_thread_are_counted_with_all_that_came_before() -> None:
    data = json.dumps({"model": "claude-sonnet-4-5", "messages": [user("And?")], "thread": CONTINUE}).encode()
    recalled = past((FIRST, (Text("Hi."),)))
    assert ANTHROPIC_MESSAGES.references(data) == References(previous="msg_1")
    counted, request = parse_count(data, recalled), asked(data, recalled)
    assert (counted.messages, counted.system, counted.tools) == (request.messages, request.system, request.tools)
    assert len(counted.messages) == 3


def test_the_tools_that_a_system_message_changed_stay_so_and_what_it_said_for_one_turn_is_gone() -> None:
    added = {"type": "tool_addition", "tool": {"type": "tool_definition", "definition": {**LOOK, "name": "listen"}}}
    said = [added, {"type": "text", "text": "Now."}]
    first = body(user("Hi."), {"role": "system", "content": said, "clear_at": "next_user_message"}, tools=[LOOK])
    goes_on = asked(body(user("And?"), thread=CONTINUE), past((first, (Text("Hello."),))))
    assert [tool.name for tool in goes_on.tools] == ["look", "listen"]
    texts = [part.text for message in goes_on.messages for part in message.content if isinstance(part, Text)]
    assert texts == ["Hi.", "Hello.", "And?"]
