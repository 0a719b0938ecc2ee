"""Mutations: JSON that is nearly what it should be, and bytes that are nearly JSON."""

import copy
import json
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import strategies as st

SURROGATE = "\ud83d"
# fmt: off
WORDS = (
    "user", "assistant", "system", "tool", "developer", "text", "image", "image_url", "input_text", "input_image",
    "input_file", "output_text", "file", "document", "search_result", "thinking", "redacted_thinking", "tool_use",
    "tool_result", "server_tool_use", "message", "function", "custom", "function_call", "function_call_output",
    "custom_tool_call", "custom_tool_call_output", "local_shell", "local_shell_call", "reasoning", "item_reference",
    "compaction", "compaction_trigger", "additional_tools", "namespace", "grammar", "lark", "regex", "auto", "any",
    "none", "required", "enabled", "adaptive", "disabled", "json_schema", "json_object", "base64", "url", "content",
    "create", "continue", "low", "high", "call_1", "look", "claude-sonnet-4-5", "data:image/png;base64,aGk=",
    "data:,x", "reasoning.encrypted_content",
)
# fmt: on
"""What clients say in places where not anything can be said."""
NAMES = ("type", "role", "content", "id", "text", "input", "name", "model", "tools", "messages", "source", "data")

texts = st.sampled_from(WORDS) | st.text(max_size=8) | st.just(SURROGATE) | st.just("a" * 600)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 3),
    st.sampled_from([2**31, 2**63, 10**30, -(10**30), 1.5, 1e308, -0.0]),
    texts,
)
names = st.sampled_from(NAMES) | texts
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=6
)

Spot = tuple[Any, Any]
"""A container, and the key or index of a value in it."""


def spots(value: Any) -> list[Spot]:
    """All places in a value."""
    found: list[Spot] = []
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        found += [(value, key), *spots(inner)]
    return found


def _replace(draw: st.DrawFn, container: Any, key: Any) -> None:
    container[key] = draw(json_values)


def _delete(draw: st.DrawFn, container: Any, key: Any) -> None:
    del container[key]


def _double(draw: st.DrawFn, container: Any, key: Any) -> None:
    copied = copy.deepcopy(container[key])
    if isinstance(container, list):
        container.insert(key, copied)
    else:
        container[draw(names)] = copied


def _wrap(draw: st.DrawFn, container: Any, key: Any) -> None:
    container[key] = draw(st.sampled_from([[container[key]], {"content": container[key]}, str(container[key])]))


def _say(draw: st.DrawFn, container: Any, key: Any) -> None:
    container[key] = draw(st.sampled_from(WORDS))


CHANGES: Sequence[Callable[[st.DrawFn, Any, Any], None]] = (_replace, _delete, _double, _wrap, _say, _say)


@st.composite
def mutated(draw: st.DrawFn, seeds: Sequence[Any]) -> Any:
    """One of the values, changed in up to four places."""
    value = copy.deepcopy(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(0, 4))):
        places = spots(value)
        if places:
            draw(st.sampled_from(CHANGES))(draw, *draw(st.sampled_from(places)))
    return value


def nested(depth: int, inner: Any = None) -> bytes:
    """Deeper than decoders go."""
    return b'[{"a":' * depth + json.dumps(inner).encode() + b"}]" * depth


@st.composite
def broken(draw: st.DrawFn, data: st.SearchStrategy[bytes]) -> bytes:
    """The bytes with a piece cut out, and another put in."""
    whole = draw(data)
    start = draw(st.integers(0, len(whole)))
    end = draw(st.integers(start, min(len(whole), start + 20)))
    pieces = [b"", b"\x00", b"\xff", b"\xed\xa0\xbd", b"\\ud83d", b"NaN", b"1e999", b'"', b",", b"}", b"\xef\xbb\xbf"]
    return whole[:start] + draw(st.sampled_from(pieces) | st.binary(max_size=3)) + whole[end:]


def as_json(value: Any) -> bytes:
    """With lone surrogates as escapes, as JavaScript sends them."""
    return json.dumps(value).encode()


def bodies(seeds: Sequence[Any]) -> st.SearchStrategy[bytes]:
    """Bodies that are like the seeds, or like JSON, or like nothing."""
    near = mutated(seeds).map(as_json)
    return st.one_of(near, near, broken(near), json_values.map(as_json), st.binary(max_size=60))
