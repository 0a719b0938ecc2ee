"""Chat Completions bodies → `ChatRequest`: what is read, what is refused, and which field an error names."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import pytest

from augment_open_proxy.core.conversation import (
    Attachment,
    ChatRequest,
    CustomTool,
    Effort,
    Grammar,
    Image,
    Message,
    Part,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from augment_open_proxy.core.errors import ErrorKind, Problem, ProxyError
from augment_open_proxy.dialects.dialect import Delivery, Keep
from augment_open_proxy.dialects.openai_chat import OPENAI_CHAT
from tests.pipeline import upstream_request

PNG = "iVBORw0KGgo="
HELLO: dict[str, Any] = {"role": "user", "content": "Hello."}


def body(*messages: Any, **fields: Any) -> bytes:
    return json.dumps({"model": "gpt-5", "messages": messages or [HELLO], **fields}).encode()


def request(*messages: Any, **fields: Any) -> ChatRequest:
    return OPENAI_CHAT.parse(body(*messages, **fields)).request


def refusal(data: bytes) -> Problem:
    with pytest.raises(ProxyError) as caught:
        OPENAI_CHAT.parse(data)
    assert caught.value.problem.kind is ErrorKind.INVALID_REQUEST
    return caught.value.problem


def parts(message: dict[str, Any]) -> tuple[Part, ...]:
    """What one message, after a user's, becomes."""
    return request(HELLO, message).messages[1].content


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


def picture(url: str = f"data:image/png;base64,{PNG}") -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, "detail": "high"}}


def call(id_: str, arguments: str | None) -> dict[str, Any]:
    return {"id": id_, "type": "function", "function": {"name": "f", "arguments": arguments}}


CUSTOM_CALL = {"id": "a", "type": "custom", "custom": {"name": "patch", "input": "raw\n"}}


# --- Messages ---


def test_each_role_has_its_place() -> None:
    asked = request(
        {"role": "system", "content": "One."},
        {"role": "developer", "content": "Two."},
        {"role": "user", "content": "Go."},
        {"role": "assistant", "content": None, "tool_calls": [call("a", "{}")]},
        {"role": "tool", "tool_call_id": "a", "content": "done"},
        {"role": "tool", "tool_call_id": "b", "content": None},
        {"role": "system", "content": "Three."},
    )
    assert asked.system == ("One.", "Two.")
    assert asked.messages == (
        Message("user", (Text("Go."),)),
        Message("assistant", (ToolCall("a", "f", "{}"),)),
        Message("user", (ToolResult("a", (Text("done"),)),)),
        Message("user", (ToolResult("b", ()),)),
        Message("system", (Text("Three."),)),
    )


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("Hi.", (Text("Hi."),)),
        ("", (Text(""),)),
        ("a\0b \U0001f600", (Text("a\0b \U0001f600"),)),
        ([text("a"), text("b")], (Text("a"), Text("b"))),
        ([text("Look:"), picture()], (Text("Look:"), Image("image/png", PNG))),
        ([{"type": "image_url", "image_url": f"DATA:image/png;base64,{PNG}"}], (Image("image/png", PNG),)),
    ],
)
def test_user_messages_and_tool_results_have_texts_and_pictures(content: Any, expected: tuple[Text | Image]) -> None:
    assert parts({"role": "user", "content": content}) == expected
    assert parts({"role": "tool", "tool_call_id": "a", "content": content}) == (ToolResult("a", expected),)


