"""Tokens without a tokenizer: from the length alone, or from the kinds of characters.

Both stand for o200k counts and are fit for the path of a request: `estimate` costs nothing, `estimate_text` at most
about 0.1 ms however long the text is. Their errors on each kind of text: `docs/decisions/0004-tokenizer.md`.
"""

import itertools
from collections.abc import Sequence

BYTES_PER_TOKEN = 3.9
"""Between prose and code (4.0 to 4.4 at the median) and JSON (3.4)."""

_SAMPLES, _SAMPLE = 32, 64
"""A longer text is judged by so many samples of so many characters, evenly spread."""

_JOINED = 256 * 1024
"""Characters up to which texts are put together, which takes less time than to find the places of the samples."""

_MOST_BYTES_PER_TOKEN = 64
"""Runs of one character: the longest tokens are those of spaces (128) and of rules such as `====` (64)."""

_FREQUENT = b"a ."
_FREQUENT_WEIGHTS = (
    (b"a", 0.098),  # lower case
    (b".", 0.722),  # signs of ASCII
    (b"..", -0.89),  # signs in a row share tokens
    (b" a", 0.608),  # beginnings of words
    (b".a", 0.373),
    (b" .", 1.044),
)
_RARE_WEIGHTS = (
    (b"A", 0.245),  # upper case
    (b"0", 0.979),  # digits
    (b"\n", 0.575),
    (b"L", 1.76),  # Latin letters with accents: they stand for longer words, not only for themselves
    (b"1", 0.34),  # Greek, Cyrillic, Hebrew, Arabic
    (b"2", 0.385),  # the scripts of India and South-East Asia, typographic signs
    (b"3", 0.75),  # Chinese, Japanese, Korean
    (b"4", 1.8),  # emoji
)


def _kind(byte: int) -> str:
    """The kind of an ASCII character, or of a character beyond by the first byte of its UTF-8."""
    for end, kind in ((0xF0, "4"), (0xE3, "3"), (0xE0, "2"), (0xCC, "1"), (0xC2, "L"), (0x80, "~")):
        if byte >= end:
            return kind
    character = chr(byte)
    if character.islower():
        return "a"
    if character.isupper():
        return "A"
    if character.isdigit():
        return "0"
    if character == "\n":
        return character
    return " " if character in " \t\r" else "."


_KINDS = "".join(map(_kind, range(256))).encode()


def estimate(size: int) -> int:
    """The tokens in a text of `size` UTF-8 bytes (or characters); at least one, since a zero looks like an error."""
    return max(1, round(size / BYTES_PER_TOKEN))


def estimate_text(text: str | bytes) -> int:
    """The tokens in a text, or in its UTF-8; zero only for an empty one."""
    size = len(text)
    if size > _SAMPLES * _SAMPLE:
        starts = range(0, size, size // _SAMPLES)
        if isinstance(text, str):
            text = "".join([text[start : start + _SAMPLE] for start in starts])
        else:
            text = b"".join([text[start : start + _SAMPLE] for start in starts])
    elif not size:
        return 0
    return _judged(text, size)


def _judged(text: str | bytes, size: int) -> int:
    """The tokens in a text of `size` characters (or bytes), of which `text` is all or samples."""
    data = text.encode(errors="surrogatepass") if isinstance(text, str) else text
    tokens = max(_tokens(data), len(data) / _MOST_BYTES_PER_TOKEN)
    return max(1, round(tokens * size / len(text)))


def estimate_texts(texts: Sequence[str]) -> int:
    """`estimate_text` of the texts as lines; those of a large request are not put together, only sampled."""
    size = sum(map(len, texts)) + max(len(texts) - 1, 0)
    if size <= _JOINED:
        return estimate_text("\n".join(texts))
    samples: list[str] = []
    start = 0  # of the next sample, in this text or in one that follows
    for number, text in enumerate(texts):
        while start <= len(text):
            sample = text[start : start + _SAMPLE]
            samples.append(sample if start + _SAMPLE <= len(text) else _prolonged(sample, texts, number))
            start += size // _SAMPLES
        start -= len(text) + 1
    return _judged("".join(samples), size)


def _prolonged(sample: str, texts: Sequence[str], number: int) -> str:
    """The end of the text of this number, and as much of what follows as makes a sample."""
    for text in itertools.islice(texts, number + 1, None):
        if len(sample) >= _SAMPLE:
            break
        sample += "\n" + text[:_SAMPLE]
    return sample[:_SAMPLE]


def _tokens(data: bytes) -> float:
    kinds = data.translate(_KINDS)
    rare = kinds.translate(None, _FREQUENT)  # shorter by far, and so are the times in which it is counted
    tokens = sum([weight * kinds.count(pattern) for pattern, weight in _FREQUENT_WEIGHTS])
    return tokens + sum([weight * rare.count(pattern) for pattern, weight in _RARE_WEIGHTS])
