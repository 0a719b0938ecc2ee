"""Bytes → lines: cut anywhere they give the same lines, within a bound, in linear time."""

import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augment_open_proxy.upstream.lines import BOM, LineSplitter, LineTooLong

TEXT = BOM + '{"text":"é 😀"}\r\n\n{"a":1}\n{"last":'.encode() + BOM + b"}"
LINES = ['{"text":"é 😀"}\r'.encode(), b"", b'{"a":1}', b'{"last":' + BOM + b"}"]


def split(*pieces: bytes, limit: int = 1000) -> list[bytes]:
    splitter = LineSplitter(limit)
    return [line for piece in pieces for line in splitter.feed(piece)] + splitter.close()


def test_a_line_comes_once_it_is_whole() -> None:
    splitter = LineSplitter()
    assert splitter.feed(b"a") == []
    assert splitter.feed(b"b\nc") == [b"ab"]
    assert splitter.feed(b"") == []
    assert splitter.feed(b"\n\nd\ne") == [b"c", b"", b"d"]
    assert splitter.close() == [b"e"]
    assert splitter.close() == []


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"\n", [b""]),
        (b"a", [b"a"]),
        (b"a\n", [b"a"]),
        (b"a\r\nb\r\n", [b"a\r", b"b\r"]),
        (b"a\rb", [b"a\rb"]),
        (b"a\xe2\x80\xa8b\x0b\x0c\x85\n", [b"a\xe2\x80\xa8b\x0b\x0c\x85"]),
        (BOM, []),
        (BOM + b"\n", [b""]),
        (BOM + b"a\n" + BOM + b"b\n", [b"a", BOM + b"b"]),
        (b"\n" + BOM + b"a\n", [b"", BOM + b"a"]),
        (BOM + BOM + b"a", [BOM + b"a"]),
        (BOM[:2], [BOM[:2]]),
        (TEXT, LINES),
    ],
)
def test_lines(data: bytes, lines: list[bytes]) -> None:
    assert split(data) == lines
    assert split(*(data[i : i + 1] for i in range(len(data)))) == lines


def test_cut_once_anywhere_the_lines_are_the_same() -> None:
    """Inside a character, the byte order mark and a CRLF too."""
    for place in range(len(TEXT) + 1):
        assert split(TEXT[:place], TEXT[place:]) == LINES


@given(st.lists(st.sampled_from([b"a", b"\n", b"\r\n", BOM, BOM[:1], b"\xc3", b"\xa9", b"{}", b""])))
@settings(deadline=None)
def test_cut_in_any_way_the_lines_are_the_same(pieces: list[bytes]) -> None:
    assert split(*pieces) == split(b"".join(pieces))


@pytest.mark.parametrize("pieces", [[b"123456"], [b"1234", b"56"], [b"12", b"34", b"56", b"\n"], [b"a\n123", b"456\n"]])
def test_a_line_beyond_the_limit_is_an_error(pieces: list[bytes]) -> None:
    with pytest.raises(LineTooLong):
        split(*pieces, limit=5)


def test_a_line_of_just_the_limit_is_none() -> None:
    assert split(b"123", b"45\n1234", b"5\n", b"12345", limit=5) == [b"12345", b"12345", b"12345"]


def test_a_long_line_in_small_pieces_takes_linear_time() -> None:
    splitter = LineSplitter()
    piece = b"x" * 16
    start = time.process_time()
    for _ in range(500_000):
        splitter.feed(piece)
    (line,) = splitter.feed(b"\n")
    assert len(line) == 8_000_000
    assert time.process_time() - start < 10


def test_many_lines_in_one_piece_take_linear_time() -> None:
    start = time.process_time()
    assert len(LineSplitter().feed(b"{}\n" * 1_000_000)) == 1_000_000
    assert time.process_time() - start < 10


@given(st.lists(st.integers(0, 20)))
@settings(deadline=None)
def test_cut_in_any_way_the_lines_before_one_beyond_the_limit_are_the_same(cuts: list[int]) -> None:
    data = b"a\nbc\n1234567\nd\n"
    places = sorted({0, *(cut for cut in cuts if cut < len(data)), len(data)})
    splitter = LineSplitter(5)
    lines: list[bytes] = []
    with pytest.raises(LineTooLong):
        for start, end in pairwise(places):
            lines += splitter.feed(data[start:end])
        splitter.close()
    assert lines == [b"a", b"bc"]
