"""The decoder's bounds and counts; what it makes of good answers is in the golden cases."""

import pytest

from augment_open_proxy.core.events import BlockDelta, Failure
from augment_open_proxy.upstream.decode import ANSWER_LIMIT, Decoder
from augment_open_proxy.upstream.lines import DEFAULT_LIMIT

LINE = b'{"text":"Hi"}\n'


def test_an_answer_that_is_longer_than_can_be_kept_fails_at_the_limit() -> None:
    decoder = Decoder(answer_limit=2 * len(LINE))
    given = [*decoder.feed(LINE), *decoder.feed(LINE)]
    assert [event.text for event in given if isinstance(event, BlockDelta)] == ["Hi", "Hi"]
    *_, last = decoder.feed(LINE)
    assert isinstance(last, Failure)
    assert "longer than can be kept" in last.problem.message
    assert last.problem.remedy is None
    assert decoder.ended


def test_it_is_longer_than_the_longest_line() -> None:
    assert ANSWER_LIMIT > DEFAULT_LIMIT


def test_lines_that_are_not_readable_are_counted() -> None:
    decoder = Decoder()
    decoder.feed(b"nonsense\n\n   \n" + LINE + b"[1]\n")
    decoder.feed(b"<html>")
    decoder.close()
    assert decoder.skipped_lines == 3


@pytest.mark.parametrize("content_type", [b"application/x-ndjson", b"Application/JSON"])
def test_a_cut_in_the_first_line_is_not_taken_for_the_answer_of_another(content_type: bytes) -> None:
    decoder = Decoder()
    decoder.content_type = content_type
    (failure,) = decoder.feed(LINE[:5]) + decoder.close()
    assert isinstance(failure, Failure)
    assert failure.problem.remedy == "again_or_other_model"