def test_system_parts_are_one_text_joined_with_nothing_between() -> None:
    assert request({"role": "developer", "content": [text("a"), text("b")]}, HELLO).system == ("ab",)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"content": "Hi."}, (Text("Hi."),)),
        ({"content": [text("a"), {"type": "refusal", "refusal": "No."}]}, (Text("a"), Text("No."))),
        ({"content": None, "refusal": "No."}, (Text("No."),)),
        ({"content": "", "tool_calls": [call("a", '{"x":1}')]}, (ToolCall("a", "f", '{"x":1}'),)),
        ({"tool_calls": [call("a", ""), call("b", None)]}, (ToolCall("a", "f", "{}"), ToolCall("b", "f", "{}"))),
        ({"content": "Hi.", "tool_calls": None, "refusal": None, "reasoning_content": ""}, (Text("Hi."),)),
        ({"content": "Hi.", "reasoning_content": "Hm.", "reasoning": "Hm."}, (Thinking("Hm."), Text("Hi."))),
        ({"content": "Hi.", "reasoning": "Hm."}, (Thinking("Hm."), Text("Hi."))),
        ({"tool_calls": [CUSTOM_CALL]}, (ToolCall("a", "patch", "raw\n", custom=True),)),
    ],
)
def test_assistant_messages(fields: dict[str, Any], expected: tuple[Part, ...]) -> None:
    assert parts({"role": "assistant", **fields}) == expected


def test_unknown_fields_are_accepted_anywhere() -> None:
    message = {"role": "user", "name": "me", "x": 1, "content": [{**text("Hello."), "cache_control": {"type": "e"}}]}
    tool = {"type": "function", "x": 1, "function": {"name": "f", "strict": True}}
    asked = OPENAI_CHAT.parse(body(message, x={"y": [1]}, store=True, search_parameters={}, tools=[tool]))
    assert asked.request.messages == (Message("user", (Text("Hello."),)),)


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ({}, "messages[1].role"),
        ({"role": "robot", "content": "x"}, "messages[1].role"),
        ({"role": "function", "name": "f", "content": "x"}, "messages[1].role"),
        ({"role": 5, "content": "x"}, "messages[1].role"),
        ("Hello.", "messages[1]"),
        ({"role": "user"}, "messages[1].content"),
        ({"role": "user", "content": None}, "messages[1].content"),
        ({"role": "user", "content": 5}, "messages[1].content"),
        ({"role": "user", "content": {"type": "text", "text": "x"}}, "messages[1].content"),
        ({"role": "user", "content": ["x"]}, "messages[1].content[0]"),
        ({"role": "user", "content": [{"text": "x"}]}, "messages[1].content[0].type"),
        ({"role": "user", "content": [{"type": "text", "text": None}]}, "messages[1].content[0].text"),
        ({"role": "user", "content": [{"type": "image_url"}]}, "messages[1].content[0].image_url"),
        ({"role": "user", "content": [{"type": "image_url", "image_url": {}}]}, "messages[1].content[0].image_url.url"),
        ({"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}, "messages[1].content[0].file"),
        ({"role": "user", "content": [picture("data:image/png;base64,AAAA")]}, "messages[1].content[0].image_url.url"),
        ({"role": "tool", "content": "x"}, "messages[1].tool_call_id"),
        ({"role": "tool", "content": "x", "tool_call_id": ""}, "messages[1].tool_call_id"),
        ({"role": "assistant", "tool_calls": {}}, "messages[1].tool_calls"),
        ({"role": "assistant", "tool_calls": [{"id": "a"}]}, "messages[1].tool_calls[0]"),
        ({"role": "assistant", "tool_calls": [{"function": {"name": "f"}}]}, "messages[1].tool_calls[0].id"),
        ({"role": "assistant", "tool_calls": [{"id": "a", "function": {}}]}, "messages[1].tool_calls[0].function.name"),
        ({"role": "assistant", "content": None, "function_call": {"name": "f"}}, "messages[1].function_call"),
        ({"role": "assistant", "audio": {"id": "audio_1"}}, "messages[1].audio"),
    ],
)
def test_a_bad_message_is_refused_by_its_path(message: Any, param: str) -> None:
    problem = refusal(body(HELLO, message))
    assert problem.param == param
    assert param in problem.message


