"""The loads of the check: short whole replies and long streams in each dialect, one request at a time."""

from collections.abc import Iterator

from msgspec import Struct

from benchmarks.load import drive
from benchmarks.model import DIALECTS, Dialect, Job, Scenario, Target
from benchmarks.scenarios import SCENARIOS

_COUNTS = {"unary": 100, "burst": 10}
_WARM_UP = 5
"""The part of them that comes before, uncounted."""
CHECKED: tuple[Scenario, ...] = tuple(SCENARIOS[name] for name in _COUNTS)


class Checked(Struct, frozen=True):
    """A scenario in a dialect."""

    scenario: Scenario
    dialect: Dialect

    @property
    def name(self) -> str:
        return f"{self.scenario.name} {self.dialect}"

    @property
    def units(self) -> int:
        """Requests or lines that `put` asks for."""
        return _COUNTS[self.scenario.name] * self.scenario.units

    def put(self, target: Target, times: int = 1) -> None:
        """Raises `BenchmarkError`."""
        self._drive(target, times * _COUNTS[self.scenario.name])

    def warm_up(self, target: Target) -> None:
        """Raises `BenchmarkError`."""
        self._drive(target, max(2, _COUNTS[self.scenario.name] // _WARM_UP))

    def _drive(self, target: Target, count: int) -> None:
        drive(Job(target.port, self.scenario.exchanges[self.dialect], count, 1), self.name)


def loads() -> Iterator[Checked]:
    for scenario in CHECKED:
        for dialect in DIALECTS:
            yield Checked(scenario, dialect)
