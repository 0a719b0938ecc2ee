"""Frames → server-sent events, which clients split at the right places only."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augment_open_proxy.dialects.framing import COMMENT, Frame, joined, size_of, sse


@pytest.mark.parametrize(
    ("frames", "data"),
    [
        ([], b""),
        ([(b"", b"{}")], b"data: {}\n\n"),
        ([(b"", b"[DONE]")], b"data: [DONE]\n\n"),
        ([(b"ping", b'{"type":"ping"}')], b'event: ping\ndata: {"type":"ping"}\n\n'),
        ([(COMMENT, b"keep-alive")], b": keep-alive\n\n"),
        ([(b"a", b"1"), (b"", b"2")], b"event: a\ndata: 1\n\ndata: 2\n\n"),
    ],
)
def test_frames(frames: list[Frame], data: bytes) -> None:
    assert sse(frames) == data


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a\u2028b", r"a\u2028b"),
        ("a\u2029b", r"a\u2029b"),
        ("a\x85b", r"a\u0085b"),
        ("\u2028\u2029\x85", r"\u2028\u2029\u0085"),
        ("\u2027\u202a\u2018\x84\x86é\U0001f600", "\u2027\u202a\u2018\x84\x86é\U0001f600"),
    ],
)
def test_line_ends_of_unicode_are_escaped_and_nothing_else(text: str, written: str) -> None:
    assert sse([(b"", f'"{text}"'.encode())]) == f'data: "{written}"\n\n'.encode()


@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\u2028\x85")), min_size=1))
@settings(deadline=None)
def test_a_client_that_splits_decoded_text_gets_each_frame_whole(texts: list[str]) -> None:
    lines = joined(sse((b"", text.encode()) for text in texts)).decode().splitlines()
    assert len(lines) == 2 * len(texts)
    restored = [line.removeprefix("data: ") for line in lines[::2]]
    escapes: dict[int, str | int | None] = {0x2028: r"\u2028", 0x2029: r"\u2029", 0x85: r"\u0085"}
    assert restored == [text.translate(escapes) for text in texts]
    assert set(lines[1::2]) == {""}


SMALL, LARGE = memoryview(b"[1]"), memoryview(b"[" + b"2," * 4096 + b"3]")


def test_large_views_are_neither_copied_nor_looked_at_again() -> None:
    end = '"\u2028"'.encode()
    pieces = sse([(b"a", (b'{"b":', LARGE, b"}")), (b"c", (b'{"d":', LARGE, b"}")), (b"", end)])
    assert isinstance(pieces, tuple)
    assert [piece for piece in pieces if piece is LARGE] == [LARGE, LARGE]
    large = bytes(LARGE)
    told = b'event: a\ndata: {"b":%b}\n\nevent: c\ndata: {"d":%b}\n\ndata: "\\u2028"\n\n' % (large, large)
    assert joined(pieces) == told
    assert size_of(pieces) == len(told)


def test_small_views_become_part_of_the_rest() -> None:
    told = b'event: a\ndata: {"b":[1]}\n\n'
    assert sse([(b"a", (b'{"b":', SMALL, b"}"))]) == told
    assert size_of(told) == len(told)
