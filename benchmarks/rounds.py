"""Measures: each round puts a scenario to every target in turn, so that a noisy moment meets all of them."""

from collections.abc import Iterator, Sequence

from benchmarks.accounts import tree_seconds
from benchmarks.load import drive
from benchmarks.model import Job, Measurement, Outcome, Scenario, Target
from benchmarks.plan import Say


def measure(scenario: Scenario, targets: Sequence[Target], rounds: int, progress: Say) -> Iterator[Measurement]:
    """One measurement for each round and target, after a tenth of a round to warm up. Raises `BenchmarkError`."""
    for target in targets:
        _drive(scenario, target, _count(scenario, min(target.share, 1) / 10))
    for number in range(1, rounds + 1):
        for target in targets:
            measurement = measure_once(scenario, target, number)
            progress(
                f"{scenario.name} {number}/{rounds} {target.name}: {measurement.cpu_us:.2f} µs CPU, "
                f"{measurement.wall_us:.2f} µs in all, per {scenario.unit}"
            )
            yield measurement


def measure_once(scenario: Scenario, target: Target, number: int) -> Measurement:
    """Measure the round of this number."""
    count = _count(scenario, target.share)
    before = tree_seconds(target.pid)
    outcome = _drive(scenario, target, count)
    cpu = tree_seconds(target.pid) - before
    per_unit = 1e6 / (count * scenario.units)
    return Measurement(scenario.name, target.name, number, cpu * per_unit, outcome.wall_seconds * per_unit)


def _count(scenario: Scenario, share: float) -> int:
    """Requests in such a share of a round; at least one for each connection."""
    return max(scenario.concurrency, int(scenario.count * share))


def _drive(scenario: Scenario, target: Target, count: int) -> Outcome:
    job = Job(target.port, scenario.exchanges[target.surface], count, scenario.concurrency)
    return drive(job, f"{scenario.name} on {target.name}")
