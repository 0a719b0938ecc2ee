"""Items of a Responses input → messages: each type, role and content part; nothing is dropped in silence."""

import json
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from augment_open_proxy.core.conversation import (
    Attachment,
    Image,
    Message,
    Part,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from augment_open_proxy.core.errors import ErrorKind, Problem, ProxyError
from augment_open_proxy.core.steps import whole
from augment_open_proxy.dialects.openai_responses.items import (
    GO_ON,
    continued,
    ends_with_trigger,
    messages_of,
    read_input,
)
from augment_open_proxy.dialects.openai_responses.request import parse

PNG = "iVBORw0KGgo="
PNG_URL = f"data:image/png;base64,{PNG}"
PDF = "JVBERi0xLjQ="
ROLES = ("user", "assistant", "system", "developer")
OUTPUTS = ("function_call_output", "custom_tool_call_output", "local_shell_call_output")


def messages(*items: Any, by_id: Mapping[str, bytes] = {}) -> tuple[Message, ...]:
    given = [msgspec.Raw(json.dumps(item).encode()) for item in items]
    return whole(messages_of(whole(read_input(given)), by_id))


def part(item: dict[str, Any]) -> Part:
    """The only part of the only message that an item becomes."""
    (message,) = messages(item)
    (only,) = message.content
    return only


def refusal(*items: Any) -> Problem:
    with pytest.raises(ProxyError) as caught:
        messages(*items)
    assert caught.value.problem.kind is ErrorKind.INVALID_REQUEST
    return caught.value.problem


def user(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(content)}


# --- Messages ---


@pytest.mark.parametrize("type_", [{}, {"type": None}, {"type": "message"}])
@pytest.mark.parametrize("role", ROLES)
def test_a_message_has_a_role_and_may_have_a_type(role: str, type_: dict[str, Any]) -> None:
    expected: Any = "system" if role == "developer" else role
    assert messages({**type_, "role": role, "content": "Hi."}) == (Message(expected, (Text("Hi."),)),)


@pytest.mark.parametrize("kind", ["input_text", "output_text", "text"])
@pytest.mark.parametrize("role", ROLES)
def test_each_text_part_is_a_text_in_each_role(role: str, kind: str) -> None:
    (message,) = messages({"role": role, "content": [{"type": kind, "text": "a"}, {"type": kind, "text": ""}]})
    assert message.content == (Text("a"), Text(""))


def test_an_output_message_comes_back_as_it_was_given() -> None:
    text = {"type": "output_text", "text": "Hi.", "annotations": [{"type": "url_citation"}], "logprobs": []}
    item = {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "phase": "final_answer"}
    refused = {"type": "refusal", "refusal": "No."}
    assert messages({**item, "content": [text, refused]}) == (Message("assistant", (Text("Hi."), Text("No."))),)


@pytest.mark.parametrize("content", [None, "", []])
def test_a_message_may_be_empty(content: Any) -> None:
    (message,) = messages({"role": "user", "content": content})
    assert all(given == Text("") for given in message.content)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"type": "input_image", "image_url": PNG_URL, "detail": "high"}, Image("image/png", PNG)),
        (
            {"type": "input_image", "image_url": "https://example.com/a.png"},
            Attachment("image", "input[0].content[0].image_url", url="https://example.com/a.png"),
        ),
        (
            {"type": "input_file", "filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF}"},
            Attachment("document", "input[0].content[0].file_data", data=PDF, title="a.pdf"),
        ),
        (
            {"type": "input_file", "file_data": PDF},
            Attachment("document", "input[0].content[0].file_data", data=PDF),
        ),
        (
            {"type": "input_file", "file_url": "https://example.com/a.pdf"},
            Attachment("document", "input[0].content[0].file_url", url="https://example.com/a.pdf"),
        ),
    ],
)
def test_images_and_files_are_carried(given: dict[str, Any], expected: Part) -> None:
    assert part(user(given)) == expected