@pytest.mark.parametrize(
    ("role", "types"),
    [
        ("user", ["input_audio", "tool_use", "input_text"]),
        ("system", ["image_url", "file"]),
        ("developer", ["image_url"]),
        ("assistant", ["image_url", "file", "image"]),
        ("tool", ["input_audio", "tool_result"]),
    ],
)
def test_a_part_that_cannot_be_sent_is_refused_and_never_dropped(role: str, types: list[str]) -> None:
    for type_ in types:
        part = {**picture(), "type": type_}
        problem = refusal(body(HELLO, {"role": role, "tool_call_id": "a", "content": [text("x"), part]}))
        assert problem.param == "messages[1].content[1].type"
        assert repr(type_) in problem.message


def test_what_stands_behind_a_url_is_to_be_fetched() -> None:
    param = "messages[1].content[0].image_url.url"
    assert parts({"role": "user", "content": [picture("https://x.test/a.png")]}) == (
        Attachment("image", param, url="https://x.test/a.png"),
    )


def test_a_pdf_is_a_document() -> None:
    file = {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERg==", "filename": "a.pdf"}}
    assert parts({"role": "user", "content": [file]}) == (
        Attachment("document", "messages[1].content[0].file.file_data", data="JVBERg==", title="a.pdf"),
    )


def test_anthropic_s_blocks_are_read_as_such() -> None:
    """Cursor sends them here."""
    call = {"type": "tool_use", "id": "toolu_1", "name": "run", "input": {"a": 1}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [text("done")], "is_error": True}
    source = {"type": "base64", "media_type": "image/png", "data": PNG}
    messages = request(
        HELLO,
        {"role": "assistant", "content": [text("So:"), call]},
        {"role": "user", "content": [result, {"type": "image", "source": source}]},
    ).messages
    assert messages[1].content == (Text("So:"), ToolCall("toolu_1", "run", '{"a": 1}'))
    assert messages[2].content == (
        ToolResult("toolu_1", (Text("done"),), is_error=True),
        Image("image/png", PNG),
    )


@pytest.mark.parametrize(
    "tool",
    [
        {"name": "run", "description": "Runs.", "input_schema": {"type": "object"}},
        {"type": "custom", "name": "run", "description": "Runs.", "input_schema": {"type": "object"}},
        {"type": "function", "name": "run", "description": "Runs.", "parameters": {"type": "object"}},
    ],
)
def test_tools_in_the_shapes_of_the_other_apis(tool: dict[str, Any]) -> None:
    (read,) = request(tools=[tool]).tools
    assert isinstance(read, Tool)
    assert (read.name, read.description, json.loads(bytes(read.schema))) == ("run", "Runs.", {"type": "object"})


# --- Tools ---

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
NO_PARAMETERS = {"type": "object", "properties": {}}


@pytest.mark.parametrize(
    ("tool", "name", "description", "schema"),
    [
        ({"function": {"name": "f", "description": "Does f.", "parameters": SCHEMA}}, "f", "Does f.", SCHEMA),
        ({"function": {"name": "f"}}, "f", "", NO_PARAMETERS),
        ({"function": {"name": "f", "description": None, "parameters": None}}, "f", "", NO_PARAMETERS),
        ({"function": {"name": "f", "parameters": {}}}, "f", "", {}),
        # Codex 0.94 puts the name beside the function.
        ({"name": "f", "description": "d", "function": {"parameters": SCHEMA, "strict": False}}, "f", "d", SCHEMA),
    ],
)
def test_function_tools(tool: dict[str, Any], name: str, description: str, schema: Any) -> None:
    (read,) = request(tools=[{"type": "function", **tool}]).tools
    assert isinstance(read, Tool)
    assert (read.name, read.description, json.loads(bytes(read.schema))) == (name, description, schema)


LARK = {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: /a/"}}
NO_GRAMMAR = {"type": "grammar"}


@pytest.mark.parametrize(
    ("custom", "expected"),
    [
        ({"name": "f"}, CustomTool("f", "")),
        ({"name": "f", "description": "d", "format": {"type": "text"}}, CustomTool("f", "d")),
        ({"name": "f", "format": LARK}, CustomTool("f", "", Grammar("lark", "start: /a/"))),
    ],
)
def test_custom_tools(custom: dict[str, Any], expected: CustomTool) -> None:
    assert request(tools=[{"type": "custom", "custom": custom}]).tools == (expected,)


@pytest.mark.parametrize(
    ("tool", "param"),
    [
        ({"function": {"name": "f"}}, "tools[1].type"),
        ({"type": "web_search"}, "tools[1].type"),
        ({"type": "function"}, "tools[1].function"),
        ({"type": "function", "function": {}}, "tools[1].function.name"),
        ({"type": "function", "function": {"name": "f", "parameters": []}}, "tools[1].function.parameters"),
        ({"type": "function", "function": {"name": "f", "parameters": "{}"}}, "tools[1].function.parameters"),
        ({"type": "custom"}, "tools[1].custom"),
        ({"type": "custom", "custom": {}}, "tools[1].custom.name"),
        ({"type": "custom", "custom": {"name": ""}}, "tools[1].custom.name"),
        ({"type": "custom", "custom": {"name": "f", "format": NO_GRAMMAR}}, "tools[1].custom.format.grammar"),
    ],
)
def test_a_bad_tool_is_refused_by_its_path(tool: Any, param: str) -> None:
    good = {"type": "function", "function": {"name": "good"}}
    assert refusal(body(tools=[good, tool])).param == param


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, ToolChoice()),
        ("auto", ToolChoice()),
        ("none", ToolChoice("none")),
        ("required", ToolChoice("required")),
        ({"type": "function", "function": {"name": "f"}}, ToolChoice("required", ("f",))),
        ({"type": "custom", "custom": {"name": "f"}}, ToolChoice("required", ("f",))),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "name": "f"}]}},
            ToolChoice("auto", ("f",)),
        ),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "f"}}]},
            },
            ToolChoice("required", ("f",)),
        ),
    ],
)
def test_tool_choice(choice: Any, expected: ToolChoice) -> None:
    assert request(tool_choice=choice).tool_choice == expected


