"""CPU time of the scenarios, each put to every target in interleaved rounds."""

from collections.abc import Sequence

from msgspec.structs import replace

from benchmarks.figures import Figure, cpu_figures
from benchmarks.model import Measurement, Scenario
from benchmarks.plan import Plan
from benchmarks.rounds import measure
from benchmarks.servers import running


def run(scenarios: Sequence[Scenario], plan: Plan) -> tuple[list[Figure], list[Measurement]]:
    """Raises `BenchmarkError`."""
    scenarios = [replace(one, count=max(one.concurrency, plan.scaled(one.count))) for one in scenarios]
    measurements: list[Measurement] = []
    with running(scenarios, with_peer=plan.with_peer) as servers:
        targets = servers.targets(plan.dialects)
        for target in targets:
            plan.say(f"{target.name} is process {target.pid}, on port {target.port}")
        for scenario in scenarios:
            plan.say(f"{scenario.name}: {scenario.about}")
            measurements += measure(scenario, targets, plan.rounds, plan.say)
    return cpu_figures(scenarios, measurements), measurements