@pytest.mark.parametrize("role", ["assistant", "system", "developer"])
@pytest.mark.parametrize(
    "given", [{"type": "input_image", "image_url": PNG_URL}, {"type": "input_file", "file_data": PDF}]
)
def test_only_users_send_images_and_files(role: str, given: dict[str, Any]) -> None:
    problem = refusal({"role": role, "content": [given]})
    assert problem.param == "input[0].content[0].type"
    assert given["type"] in problem.message


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"type": "input_image", "file_id": "file-1"}, ".file_id"),
        ({"type": "input_file", "file_id": "file-1"}, ".file_id"),
        ({"type": "input_image"}, ".type"),
        ({"type": "input_image", "image_url": {"url": PNG_URL}}, ".image_url"),
        ({"type": "input_image", "image_url": "data:image/png,raw"}, ".image_url"),
        ({"type": "input_file"}, ".type"),
        ({"type": "input_file", "file_data": "data:text/plain;base64,YQ=="}, ".file_data"),
        ({"type": "input_audio", "input_audio": {"data": "", "format": "mp3"}}, ".type"),
        ({"type": "video"}, ".type"),
        ({"type": "input_text"}, ".text"),
        ({"type": "output_text", "text": None}, ".text"),
        ({"type": "refusal"}, ".type"),
    ],
)
def test_parts_that_cannot_be_carried_are_refused_by_path(given: dict[str, Any], field: str) -> None:
    assert refusal({"role": "user", "content": "Hi."}, user(given)).param == "input[1].content[0]" + field


@pytest.mark.parametrize("role", ["tool", "critic", "", "USER"])
def test_an_unknown_role_is_refused_by_path(role: str) -> None:
    assert refusal({"role": role, "content": "Hi."}).param == "input[0].role"


@pytest.mark.parametrize("item", [{"content": "Hi."}, {"type": "message", "content": "Hi."}])
def test_a_missing_role_is_what_is_told(item: dict[str, Any]) -> None:
    problem = refusal(item)
    assert problem.param == "input[0].role"
    assert "missing" in problem.message


# --- Calls and their outputs ---


@pytest.mark.parametrize(
    ("item", "call"),
    [
        ({"type": "function_call", "name": "f", "arguments": '{"x":1}'}, ToolCall("a", "f", '{"x":1}')),
        ({"type": "function_call", "name": "f", "arguments": ""}, ToolCall("a", "f", "{}")),
        ({"type": "function_call", "name": "f", "arguments": None}, ToolCall("a", "f", "{}")),
        ({"type": "custom_tool_call", "name": "p", "input": "raw\n"}, ToolCall("a", "p", "raw\n", custom=True)),
        ({"type": "custom_tool_call", "name": "p", "input": ""}, ToolCall("a", "p", "", custom=True)),
    ],
)
def test_calls_are_the_assistants(item: dict[str, Any], call: ToolCall) -> None:
    sent = {"id": "fc_1", "status": "completed", "call_id": "a", **item}
    assert messages(sent) == (Message("assistant", (call,)),)


def test_a_shell_call_is_a_call_with_its_action() -> None:
    action = {"type": "exec", "command": ["ls"], "env": {}, "working_directory": "/"}
    call = part({"type": "local_shell_call", "id": "lsh_1", "call_id": "a", "status": "completed", "action": action})
    assert isinstance(call, ToolCall)
    assert (call.id, call.name, call.custom) == ("a", "local_shell", False)
    assert json.loads(call.arguments) == action


@pytest.mark.parametrize("fields", [{}, {"action": None}])
def test_a_shell_call_without_action_is_a_call_without_arguments(fields: dict[str, Any]) -> None:
    assert part({"type": "local_shell_call", "call_id": "a", **fields}) == ToolCall("a", "local_shell", "{}")


