"""The simulator refuses what the backend refuses, and says which rule was broken."""

from uuid import uuid4

import pytest

from tests.simulator.client import SHELL, Json, ask, entry, image_node, request, result_node, text_node

PNG = "iVBORw0KGgo="


@pytest.mark.parametrize("authorization", [None, "Bearer wrong", "simulator-token", "Basic simulator-token"])
def test_a_request_needs_the_bearer_token(authorization: str | None) -> None:
    reply = ask("hello", authorization=authorization)
    assert reply.status == 401
    assert "token" in reply.error


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("content_type", "text/plain"),
        ("content_type", None),
        ("x_request_id", None),
        ("x_request_id", "17"),
        ("x_request_session_id", None),
        ("x_request_session_id", "session"),
        ("conversation_id", None),
        ("conversation_id", "11111111-1111-4111-8111-111111111111"),
        ("x_mode", None),
        ("x_mode", "cli"),
        ("user_agent", None),
        ("user_agent", "nameless"),
    ],
)
def test_each_header_is_needed(name: str, value: str | None) -> None:
    reply = ask("hello", **{name: value})
    assert reply.status == 400
    assert name.replace("_", "-") in reply.error


def test_the_content_type_may_have_parameters() -> None:
    assert ask("hello", content_type="application/json; charset=utf-8").status == 200


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'{"mode": "CLI_AGENT"}'])
def test_the_body_must_be_a_request(body: bytes) -> None:
    reply = ask(body)
    assert reply.status == 400
    assert "the body is not a chat-stream request" in reply.error


@pytest.mark.parametrize("field", ["mode", "model", "message", "nodes", "chat_history", "conversation_id"])
def test_each_field_is_needed(field: str) -> None:
    body = request()
    del body[field]
    reply = ask(body)
    assert reply.status == 400
    assert f"`{field}`" in reply.error


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"temperature": 0}, "temperature"),
        ({"mode": "AGENT"}, "mode 'AGENT' is not known"),
        ({"model": ""}, "model must not be empty"),
        ({"nodes": [text_node("a", 1)]}, "nodes[0].id must be 0"),
        ({"nodes": [text_node("a"), text_node("b", 2)]}, "nodes[1].id must be 1"),
        ({"nodes": [{"id": 0, "type": 8, "file_node": {}}]}, "file_node"),
        ({"nodes": [{"id": 0, "type": 3}]}, "nodes[0] is not of a known type"),
        ({"nodes": [{"id": 0, "type": 0}]}, "nodes[0] is not of a known type with its payload"),
        ({"nodes": [{**text_node("a"), "type": 2}]}, "nodes[0] is not of a known type with its payload"),
        ({"nodes": [{**text_node("a"), **image_node(PNG, 1), "type": 0}]}, "and no other"),
        ({"nodes": [image_node(PNG, 5)]}, "format 5 is not known"),
        ({"nodes": [image_node(f"data:image/png;base64,{PNG}", 1)]}, "is not base64 without a data: prefix"),
        ({"nodes": [image_node("", 1)]}, "image_data is empty"),
        ({"tool_definitions": []}, "tool_definitions must be absent"),
        ({"tool_definitions": [{**SHELL, "name": ""}]}, "name must not be empty"),
        ({"tool_definitions": [{**SHELL, "input_schema_json": "{"}]}, "input_schema_json of the tool bash"),
        ({"tool_definitions": [{**SHELL, "input_schema_json": "[]"}]}, "input_schema_json of the tool bash"),
    ],
)
def test_a_violation_is_named(changes: Json, complaint: str) -> None:
    reply = ask(request(**changes))
    assert reply.status == 400
    assert complaint in reply.error


@pytest.mark.parametrize(
    ("node", "complaint"),
    [
        ({"id": 1, "type": 0, "content": "a"}, "chat_history[0].response_nodes[0].id must be 0"),
        ({"id": 0, "type": 0}, "chat_history[0].response_nodes[0] is not of a known type"),
        ({"id": 0, "type": 10, "content": "a"}, "chat_history[0].response_nodes[0] is not of a known type"),
    ],
)
def test_a_violation_in_the_history_is_named(node: Json, complaint: str) -> None:
    past = {**entry("hi", "a"), "response_nodes": [node]}
    reply = ask(request(chat_history=[past]))
    assert reply.status == 400
    assert complaint in reply.error


