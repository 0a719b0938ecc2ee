"""Messages bodies → `ChatRequest`: what is read, what is refused, and which field an error names."""

import json
from pathlib import Path
from typing import Any

import pytest

from augment_open_proxy.core.conversation import ChatRequest, Message, Text, Thinking, ToolCall, ToolChoice, ToolResult
from augment_open_proxy.core.errors import ErrorKind, Problem, ProxyError
from augment_open_proxy.dialects.anthropic_messages.request import parse, parse_count
from augment_open_proxy.dialects.dialect import Delivery, Parsed
from tests.pipeline import upstream_request

HELLO: dict[str, Any] = {"role": "user", "content": "Hello."}
SEARCH = {"type": "web_search_20250305", "name": "web_search", "max_uses": 8}


def body(*messages: Any, **fields: Any) -> bytes:
    return json.dumps({"model": "claude-sonnet-4-5", "messages": messages or [HELLO], **fields}).encode()


def request(*messages: Any, **fields: Any) -> ChatRequest:
    return parse(body(*messages, **fields)).request


def refusal(data: bytes) -> Problem:
    with pytest.raises(ProxyError) as caught:
        parse(data)
    return caught.value.problem


def text(value: str, **fields: Any) -> dict[str, Any]:
    return {"type": "text", "text": value, **fields}


# --- System ---


@pytest.mark.parametrize(
    ("system", "expected"),
    [
        (None, ()),
        ("", ()),
        ([], ()),
        ("Be brief.", ("Be brief.",)),
        ([text("a"), text("b", cache_control={"type": "ephemeral", "ttl": "1h"}), text("c", citations=None)], ("abc",)),
        ([text("")], ()),
    ],
)
def test_system_is_one_text_its_blocks_joined_with_nothing_between(system: Any, expected: tuple[str, ...]) -> None:
    assert request(system=system).system == expected


def test_the_billing_block_of_claude_code_is_left_out_wherever_it_stands() -> None:
    """It differs with every request, and would spoil the backend's cache."""
    billing = text("x-anthropic-billing-header: cc_version=2.1.330.abc; cch=12345;")
    assert request(system=[billing, text("a"), text("b")]).system == ("ab",)
    assert request(system=[text("a"), billing]).system == ("a",)
    assert request(system=[billing]).system == ()
    assert request(system=[text("About the x-anthropic-billing-header:")]).system != ()


def test_system_takes_text_only() -> None:
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
    problem = refusal(body(system=[text("a"), picture]))
    assert (problem.kind, problem.param) == (ErrorKind.INVALID_REQUEST, "system[1]")
    assert refusal(body(system=[{"type": "text"}])).param == "system[0]"


# --- Messages ---


def test_each_role_has_its_place_and_system_messages_stay_where_they_stand() -> None:
    asked = request(
        HELLO,
        {"role": "system", "content": "One."},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": "sealed"},
                text("Hi."),
                {"type": "tool_use", "id": "a", "name": "run", "input": {"x": 1}},
            ],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "done"}, text("And?")]},
        {"role": "system", "content": [text("Two."), text("Three.")]},
    )
    assert asked.system == ()
    assert asked.messages == (
        Message("user", (Text("Hello."),)),
        Message("system", (Text("One."),)),
        Message("assistant", (Thinking("Hm.", "sealed"), Text("Hi."), ToolCall("a", "run", '{"x": 1}'))),
        Message("user", (ToolResult("a", (Text("done"),)), Text("And?"))),
        Message("system", (Text("Two."), Text("Three."))),
    )
    sent = json.loads(upstream_request(parse(body(*CONVERSATION))))
    assert sent["nodes"][-1]["text_node"]["content"] == "System: Last."
    assert "System: Last." in sent["message"]
    assert "System" not in sent["chat_history"][0]["response_text"], "never the assistant's words"