@pytest.mark.parametrize("kind", OUTPUTS)
@pytest.mark.parametrize(
    ("output", "content"),
    [
        ("done", (Text("done"),)),
        ("", (Text(""),)),
        (None, ()),
        ([], ()),
        ([{"type": "input_text", "text": "a"}, {"type": "output_text", "text": "b"}], (Text("a"), Text("b"))),
        (
            [{"type": "input_text", "text": "Look:"}, {"type": "input_image", "image_url": PNG_URL}],
            (Text("Look:"), Image("image/png", PNG)),
        ),
        (
            [{"type": "input_file", "filename": "a.pdf", "file_data": PDF}],
            (Attachment("document", "input[0].output[0].file_data", data=PDF, title="a.pdf"),),
        ),
    ],
)
def test_outputs_are_results_with_texts_images_and_files(kind: str, output: Any, content: Any) -> None:
    sent = {"type": kind, "id": "o_1", "call_id": "a", "output": output, "status": "completed"}
    assert messages(sent) == (Message("user", (ToolResult("a", content),)),)


def test_the_output_of_a_shell_may_name_its_call_by_its_own_id() -> None:
    """The reference has no `call_id` there."""
    item = {"type": "local_shell_call_output", "id": "a", "output": '{"output":"x"}'}
    assert part(item) == ToolResult("a", (Text('{"output":"x"}'),))


@pytest.mark.parametrize("kind", OUTPUTS)
def test_parts_of_outputs_are_refused_by_path(kind: str) -> None:
    output = [{"type": "input_text", "text": "a"}, {"type": "encrypted_content", "encrypted_content": "x"}]
    assert refusal({"type": kind, "call_id": "a", "output": output}).param == "input[0].output[1].type"


@pytest.mark.parametrize(
    ("item", "param"),
    [
        ({"type": "function_call", "name": "f", "arguments": "{}"}, "input[0].call_id"),
        ({"type": "function_call", "call_id": "a", "arguments": "{}"}, "input[0].name"),
        ({"type": "function_call", "call_id": "a", "name": "f", "arguments": {}}, "input[0].arguments"),
        ({"type": "custom_tool_call", "call_id": "a", "input": "x"}, "input[0].name"),
        ({"type": "custom_tool_call", "name": "p", "input": "x"}, "input[0].call_id"),
        ({"type": "local_shell_call", "id": "lsh_1", "action": {}}, "input[0].call_id"),
        ({"type": "function_call_output", "id": "o_1", "output": "x"}, "input[0].call_id"),
        ({"type": "custom_tool_call_output", "output": "x"}, "input[0].call_id"),
        ({"type": "function_call_output", "call_id": "a", "output": 5}, "input[0].output"),
    ],
)
def test_what_a_call_lacks_is_named(item: dict[str, Any], param: str) -> None:
    assert refusal(item).param == param


# --- Reasoning ---


@pytest.mark.parametrize(
    ("fields", "thinking"),
    [
        ({"summary": [], "encrypted_content": "seal"}, Thinking("", "seal")),
        ({"summary": [{"type": "summary_text", "text": "Hm."}], "encrypted_content": "seal"}, Thinking("Hm.", "seal")),
        (
            {"summary": [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}]},
            Thinking("ab", ""),
        ),
        ({"summary": None, "content": None, "encrypted_content": None}, Thinking("", "")),
        (
            {"summary": [], "content": [{"type": "reasoning_text", "text": "x"}], "status": "completed"},
            Thinking("", ""),
        ),
    ],
)
def test_reasoning_is_thinking_whose_seal_is_to_be_checked(fields: dict[str, Any], thinking: Thinking) -> None:
    assert messages({"type": "reasoning", "id": "rs_1", **fields}) == (Message("assistant", (thinking,)),)


# --- What OpenAI's servers did in an earlier turn ---

