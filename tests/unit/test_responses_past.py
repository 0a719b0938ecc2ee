"""What a Responses request goes on from: stored turns and conversations, as if the client had sent them itself."""

import json
from typing import Any

import pytest

from augment_open_proxy.core.conversation import Attachment, ChatRequest, Message, Text, Thinking, ToolCall, ToolResult
from augment_open_proxy.core.errors import ProxyError
from augment_open_proxy.core.events import Block, Finish, Opening, Usage
from augment_open_proxy.core.reply import Reply
from augment_open_proxy.core.steps import whole
from augment_open_proxy.dialects.dialect import PastTurn, Recalled
from augment_open_proxy.dialects.openai_responses.items import GO_ON, PLACE, parse_past
from augment_open_proxy.dialects.openai_responses.request import parse

HELLO: dict[str, Any] = {"role": "user", "content": "Hello."}
TRIGGER: dict[str, Any] = {"type": "compaction_trigger"}
REFERENCE: dict[str, Any] = {"type": "item_reference", "id": "msg_1"}


def whole_past(recalled: Recalled) -> tuple[Message, ...]:
    return whole(parse_past(recalled))


def body(given: Any, **fields: Any) -> bytes:
    return json.dumps({"model": "gpt-5", "input": given, **fields}).encode()


def past(given: Any, *blocks: Block, **fields: Any) -> PastTurn:
    """A stored turn: its input, and the blocks of its reply."""
    return PastTurn(body(given, **fields), Reply(Opening("resp_1", 0, "m", 1), blocks, Finish("stop", 1, Usage())))


def raw(*items: Any) -> tuple[bytes, ...]:
    return tuple(json.dumps(item).encode() for item in items)


def said(role: Any, text: str) -> Message:
    return Message(role, (Text(text),))


def asked(given: Any, recalled: Recalled, **fields: Any) -> ChatRequest:
    return parse(body(given, **fields), recalled).request


# --- Turns ---


def test_a_chain_goes_on_as_if_all_had_been_sent_again() -> None:
    recalled = Recalled(
        (
            past(
                [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Look, and patch."}],
                Thinking("Hm.", "seal"),
                Text("I look."),
                ToolCall("a", "look", '{"at":1}'),
                ToolCall("b", "patch", "raw", custom=True),
            ),
            past(
                [
                    {"type": "function_call_output", "call_id": "a", "output": "A tree."},
                    {"type": "custom_tool_call_output", "call_id": "b", "output": "done"},
                ],
                Text("Done."),
            ),
        )
    )
    whole = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "Look, and patch."},
        {
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": "Hm."}],
            "encrypted_content": "seal",
        },
        {"role": "assistant", "content": [{"type": "output_text", "text": "I look."}]},
        {"type": "function_call", "call_id": "a", "name": "look", "arguments": '{"at":1}'},
        {"type": "custom_tool_call", "call_id": "b", "name": "patch", "input": "raw"},
        {"type": "function_call_output", "call_id": "a", "output": "A tree."},
        {"type": "custom_tool_call_output", "call_id": "b", "output": "done"},
        {"role": "assistant", "content": [{"type": "output_text", "text": "Done."}]},
        {"role": "user", "content": "And now?"},
    ]
    assert asked("And now?", recalled) == asked(whole, Recalled())


def test_the_instructions_and_tools_of_earlier_turns_are_not_those_of_this_one() -> None:
    tools = [{"type": "function", "name": "f"}]
    request = asked("Bye.", Recalled((past("Hi.", Text("Hello."), instructions="Be brief.", tools=tools),)))
    assert (request.system, request.tools) == ((), ())


def test_tools_in_items_of_earlier_turns_are_still_offered_and_the_latest_of_a_name_counts() -> None:
    def added(description: str) -> dict[str, Any]:
        tool = {"type": "function", "name": "look", "description": description, "parameters": {"type": "object"}}
        return {"type": "additional_tools", "role": "developer", "tools": [tool]}

    older, newer = past([added("Old."), HELLO], Text("Hi.")), past([added("New."), HELLO], Text("Hi."))
    (tool,) = asked("Go.", Recalled((older, newer))).tools
    assert tool.description == "New."
    (tool,) = asked([added("Own."), HELLO], Recalled((older, newer))).tools
    assert tool.description == "Own."
    assert asked("Go.", Recalled(items=raw(added("Kept.")))).tools[0].description == "Kept."


def test_a_turn_may_have_had_no_input_and_no_answer() -> None:
    assert whole_past(Recalled((past(None), past([]), past("Hi.")))) == (said("user", "Hi."),)


def test_without_input_the_model_goes_on_from_the_answer() -> None:
    assert asked(None, Recalled((past("Hi.", Text("Half of")),))).messages == (
        said("user", "Hi."),
        said("assistant", "Half of"),
        said("user", GO_ON),
    )


