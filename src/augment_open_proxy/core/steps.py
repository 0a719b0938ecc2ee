"""Long work in steps: a generator that yields wherever others may run, and returns its result.

What is pure yields and knows no clock; who has an event loop decides when to let others run (`server/flow.py`).
"""

from collections.abc import Generator
from typing import TypeVar

T = TypeVar("T")
Steps = Generator[None, None, T]


def whole(steps: Steps[T]) -> T:
    """The result of all steps, taken at once."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result
