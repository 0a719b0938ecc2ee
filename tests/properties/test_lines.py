"""Answers of the backend that are nearly right: lines changed, moved, doubled, broken, and cut anywhere."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augment_open_proxy.core.errors import ErrorKind
from augment_open_proxy.core.events import Event, Failure, Opening
from augment_open_proxy.dialects.dialect import Dialect
from augment_open_proxy.dialects.registry import DIALECTS
from augment_open_proxy.upstream.decode import Decoder
from tests.cases import SCENARIOS, upstream_answer
from tests.pipeline import streamed
from tests.properties import grammar
from tests.properties.mutation import as_json, broken, json_values, mutated, nested
from tests.properties.strategies import answers, cuts, places
from tests.properties.test_pipeline import PARSED, joined

KNOWN = (
    "text", "nodes", "type", "content", "thinking", "summary", "tool_use", "tool_use_id", "tool_name", "input_json",
    "token_usage", "input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens",
    "stop_reason", "error", "unknown_blob_names",
)  # fmt: skip


def seed_lines() -> list[Any]:
    """The lines of all golden cases that are JSON objects, each once."""
    found: dict[bytes, Any] = {}
    for line in b"\n".join(upstream_answer(scenario) for scenario in SCENARIOS).split(b"\n"):
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            found[line] = value
    return list(found.values())


SEEDS = seed_lines()
odd_lines = st.dictionaries(st.sampled_from(KNOWN), json_values, max_size=4)
lines = st.one_of(
    mutated(SEEDS).map(as_json),
    mutated(SEEDS).map(as_json),
    odd_lines.map(as_json),
    broken(st.sampled_from(SEEDS).map(as_json)),
    st.sampled_from([b"", b"null", b"[]", b"{}", b"\xff", b" {} ", nested(2000), b'{"stop_reason":1}']),
)


@st.composite
def near_answers(draw: st.DrawFn) -> bytes:
    """Lines that are nearly right, in any order, with either end of line, and maybe no last one."""
    drawn = draw(st.lists(lines, max_size=8))
    end = draw(st.sampled_from([b"\n", b"\r\n", b"\n\n"]))
    whole = end.join(drawn) + draw(st.sampled_from([b"", end]))
    return draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + whole


def decoded(chunks: list[bytes]) -> list[Event]:
    decoder = Decoder()
    events = [event for chunk in chunks for event in decoder.feed(chunk)] + decoder.close()
    assert decoder.ended
    return events


@given(data=near_answers(), at=places)
@settings(max_examples=400)
def test_any_lines_are_one_reply_however_they_are_cut(data: bytes, at: list[int]) -> None:
    events = decoded([data])
    end = grammar.check([Opening("id", 1, "m", 1), *events])
    assert joined(decoded(cuts(data, at))) == joined(events)
    assert joined(decoded([data[i : i + 1] for i in range(len(data))])) == joined(events)
    if isinstance(end, Failure):
        assert end.problem.message
        assert end.problem.kind != ErrorKind.INTERNAL


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
@given(data=near_answers(), at=places)
@settings(max_examples=150)
def test_what_the_client_gets_does_not_depend_on_the_cuts(dialect: Dialect, data: bytes, at: list[int]) -> None:
    assert streamed(dialect, PARSED, cuts(data, at)) == streamed(dialect, PARSED, [data])


@given(data=answers, noise=st.lists(st.sampled_from([b"", b"x", b"\xff", b"[1]", b'"a"', b"7"]), max_size=5))
@settings(max_examples=300)
def test_lines_that_say_nothing_change_nothing(data: bytes, noise: list[bytes]) -> None:
    plain = data.splitlines(keepends=True)
    noisy = list(plain)
    for i, line in enumerate(noise):
        noisy.insert(min(i * 2, len(noisy)), line + b"\n")
    assert joined(decoded([b"".join(noisy)])) == joined(decoded([data]))
