"""Every response object and event is valid by the public Open Responses document (2026-04-24).

The document lies beside the checkout, in `../shared`; where it is missing, these tests are skipped. It knows function
calls alone: items of custom tools, of the local shell and of namespaces, and streams of compactions, which OpenAI's API
has, are held to the SDK's types in `tests/unit/test_responses_reply.py`.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from augment_open_proxy.core.conversation import ChatRequest, Message, Text
from augment_open_proxy.dialects.dialect import Delivery, Parsed
from augment_open_proxy.dialects.openai_responses import OPENAI_RESPONSES
from tests.cases import CASES, parsed_request, upstream_answer
from tests.pipeline import streamed, whole
from tests.properties.strategies import any_bytes

DOCUMENT = Path(__file__).parents[3] / "shared" / "openresponses-2026-04-24.json"
pytestmark = pytest.mark.skipif(not DOCUMENT.exists(), reason="../shared/openresponses-2026-04-24.json is not there")

UNKNOWN = {"compaction", "custom_tool", "custom_tool_patch_argument", "local_shell", "namespaced_tool"}
SCENARIOS = [name for name, dialect in CASES if dialect is OPENAI_RESPONSES and name not in UNKNOWN]
PARSED = Parsed(ChatRequest("gpt-5", (Message("user", (Text("Go."),)),), thinking="sealed"), Delivery(stream=True))


@cache
def document() -> dict[str, Any]:
    read: dict[str, Any] = json.loads(DOCUMENT.read_text())
    return read


@cache
def event_schemas() -> dict[str, str]:
    """The schema's name for each type of event."""
    schemas = document()["components"]["schemas"]
    return {
        schema["properties"]["type"]["enum"][0]: name
        for name, schema in schemas.items()
        if name.endswith("StreamingEvent")
    }


@cache
def validator(name: str) -> Draft202012Validator:
    registry: Any = Registry().with_resource(
        "urn:doc", Resource.from_contents(document(), default_specification=DRAFT202012)
    )
    return Draft202012Validator({"$ref": f"urn:doc#/components/schemas/{name}"}, registry=registry)


def check(name: str, value: Any) -> None:
    # The document allows nothing but null for the schema of a text format; OpenAI's API repeats the schema.
    text = value.get("response", value).get("text")
    text_format = text["format"] if isinstance(text, dict) else {}
    if "schema" in text_format:
        assert isinstance(text_format["schema"], dict)
        text_format["schema"] = None
    errors = [f"{error.json_path}: {error.message[:300]}" for error in validator(name).iter_errors(value)]
    assert not errors, f"{value.get('type')}: {errors}"


def events_in(body: bytes) -> list[Any]:
    return [json.loads(line[6:]) for line in body.decode().split("\n") if line.startswith("data: ")]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_each_event_of_the_cases(scenario: str) -> None:
    body = streamed(OPENAI_RESPONSES, parsed_request(scenario, OPENAI_RESPONSES), [upstream_answer(scenario)])
    for event in events_in(body):
        check(event_schemas()[event["type"]], event)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_each_whole_response_of_the_cases(scenario: str) -> None:
    reply = whole(OPENAI_RESPONSES, parsed_request(scenario, OPENAI_RESPONSES), [upstream_answer(scenario)])
    if reply["status"] == 200:
        check("ResponseResource", reply["body"])


@given(data=any_bytes)
@settings(max_examples=60)
def test_each_event_of_random_streams(data: bytes) -> None:
    for event in events_in(streamed(OPENAI_RESPONSES, PARSED, [data])):
        check(event_schemas()[event["type"]], event)


def test_the_check_can_fail() -> None:
    with pytest.raises(AssertionError):
        check("ResponseResource", {"type": "response"})