SERVER_ITEMS: list[tuple[dict[str, Any], tuple[str, ...]]] = [
    (
        {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "Q1"}},
        ("web_search_call", "Q1"),
    ),
    (
        {"type": "file_search_call", "id": "fs_1", "queries": ["Q1"], "results": [{"filename": "F1", "text": "T1"}]},
        ("file_search_call", "Q1", "F1", "T1"),
    ),
    (
        {"type": "code_interpreter_call", "id": "ci_1", "code": "CODE", "outputs": [{"type": "logs", "logs": "LOGS"}]},
        ("code_interpreter_call", "CODE", "LOGS"),
    ),
    (
        {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": PNG, "revised_prompt": "R1"},
        ("image_generation_call", "R1"),
    ),
    (
        {"type": "mcp_call", "id": "mcp_1", "server_label": "L1", "name": "N1", "arguments": '{"a":1}', "output": "O1"},
        ("mcp_call", "N1", '{"a":1}', "O1"),
    ),
    (
        {"type": "mcp_call", "id": "mcp_1", "server_label": "L1", "name": "N1", "arguments": "{}", "error": "E1"},
        ("mcp_call", "N1", "E1"),
    ),
    ({"type": "mcp_list_tools", "id": "l", "server_label": "L1", "tools": [{"name": "N1"}]}, ("mcp_list_tools", "N1")),
    (
        {"type": "computer_call", "call_id": "a", "action": {"type": "click", "x": 17, "y": 4}},
        ("computer_call", "click", "17"),
    ),
    ({"type": "computer_call_output", "call_id": "a", "output": {"type": "computer_screenshot"}}, ("computer_call",)),
    ({"type": "tool_search_call", "call_id": "a", "arguments": {"query": "Q1"}}, ("tool_search_call", "Q1")),
    (
        {"type": "tool_search_output", "call_id": "a", "tools": [{"type": "function", "name": "N1"}]},
        ("tool_search_output", "N1"),
    ),
    ({"type": "shell_call", "call_id": "a", "action": {"commands": ["ls -l"]}}, ("shell_call", "ls -l")),
    (
        {"type": "shell_call_output", "call_id": "a", "output": [{"stdout": "OUT", "stderr": "ERR"}]},
        ("shell_call_output", "OUT", "ERR"),
    ),
    (
        {"type": "apply_patch_call", "call_id": "a", "operation": {"type": "create_file", "path": "P1", "diff": "D1"}},
        ("apply_patch_call", "P1", "D1"),
    ),
    (
        {"type": "apply_patch_call_output", "call_id": "a", "status": "completed", "output": "O1"},
        ("apply_patch_call_output", "O1"),
    ),
    ({"type": "apply_patch_call_output", "call_id": "a", "status": "failed"}, ("apply_patch_call_output", "failed")),
    ({"type": "program", "id": "p", "call_id": "a", "code": "CODE", "fingerprint": "F1"}, ("program", "CODE")),
    (
        {"type": "program_output", "id": "p", "call_id": "a", "status": "incomplete", "result": "R1"},
        ("incomplete", "R1"),
    ),
]


@pytest.mark.parametrize(("item", "words"), SERVER_ITEMS, ids=[item["type"] for item, _ in SERVER_ITEMS])
def test_what_a_server_tool_did_is_told_in_words(item: dict[str, Any], words: tuple[str, ...]) -> None:
    said = part(item)
    assert isinstance(said, Text)
    for word in words:
        assert word in said.text


def test_that_a_server_tool_ended_well_and_its_opaque_fields_are_no_words_for_the_model() -> None:
    program = {"type": "program", "id": "p", "call_id": "a", "status": "completed", "code": "CODE", "fingerprint": "F1"}
    assert part(program) == Text("[program: code: CODE]")


def test_the_base64_of_a_generated_image_is_no_text_for_the_model() -> None:
    said = part({"type": "image_generation_call", "id": "ig_1", "result": PNG})
    assert isinstance(said, Text)
    assert PNG not in said.text


