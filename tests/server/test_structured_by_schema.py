"""Structured output for any schema: replies that are valid, fenced, broken once and twice, through the simulator."""

import json
from functools import partial
from typing import Any

import httpx2 as httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis_jsonschema import from_schema

from tests.servers import Proxy

SCHEMAS: list[Any] = [
    {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]},
    {"type": "object", "properties": {"tags": {"type": "array", "items": {"type": "string"}}}, "required": ["tags"]},
    {"type": "array", "items": {"enum": ["a", "b"]}, "minItems": 1},
    {"anyOf": [{"type": "object", "required": ["a"]}, {"type": "array", "minItems": 1}]},
    {"type": "object", "properties": {"n": {"type": "number", "minimum": 0}}, "required": ["n"]},
]
BROKEN = "I would rather not."


def line(text: str) -> bytes:
    return json.dumps({"text": text}).encode() + b'\n{"stop_reason":1}\n'


@pytest.mark.parametrize("stream", [False, True])
@given(data=st.data())
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
def test_any_schema(proxy: Proxy, stream: bool, data: st.DataObject) -> None:
    schema = data.draw(st.sampled_from(SCHEMAS))
    value = json.dumps(data.draw(from_schema(schema)))
    form = data.draw(st.sampled_from(["valid", "fenced", "broken once", "broken twice"]))
    answers = {
        "valid": [value],
        "fenced": [f"Here:\n```json\n{value}\n```"],
        "broken once": [BROKEN, value],
        "broken twice": [BROKEN, BROKEN],
    }[form]
    for answer in answers:
        proxy.call(partial(proxy.simulator.script, line(answer)))
    body = {
        "model": "gpt-5",
        "stream": stream,
        "messages": [{"role": "user", "content": "Go."}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": True}},
    }
    reply = httpx.post(f"{proxy.url}/v1/chat/completions", json=body, timeout=20)
    if form == "broken twice":
        assert reply.status_code == 502
        assert "not the JSON that was asked for" in reply.json()["error"]["message"]
        return
    assert reply.status_code == 200
    if stream:
        chunks = [json.loads(text[6:]) for text in reply.text.splitlines() if text.startswith("data: {")]
        said = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)
    else:
        said = reply.json()["choices"][0]["message"]["content"]
    assert said == value


@pytest.mark.parametrize(
    ("schema", "turns"), [({"pattern": "^(a|a)*$"}, 1), ({"$ref": "#/$defs/missing"}, 0), ({"pattern": "("}, 0)]
)
def test_a_schema_that_cannot_be_checked_is_the_clients_fault_and_costs_no_second_turn(
    proxy: Proxy, schema: Any, turns: int
) -> None:
    if turns:
        proxy.call(partial(proxy.simulator.script, line(json.dumps("a" * 40 + "!"))))
    proxy.simulator.requests.clear()
    body = {
        "model": "gpt-5",
        "messages": [{"role": "user", "content": "Go."}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}},
    }
    reply = httpx.post(f"{proxy.url}/v1/chat/completions", json=body, timeout=20)
    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == "response_format.json_schema.schema"
    assert len(proxy.simulator.requests) == turns
