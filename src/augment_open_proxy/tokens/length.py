"""Tokens by length alone: what is known at once and costs nothing."""

BYTES_PER_TOKEN = 4
"""Of English prose and code under current tokenizers, roughly."""


def estimate(size: int) -> int:
    """The tokens in a text of `size` UTF-8 bytes (or characters); at least one, since a zero looks like an error."""
    return max(1, -(-size // BYTES_PER_TOKEN))