@pytest.mark.parametrize(
    "item",
    [
        {"type": "ghost_snapshot"},
        {"type": "video"},
        {"type": ""},
    ],
    ids=lambda item: item["type"],
)
def test_unknown_items_are_refused_by_path(item: dict[str, Any]) -> None:
    problem = refusal({"role": "user", "content": "Hi."}, item)
    assert problem.param == "input[1].type"
    assert repr(item["type"]) in problem.message


# --- References ---

ITEM = {"type": "function_call", "id": "fc_1", "call_id": "a", "name": "f", "arguments": "{}"}
BY_ID = {"fc_1": json.dumps(ITEM).encode(), "ref_1": b'{"type": "item_reference", "id": "ref_1"}'}


def referring(*items: Any) -> tuple[Message, ...]:
    return messages(*items, by_id=BY_ID)


@pytest.mark.parametrize(
    "reference", [{"type": "item_reference", "id": "fc_1"}, {"type": None, "id": "fc_1"}, {"id": "fc_1"}]
)
def test_a_reference_is_the_item_in_its_place(reference: Any) -> None:
    """The AI SDK sends them for all earlier turns unless it is told `store: false`; `type` is optional there."""
    asked, answered = user({"type": "input_text", "text": "Go."}), {"role": "assistant", "content": "Gone."}
    assert referring(asked, reference, answered) == messages(asked, ITEM, answered)


def test_a_reference_to_what_was_not_recalled_stands_for_nothing() -> None:
    assert messages({"type": "item_reference", "id": "fc_1"}) == ()


def test_a_reference_to_a_reference_leads_nowhere() -> None:
    assert referring({"type": "item_reference", "id": "ref_1"}) == ()


@pytest.mark.parametrize("id_", [{}, {"id": None}, {"id": ""}])
def test_a_reference_needs_an_id(id_: dict[str, Any]) -> None:
    assert refusal({"type": "item_reference", **id_}).param == "input[0].id"


# --- Compaction ---

TRIGGER = {"type": "compaction_trigger"}


def ends(*items: Any) -> bool:
    return ends_with_trigger(whole(read_input([msgspec.Raw(json.dumps(item).encode()) for item in items])))


@pytest.mark.parametrize("kind", ["compaction", "compaction_summary"])
def test_a_compaction_is_a_summary_that_has_to_be_unsealed(kind: str) -> None:
    """By its older name too."""
    item = {"type": kind, "id": "cmp_1", "encrypted_content": "sealed"}
    assert messages(item) == (Message("user", (Attachment("summary", "input[0].encrypted_content", data="sealed"),)),)


@pytest.mark.parametrize("content", [{}, {"encrypted_content": None}, {"encrypted_content": ""}])
def test_a_compaction_without_its_content_is_left_to_be_refused_where_it_is_unsealed(content: dict[str, Any]) -> None:
    assert part({"type": "compaction", **content}) == Attachment("summary", "input[0].encrypted_content", data="")


def test_a_trigger_is_no_message() -> None:
    assert messages({"role": "user", "content": "Hi."}, TRIGGER) == messages({"role": "user", "content": "Hi."})


@pytest.mark.parametrize("items", [[TRIGGER], [user(), TRIGGER], [user({"type": "input_text", "text": "a"}), TRIGGER]])
def test_a_trigger_at_the_end_asks_for_compaction(items: list[Any]) -> None:
    assert ends(*items)


@pytest.mark.parametrize("items", [[], [user()], [{"role": "user", "content": 'Say "compaction_trigger".'}]])
def test_nothing_else_asks_for_compaction(items: list[Any]) -> None:
    assert not ends(*items)
    assert not ends_with_trigger(whole(read_input(None)))
    assert not ends_with_trigger(whole(read_input("compaction_trigger")))


@pytest.mark.parametrize("items", [[TRIGGER, user()], [user(), TRIGGER, user(), TRIGGER], [TRIGGER, TRIGGER]])
def test_what_follows_a_trigger_would_be_lost_and_is_refused(items: list[Any]) -> None:
    with pytest.raises(ProxyError) as caught:
        ends(*items)
    place = f"input[{items.index(TRIGGER)}]"
    assert caught.value.problem.param == place
    assert place in caught.value.problem.message


