"""Responses bodies → `ChatRequest`: each parameter of the reference, what is refused, and what the response repeats."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from augment_open_proxy.core.conversation import ChatRequest, Effort, Message, Text, Tool
from augment_open_proxy.core.errors import ErrorKind, Problem, ProxyError
from augment_open_proxy.core.remembered import LARGEST
from augment_open_proxy.dialects.dialect import NO_REFERENCES, NOTHING, Keep, Recalled, References
from augment_open_proxy.dialects.openai_responses import OPENAI_RESPONSES
from augment_open_proxy.dialects.openai_responses.reply import Shape
from augment_open_proxy.dialects.openai_responses.request import IGNORED, parse
from tests.pipeline import upstream_request

HELLO: dict[str, Any] = {"role": "user", "content": "Hello."}
ENCRYPTED = "reasoning.encrypted_content"
FUNCTION: dict[str, Any] = {"type": "function", "name": "f", "parameters": {"type": "object"}}


def body(**fields: Any) -> bytes:
    return json.dumps({"model": "gpt-5", "input": "Hello.", **fields}).encode()


def request(**fields: Any) -> ChatRequest:
    return parse(body(**fields)).request


def echo(**fields: Any) -> Any:
    """What the response object repeats of a request."""
    shape = parse(body(**fields)).delivery.shape
    assert isinstance(shape, Shape)
    return msgspec.json.decode(msgspec.json.encode(shape.echo))


def refusal(data: bytes, recalled: Recalled = NOTHING) -> Problem:
    with pytest.raises(ProxyError) as caught:
        parse(data, recalled)
    assert caught.value.problem.kind is ErrorKind.INVALID_REQUEST
    return caught.value.problem


# --- What is asked ---


def test_errors_name_the_input() -> None:
    assert request().place == "input"


def test_text_is_a_message_of_the_user_and_instructions_come_before_all() -> None:
    asked = request(instructions="Be brief.")
    assert asked.model == "gpt-5"
    assert asked.system == ("Be brief.",)
    assert asked.messages == (Message("user", (Text("Hello."),)),)


def test_instructions_alone_are_something_to_answer() -> None:
    asked = parse(json.dumps({"model": "gpt-5", "instructions": "Greet."}).encode()).request
    assert (asked.system, asked.messages) == (("Greet.",), ())


def test_system_and_developer_messages_stay_where_they_stand() -> None:
    asked = request(input=[{"role": "developer", "content": "One."}, HELLO, {"role": "system", "content": "Two."}])
    assert [message.role for message in asked.messages] == ["system", "user", "system"]


@pytest.mark.parametrize("effort", get_args(Effort))
def test_the_effort_is_that_of_the_reasoning(effort: str) -> None:
    assert request(reasoning={"effort": effort}).effort == effort


@pytest.mark.parametrize("reasoning", [None, {}, {"effort": None}])
def test_without_effort_there_is_none(reasoning: Any) -> None:
    assert request(reasoning=reasoning).effort is None


SUMMARIES: tuple[Any, ...] = (
    {"summary": "auto"},
    {"summary": "concise"},
    {"summary": "detailed", "effort": "low"},
    {"generate_summary": "auto"},  # the deprecated name, still in the reference
)
NO_SUMMARIES: tuple[Any, ...] = (None, {}, {"effort": "high"}, {"summary": None}, {"summary": "none"})


@pytest.mark.parametrize("include", [None, [], [ENCRYPTED]])
def test_the_summary_of_reasoning_is_shown_where_it_is_asked_for(include: Any) -> None:
    """Whatever is stored is sealed as well, so that it can come back from the store as ours."""
    for reasoning in SUMMARIES:
        assert request(reasoning=reasoning, include=include).thinking == "carried"
    for reasoning in NO_SUMMARIES:
        assert request(reasoning=reasoning, include=include).thinking == "omitted"


def test_without_store_reasoning_is_sealed_only_for_a_client_that_takes_the_seals() -> None:
    for reasoning in SUMMARIES:
        assert request(store=False, reasoning=reasoning).thinking == "plain"
        assert request(store=False, reasoning=reasoning, include=[ENCRYPTED]).thinking == "carried"
    for reasoning in NO_SUMMARIES:
        assert request(store=False, reasoning=reasoning).thinking == "none"
        assert request(store=False, reasoning=reasoning, include=[ENCRYPTED]).thinking == "omitted"


@pytest.mark.parametrize("store", [True, False])
def test_the_seals_are_shown_where_they_are_asked_for(store: bool) -> None:
    for include, shown in (([ENCRYPTED], True), (["message.input_image.image_url"], False), ([], False), (None, False)):
        shape = parse(body(store=store, include=include)).delivery.shape
        assert isinstance(shape, Shape)
        assert shape.gives_seals is shown


def test_the_cache_key_names_the_conversation() -> None:
    assert request(prompt_cache_key="session-1").conversation == "session-1"
    assert request().conversation is None


@pytest.mark.parametrize(("sent", "streams"), [(True, True), (False, False), (None, False)])
def test_only_stream_true_streams(sent: bool | None, streams: bool) -> None:
    assert parse(body(stream=sent)).delivery.stream is streams
    assert parse(body()).delivery.stream is False


@pytest.mark.parametrize("choice", [None, "auto", "required", {"type": "function", "name": "f"}])
def test_tools_are_offered_unless_none_may_be_called(choice: Any) -> None:
    asked = json.loads(upstream_request(parse(body(tools=[FUNCTION], tool_choice=choice))))
    assert [definition["name"] for definition in asked["tool_definitions"]] == ["f"]
    asked = json.loads(upstream_request(parse(body(tools=[FUNCTION], tool_choice="none"))))
    assert "tool_definitions" not in asked


# --- What is stored ---


@pytest.mark.parametrize("store", [{}, {"store": None}, {"store": True}])
def test_a_response_is_stored_unless_the_client_says_no(store: dict[str, Any]) -> None:
    assert parse(body(**store)).keep == Keep()
    assert parse(body(**store, metadata={"a": "b"})).keep == Keep(metadata={"a": "b"})
    assert parse(body(**store, background=True)).keep == Keep(background=True)


def test_with_store_false_nothing_is_stored() -> None:
    assert parse(body(store=False, background=False)).keep is None


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"background": True}, "background"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"conversation": {"id": "conv_1"}}, "conversation"),
    ],
)
def test_what_needs_the_store_is_refused_without_it(fields: dict[str, Any], param: str) -> None:
    problem = refusal(body(store=False, **fields))
    assert problem.param == param
    assert problem.message.startswith(f"{param} needs store")


def test_without_store_a_stored_response_can_be_gone_on_from() -> None:
    assert parse(body(store=False, previous_response_id="resp_1")).keep is None


# --- What it refers to ---

REFERENCE: dict[str, Any] = {"type": "item_reference", "id": "msg_1"}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, NO_REFERENCES),
        ({"previous_response_id": None, "conversation": None, "input": [HELLO]}, NO_REFERENCES),
        ({"previous_response_id": ""}, NO_REFERENCES),
        ({"input": 'The "conversation" of "previous_response_id" and "item_reference".'}, NO_REFERENCES),
        ({"input": [{"role": "user", "content": '{"type": "item_reference", "id": "msg_1"}'}]}, NO_REFERENCES),
        ({"metadata": {"conversation": "conv_1"}}, NO_REFERENCES),
        ({"previous_response_id": "resp_1"}, References("resp_1")),
        ({"conversation": "conv_1"}, References(conversation="conv_1")),
        ({"conversation": {"id": "conv_1"}}, References(conversation="conv_1")),
        ({"input": [REFERENCE, HELLO, {**REFERENCE, "id": "msg_2"}]}, References(items=("msg_1", "msg_2"))),
        ({"previous_response_id": "resp_1", "input": [REFERENCE]}, References("resp_1", items=("msg_1",))),
        ({"input": [{"role": "user", "content": "item_reference", "id": "msg_1"}]}, NO_REFERENCES),
    ],
)
def test_a_request_refers_to_a_response_a_conversation_and_items(fields: dict[str, Any], expected: References) -> None:
    assert OPENAI_RESPONSES.references(body(**fields)) == expected


def test_a_response_and_a_conversation_exclude_each_other() -> None:
    with pytest.raises(ProxyError) as caught:
        OPENAI_RESPONSES.references(body(previous_response_id="resp_1", conversation="conv_1"))
    assert caught.value.problem.param == "conversation"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"previous_response_id": 5}, "previous_response_id"),
        ({"conversation": 5}, "conversation"),
        ({"conversation": ""}, "conversation"),
        ({"conversation": {}}, "conversation"),
        ({"conversation": {"id": ""}}, "conversation"),
        ({"input": [HELLO, {**REFERENCE, "id": 5}]}, "input[1].id"),
    ],
)
def test_a_reference_that_is_none_is_named_by_its_path(fields: dict[str, Any], param: str) -> None:
    for read in (OPENAI_RESPONSES.references, parse):
        with pytest.raises(ProxyError) as caught:
            read(body(**fields))
        assert caught.value.problem.param == param


def test_what_was_not_recalled_stands_for_nothing() -> None:
    """A stored body is read again for what its response repeats."""
    hello = (Message("user", (Text("Hello."),)),)
    assert request(previous_response_id="resp_1").messages == hello
    assert request(conversation="conv_1").messages == hello
    assert request(input=[REFERENCE, HELLO]).messages == hello
    assert request(input=[REFERENCE]).messages == ()
    assert request(input=None, previous_response_id="resp_1").messages == ()


@pytest.mark.parametrize("given", [None, []])
@pytest.mark.parametrize("fields", [{"conversation": "conv_1"}, {"previous_response_id": "resp_1"}])
def test_an_empty_input_after_an_empty_past_is_nothing_to_answer(given: Any, fields: dict[str, Any]) -> None:
    assert refusal(body(input=given, **fields), Recalled()).param == "input"
    assert parse(body(input=given, instructions="Greet.", **fields), Recalled()).request.system == ("Greet.",)


# --- Compaction ---


@pytest.mark.parametrize("stream", [True, False])
def test_a_trigger_asks_for_compaction_in_place_of_an_answer(stream: bool) -> None:
    parsed = parse(body(input=[HELLO, {"type": "compaction_trigger"}], stream=stream))
    assert parsed.request.compacts
    assert parsed.request.messages == (Message("user", (Text("Hello."),)),)
    assert isinstance(parsed.delivery.shape, Shape)
    assert parsed.delivery.shape.compacts
    assert parsed.keep == Keep()


def test_an_answer_is_not_taken_up_to_be_compacted() -> None:
    answered = {"role": "assistant", "content": "Hi."}
    asked = request(input=[HELLO, answered, {"type": "compaction_trigger"}])
    assert [message.role for message in asked.messages] == ["user", "assistant"]
    assert not request(input=[HELLO, answered]).compacts


# --- What is accepted ---

OF_THE_REFERENCE: dict[str, Any] = {
    "background": False,
    "context_management": [{"type": "compaction", "compact_threshold": 1000}],
    "include": ["web_search_call.action.sources", "message.input_image.image_url", ENCRYPTED],
    "instructions": "Be brief.",
    "max_output_tokens": 100,
    "max_tool_calls": 3,
    "metadata": {"a": "b"},
    "moderation": {"model": "omni-moderation-latest"},
    "parallel_tool_calls": True,
    "presence_penalty": 0.5,
    "frequency_penalty": 0.5,
    "prompt_cache_key": "k",
    "prompt_cache_options": {"mode": "implicit"},
    "prompt_cache_retention": "24h",
    "reasoning": {"effort": "low", "summary": "auto", "context": "auto", "mode": "standard"},
    "safety_identifier": "s",
    "service_tier": "flex",
    "store": True,
    "stream": True,
    "stream_options": {"include_obfuscation": False},
    "temperature": 0,
    "text": {"format": {"type": "text"}, "verbosity": "low"},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1,
    "truncation": "auto",
    "user": "u",
    # Beyond the reference: what Codex sends.
    "client_metadata": {"x": "y"},
}
STATE = ("conversation", "previous_response_id", "prompt")
ONLY_ON_WEBSOCKETS = {"generate": True}


@pytest.mark.parametrize("name", OF_THE_REFERENCE)
def test_each_parameter_of_the_reference_is_accepted_alone_and_as_null(name: str) -> None:
    for value in (OF_THE_REFERENCE[name], None):
        assert request(**{name: value}).messages == (Message("user", (Text("Hello."),)),)


def test_all_parameters_are_accepted_together() -> None:
    asked = parse(body(**OF_THE_REFERENCE, **dict.fromkeys(STATE), **ONLY_ON_WEBSOCKETS))
    assert asked.request.messages
    assert asked.delivery.stream


def test_unknown_fields_are_accepted_anywhere() -> None:
    part = {"type": "input_text", "text": "Hello.", "x": 1}
    asked = request(
        input=[{"type": "message", "id": "msg_1", "status": "completed", "x": 1, "role": "user", "content": [part]}],
        tools=[{**FUNCTION, "x": {"y": 1}, "defer_loading": True}],
        x={"y": [1]},
    )
    assert asked.messages == (Message("user", (Text("Hello."),)),)


@pytest.mark.parametrize(
    ("fields", "ignored"),
    [
        ({}, ()),
        ({"temperature": 0, "top_p": 1.0}, ("temperature", "top_p")),
        ({"tool_choice": "auto"}, ()),
        ({"tool_choice": "none"}, ()),
        ({"parallel_tool_calls": True}, ()),
        ({"text": {"format": {"type": "json_schema", "name": "x", "schema": {}}}}, ()),
        ({"text": {"format": {"type": "text"}}}, ()),
        ({"text": {"format": None}}, ()),
        ({"truncation": "disabled"}, ()),
        ({"truncation": "auto"}, ("truncation",)),
        ({"context_management": [{"type": "compaction"}]}, ("context_management",)),
        ({"moderation": {"model": "omni-moderation-latest"}}, ("moderation",)),
        ({"presence_penalty": 0, "frequency_penalty": 0.0}, ()),
        ({"text": {"verbosity": "low"}}, ("text.verbosity",)),
        ({"text": {"verbosity": "medium"}}, ()),
        ({"reasoning": {"effort": "low", "summary": "auto", "context": "auto", "mode": "standard"}}, ()),
        ({"reasoning": {"context": "all_turns", "mode": "pro"}}, ("reasoning.context", "reasoning.mode")),
    ],
)
def test_what_has_no_effect_is_named(fields: dict[str, Any], ignored: tuple[str, ...]) -> None:
    assert request(**fields).ignored == ignored


def test_each_ignored_parameter_is_named_only_where_it_was_sent() -> None:
    sent = {name: OF_THE_REFERENCE[name] for name in IGNORED if "." not in name}
    sent |= {"text": {"verbosity": "high"}, "reasoning": {"context": "current_turn", "mode": "pro"}}
    assert request(**sent).ignored == IGNORED


# --- What is refused ---


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"text": {"format": [1]}}, "text.format"),
        ({"text": {"format": {}}}, "text.format"),
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"model": " "}, "model"),
        ({"model": 5}, "model"),
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": 5}, "input"),
        ({"input": {"role": "user"}}, "input"),
        ({"input": ["Hello."]}, "input[0]"),
        ({"input": [HELLO, {"role": "user", "content": 5}]}, "input[1].content"),
        ({"input": [{"role": "user", "content": [{"text": "a"}]}]}, "input[0].content[0].type"),
        ({"input": [{"role": "user", "content": [{"type": "input_text", "text": 5}]}]}, "input[0].content[0].text"),
        ({"instructions": 5}, "instructions"),
        ({"stream": "true"}, "stream"),
        ({"tools": {}}, "tools"),
        ({"tools": [{}]}, "tools[0].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"reasoning": "high"}, "reasoning"),
        ({"reasoning": {"effort": "huge"}}, "reasoning.effort"),
        ({"reasoning": {"effort": 1}}, "reasoning.effort"),
        ({"include": ENCRYPTED}, "include"),
        ({"include": [1]}, "include[0]"),
        ({"max_output_tokens": "5"}, "max_output_tokens"),
        ({"temperature": "0"}, "temperature"),
        ({"prompt_cache_key": 5}, "prompt_cache_key"),
        ({"background": "yes"}, "background"),
        ({"store": "no"}, "store"),
        ({"metadata": "a"}, "metadata"),
        ({"metadata": []}, "metadata"),
        ({"metadata": {"a": 1}}, "metadata"),
        ({"metadata": {"a": None}, "store": False}, "metadata"),
        ({"metadata": {str(i): "" for i in range(17)}}, "metadata"),
        ({"metadata": {"k" * 65: ""}}, "metadata"),
        ({"metadata": {"k": "v" * 513}}, "metadata"),
        ({"text": "json"}, "text"),
        ({"tool_choice": 5}, "tool_choice"),
    ],
)
def test_what_is_wrong_is_named_by_its_path(fields: dict[str, Any], param: str) -> None:
    problem = refusal(body(**fields))
    assert problem.param == param
    assert problem.message.startswith(param)


def test_a_missing_model_is_named() -> None:
    assert refusal(b'{"input": "Hello."}').param == "model"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),  # kept at OpenAI
        ({"generate": False}, "generate"),  # warms up a WebSocket
        ({"input": [{"type": "compaction_trigger"}, HELLO]}, "input[0]"),
    ],
)
def test_what_cannot_be_done_here_is_refused_by_its_name(fields: dict[str, Any], param: str) -> None:
    problem = refusal(body(**fields))
    assert problem.param == param
    assert param in problem.message


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b'"a"', b"null", b"{", b'{"model": "gpt-5", "input": "\xff"}', b"[" * 100_000],
    ids=["empty", "list", "text", "null", "cut", "not UTF-8", "deep"],
)
def test_what_is_no_json_object_is_refused(data: bytes) -> None:
    assert refusal(data).message.startswith("The body ")


def test_a_deep_schema_is_refused_and_no_crash() -> None:
    deep = b'{"model":"gpt-5","input":"Hi","tools":[{"type":"function","name":"f","parameters":{"a":%b%b}}]}'
    assert refusal(deep % (b"[" * 100_000, b"]" * 100_000)).message.startswith("The body ")


def test_a_lone_surrogate_becomes_the_replacement_character() -> None:
    assert request(input="a\ud800b").messages == (Message("user", (Text("a\ufffdb"),)),)


# --- What the response repeats ---

DEFAULTS: dict[str, Any] = {
    "background": False,
    "conversation": None,
    "frequency_penalty": 0.0,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "presence_penalty": 0.0,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "service_tier": "default",
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}


def test_without_parameters_the_defaults_of_the_reference_are_repeated() -> None:
    assert DEFAULTS.items() <= echo().items()
    assert echo(**dict.fromkeys(OF_THE_REFERENCE)) == echo(), "null is as good as absent"


@pytest.mark.parametrize(
    ("name", "sent", "repeated"),
    [
        ("instructions", "Be brief.", "Be brief."),
        ("max_output_tokens", 100, 100),
        ("metadata", {"a": "b"}, {"a": "b"}),
        ("parallel_tool_calls", False, False),
        ("reasoning", {"effort": "high", "summary": "auto"}, {"effort": "high", "summary": "auto"}),
        ("store", False, False),
        ("store", True, True),
        ("background", True, True),
        ("conversation", "conv_1", {"id": "conv_1"}),
        ("conversation", {"id": "conv_1"}, {"id": "conv_1"}),
        ("previous_response_id", "resp_1", "resp_1"),
        ("previous_response_id", "", None),
        ("temperature", 0, 0.0),
        ("top_p", 0.5, 0.5),
        ("text", {"verbosity": "low"}, {"format": {"type": "text"}, "verbosity": "low"}),
        ("text", {"format": None}, {"format": {"type": "text"}}),
        ("tool_choice", {"type": "function", "name": "f"}, {"type": "function", "name": "f"}),
        ("truncation", "auto", "auto"),
        ("prompt_cache_key", "k", "k"),
        ("user", "u", "u"),
        ("tools", [{**FUNCTION, "strict": True}], [{**FUNCTION, "description": None, "strict": True}]),
        (
            "tools",
            [{"type": "function", "name": "f"}],
            [{"type": "function", "name": "f", "description": None, "parameters": None, "strict": None}],
        ),
    ],
)
def test_what_was_sent_is_repeated(name: str, sent: Any, repeated: Any) -> None:
    assert echo(**{name: sent})[name] == repeated


def test_a_schema_is_passed_on_unread() -> None:
    (tool,) = request(tools=[{**FUNCTION, "parameters": {"type": "object", "x": [1.50, "é"]}}]).tools
    assert isinstance(tool, Tool)
    assert json.loads(bytes(tool.schema)) == {"type": "object", "x": [1.50, "é"]}


NAMESPACE = {"type": "namespace", "name": "ns", "tools": [FUNCTION]}
SHELL = {"type": "local_shell"}


@pytest.mark.parametrize(
    ("tools", "names"),
    [
        ([SHELL], ["local_shell"]),
        ([{"type": "custom", "name": "patch"}, SHELL], ["patch", "local_shell"]),
        ([{"type": "function", "name": FUNCTION["name"], "namespace": "ns"}], [f"ns__{FUNCTION['name']}"]),
    ],
)
def test_tools_of_each_kind_can_be_the_allowed_ones(tools: list[Any], names: list[str]) -> None:
    offered = [FUNCTION, {"type": "custom", "name": "patch"}, SHELL, NAMESPACE]
    choice = {"type": "allowed_tools", "mode": "auto", "tools": tools}
    asked = json.loads(upstream_request(parse(body(tools=offered, tool_choice=choice))))
    assert sorted(tool["name"] for tool in asked["tool_definitions"]) == sorted(names)
    assert request(tools=offered, tool_choice=tools[-1]).tool_choice.names == (names[-1],)


@pytest.mark.parametrize("tool", [{"type": []}, {"type": "function"}, {"name": 5}, "f", None])
def test_what_names_no_tool_is_none_of_the_allowed_ones(tool: Any) -> None:
    choice = {"type": "allowed_tools", "mode": "auto", "tools": [tool]}
    assert refusal(body(tools=[FUNCTION], tool_choice=choice)).param == "tool_choice"


# --- What real clients send ---

CAPTURES = sorted(Path(__file__).parents[3].glob("shared/captures/*.POST_v1_responses.json"))
missing = pytest.mark.skipif(not CAPTURES, reason="../shared/captures, the requests of real clients, is missing")
OFFERED = ("function", "custom", "local_shell")


def offered(tools: list[Any]) -> int:
    return sum(len(tool["tools"]) if tool["type"] == "namespace" else tool["type"] in OFFERED for tool in tools)


def images(value: Any) -> int:
    if isinstance(value, dict):
        return (value.get("type") == "input_image") + sum(map(images, value.values()))
    return sum(map(images, value)) if isinstance(value, list) else 0


@missing
@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.name.partition(".POST")[0])
def test_a_real_client_gets_a_sound_backend_request(path: Path) -> None:
    sent = json.loads(path.read_text())["body"]
    data = json.dumps(sent).encode()
    past: tuple[dict[str, Any], ...] = ()
    if sent.get("previous_response_id"):  # it has the call that the input has the result of
        call_id = sent["input"][0]["call_id"]
        past = (HELLO, {"type": "function_call", "call_id": call_id, "name": "bash", "arguments": "{}"})
    parsed = parse(data, Recalled(items=tuple(map(msgspec.json.encode, past))))
    asked = json.loads(upstream_request(parsed))
    assert parsed.delivery.stream is bool(sent.get("stream"))
    definitions = asked.get("tool_definitions", [])
    assert len({definition["name"] for definition in definitions}) == len(definitions) == offered(sent["tools"])
    assert all(isinstance(json.loads(definition["input_schema_json"]), dict) for definition in definitions)
    assert json.dumps(asked).count('"image_data"') == images(sent["input"])
    turns = [(entry["request_nodes"], entry["response_nodes"]) for entry in asked["chat_history"]]
    turns.append((asked["nodes"], []))
    assert all(nodes for nodes, _ in turns)
    for nodes in (nodes for turn in turns for nodes in turn):
        assert [node["id"] for node in nodes] == list(range(len(nodes)))
    for (_, answer), (results, _) in pairwise(turns):
        called = [node["tool_use"] for node in answer if "tool_use" in node]
        answered = [node["tool_result_node"]["tool_use_id"] for node in results if "tool_result_node" in node]
        assert {use["tool_use_id"] for use in called} == set(answered)
        assert len(called) == len(answered)
        assert all(isinstance(json.loads(use["input_json"]), dict) for use in called)
    calls = sum(item.get("type") in ("function_call", "custom_tool_call") for item in (*past, *sent["input"]))
    assert json.dumps(asked["chat_history"]).count('"tool_use"') == calls, "no call is lost"


# --- What is remembered from request to request ---


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"text": {"verbosity": 1}}, {"text": {"verbosity": True}}),
        ({"text": {"verbosity": 1}}, {"text": {"verbosity": 1.0}}),
        ({"metadata": {"a": "b"}}, {"metadata": {"a": "c"}}),
        ({"tool_choice": "none"}, {"tool_choice": "auto"}),
        ({"instructions": "Be brief."}, {"instructions": "Be long."}),
        ({"temperature": 0}, {"temperature": 1}),
        ({"store": False}, {"store": True}),
        ({"background": True}, {}),
        ({"parallel_tool_calls": False}, {"parallel_tool_calls": True}),
    ],
)
def test_each_response_repeats_its_own_request_whatever_was_asked_before(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    for fields in (one, other, one):
        shape = parse(msgspec.json.encode({"model": "m", "input": "Hi", **fields})).delivery.shape
        assert isinstance(shape, Shape)
        repeated = b"{" + bytes(shape.fields)
        assert repeated == msgspec.json.encode(shape.echo)
        for name, value in fields.items():
            found = json.loads(repeated)[name]
            given = {key: found[key] for key in value} if isinstance(value, dict) else found
            assert repr(given) == repr(float(value) if name == "temperature" else value)


def test_the_same_options_are_read_once_and_a_large_one_is_not_kept() -> None:
    def shape(instructions: str, text: str) -> Any:
        body = {"model": "m", "input": text, "instructions": instructions}
        return parse(msgspec.json.encode(body)).delivery.shape

    assert shape("Be brief.", "one") is shape("Be brief.", "two")
    large = "x" * LARGEST
    assert shape(large, "one") is not shape(large, "two")