@pytest.mark.parametrize(
    "choice", ["maybe", 5, {"type": "function"}, {"type": "allowed_tools"}, {"type": "web_search"}]
)
def test_a_tool_choice_that_is_none_is_refused(choice: Any) -> None:
    assert refusal(body(tool_choice=choice)).param == "tool_choice"


@pytest.mark.parametrize(
    ("fields", "limit"),
    [
        ({}, None),
        ({"max_tokens": 5}, 5),
        ({"max_completion_tokens": 6}, 6),
        ({"max_tokens": 5, "max_completion_tokens": 6}, 6),
    ],
)
def test_limits(fields: dict[str, Any], limit: int | None) -> None:
    assert request(**fields).max_output_tokens == limit


@pytest.mark.parametrize("limit", [0, -1, "5", 1.5, True])
def test_a_limit_that_is_none_is_refused(limit: Any) -> None:
    assert refusal(body(max_tokens=limit)).param == "max_tokens"


@pytest.mark.parametrize(("stop", "read"), [(None, ()), ("a", ("a",)), (["a", "b"], ("a", "b")), ([], ())])
def test_stop_sequences(stop: Any, read: tuple[str, ...]) -> None:
    assert request(stop=stop).stop == read


@pytest.mark.parametrize("stop", ["", [""], [5], 5])
def test_stop_sequences_that_are_none_are_refused(stop: Any) -> None:
    assert refusal(body(stop=stop)).param == "stop"


# --- Parameters ---


@pytest.mark.parametrize(
    ("fields", "effort"),
    [
        ({}, None),
        ({"reasoning_effort": None, "reasoning": None}, None),
        *(({"reasoning_effort": effort}, effort) for effort in get_args(Effort)),
        ({"reasoning_effort": "HIGH"}, "high"),
        ({"reasoning": {"effort": "high", "summary": "auto"}}, "high"),
        ({"reasoning_effort": "low", "reasoning": {"effort": "high"}}, "high"),
        ({"reasoning_effort": "low", "reasoning": {"effort": None}}, "low"),
    ],
)
def test_effort(fields: dict[str, Any], effort: str | None) -> None:
    assert request(**fields).effort == effort