def test_text_that_had_to_be_mended_is_mended_again() -> None:
    """A stored body is as the client sent it, lone surrogates and all."""
    assert whole_past(Recalled((past("a\ud800b"),))) == (said("user", "a\ufffdb"),)


def test_a_turn_refers_to_what_it_referred_to() -> None:
    recalled = Recalled((past([REFERENCE, HELLO], Text("Hi.")),), by_id={"msg_1": raw(said_by_user("Before."))[0]})
    assert whole_past(recalled) == (said("user", "Before."), said("user", "Hello."), said("assistant", "Hi."))


def test_what_is_kept_of_a_request_says_itself_what_it_took_from_before() -> None:
    tool = {"type": "namespace", "name": "ns", "tools": [{"type": "function", "name": "look"}]}
    added = {"type": "additional_tools", "role": "developer", "tools": [tool]}
    recalled = Recalled((past([added, HELLO], Text("Hi.")),), by_id={"msg_1": raw(said_by_user("Before."))[0]})
    own = {"type": "additional_tools", "tools": [{"type": "local_shell"}]}
    given = body([own, REFERENCE, HELLO], tools=[{"type": "function", "name": "f"}], previous_response_id="resp_1")
    parsed = parse(given, recalled)
    assert parsed.body is not None
    again = parse(parsed.body)
    assert again.delivery == parsed.delivery
    assert again.request.tools == parsed.request.tools
    assert again.request.messages == parsed.request.messages[2:] == (said("user", "Before."), said("user", "Hello."))
    assert parse(parsed.body, recalled).body is None
    assert parse(body("Hi."), Recalled((past("Hi.", Text("Hello.")),))).body is None


def said_by_user(text: str) -> dict[str, Any]:
    return {"type": "message", "id": "msg_1", "role": "user", "content": [{"type": "input_text", "text": text}]}


# --- Conversations ---


def test_the_items_of_a_conversation_come_before_the_input() -> None:
    call = {"type": "function_call", "id": "fc_1", "call_id": "a", "name": "f", "arguments": "{}"}
    output = {"type": "function_call_output", "id": "fco_1", "call_id": "a", "output": "x"}
    assert asked("So?", Recalled(items=raw(HELLO, call, output)), conversation="conv_1").messages == (
        said("user", "Hello."),
        Message("assistant", (ToolCall("a", "f", "{}"),)),
        Message("user", (ToolResult("a", (Text("x"),)),)),
        said("user", "So?"),
    )


def test_an_item_may_be_referred_to_again() -> None:
    recalled = Recalled(items=raw(said_by_user("Hello.")), by_id={"msg_1": raw(said_by_user("Hello."))[0]})
    assert asked([REFERENCE], recalled, conversation="conv_1").messages == (said("user", "Hello."),) * 2


def test_an_empty_conversation_is_as_good_as_none() -> None:
    assert asked("Hi.", Recalled(), conversation="conv_1").messages == asked("Hi.", Recalled()).messages


def test_what_is_wrong_with_a_stored_item_is_not_blamed_on_the_input() -> None:
    with pytest.raises(ProxyError) as caught:
        asked("Hi.", Recalled(items=raw({"type": "video"})))
    assert (caught.value.problem.param or "").startswith(PLACE)


# --- Compactions ---


def test_a_compaction_stands_for_all_that_came_before_it() -> None:
    recalled = Recalled(
        (
            past("Hi.", Text("Hello.")),
            past([HELLO, TRIGGER], Thinking("", "sealed")),
            past("And?", Text("That was it.")),
        )
    )
    assert whole_past(recalled) == (
        Message("user", (Attachment("summary", PLACE, data="sealed"),)),
        said("user", "And?"),
        said("assistant", "That was it."),
    )


def test_in_a_conversation_it_does_too() -> None:
    compaction = {"type": "compaction", "id": "cmp_1", "encrypted_content": "sealed"}
    request = asked("And?", Recalled(items=raw(HELLO, compaction, {"role": "user", "content": "Bye."})))
    assert [message.content[0] for message in request.messages] == [
        Attachment("summary", f"{PLACE}.encrypted_content", data="sealed"),
        Text("Bye."),
        Text("And?"),
    ]


def test_thinking_is_a_summary_only_where_one_was_asked_for() -> None:
    assert whole_past(Recalled((past([HELLO], Thinking("", "seal"), Text("Hi.")),))) == (
        said("user", "Hello."),
        Message("assistant", (Thinking("", "seal"),)),
        said("assistant", "Hi."),
    )


def test_a_past_can_be_compacted_without_any_input_of_its_own() -> None:
    request = asked([TRIGGER], Recalled((past("Hi.", Text("Hello.")),)))
    assert request.compacts
    assert request.messages == (said("user", "Hi."), said("assistant", "Hello."))
