"""The bound on what a client's JSON Schema may take, and that within it the answers are those of `jsonschema`."""

import json
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from augment_open_proxy.core.conversation import OutputFormat
from augment_open_proxy.core.errors import ErrorKind, ProxyError
from augment_open_proxy.policies.json_schema import LONGEST_PATTERN, Schema

PARAM = "response_format.json_schema.schema"
SLOW = "^(a|a)*$"
ENDLESS = "a" * 40 + "!"
DRAFT_2020 = "https://json-schema.org/draft/2020-12/schema"
DRAFT_7 = "http://json-schema.org/draft-07/schema#"
DRAFT_4 = "http://json-schema.org/draft-04/schema#"


def schema(given: Any) -> Schema:
    return Schema(OutputFormat(PARAM, msgspec.Raw(json.dumps(given).encode())))


def nested(opening: str, depth: int, closing: str) -> Any:
    return json.loads(opening * depth + "{}" + closing * depth)


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ({"properties": {"a": {"pattern": SLOW}}}, {"a": ENDLESS}),
        ({"patternProperties": {SLOW: {}}}, {ENDLESS: 1}),
        ({"patternProperties": {SLOW: {}}, "additionalProperties": False}, {ENDLESS: 1}),
        ({"propertyNames": {"pattern": SLOW}}, {ENDLESS: 1}),
        ({"$schema": DRAFT_7, "items": {"pattern": SLOW}}, [ENDLESS]),
        ({"properties": {"a": {"$schema": DRAFT_2020, "pattern": SLOW}}}, {"a": ENDLESS}),
        ({"items": {"pattern": SLOW}}, ["a" * 12] * 100_000),
        ({"properties": {"a": {"allOf": [{"$ref": "#"}, {"$ref": "#"}]}}}, nested('{"a":', 60, "}")),
        ({"$ref": "#"}, {}),
        ({"items": {"enum": [[1] * 1000 + [n] for n in range(200)]}}, [[1] * 1000 + [-1]] * 200),
        ({"contains": {}, "unevaluatedItems": False}, [0] * 100_000),
        ({"items": {"type": "string"}}, [0] * 500_000),
        ({"items": {"items": {"$ref": "#"}}}, nested("[", 900, "]")),
        ({"$ref": "#/a/b", "a": {"b": {"pattern": "("}}}, "text"),
    ],
)
@pytest.mark.timeout(30)
def test_what_takes_too_long_or_cannot_be_followed_is_the_schemas_fault(given: Any, value: Any) -> None:
    checked = schema(given)
    with pytest.raises(ProxyError, match="cannot be checked") as caught:
        checked.errors(value)
    assert (caught.value.problem.kind, caught.value.problem.param) == (ErrorKind.INVALID_REQUEST, PARAM)


def test_answers_of_one_request_share_what_it_may_take() -> None:
    checked = schema({"items": {"type": "integer"}})
    assert checked.errors([1] * 50_000) == []
    with pytest.raises(ProxyError, match="takes too long"):
        for _ in range(50):
            checked.errors([1] * 50_000)


@pytest.mark.parametrize(
    "given",
    [
        {"properties": {f"p{n}": {"type": "string"} for n in range(20_000)}},
        {"allOf": [{"pattern": "a?" * 900 + str(n)} for n in range(1000)]},
        {"pattern": "a" * (LONGEST_PATTERN + 1)},
        {"pattern": "("},
        {"patternProperties": {"(": {}}},
        {"$ref": "#/$defs/missing"},
        {"properties": {"a": {"items": {"$ref": "#missing"}}}},
        {"$ref": "https://127.0.0.1:9/schema.json"},
        {"$ref": "#/minimum", "minimum": 5},
        {"$dynamicRef": "#missing"},
        {"$schema": DRAFT_7, "definitions": {"a": {"$ref": "#/definitions/b"}}},
        {"patternProperties": {"^a": {}}, "unevaluatedProperties": False},
        {"$schema": [], "type": "object"},
        nested('{"items":', 400, "}"),
    ],
)
@pytest.mark.timeout(30)
def test_a_schema_that_cannot_be_checked_is_refused_before_any_turn(given: Any) -> None:
    with pytest.raises(ProxyError) as caught:
        schema(given)
    assert (caught.value.problem.kind, caught.value.problem.param) == (ErrorKind.INVALID_REQUEST, PARAM)