@pytest.mark.parametrize(
    ("fields", "delivery"),
    [
        ({"stream": None, "stream_options": None}, Delivery()),
        ({"stream": True}, Delivery(stream=True)),
        ({"stream": True, "stream_options": {"include_usage": None}}, Delivery(stream=True)),
        ({"stream": True, "stream_options": {"include_usage": True, "x": 1}}, Delivery(True, include_usage=True)),
    ],
)
def test_delivery(fields: dict[str, Any], delivery: Delivery) -> None:
    assert OPENAI_CHAT.parse(body(**fields)).delivery == delivery


@pytest.mark.parametrize(
    ("fields", "keep"),
    [
        ({}, None),
        ({"store": None, "metadata": {"a": "b"}}, None),
        ({"store": False, "metadata": {"a": "b"}}, None),
        ({"store": True}, Keep()),
        ({"store": True, "metadata": None}, Keep()),
        ({"store": True, "metadata": {"a": "b"}}, Keep(metadata={"a": "b"})),
    ],
)
def test_what_is_stored(fields: dict[str, Any], keep: Keep | None) -> None:
    assert OPENAI_CHAT.parse(body(**fields)).keep == keep
    assert OPENAI_CHAT.keeps == "completion"


MOST_METADATA: dict[str, str] = {f"{i:064}": "v" * 512 for i in range(16)}


def test_metadata_has_room_for_sixteen_texts() -> None:
    kept = OPENAI_CHAT.parse(body(store=True, metadata=MOST_METADATA)).keep
    assert kept is not None
    assert kept.metadata == MOST_METADATA


@pytest.mark.parametrize(
    "metadata",
    ["a", ["a"], 5, {"a": 1}, {"a": None}, {"a": ["b"]}, {**MOST_METADATA, "a": "b"}, {"k" * 65: ""}, {"k": "v" * 513}],
)
def test_metadata_that_could_not_be_kept_is_refused(metadata: Any) -> None:
    problem = refusal(body(store=True, metadata=metadata))
    assert problem.param == "metadata"
    assert problem.message.startswith("metadata")


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"temperature": None, "stop": None, "tool_choice": None, "parallel_tool_calls": None, "n": 1}, ()),
        ({"tool_choice": "auto", "parallel_tool_calls": True, "logprobs": False}, ()),
        ({"temperature": 0.7, "max_tokens": 10}, ("temperature",)),
        ({"temperature": 0, "seed": 0}, ("temperature", "seed")),
        ({"stop": ["x"], "response_format": {"type": "text"}}, ()),
        ({"web_search_options": {}}, ("web_search_options",)),
        ({"moderation": {"model": "omni-moderation-latest"}}, ("moderation",)),
        ({"presence_penalty": 0, "frequency_penalty": 0.0, "logit_bias": {}, "prediction": None}, ()),
        ({"presence_penalty": -1, "frequency_penalty": 0.5}, ("presence_penalty", "frequency_penalty")),
        ({"verbosity": "high"}, ("verbosity",)),
        ({"verbosity": "medium"}, ()),
    ],
)
def test_parameters_without_effect_are_named(fields: dict[str, Any], named: tuple[str, ...]) -> None:
    assert request(**fields).ignored == named


@pytest.mark.parametrize(
    ("data", "param"),
    [
        (b'{"messages":[{"role":"user","content":"x"}]}', "model"),
        (body(model=None), "model"),
        (body(model=" "), "model"),
        (b'{"model":"m"}', "messages"),
        (b'{"model":"m","messages":{}}', "messages"),
        (b'{"model":"m","messages":[]}', "messages"),
        (body(stream="true"), "stream"),
        (body(stream_options=True), "stream_options"),
        (body(n=0), "n"),
        (body(n=17), "n"),
        (body(n=10**30), "n"),
        (body(reasoning_effort="huge"), "reasoning_effort"),
        (body(reasoning_effort=3), "reasoning_effort"),
        (body(reasoning="high"), "reasoning"),
        (body(reasoning={"effort": "huge"}), "reasoning.effort"),
        (body(reasoning_effort="huge", reasoning={"effort": ""}), "reasoning_effort"),
    ],
)
def test_a_bad_field_is_refused_by_its_name(data: bytes, param: str) -> None:
    assert refusal(data).param == param


