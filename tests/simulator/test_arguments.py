"""Arguments made from a tool's schema are valid by that schema."""

import re
from collections.abc import Mapping
from typing import Any

import pytest

from augment_open_proxy.simulator.arguments import arguments

Json = dict[str, Any]


def violations(value: Any, schema: Any, root: Json, path: str = "$") -> list[str]:
    """What `value` breaks of `schema`: the keywords that this file's schemas use."""
    if schema is True or schema == {}:
        return []
    if "$ref" in schema:
        target: Any = root
        for key in schema["$ref"].split("/")[1:]:
            target = target[key]
        return violations(value, target, root, path)
    found = [fault for part in schema.get("allOf", ()) for fault in violations(value, part, root, path)]
    for key in ("anyOf", "oneOf"):
        if key in schema and all(violations(value, part, root, path) for part in schema[key]):
            found.append(f"{path}: {key}")
    kinds = schema.get("type", [])
    if kinds and not any(_is(value, kind) for kind in ([kinds] if isinstance(kinds, str) else kinds)):
        return [*found, f"{path}: {value!r} is not {kinds}"]
    found += [f"{path}: {value!r} breaks {key} {schema[key]!r}" for key in _RULES if _breaks(value, schema, key)]
    if isinstance(value, dict):
        for name, item in value.items():
            found += violations(item, schema.get("properties", {}).get(name, True), root, f"{path}.{name}")
    if isinstance(value, list):
        first = schema.get("prefixItems", [])
        for index, item in enumerate(value):
            part = first[index] if index < len(first) else schema.get("items", True)
            found += violations(item, part, root, f"{path}[{index}]")
    return found


def _is(value: Any, kind: str) -> bool:
    types: dict[str, Any] = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}
    if kind in types:
        return isinstance(value, types[kind])
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and (kind == "number" or value == int(value))


_RULES: dict[str, tuple[Any, Any]] = {
    "const": (object, lambda value, rule: value == rule),
    "enum": (object, lambda value, rule: value in rule),
    "required": (dict, lambda value, rule: set(rule) <= value.keys()),
    "minProperties": (dict, lambda value, rule: len(value) >= rule),
    "minItems": (list, lambda value, rule: len(value) >= rule),
    "maxItems": (list, lambda value, rule: len(value) <= rule),
    "uniqueItems": (list, lambda value, rule: not rule or all(value.count(item) == 1 for item in value)),
    "minLength": (str, lambda value, rule: len(value) >= rule),
    "maxLength": (str, lambda value, rule: len(value) <= rule),
    "pattern": (str, lambda value, rule: re.search(rule, value) is not None),
    "minimum": ((int, float), lambda value, rule: value >= rule),
    "maximum": ((int, float), lambda value, rule: value <= rule),
    "exclusiveMinimum": ((int, float), lambda value, rule: value > rule),
    "exclusiveMaximum": ((int, float), lambda value, rule: value < rule),
    "multipleOf": ((int, float), lambda value, rule: value % rule == 0),
}


def _breaks(value: Any, schema: Json, key: str) -> bool:
    kind, holds = _RULES[key]
    return key in schema and isinstance(value, kind) and not holds(value, schema[key])


NASTY: Json = {
    "type": "object",
    "$defs": {
        "mode": {"enum": ["fast", "slow"]},
        "node": {
            "type": "object",
            "properties": {
                "value": {"type": "integer"},
                "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
            },
            "required": ["value", "children"],
        },
        "a/b": {"type": "boolean"},
    },
    "properties": {
        "command": {"type": ["string", "null"]},
        "argv": {"type": "array", "items": {"type": "string"}, "minItems": 2, "maxItems": 3, "uniqueItems": True},
        "mode": {"$ref": "#/$defs/mode"},
        "escaped": {"$ref": "#/$defs/a~1b"},
        "tree": {"$ref": "#/$defs/node"},
        "maybe": {
            "anyOf": [{"type": "null"}, {"type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"]}]
        },
        "both": {
            "allOf": [
                {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
                {"properties": {"b": {"const": 7}}, "required": ["b"]},
            ]
        },
        "one": {"oneOf": [{"type": "integer", "minimum": 3}, {"type": "string"}]},
        "untyped": {},
        "anything": True,
        "implied": {
            "properties": {"deep": {"type": "array", "items": {"type": "integer"}, "minItems": 1}},
            "required": ["deep"],
        },
        "few": {"type": "object", "minProperties": 2, "additionalProperties": {"type": "integer"}},
        "pair": {
            "type": "array",
            "prefixItems": [{"type": "string"}, {"type": "boolean"}],
            "items": False,
            "minItems": 2,
        },
        "distinct": {"type": "array", "items": {"enum": ["x", "y", "z"]}, "minItems": 3, "uniqueItems": True},
        "ranked": {"type": "array", "items": {"type": "integer", "multipleOf": 5}, "minItems": 3, "uniqueItems": True},
        "nothing": {"type": "null"},
        "flag": {"type": "boolean", "default": True},
        "level": {"type": "integer", "default": "not one"},
    },
    "additionalProperties": False,
}
NASTY["required"] = list(NASTY["properties"])


