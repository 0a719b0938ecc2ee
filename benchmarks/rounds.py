"""Measures: each round puts a scenario to every target in turn, so that a noisy moment meets all of them."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence

import msgspec

from benchmarks.cpu import tree_seconds
from benchmarks.driver import TIME_LIMIT
from benchmarks.model import BenchmarkError, Job, Measurement, Outcome, Scenario, Target
from benchmarks.servers import ROOT


def measure(
    scenario: Scenario, targets: Sequence[Target], rounds: int, progress: Callable[[str], object]
) -> Iterator[Measurement]:
    """One measurement for each round and target, after a tenth of a round to warm up. Raises `BenchmarkError`."""
    for target in targets:
        _drive(scenario, target, max(scenario.concurrency, scenario.count // 10))
    for number in range(1, rounds + 1):
        for target in targets:
            measurement = _measure_once(scenario, target, number)
            progress(
                f"{scenario.name} {number}/{rounds} {target.name}: {measurement.cpu_us:.2f} µs CPU, "
                f"{measurement.wall_us:.2f} µs in all, per {scenario.unit}"
            )
            yield measurement


def _measure_once(scenario: Scenario, target: Target, number: int) -> Measurement:
    count = scenario.count * target.repeat
    before = tree_seconds(target.pid)
    outcome = _drive(scenario, target, count)
    cpu = tree_seconds(target.pid) - before
    per_unit = 1e6 / (count * scenario.units)
    return Measurement(scenario.name, target.name, number, cpu * per_unit, outcome.wall_seconds * per_unit)


def _drive(scenario: Scenario, target: Target, count: int) -> Outcome:
    """Put the load on a target, from a process of its own."""
    job = Job(target.port, scenario.exchanges[target.surface], count, scenario.concurrency)
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.driver"],
        input=msgspec.json.encode(job),
        stdout=subprocess.PIPE,
        cwd=ROOT,
        timeout=2 * TIME_LIMIT,
        check=False,
    )
    if ran.returncode:
        raise BenchmarkError(f"the load driver failed with exit code {ran.returncode}")
    outcome = msgspec.json.decode(ran.stdout, type=Outcome)
    if outcome.error is not None:
        raise BenchmarkError(f"{scenario.name} on {target.name}: {outcome.error}")
    return outcome