@pytest.mark.parametrize(
    ("opening", "closing", "value_opening", "value_closing"),
    [
        ('{"properties":{"a":', "}}", '{"a":', "}"),
        ('{"items":', "}", "[", "]"),
        ('{"unevaluatedItems":', "}", "[", "]"),
        ('{"not":', "}", "", ""),
        ('{"oneOf":[', "]}", "", ""),
    ],
)
def test_how_deep_a_schema_may_be_does_not_depend_on_who_asks(
    opening: str, closing: str, value_opening: str, value_closing: str
) -> None:
    """Where Python's own limit was met within `rpds`, it was a panic, and no exception that is handled."""

    def deepest(frames: int) -> int:
        if frames:
            return deepest(frames - 1)
        for depth in range(1, 80):
            try:
                schema(nested(opening, depth, closing)).errors(nested(value_opening, depth, value_closing))
            except ProxyError as error:
                assert "nested too deeply" in str(error)
                return depth
        return 0

    assert 20 < deepest(0) == deepest(1) == deepest(30)


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        (r"^\p{L}+$", "Grüße", "5"),
        (r"^(?<year>\d{4})$", "2026", "26"),
        (r"^(?!\.)(?!.*\.\.)[a-z.]+@[a-z]+$", "a.b@c", "a..b@c"),
        (r"^\/[\w-.]+$", "/a-b", "a-b"),
    ],
)
def test_patterns_may_say_what_ecma_262_says(pattern: str, good: str, bad: str) -> None:
    checked = schema({"pattern": pattern})
    assert checked.errors(good) == []
    assert checked.errors(bad)


@pytest.mark.parametrize(
    "given",
    [
        {"$ref": DRAFT_2020},
        {"$ref": "#/$defs/a", "$defs": {"a": {"$anchor": "here"}, "b": {"$ref": "#here"}}},
        {"$id": "https://example.com/a", "$defs": {"b": {"$id": "b", "type": "object"}}, "$ref": "b"},
        {"properties": {"$ref": {"type": "string"}, "pattern": {"type": "string"}}},
        {"not": {"const": {"$ref": "#/missing", "pattern": 5}}},
        {"$schema": "https://example.com/unknown", "type": "object"},
        {"$schema": DRAFT_4, "id": "https://example.com/a", "$ref": "#/definitions/a", "definitions": {"a": {}}},
    ],
)
def test_references_within_a_schema_are_followed(given: Any) -> None:
    assert schema(given).errors({}) == []


@pytest.mark.parametrize(
    ("items", "unique"),
    [
        ([1, 1.0], False),
        ([1, True], True),
        ([[1], [True]], True),
        ([{"a": 1, "b": []}, {"b": [], "a": 1.0}], False),
        ([[], {}, "", None, False, 0], True),
        ([{"a": n} for n in range(30_000)], True),
    ],
)
def test_items_are_unique_by_what_they_mean(items: list[Any], unique: bool) -> None:
    assert (schema({"uniqueItems": True}).errors(items) == []) is unique


SCHEMAS: list[Any] = [
    {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False},
    {"patternProperties": {"^a": {"type": "string"}, "b$": {"minimum": 1}}, "additionalProperties": {"type": "null"}},
    {"patternProperties": {"^a": {"type": "string"}}, "additionalProperties": False, "properties": {"b": {}}},
    {"items": {"pattern": "^a+$"}, "uniqueItems": True, "minItems": 1},
    {"anyOf": [{"type": "array", "contains": {"type": "null"}}, {"properties": {"a": {"$ref": "#"}}}]},
    {"oneOf": [{"enum": [1, "a", [True]]}, {"const": 0}, {"type": "object", "unevaluatedProperties": False}]},
    {"if": {"type": "array"}, "then": {"prefixItems": [{"type": "string"}], "unevaluatedItems": False}},
    {"$schema": DRAFT_7, "definitions": {"a": {"pattern": "b"}}, "items": [{"$ref": "#/definitions/a"}, False]},
    {"$schema": DRAFT_4, "properties": {"a": {"minimum": 1, "exclusiveMinimum": True}}, "not": {"type": "string"}},
]
names = st.sampled_from(["a", "ab", "b", "c"])
values = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 2) | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)


@given(given=st.sampled_from(SCHEMAS), value=values)
def test_within_the_bound_the_errors_are_those_of_the_library(given: Any, value: Any) -> None:
    plain = jsonschema.validators.validator_for(given, default=jsonschema.Draft202012Validator)(given)
    assert len(schema(given).errors(value)) == min(5, len(list(plain.iter_errors(value))))