CONVERSATION = [HELLO, {"role": "assistant", "content": "Hi."}, HELLO, {"role": "system", "content": "Last."}]


def test_a_system_message_can_be_first_and_be_followed_by_the_assistant() -> None:
    sent = json.loads(
        upstream_request(
            parse(body({"role": "system", "content": "First."}, HELLO, {"role": "assistant", "content": "Hi."}, HELLO))
        )
    )
    assert sent["chat_history"][0]["request_nodes"][0]["text_node"]["content"] == "System: First."


def test_a_system_message_may_hold_only_its_effort() -> None:
    """`output_config` on a system message stands without content (BetaSystemMessageParam)."""
    asked = request(HELLO, {"role": "system", "output_config": {"effort": "low"}})
    assert asked.messages[0] == Message("user", (Text("Hello."),))


def once(content: str) -> dict[str, Any]:
    return {"role": "system", "content": content, "clear_at": "next_user_message"}


def test_a_system_message_for_one_turn_is_shown_until_the_user_s_next_message() -> None:
    answer = {"role": "assistant", "content": "Hi."}
    for_ever = {"role": "system", "content": "Always.", "clear_at": "never"}
    assert texts(request(HELLO, once("Now."), for_ever)) == ["Hello.", "Now.", "Always."]
    assert texts(request(HELLO, once("Now."), for_ever, answer, HELLO)) == ["Hello.", "Always.", "Hi.", "Hello."]
    assert texts(request(HELLO, once("Now."), answer, HELLO, once("Then."))) == ["Hello.", "Hi.", "Hello.", "Then."]


def texts(asked: ChatRequest) -> list[str]:
    return [part.text for message in asked.messages for part in message.content if isinstance(part, Text)]


def test_content_is_a_string_or_blocks() -> None:
    assert request({"role": "user", "content": [text("a"), text("b")]}).messages[0].content == (Text("a"), Text("b"))
    assert request({"role": "user", "content": "a\0b \U0001f600"}).messages[0].content == (Text("a\0b \U0001f600"),)


def test_halves_of_characters_become_replacement_characters_in_text_and_in_arguments() -> None:
    asked = request(
        {"role": "user", "content": "cut \ud83d"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "run", "input": {"x": "\ud83d"}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "\ude00"}]},
    )
    assert asked.messages[0].content == (Text("cut \ufffd"),)
    (call,) = asked.messages[1].content
    assert isinstance(call, ToolCall)
    assert json.loads(call.arguments) == {"x": "\ufffd"}


# --- Thinking and effort ---


@pytest.mark.parametrize(
    ("thinking", "effort", "output"),
    [
        (None, None, "none"),
        ({"type": "disabled"}, "none", "none"),
        ({"type": "enabled"}, "low", "sealed"),
        ({"type": "enabled", "budget_tokens": None}, "low", "sealed"),
        ({"type": "enabled", "budget_tokens": -1}, "low", "sealed"),
        ({"type": "enabled", "budget_tokens": 0}, "low", "sealed"),
        ({"type": "enabled", "budget_tokens": 1024}, "low", "sealed"),
        ({"type": "enabled", "budget_tokens": 4096}, "low", "sealed"),
        ({"type": "enabled", "budget_tokens": 4097}, "medium", "sealed"),
        ({"type": "enabled", "budget_tokens": 16384}, "medium", "sealed"),
        ({"type": "enabled", "budget_tokens": 16385, "display": "updates"}, "high", "sealed"),
        ({"type": "enabled", "budget_tokens": 31999, "display": "omitted"}, "high", "omitted"),
        ({"type": "adaptive"}, None, "sealed"),
        ({"type": "adaptive", "display": "summarized"}, None, "sealed"),
        ({"type": "adaptive", "display": "omitted"}, None, "omitted"),
        ({"type": "between_tools"}, None, "sealed"),
    ],
)
def test_thinking_gives_the_effort_and_how_thinking_is_shown(thinking: Any, effort: str | None, output: str) -> None:
    asked = request(thinking=thinking)
    assert (asked.effort, asked.thinking) == (effort, output)


