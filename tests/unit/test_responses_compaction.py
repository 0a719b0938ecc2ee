"""`POST /v1/responses/compact`: what is asked, and the answer: the user's messages and one sealed summary."""

import json
from typing import Any

import pytest
from openai.types.responses import CompactedResponse, ResponseCompactionItem
from openai.types.responses.response_item import ResponseItem
from pydantic import TypeAdapter

from augment_open_proxy.core.conversation import Message, Text, Thinking
from augment_open_proxy.core.errors import ErrorKind, Problem, ProxyError
from augment_open_proxy.core.events import Failure, Finish, Opening, Terminal, Usage
from augment_open_proxy.core.reply import Reply
from augment_open_proxy.dialects.dialect import NOTHING, Delivery, PastTurn, Recalled, References
from augment_open_proxy.dialects.openai_responses.compaction import (
    OPENAI_COMPACTION,
    render_compacted,
)
from augment_open_proxy.dialects.registry import DIALECTS
from augment_open_proxy.policies.seal import SUMMARY, unseal
from tests.pipeline import SECRET, upstream_request, whole

HEX = "0123456789abcdef0123456789abcdef"
OPENING = Opening(f"resp_{HEX}", 1_750_000_000, "gpt-5", 10)
DONE = Finish("stop", 1, Usage(7, 5))
HELLO: dict[str, Any] = {"role": "user", "content": "Hello."}
ANSWERED: dict[str, Any] = {"role": "assistant", "content": "Hi."}
CALL: dict[str, Any] = {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"}
OUTPUT: dict[str, Any] = {"type": "function_call_output", "call_id": "a", "output": "x"}
SUMMARIZED = b'{"text":"They said hello."}\n{"stop_reason":1,"nodes":[{"type":10,"token_usage":{"input_tokens":7}}]}\n'

_item: TypeAdapter[Any] = TypeAdapter(ResponseItem | ResponseCompactionItem)


def body(given: Any = "Hello.", **fields: Any) -> bytes:
    return json.dumps({"model": "gpt-5", "input": given, **fields}).encode()


def past(given: Any, answer: str) -> PastTurn:
    return PastTurn(body(given), Reply(OPENING, (Text(answer),), DONE))


def compacted(data: bytes, recalled: Recalled = NOTHING, end: Terminal = DONE) -> Any:
    """The answer to a request, the summary being sealed as `sealed`; it has the fields and items of the SDK."""
    reply = Reply(OPENING, (Thinking("", "sealed"),), end)
    answer = json.loads(render_compacted([reply], OPENAI_COMPACTION.parse(data, recalled).delivery))
    assert answer.keys() == {name for name, field in CompactedResponse.model_fields.items() if field.is_required()}
    for item in answer["output"]:
        _item.validate_python(item)
    return answer


# --- The request ---


def test_the_conversation_is_asked_to_be_compacted() -> None:
    data = body([HELLO, ANSWERED, CALL, OUTPUT], instructions="Be brief.", prompt_cache_key="k")
    asked = OPENAI_COMPACTION.parse(data).request
    assert asked.compacts
    assert (asked.model, asked.system, asked.conversation) == ("gpt-5", ("Be brief.",), "k")
    assert [message.role for message in asked.messages] == ["user", "assistant", "assistant", "user"]


@pytest.mark.parametrize("given", ["Hello.", [HELLO]])
def test_a_text_is_a_message_of_the_user(given: Any) -> None:
    assert OPENAI_COMPACTION.parse(body(given)).request.messages == (Message("user", (Text("Hello."),)),)


def test_a_stored_response_may_be_all_there_is_to_compact() -> None:
    asked = OPENAI_COMPACTION.parse(
        body(None, previous_response_id="resp_1"), Recalled((past("Hello.", "Hi."),))
    ).request
    assert asked.messages == (Message("user", (Text("Hello."),)), Message("assistant", (Text("Hi."),)))
    assert OPENAI_COMPACTION.references(body(None, previous_response_id="resp_1")) == References("resp_1")


def test_a_compaction_is_answered_whole_and_not_stored() -> None:
    parsed = OPENAI_COMPACTION.parse(body(stream=True, store=True, background=True))
    assert not parsed.delivery.stream
    assert parsed.keep is None


@pytest.mark.parametrize(
    ("data", "param"),
    [
        (body(None), "input"),
        (body([]), "input"),
        (body(5), "input"),
        (b'{"input": "Hello."}', "model"),
        (body(model=""), "model"),
        (body([HELLO, {"type": "video"}]), "input[1].type"),
        (body([{"type": "compaction_trigger"}, HELLO]), "input[0]"),
        (body(previous_response_id=5), "previous_response_id"),
    ],
)
def test_what_is_wrong_is_named_by_its_path(data: bytes, param: str) -> None:
    with pytest.raises(ProxyError) as caught:
        OPENAI_COMPACTION.parse(data)
    assert (caught.value.problem.kind, caught.value.problem.param) == (ErrorKind.INVALID_REQUEST, param)


def test_what_else_a_request_may_have_is_passed_over() -> None:
    assert OPENAI_COMPACTION.parse(body(tools=[{"type": "function", "name": "f"}], x=1)).request.tools == ()


# --- The answer ---


def test_the_answer_is_the_users_messages_and_the_summary() -> None:
    answer = compacted(body([HELLO, ANSWERED, CALL, OUTPUT, {**HELLO, "id": "msg_1"}]))
    assert [item["type"] for item in answer["output"]] == ["message", "message", "compaction"]
    assert [item["role"] for item in answer["output"][:2]] == ["user", "user"]
    assert answer["output"][0]["content"] == [{"type": "input_text", "text": "Hello."}]
    assert answer["output"][1]["id"] == "msg_1"
    assert answer["output"][2] == {"type": "compaction", "id": f"cmp_{HEX}0000", "encrypted_content": "sealed"}


def test_the_answer_says_what_it_is_and_what_it_took() -> None:
    answer = compacted(body())
    assert (answer["id"], answer["object"], answer["created_at"]) == (OPENING.id, "response.compaction", 1_750_000_000)
    assert (answer["usage"]["input_tokens"], answer["usage"]["output_tokens"]) == (7, 5)


def test_the_users_messages_of_stored_turns_come_first() -> None:
    recalled = Recalled((past("One.", "Hi."), past([{"role": "user", "content": "Two."}, CALL, OUTPUT], "Hi.")))
    answer = compacted(body("Three.", previous_response_id="resp_1"), recalled)
    *messages, summary = answer["output"]
    assert [message["content"][0]["text"] for message in messages] == ["One.", "Two.", "Three."]
    assert summary["type"] == "compaction"
    ids = [item["id"] for item in answer["output"]]
    assert len(set(ids)) == len(ids)


def test_so_do_those_of_a_conversation_and_those_that_are_named() -> None:
    def message(id_: str) -> dict[str, Any]:
        return {"type": "message", "id": id_, "role": "user", "content": [{"type": "input_text", "text": "Hi."}]}

    kept = tuple(json.dumps(item).encode() for item in (message("msg_1"), CALL, OUTPUT))
    named = {"msg_2": json.dumps(message("msg_2")).encode()}
    data = body([{"type": "item_reference", "id": "msg_2"}], conversation="conv_1")
    *messages, summary = compacted(data, Recalled(items=kept, by_id=named))["output"]
    assert [message["id"] for message in messages] == ["msg_1", "msg_2"]
    assert summary["type"] == "compaction"


def test_a_failure_is_no_answer() -> None:
    with pytest.raises(ValueError, match="only a finished reply"):
        compacted(body(), end=Failure(Problem(ErrorKind.BACKEND, "It broke.")))
    with pytest.raises(ValueError, match="only a finished reply"):
        render_compacted([Reply(OPENING, (), DONE)], Delivery())


# --- From end to end ---


def test_what_comes_out_can_be_sent_in_again() -> None:
    parsed = OPENAI_COMPACTION.parse(body([HELLO, ANSWERED]), NOTHING)
    assert b"about to be replaced by a summary" in upstream_request(parsed)
    reply = whole(OPENAI_COMPACTION, parsed, [SUMMARIZED])
    assert reply["status"] == 200
    output = reply["body"]["output"]
    assert unseal(SECRET, output[-1]["encrypted_content"], "", purpose=SUMMARY) == "They said hello."
    again = OPENAI_COMPACTION.parse(body([*output, {"role": "user", "content": "Bye."}]), NOTHING).request
    assert [message.role for message in again.messages] == ["user", "user", "user"]


def test_no_summary_is_an_error() -> None:
    parsed = OPENAI_COMPACTION.parse(body(), NOTHING)
    reply = whole(OPENAI_COMPACTION, parsed, [b'{"text":"They","stop_reason":2}\n'])
    assert reply["status"] == 502
    assert "did not come to the end" in reply["body"]["error"]["message"]


def test_it_has_paths_and_a_name_of_its_own() -> None:
    assert not {path for dialect in DIALECTS for path in dialect.paths} & set(OPENAI_COMPACTION.paths)
    assert OPENAI_COMPACTION.name not in [dialect.name for dialect in DIALECTS]
