"""Lone surrogates in JSON become U+FFFD, all else stays as it was; and what is not UTF-8 is found in any piece."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from augment_open_proxy.core.jsontext import check_utf8, mended
from augment_open_proxy.core.steps import whole


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


@given(st.integers(65_530, 65_542), st.sampled_from(["é", "„", "🙂"]), st.binary(min_size=1, max_size=5))
def test_what_is_not_utf_8_is_found_wherever_it_is_cut(before: int, character: str, odd: bytes) -> None:
    sound = b"x" * before + character.encode() * 70_000
    whole(check_utf8(sound))
    for data in (b"x" * before + odd + sound, sound[:-1], sound + odd):
        try:
            data.decode()
        except UnicodeDecodeError as error:
            with pytest.raises(UnicodeDecodeError) as caught:
                whole(check_utf8(data))
            assert str(caught.value) == str(error)
        else:
            whole(check_utf8(data))


def test_a_large_text_is_looked_at_in_steps() -> None:
    assert len(list(check_utf8("é".encode() * 100_000))) == 4