@pytest.mark.parametrize("effort", ["low", "medium", "high", "xhigh", "max"])
@pytest.mark.parametrize(
    "thinking", [None, {"type": "adaptive"}, {"type": "enabled", "budget_tokens": 1024}, {"type": "disabled"}]
)
def test_the_effort_of_output_config_wins_over_the_budget(effort: str, thinking: Any) -> None:
    assert request(output_config={"effort": effort}, thinking=thinking).effort == effort


def test_an_output_config_without_effort_leaves_it_to_the_budget() -> None:
    thinking = {"type": "enabled", "budget_tokens": 8192}
    for config in (None, {}, {"effort": None}, {"format": {"type": "json_schema", "schema": {}}}):
        assert request(output_config=config, thinking=thinking).effort == "medium"


def test_an_unknown_effort_is_refused() -> None:
    problem = refusal(body(output_config={"effort": "ultra"}))
    assert problem.param == "output_config.effort"
    assert "ultra" in problem.message


# --- The session ---


UUID = "9c0ff8a2-6ff3-4f0e-9c6e-0d3f3f6a3b11"


@pytest.mark.parametrize(
    ("user_id", "session"),
    [
        (json.dumps({"device_id": "d", "account_uuid": "", "session_id": UUID}), UUID),
        (f"user_0f1e2d_account__session_{UUID}", UUID),
        (f"user_0f1e2d_account_a-b-c_session_{UUID}", UUID),
        ("somebody", None),
        ("", None),
        (None, None),
        ("{}", None),
        ('{"session_id":null}', None),
        ('{"session_id":7}', None),
        ('{"device_id":"of_session_five"}', None),
        ("[]", None),
        ("{", None),
        ("user_x_session_", None),
    ],
)
def test_the_session_is_in_the_user_id_as_json_or_after_session(user_id: str | None, session: str | None) -> None:
    assert (request(metadata={"user_id": user_id}).conversation or None) == session


# --- What is accepted ---


def test_the_stream_flag() -> None:
    for given, expected in ((True, True), (False, False), (None, False)):
        assert parse(body(stream=given)).delivery == Delivery(stream=expected)
    assert parse(body()).delivery == Delivery(stream=False)


def test_unknown_fields_and_betas_are_accepted_anywhere() -> None:
    edits = {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}
    fields: dict[str, Any] = {"context_management": edits, "betas": ["x-1"], "cache_control": {"type": "ephemeral"}}
    fields |= {"speed": "fast", "service_tier": "auto", "brand_new": [{}]}
    block = text("Hi.", cache_control={"type": "ephemeral"}, brand_new={"source": 1})
    message = {"role": "user", "content": [block], "clear_at": "never", "id": "msg_1"}
    assert request(message, **fields).messages == (Message("user", (Text("Hi."),)),)


def test_nulls_are_as_absence() -> None:
    names = ["system", "tools", "tool_choice", "thinking", "output_config", "metadata", "thread", "stream"]
    names += ["max_tokens", "stop_sequences", "temperature", "top_p", "top_k", "context_management", "container"]
    assert parse(body(**dict.fromkeys(names))) == parse(body())


@pytest.mark.parametrize(
    ("fields", "ignored"),
    [
        ({}, ()),
        ({"max_tokens": 128000}, ()),
        ({"temperature": 0}, ("temperature",)),
        ({"top_p": 0.5, "top_k": 1, "stop_sequences": ["x"]}, ("top_p", "top_k")),
        ({"stop_sequences": []}, ()),
        ({"tool_choice": {"type": "auto"}}, ()),
        ({"tool_choice": {"type": "none"}}, ()),
        ({"speed": "fast", "fallbacks": [{"model": "m"}]}, ("fallbacks", "speed")),
        ({"speed": "standard", "fallbacks": []}, ()),
        ({"output_config": {"task_budget": {"type": "tokens", "total": 20000}}}, ("output_config.task_budget",)),
        ({"output_config": {"effort": "low", "task_budget": None}}, ()),
    ],
)
def test_parameters_without_effect_are_listed(fields: dict[str, Any], ignored: tuple[str, ...]) -> None:
    assert request(**fields).ignored == ignored


