"""What storing a reply costs: `python -m benchmarks.stored` (`make bench-store`).

The proxy as a user has it, on SQLite in its state folder; chats with and without `store: true`, interleaved.
Exit codes: 0 measured, 1 a server did not start or an answer was wrong.
"""

import statistics
import sys

from benchmarks.model import BenchmarkError, Measurement
from benchmarks.rounds import measure
from benchmarks.scenarios import SCENARIOS, stored
from benchmarks.servers import running

ROUNDS = 5
GOAL = 60.0
"""Microseconds of CPU time for each stored reply, on top."""


def main() -> int:
    """Measure, print, and return the exit code."""
    scenarios = [SCENARIOS["unary"], stored()]
    found: dict[str, list[Measurement]] = {scenario.name: [] for scenario in scenarios}
    try:
        with running(scenarios) as targets:
            proxy = [target for target in targets if target.name == "proxy"]
            for _ in range(ROUNDS):
                for scenario in scenarios:
                    found[scenario.name] += measure(scenario, proxy, 1, lambda line: print(line, file=sys.stderr))
    except BenchmarkError as error:
        print(error, file=sys.stderr)
        return 1
    plain, kept = (statistics.median(one.cpu_us for one in found[scenario.name]) for scenario in scenarios)
    print(f"not stored {plain:.0f} µs, stored {kept:.0f} µs: {kept - plain:.0f} µs for storing (goal: {GOAL:.0f})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
