"""What the APIs promise and the backend cannot do, through the whole server: stop, limits, tool choice."""

import json
from functools import partial
from typing import Any

import httpx2 as httpx
import pytest

from augment_open_proxy.simulator import Pause, Send
from tests.servers import Proxy, running_proxy

ONE_TWO = '@@{"text": ["one ", "tw", "o three"]}@@'
WORDS = '@@{"text": ["one two three four five six seven eight nine ten"]}@@'
PARAMETERS = {"type": "object", "properties": {}}


def post(proxy: Proxy, path: str, body: dict[str, Any]) -> httpx.Response:
    return httpx.post(proxy.url + path, json={"model": "gpt-5", **body}, timeout=20)


def user(content: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": content}]


def events(answer: httpx.Response) -> list[Any]:
    return [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]


def test_a_stop_sequence_of_chat(proxy: Proxy) -> None:
    body = {"messages": user(ONE_TWO), "stop": ["two"]}
    (choice,) = post(proxy, "/v1/chat/completions", body).json()["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("one ", "stop")
    chunks = events(post(proxy, "/v1/chat/completions", {**body, "stream": True}))
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == "one "


def test_a_stop_sequence_of_messages(proxy: Proxy) -> None:
    body = {"messages": user(ONE_TWO), "stop_sequences": ["two"], "max_tokens": 100}
    message = post(proxy, "/v1/messages", body).json()
    assert message["content"][0]["text"] == "one "
    assert (message["stop_reason"], message["stop_sequence"]) == ("stop_sequence", "two")
    delta = events(post(proxy, "/v1/messages", {**body, "stream": True}))[-2]
    assert delta["delta"] == {"stop_reason": "stop_sequence", "stop_sequence": "two"}
    assert delta["usage"]["output_tokens"] > 0


def test_the_limits_of_all_apis(proxy: Proxy) -> None:
    (choice,) = post(proxy, "/v1/chat/completions", {"messages": user(WORDS), "max_tokens": 3}).json()["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("one two three", "length")

    message = post(proxy, "/v1/messages", {"messages": user(WORDS), "max_tokens": 3}).json()
    assert (message["content"][0]["text"], message["stop_reason"]) == ("one two three", "max_tokens")

    response = post(proxy, "/v1/responses", {"input": WORDS, "max_output_tokens": 3}).json()
    assert response["output"][0]["content"][0]["text"] == "one two three"
    assert response["status"] == "incomplete"
    assert response["incomplete_details"] == {"reason": "max_output_tokens"}
    assert response["max_output_tokens"] == 3


@pytest.mark.parametrize("fields", [{"stop": "two"}, {"max_tokens": 2}])
def test_the_backend_s_stream_is_closed_with_the_reply(fields: dict[str, Any]) -> None:
    with running_proxy() as proxy:
        lines = [b'{"text":"one "}\n', b'{"text":"two "}\n', b'{"text":"three "}\n']
        proxy.call(lambda: proxy.simulator.script([*lines, Pause(20), Send(b'{"stop_reason":1}\n')]))
        answer = post(proxy, "/v1/chat/completions", {"messages": user("Hi."), "stream": True, **fields})
        assert answer.text.endswith("data: [DONE]\n\n")
        proxy.wait_for(lambda: proxy.simulator.open_calls == 0, seconds=1)


TOOLS: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {
        "messages": user("Hi."),
        "tools": [{"type": "function", "function": {"name": "read", "parameters": PARAMETERS}}],
        "tool_choice": "required",
    },
    "/v1/messages": {
        "messages": user("Hi."),
        "max_tokens": 100,
        "tools": [{"name": "read", "input_schema": PARAMETERS}],
        "tool_choice": {"type": "any"},
    },
    "/v1/responses": {
        "input": "Hi.",
        "tools": [{"type": "function", "name": "read", "parameters": PARAMETERS}],
        "tool_choice": "required",
    },
}
NO_CALL = b'{"text":"I would rather not."}\n{"stop_reason":1}\n'
CALL = (
    b'{"nodes":[{"id":1,"type":5,"tool_use":{"tool_use_id":"toolu_1","tool_name":"read","input_json":"{}"}}]}\n'
    b'{"stop_reason":3}\n'
)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", TOOLS)
def test_a_required_call_is_asked_for_once_more(path: str, stream: bool) -> None:
    with running_proxy() as proxy:
        proxy.call(lambda: proxy.simulator.script(NO_CALL))
        proxy.call(lambda: proxy.simulator.script(CALL))
        answer = post(proxy, path, {**TOOLS[path], "stream": stream})
        assert answer.status_code == 200
        assert "toolu_1" in answer.text
        assert "rather not" not in answer.text
        first, second = (received.request for received in proxy.simulator.requests)
        assert first is not None
        assert second is not None
        assert "This turn must be a call of the tool read." in first.message
        assert second.chat_history[-1].response_text == "I would rather not."


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", TOOLS)
def test_a_call_that_never_comes_is_an_error_and_no_reply(path: str, stream: bool) -> None:
    with running_proxy() as proxy:
        proxy.call(lambda: proxy.simulator.script(NO_CALL, times=2))
        answer = post(proxy, path, {**TOOLS[path], "stream": stream})
        assert answer.status_code == 502
        assert "called no tool" in answer.json()["error"]["message"]


def test_one_call_at_a_time() -> None:
    with running_proxy() as proxy:
        proxy.call(
            lambda: proxy.simulator.script(CALL.replace(b"stop_reason", b"ignored") + CALL.replace(b"_1", b"_2"))
        )
        body = {**TOOLS["/v1/chat/completions"], "tool_choice": "auto", "parallel_tool_calls": False}
        (choice,) = post(proxy, "/v1/chat/completions", body).json()["choices"]
        assert [call["id"] for call in choice["message"]["tool_calls"]] == ["toolu_1"]
        assert choice["finish_reason"] == "tool_calls"


SCHEMA = {
    "type": "object",
    "properties": {"age": {"type": "integer"}},
    "required": ["age"],
    "additionalProperties": False,
}
FORMATS: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {
        "messages": user("How old?"),
        "response_format": {"type": "json_schema", "json_schema": {"name": "age", "schema": SCHEMA, "strict": True}},
    },
    "/v1/messages": {
        "messages": user("How old?"),
        "max_tokens": 100,
        "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}},
    },
    "/v1/responses": {
        "input": "How old?",
        "text": {"format": {"type": "json_schema", "name": "age", "schema": SCHEMA, "strict": True}},
    },
}
FENCED = b'{"text":"Here: ```json\\n{\\"age\\": 5}\\n```"}\n{"stop_reason":1}\n'
INVALID = b'{"text":"Five."}\n{"stop_reason":1}\n'


@pytest.mark.parametrize("answers", [[FENCED], [INVALID, FENCED]])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", FORMATS)
def test_json_is_given_out_once_it_is_valid(path: str, stream: bool, answers: list[bytes]) -> None:
    with running_proxy() as proxy:
        for script in answers:
            proxy.call(partial(proxy.simulator.script, script))
        answer = post(proxy, path, {**FORMATS[path], "stream": stream})
        assert answer.status_code == 200
        assert json.dumps('{"age": 5}') in answer.text
        assert "```" not in answer.text
        assert "Five." not in answer.text
        assert len(proxy.simulator.requests) == len(answers)


@pytest.mark.parametrize("path", FORMATS)
def test_what_stays_invalid_is_an_error(path: str) -> None:
    with running_proxy() as proxy:
        proxy.call(lambda: proxy.simulator.script(INVALID, times=2))
        answer = post(proxy, path, FORMATS[path])
        assert answer.status_code == 502
        assert "not the JSON that was asked for" in answer.json()["error"]["message"]


@pytest.mark.parametrize("path", FORMATS)
def test_a_schema_that_is_none_is_a_400_that_names_it(path: str, proxy: Proxy) -> None:
    body = json.loads(json.dumps(FORMATS[path]).replace('"integer"', '"number of years"'))
    answer = post(proxy, path, body)
    assert answer.status_code == 400
    assert "is no JSON Schema" in answer.json()["error"]["message"]
