"""Lone surrogates in JSON become U+FFFD; all else stays as it was."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from augment_open_proxy.core.jsontext import mended


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (rb'"\ud83d"', "\ufffd"),
        (rb'"\ude00"', "\ufffd"),
        (rb'"a\uD83Db"', "a\ufffdb"),
        (rb'"\ud83d\ude00"', "\U0001f600"),
        (rb'"\ud83d\ud83d\ude00"', "\ufffd\U0001f600"),
        (rb'"\ude00\ud83d"', "\ufffd\ufffd"),
        (rb'"\\ud83d"', r"\ud83d"),
        (rb'"\\\ud83d"', "\\\ufffd"),
        (rb'"\u00fc\n\""', '\u00fc\n"'),
    ],
)
def test_examples(text: bytes, expected: str) -> None:
    assert json.loads(mended(text)) == expected


@given(st.text(st.characters(exclude_categories=[])))
def test_any_text_of_javascript_becomes_sound(text: str) -> None:
    value = json.loads(mended(json.dumps(text).encode()))
    assert value == text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