def of_one(**schema: Any) -> Json:
    return {"type": "object", "properties": {"x": schema}, "required": ["x"]}


def test_a_nasty_schema() -> None:
    schema = {
        **NASTY,
        "$defs": {**NASTY["$defs"], "a~1b": NASTY["$defs"]["a/b"]},
    }  # this file's validator does not unescape
    made = arguments(NASTY)
    assert violations(made, schema, schema) == []
    assert made["command"] == "echo hello from the simulator"
    assert made["mode"] == "fast"
    assert made["tree"] == {"value": 1, "children": []}
    assert made["flag"] is True


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "integer", "minimum": 5},
        {"type": "integer", "maximum": -5},
        {"type": "integer", "minimum": 0.5, "maximum": 1.5},
        {"type": "integer", "exclusiveMinimum": 5, "exclusiveMaximum": 7},
        {"type": "integer", "exclusiveMinimum": 5, "maximum": 10, "multipleOf": 10},
        {"type": "integer", "maximum": 0, "multipleOf": 7},
        {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
        {"type": "number", "exclusiveMinimum": 0, "maximum": 0.5},
        {"type": "number", "minimum": 0, "exclusiveMaximum": 0.1},
        {"type": "number", "multipleOf": 0.25, "minimum": 1.1},
        {"type": "string", "minLength": 100},
        {"type": "string", "maxLength": 3},
        {"type": "string", "pattern": "^[a-z]{2}-[A-Z]{2}$"},
        {"type": "string", "pattern": "^[0-9]+$", "minLength": 7},
        {"type": "string", "pattern": "^#[0-9a-f]{6}$"},
        {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}$"},
        {"type": "string", "enum": ["b", "a"]},
        {"enum": [None, 1]},
        {"const": {"a": [1]}},
        {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "uniqueItems": True},
        {"type": ["null", "integer"]},
        {"type": "string", "examples": [7, "good"]},
    ],
)
def test_one_property(schema: Json) -> None:
    whole = of_one(**schema)
    assert violations(arguments(whole), whole, whole) == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("command", "echo hello from the simulator"),
        ("file_path", "README.md"),
        ("filePath", "README.md"),
        ("url", "https://example.com/"),
        ("location", "Paris"),
        ("whatever", "hello from the simulator"),
    ],
)
def test_a_string_suits_the_name(name: str, expected: str) -> None:
    assert arguments({"type": "object", "properties": {name: {"type": "string"}}, "required": [name]}) == {
        name: expected
    }


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("command", ["echo", "hello", "from", "the", "simulator"]),
        ("commands", ["echo hello from the simulator"]),
        ("files", ["README.md"]),
        ("tags", []),
    ],
)
def test_a_list_suits_the_name(name: str, expected: list[str]) -> None:
    schema = {"properties": {name: {"type": "array", "items": {"type": "string"}}}, "required": [name]}
    assert arguments(schema) == {name: expected}


def test_optional_properties_are_left_out() -> None:
    assert arguments({"type": "object", "properties": {"a": {"type": "string"}}}) == {}


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"$ref": "#"},
        {"$ref": "https://elsewhere.invalid/schema"},
        {"type": "object", "required": True, "properties": []},
        {"properties": {"x": None}, "required": ["x", 7]},
        of_one(type=7, enum="x", minLength="y", pattern="["),
        of_one(type="string", pattern="["),
        of_one(type="array", minItems=10**12),
        {"properties": {"x": {"$ref": "#"}, "y": {"$ref": "#"}}, "required": ["x", "y"]},
    ],
)
def test_a_schema_that_is_not_one_does_no_harm(schema: Mapping[str, Any]) -> None:
    assert isinstance(arguments(schema), dict)