# --- The order ---


def test_each_item_is_a_message_in_its_order() -> None:
    made = messages(
        {"role": "user", "content": "Go."},
        {"type": "reasoning", "summary": [], "encrypted_content": "seal"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I look."}]},
        {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "a", "output": "x"},
    )
    assert [type(message.content[0]) for message in made] == [Text, Thinking, Text, ToolCall, ToolResult]
    assert [message.role for message in made] == ["user", "assistant", "assistant", "assistant", "user"]


# --- Pictures of server tools ---


def test_a_screenshot_is_a_picture() -> None:
    output = {"type": "computer_screenshot", "image_url": PNG_URL}
    (made,) = messages({"type": "computer_call_output", "call_id": "a", "output": output})
    assert made.role == "user"
    said, shown = made.content
    assert isinstance(said, Text)
    assert PNG not in said.text
    assert shown == Image("image/png", PNG)


def test_what_a_call_drew_is_left_out() -> None:
    """The backend takes no pictures of the model."""
    drawn = {"type": "code_interpreter_call", "code": "CODE", "outputs": [{"type": "image", "url": PNG_URL}]}
    said = part(drawn)
    assert isinstance(said, Text)
    assert "CODE" in said.text
    assert PNG not in said.text


def test_text_that_only_looks_like_a_picture_is_told() -> None:
    said = part({"type": "shell_call_output", "call_id": "a", "output": [{"stdout": "data:image/svg+xml,<svg/>"}]})
    assert isinstance(said, Text)
    assert "data:image/svg+xml,<svg/>" in said.text


# --- In one go, and one by one ---

HI = user({"type": "input_text", "text": "Hi."})
SEARCH = {"type": "web_search_call", "action": {"type": "search", "query": "trains"}}
SCREEN = {"type": "computer_call_output", "call_id": "a", "output": {"type": "computer_screenshot"}}


@pytest.mark.parametrize(
    "input_",
    [
        None,
        "Hi.",
        5,
        [],
        [HI, {"id": "msg_1"}],
        [HI, {"type": "compaction", "encrypted_content": "seal"}, {"type": "compaction_trigger"}],
        [HI, {"type": "additional_tools", "tools": [{"type": "custom", "name": "f"}]}],
        [SEARCH, HI],
        [SCREEN, HI],
        [SEARCH, HI, SCREEN],
        [SEARCH, user({"type": "input_text", "text": 5})],
        [SCREEN, 5],
        [HI, {"type": "unknown", "name": 5}],
    ],
)
def test_items_are_read_in_one_go_as_one_by_one(input_: Any) -> None:
    body = json.dumps({"model": "gpt-5", "input": input_}).encode()
    at_once, one_by_one = [outcome(data) for data in (body, body + b" " * (2 * 2**20))]
    assert at_once == one_by_one


def outcome(body: bytes) -> Any:
    try:
        return parse(body)
    except ProxyError as error:
        return error.problem


# --- The end of the input ---

ANSWER = Message("assistant", (Text("Half of"),))
THOUGHT = Message("assistant", (Thinking("Hm.", "seal"),))
ASKED = Message("user", (Text("Hi."),))
CALL = Message("assistant", (ToolCall("a", "f", "{}"),))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((ASKED,), (ASKED,)),
        ((ASKED, THOUGHT), (ASKED,)),
        ((ASKED, THOUGHT, THOUGHT), (ASKED,)),
        ((ASKED, THOUGHT, ANSWER), (ASKED, THOUGHT, ANSWER, Message("user", (Text(GO_ON),)))),
        ((ASKED, CALL), (ASKED, CALL)),  # what is missing here is told, not made up
        ((), ()),
    ],
)
def test_a_reply_that_broke_off_is_taken_up(given: tuple[Message, ...], expected: tuple[Message, ...]) -> None:
    assert continued(given) == expected
