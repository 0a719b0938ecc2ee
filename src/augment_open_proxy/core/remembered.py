"""What was worked out before, for the next time: agents send the same tools, often 100 KB of them, with each request.

Little is kept: what was asked for last, a few at a time. Nothing but time depends on whether something is remembered.
"""

from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

import msgspec

K = TypeVar("K", bound=Iterable[Any])
V = TypeVar("V")

MOST = 16
"""How many are kept."""
LARGEST = 256 * 1024
"""Bytes of a text that is kept, and of what is encoded as so many."""
_encode = msgspec.json.Encoder().encode


class ByText(Generic[V]):
    """What `make` makes of a text. Texts that are equal get the same object."""

    def __init__(self, make: Callable[[bytes], V]) -> None:
        self._make = make
        self._known: dict[int, tuple[bytes, V]] = {}

    def __call__(self, text: bytes) -> V:
        """Raises what `make` raises; that is not remembered."""
        size = len(text)  # to hash a text takes ten times as long as to compare it with one of its size
        known = self._known.pop(size, None)
        if known is None or known[0] != text:
            known = text, self._make(text)
        if size <= LARGEST:
            _add(self._known, size, known)
        return known[1]

    def standing(self, body: bytes, at: int) -> tuple[int, V] | None:
        """The size of the remembered text that stands in `body` at this place, and what was made of it."""
        for size, (text, made) in self._known.items():
            if body.startswith(text, at):
                return size, made
        return None


class ByIdentity(Generic[K, V]):
    """What `make` makes of a sequence that does not change."""

    def __init__(self, make: Callable[[K], V]) -> None:
        self._make = make
        self._known: dict[int, tuple[K, V]] = {}

    def __call__(self, thing: K) -> V:
        """Raises what `make` raises; that is not remembered."""
        known = self._known.pop(id(thing), None)  # kept with the object, whose identity nobody else has meanwhile
        if known is None:
            known = thing, self._make(thing)
            if not is_small(thing):
                return known[1]
        _add(self._known, id(thing), known)
        return known[1]


def is_small(parts: Iterable[Any]) -> bool:
    """Whether they may be kept: they have `LARGEST` bytes at most, as JSON."""
    left = LARGEST
    for part in parts:
        left -= len(_encode(part))
        if left < 0:
            return False
    return True


def _add(known: dict[int, V], key: int, value: V) -> None:
    """As the last one; the one that nobody has asked for longest is let go."""
    known[key] = value
    if len(known) > MOST:
        del known[next(iter(known))]