def test_the_conversation_id_is_the_one_of_the_headers() -> None:
    other = str(uuid4())
    reply = ask(request(), x_request_session_id=other, conversation_id=other)
    assert reply.status == 400
    assert "conversation_id must equal the header" in reply.error


def test_an_empty_current_turn_is_refused_as_the_backend_does_it() -> None:
    reply = ask(request("", chat_history=[entry("hi", "hello")]))
    assert (reply.status, reply.error) == (400, "Unidentified internal error")


CALL = [("toolu_1", "bash")]


@pytest.mark.parametrize(
    ("history", "nodes"),
    [
        ([entry("run", calls=CALL)], [text_node("and?")]),
        ([entry("run", calls=CALL), entry("and?", "well")], [result_node("toolu_1")]),
        ([entry("run", calls=[*CALL, ("toolu_2", "bash")])], [result_node("toolu_1")]),
    ],
)
def test_a_call_needs_its_result_in_the_next_turn(history: list[Json], nodes: list[Json]) -> None:
    reply = ask(request("", nodes=nodes, chat_history=history))
    assert reply.status == 400
    assert "has no tool_result in the turn after it" in reply.error


@pytest.mark.parametrize("history", [[], [entry("hi", "hello")], [entry("run", calls=CALL)]])
def test_a_result_needs_its_call_in_the_turn_before(history: list[Json]) -> None:
    nodes = [result_node("toolu_1"), result_node("toolu_9", id_=1)]
    reply = ask(
        request("", nodes=nodes if history[:1] == [entry("run", calls=CALL)] else nodes[:1], chat_history=history)
    )
    assert reply.status == 400
    assert "has no tool_use in the turn before it" in reply.error


def test_everything_that_the_protocol_knows_passes() -> None:
    content_nodes = [
        {"type": 1, "text_content": "a picture:"},
        {"type": 2, "image_content": {"image_data": PNG, "format": 1}},
    ]
    past = entry("run", "I will.", CALL)
    past["response_nodes"].append({"id": 2, "type": 8, "thinking": {"content": "hm"}})
    nodes = [
        text_node("System: be brief"),
        result_node("toolu_1", id_=1, content_nodes=content_nodes),
        image_node(PNG, 4, 2),
        text_node("and?", 3),
    ]
    body = request("System: be brief\n\n\nand?", tools=[SHELL], nodes=nodes, chat_history=[past])
    assert ask(body).status == 200


@pytest.mark.parametrize(
    ("model", "mode", "status"),
    [
        ("claude-sonnet-5", "CLI_AGENT", 500),
        ("claude-sonnet-5-high", "CLI_AGENT", 500),
        ("claude-sonnet-5", "CHAT", 200),
        ("claude-opus-4-6", "CLI_AGENT", 200),
        ("claude-opus-4-6-high", "CLI_AGENT", 404),
        ("claude-opus-4-6-500k", "CLI_AGENT", 200),
        ("claude-opus-4-6-500k-xhigh", "CLI_AGENT", 404),
        ("claude-sonnet-4-6-high", "CLI_AGENT", 200),
        ("claude-sonnet-4-6-500k-low", "CLI_AGENT", 404),
        ("claude-opus-4-7-high", "CLI_AGENT", 200),
        ("claude-opus-4-7-500k-medium", "CLI_AGENT", 404),
    ],
)
def test_single_models_have_their_troubles(model: str, mode: str, status: int) -> None:
    assert ask(request(model=model, mode=mode)).status == status


@pytest.mark.parametrize(("model", "status"), [("gemini-3-1-pro-preview", 400), ("claude-opus-4-7", 200)])
def test_gemini_refuses_its_own_calls_in_the_history(model: str, status: int) -> None:
    id_ = "toolu_aug_vrtx_gemini_1"
    reply = ask(request("", model, nodes=[result_node(id_)], chat_history=[entry("run", calls=[(id_, "bash")])]))
    assert reply.status == status
    if status == 400:
        assert "missing a thought_signature" in reply.error


def test_gemini_accepts_calls_of_other_models() -> None:
    history = [entry("run", calls=CALL)]
    assert (
        ask(request("", "gemini-3-1-pro-preview", nodes=[result_node("toolu_1")], chat_history=history)).status == 200
    )


def test_an_error_is_json() -> None:
    assert ask("hello", x_mode=None).headers["content-type"] == "application/json"
