"""Random answers of the backend: lines as the protocol has them, and bytes as it has not."""

import itertools
import json
from typing import Any

from hypothesis import strategies as st

texts = st.text(max_size=12)
ids = st.sampled_from(["toolu_1", "toolu_2", "toolu_3"])
counts = st.none() | st.integers(min_value=0, max_value=10**6)
inputs = st.sampled_from(["", "{}", '{"a":1}', '{"a":', '"text"', '{"input":"raw"}'])


def _tool_use(id_: str, name: str, arguments: str, type_: int) -> dict[str, Any]:
    return {"type": type_, "tool_use": {"tool_use_id": id_, "tool_name": name, "input_json": arguments}}


nodes: st.SearchStrategy[Any] = st.one_of(
    st.builds(lambda text: {"type": 8, "thinking": {"content": text}}, texts),
    st.builds(lambda text: {"type": 8, "thinking": {"summary": text}}, texts),
    st.builds(_tool_use, ids, st.sampled_from(["read", "apply_patch"]), inputs, st.sampled_from([5, 7])),
    st.builds(
        lambda a, b, c: {
            "type": 10,
            "token_usage": {"input_tokens": a, "output_tokens": b, "cache_read_input_tokens": c},
        },
        counts,
        counts,
        counts,
    ),
    st.builds(lambda text: {"type": 0, "content": text}, texts),
    st.builds(lambda type_: {"type": type_, "unknown": [type_]}, st.integers(-1, 99)),
)

lines: st.SearchStrategy[Any] = st.fixed_dictionaries(
    {},
    optional={
        "text": texts | st.none(),
        "nodes": st.lists(nodes, max_size=4) | st.none(),
        "stop_reason": st.none() | st.integers(0, 8),
    },
)

answers: st.SearchStrategy[bytes] = st.builds(
    lambda content, last: b"".join(json.dumps(line).encode() + b"\n" for line in [*content, *last]),
    st.lists(lines, max_size=8),
    st.sampled_from([[], [{"stop_reason": 1}], [{"stop_reason": 2}], [{"error": "broken"}]]),
)

any_bytes = st.one_of(
    answers,
    st.binary(max_size=200),
    st.lists(answers | st.binary(max_size=30), max_size=4).map(b"\n".join),
)


def cuts(data: bytes, places: list[int]) -> list[bytes]:
    """`data` in pieces, cut at each of `places` (taken modulo its length)."""
    at = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:end] for start, end in itertools.pairwise(at)]


places = st.lists(st.integers(0, 10_000), max_size=8)