@pytest.mark.parametrize(
    ("choice", "expected", "most"),
    [
        (None, ToolChoice(), None),
        ({"type": "auto"}, ToolChoice(), None),
        ({"type": "none"}, ToolChoice("none"), None),
        ({"type": "any"}, ToolChoice("required"), None),
        ({"type": "tool", "name": "f"}, ToolChoice("required", ("f",)), None),
        ({"type": "auto", "disable_parallel_tool_use": True}, ToolChoice(), 1),
    ],
)
def test_tool_choice(choice: Any, expected: ToolChoice, most: int | None) -> None:
    asked = request(tool_choice=choice)
    assert (asked.tool_choice, asked.max_tool_calls) == (expected, most)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}}, "output_config.format"),
        ({"output_format": {"type": "json_schema", "schema": {"type": "object"}}}, "output_format"),
    ],
)
def test_structured_output(fields: dict[str, Any], param: str) -> None:
    wanted = request(**fields).output_format
    assert wanted is not None
    assert (wanted.param, json.loads(bytes(wanted.schema))) == (f"{param}.schema", {"type": "object"})


def test_limit_and_stop_sequences() -> None:
    asked = request(max_tokens=10, stop_sequences=["a", "b", "a"])
    assert (asked.max_output_tokens, asked.stop) == (10, ("a", "b"))


def test_mcp_servers_which_anthropic_would_call_are_not_dropped_in_silence() -> None:
    asked = request(mcp_servers=[{"type": "url", "url": "https://mcp.example/sse", "name": "m"}])
    assert "mcp_servers" in (*asked.ignored, *asked.left_out)


# --- Errors ---


@pytest.mark.parametrize(
    ("data", "param"),
    [
        (b'{"messages":[]}', "model"),
        (b'{"model":"m"}', "messages"),
        (b'{"model":" ","messages":[{"role":"user","content":"x"}]}', "model"),
        (b'{"model":"m","messages":[]}', "messages"),
        (body("Hi."), "messages[0]"),
        (body({"content": "x"}), "messages[0].role"),
        (body({"role": "user"}), "messages[0].content"),
        (body({"role": "user", "content": 5}), "messages[0].content"),
        (body({"role": "tool", "content": "x"}), "messages[0].role"),
        (body(HELLO, {"role": "user", "content": [{"text": "x"}]}), "messages[1].content[0].type"),
        (body(HELLO, {"role": "user", "content": [{"type": "text"}]}), "messages[1].content[0].text"),
        (body(HELLO, {"role": "user", "content": [{"type": "text", "text": 5}]}), "messages[1].content[0].text"),
        (body(thinking={"budget_tokens": 5}), "thinking.type"),
        (body(thinking={"type": "enabled", "budget_tokens": "many"}), "thinking.budget_tokens"),
        (body(tool_choice="auto"), "tool_choice"),
        (body(stream="yes"), "stream"),
        (body(tools=[{"input_schema": {"type": "object"}}]), "tools[0].name"),
        (body(tools=[{"type": "function", "function": {"name": "f"}}]), "tools[0].type"),
        (body(tools=[{"name": "f", "input_schema": {}, "input_examples": ["a"]}]), "tools[0].input_examples[0]"),
        (body(max_tokens=0), "max_tokens"),
        (body(compaction={"type": "summarize"}), "compaction"),
    ],
)
def test_errors_name_the_field_by_its_path(data: bytes, param: str) -> None:
    problem = refusal(data)
    assert (problem.kind, problem.param) == (ErrorKind.INVALID_REQUEST, param)
    assert param in problem.message


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b'"text"', b"\xff", b'{"model":"\xff","messages":[]}'])
def test_what_is_no_json_object_is_an_invalid_request(data: bytes) -> None:
    assert refusal(data).kind is ErrorKind.INVALID_REQUEST