# --- Bodies that are no JSON, or no request ---

DEEP = "[" * 100_000 + "]" * 100_000


def raw(field: str) -> bytes:
    return body()[:-1] + b", " + field.encode("utf-8", "surrogateescape") + b"}"


def schema(value: str) -> bytes:
    return raw(f'"tools": [{{"type": "function", "function": {{"name": "f", "parameters": {{"a": {value}}}}}}}]')


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="cut"),
        pytest.param(b"null", id="null"),
        pytest.param(b"\xff\xfe{\x00}\x00", id="UTF-16"),
        pytest.param(body() + b"x", id="trailing"),
        pytest.param(body(model="a?b").replace(b"?", b"\0"), id="NUL in a text"),
        pytest.param(body(model="a?b").replace(b"?", b"\xff"), id="invalid UTF-8"),
        pytest.param(raw('"x": NaN'), id="NaN"),
        pytest.param(raw('"x": "\udcff"'), id="invalid UTF-8 in an unknown field"),
        pytest.param(raw(f'"x": {DEEP}'), id="deep unknown field"),
        pytest.param(raw(f'"stop": {DEEP}'), id="deep ignored field"),
        pytest.param(schema(DEEP), id="deep schema"),
        pytest.param(schema('"\udcff"'), id="invalid UTF-8 in a schema"),
        pytest.param(schema("1,"), id="bad JSON in a schema"),
        pytest.param(b"[" * 100_000, id="deep body"),
    ],
)
def test_what_is_no_json_object_is_refused(data: bytes) -> None:
    problem = refusal(data)
    assert problem.message.startswith("The body ")
    assert len(problem.message) < 300


def test_a_lone_surrogate_becomes_the_replacement_character() -> None:
    assert request({"role": "user", "content": "a\ud800b"}).messages == (Message("user", (Text("a\ufffdb"),)),)
    (tool,) = OPENAI_CHAT.parse(schema('"\\udc00"')).request.tools
    assert isinstance(tool, Tool)
    assert json.loads(bytes(tool.schema)) == {"a": "\ufffd"}


# --- What real clients send ---

CAPTURES = sorted(Path(__file__).parents[3].glob("shared/captures/*chat_completions*.json"))


@pytest.mark.skipif(not CAPTURES, reason="../shared/captures, the requests of real clients, is missing")
@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.name.partition(".POST")[0])
def test_a_real_client_gets_a_sound_backend_request(path: Path) -> None:
    sent = json.loads(path.read_text())["body"]
    parsed = OPENAI_CHAT.parse(json.dumps(sent).encode())
    asked = json.loads(upstream_request(parsed))
    assert parsed.delivery.stream is bool(sent.get("stream"))
    assert len(asked.get("tool_definitions", [])) == len(sent.get("tools", []))
    for definition in asked.get("tool_definitions", []):
        assert definition["name"]
        assert isinstance(json.loads(definition["input_schema_json"]), dict)
    turns = [(entry["request_nodes"], entry["response_nodes"]) for entry in asked["chat_history"]]
    turns.append((asked["nodes"], []))
    assert all(nodes for nodes, _ in turns)
    for nodes in (nodes for turn in turns for nodes in turn):
        assert [node["id"] for node in nodes] == list(range(len(nodes)))
    for (_, answer), (results, _) in pairwise(turns):
        called = {node["tool_use"]["tool_use_id"] for node in answer if "tool_use" in node}
        answered = {node["tool_result_node"]["tool_use_id"] for node in results if "tool_result_node" in node}
        assert called == answered
        assert all(
            isinstance(json.loads(node["tool_use"]["input_json"]), dict) for node in answer if "tool_use" in node
        )
