"""Tokens by a tokenizer: o200k, and for Claude, whose tokenizer is not public, a multiple of it.

The tokenizer (about 0.4 s to load, 66 MB) is loaded at the first count: `docs/decisions/0004-tokenizer.md`.
"""

from collections.abc import Callable, Iterator
from functools import cached_property
from math import ceil

from augment_open_proxy.tokens.length import estimate_text

CLAUDE_FACTOR = 1.2
"""Claude's tokens for one of o200k; taken until somebody measures better."""

PIECE = 1 << 17
"""The most characters that are given to the tokenizer at once."""

_TRIES = 1000
"""So many blanks are looked at for the end of a piece: all of them may be one run."""


_CLAUDE = ("claude", "haiku", "sonnet", "opus")


def is_claude(model: str) -> bool:
    """Whether an id, or a short name such as `opus4.7`, is one of Claude's."""
    return model.startswith(_CLAUDE)


def for_model(tokens: int, model: str, claude_factor: float = CLAUDE_FACTOR) -> int:
    """What o200k's `tokens` are for the model with this id, rounded up."""
    return ceil(round(tokens * claude_factor, 6)) if is_claude(model) else tokens


class TokenCounter:
    """Counts o200k tokens. One can be shared by threads.

    `count` is meant for a worker thread: the tokenizer lets other threads run while it counts, at 5 to 150 MB/s. But
    it stops them all for the time that it takes to load, once.
    """

    @cached_property
    def _tokenize(self) -> Callable[[str], int]:
        try:
            import quicktok  # type: ignore[import-not-found,import-untyped,unused-ignore]
        except ImportError:  # no wheel for this platform or Python
            return estimate_text
        count: Callable[[str], int] = quicktok.get_encoding("o200k_base").count
        return count

    def count(self, text: str) -> int:
        """The tokens in `text`; what looks like a special token is counted as the text that it is.

        A text longer than `PIECE` is counted in pieces. That changes nothing where a piece can end before a blank,
        and at most about one token for each piece where none is near (base64).
        """
        return sum(self._tokenize(_without_surrogates(piece)) for piece in pieces(text))


def pieces(text: str, most: int = PIECE) -> Iterator[str]:
    """`text` in parts of at most `most` characters, which end before a blank if one is in the second half of a part.

    No token of o200k goes on from another character into a blank, so such a cut is between two tokens.
    """
    start = 0
    while len(text) - start > most:
        end = _cut(text, start + most // 2, start + most)
        yield text[start:end]
        start = end
    yield text[start:]


def _cut(text: str, low: int, high: int) -> int:
    """The last place in (low, high] before a blank that follows no white space; `high` if none is found soon."""
    cut = high + 1
    for _ in range(_TRIES):
        cut = text.rfind(" ", low + 1, cut)
        if cut < 0:
            break
        if not text[cut - 1].isspace():
            return cut
    return high


def _without_surrogates(text: str) -> str:
    """The tokenizer takes only what UTF-8 can carry."""
    return text if text.isascii() else text.encode(errors="replace").decode()
