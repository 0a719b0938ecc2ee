"""What a run of the benchmark is to do."""

from collections.abc import Callable, Sequence

from msgspec import Struct

from benchmarks.model import DIALECTS, Dialect

Say = Callable[[str], object]
"""Takes the progress, a line at a time."""
QUICK_ROUNDS = 2
QUICK_SHARE = 10
"""A quick round is so much smaller."""


class Plan(Struct, frozen=True):
    """Which dialects, how many rounds, and where progress is told."""

    say: Say
    rounds: int = 5
    dialects: Sequence[Dialect] = DIALECTS
    quick: bool = False
    with_peer: bool = False

    def scaled(self, count: int) -> int:
        """So many, or a tenth of it in a quick run; at least one."""
        return max(1, count // QUICK_SHARE) if self.quick else count