def test_a_trailing_assistant_turn_is_refused_before_the_backend_sees_it() -> None:
    parsed = parse(body(HELLO, {"role": "assistant", "content": "The answer is ("}))
    with pytest.raises(ProxyError) as caught:
        upstream_request(parsed)
    assert caught.value.problem.kind is ErrorKind.INVALID_REQUEST


# --- Counting ---


def test_count_tokens_reads_the_same_request() -> None:
    fields = {"system": "s", "tools": [{"name": "f", "input_schema": {"type": "object"}}], "thinking": None}
    assert parse_count(body(*CONVERSATION, **fields)) == request(*CONVERSATION, **fields)


def test_a_server_tool_alone_can_be_counted_as_nothing_runs() -> None:
    assert parse_count(body(tools=[SEARCH])).left_out == ("web_search_20250305",)


# --- The captures of real clients ---

CAPTURES = Path(__file__).parents[3] / "shared" / "captures"
NAMES = sorted(path.name for path in CAPTURES.glob("*POST_v1_messages*.json"))


@pytest.mark.skipif(not NAMES, reason="../shared/captures, the requests of real clients, are not here")
@pytest.mark.parametrize("name", NAMES)
def test_what_real_clients_send_gives_a_sound_backend_request(name: str) -> None:
    asked = json.loads((CAPTURES / name).read_bytes())["body"]
    data = json.dumps(asked).encode()
    tools = asked.get("tools") or []
    if tools and all(tool.get("type", "custom").startswith("web_") for tool in tools):
        assert "servers" in refusal(data).message
        return
    parsed = Parsed(parse_count(data), Delivery()) if "count_tokens" in name else parse(data)
    assert parsed.delivery.stream == bool(asked.get("stream"))
    check_sound(json.loads(upstream_request(parsed)), asked)


def check_sound(sent: Any, asked: Any) -> None:
    """What the backend insists on, and that nothing of the request is missing."""
    turns = [*sent["chat_history"], {"request_nodes": sent["nodes"], "response_nodes": []}]
    called: list[str] = []
    for turn in turns:
        nodes = turn["request_nodes"]
        assert [node["id"] for node in nodes] == list(range(len(nodes)))
        results = [node["tool_result_node"]["tool_use_id"] for node in nodes if node["type"] == 1]
        assert sorted(results) == sorted(called), "each call has its result in the next turn"
        calls = [node["tool_use"] for node in turn["response_nodes"] if node["type"] == 5]
        assert all(isinstance(json.loads(call["input_json"]), dict) for call in calls)
        called = [call["tool_use_id"] for call in calls]
    assert not called
    defined = sent.get("tool_definitions", [])
    assert all(isinstance(json.loads(tool["input_schema_json"]), dict) for tool in defined)
    client_tools = [tool["name"] for tool in asked.get("tools", []) if "input_schema" in tool]
    assert [tool["name"] for tool in defined] == client_tools
    nodes = [node for turn in turns for node in turn["request_nodes"]]
    inside = [inner for node in nodes for inner in node.get("tool_result_node", {}).get("content_nodes", [])]
    pictures = [node for node in nodes if node["type"] == 2] + [node for node in inside if node["type"] == 2]
    assert len(pictures) == json.dumps(asked["messages"]).count('"type": "image"')
    for message in asked["messages"]:
        blocks = [text(message["content"])] if isinstance(message["content"], str) else message["content"]
        for block in blocks:
            if block["type"] == "text":
                assert json.dumps(block["text"])[1:-1] in json.dumps(sent)
