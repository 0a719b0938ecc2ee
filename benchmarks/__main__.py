"""The command: `python -m benchmarks`. The table goes to stdout, progress to stderr.

Exit codes: 0 measured (goals missed included), 1 a server did not start or an answer was wrong, 2 bad usage.
"""

import argparse
import signal
import sys
from collections.abc import Sequence

from msgspec.structs import replace

from benchmarks.model import BenchmarkError, Measurement, Scenario
from benchmarks.report import Report, as_json, as_text, machine, results
from benchmarks.rounds import measure
from benchmarks.scenarios import SCENARIOS
from benchmarks.servers import NGINX_MISSING, find_nginx, running

QUICK_ROUNDS = 2
QUICK_SHARE = 10
"""A quick round is so much smaller."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark and return its exit code."""
    arguments = _parser().parse_args(argv)
    scenarios = [SCENARIOS[name] for name in arguments.scenario or SCENARIOS]
    rounds = arguments.rounds or (QUICK_ROUNDS if arguments.quick else 5)
    if arguments.quick:
        scenarios = [replace(one, count=max(one.concurrency, one.count // QUICK_SHARE)) for one in scenarios]
    if find_nginx() is None:
        _say(NGINX_MISSING)
    try:
        report = run(scenarios, rounds)
    except BenchmarkError as error:
        _say(str(error))
        return 1
    except KeyboardInterrupt:
        return 130
    print(as_json(report) if arguments.json else as_text(report), end="")
    return 0


def run(scenarios: Sequence[Scenario], rounds: int) -> Report:
    """Start the servers, measure, and end them. Raises `BenchmarkError`."""
    measurements: list[Measurement] = []
    with running(scenarios) as targets:
        for target in targets:
            _say(f"{target.name} is process {target.pid}, on port {target.port}")
        for scenario in scenarios:
            _say(f"{scenario.name}: {scenario.about}")
            measurements += measure(scenario, targets, rounds, _say)
    return Report(machine(), rounds, results(scenarios, measurements), measurements)


def _parser() -> argparse.ArgumentParser:
    about = "Measure what the proxy costs, as a multiple of nginx passing the bytes through."
    listed = "\n".join(f"  {one.name:<8} {one.about}" for one in SCENARIOS.values())
    parser = argparse.ArgumentParser(
        "python -m benchmarks",
        description=about,
        epilog=f"scenarios:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--scenario", nargs="+", choices=SCENARIOS, metavar="NAME", help="only these")
    parser.add_argument("--rounds", type=_positive, metavar="N", help=f"default 5; with --quick {QUICK_ROUNDS}")
    parser.add_argument("--quick", action="store_true", help="short rounds: a rough figure within seconds")
    parser.add_argument("--json", action="store_true", help="all figures as JSON, each round's too")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers are ended as well
    sys.exit(main())
