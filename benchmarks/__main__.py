"""The command: `python -m benchmarks`. The table goes to stdout, progress to stderr.

Exit codes: 0 measured (goals missed included), 1 a server did not start or an answer was wrong, 2 bad usage.
"""

import argparse
import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import cpu, endurance, gap, hold, linear, peer, startup, stored, ttft
from benchmarks.figures import Figure
from benchmarks.model import DIALECTS, BenchmarkError, Measurement
from benchmarks.nginx import MISSING, find_nginx
from benchmarks.page import write_page
from benchmarks.plan import QUICK_ROUNDS, Plan
from benchmarks.report import Report, as_json, as_text, machine
from benchmarks.scenarios import SCENARIOS

ROUNDS = 5
OTHERS: dict[str, tuple[str, Callable[[Plan], list[Figure]]]] = {
    "ttft": (ttft.ABOUT, ttft.run),
    "hold": (hold.ABOUT, hold.run),
    "gap": (gap.ABOUT, gap.run),
    "startup": (startup.ABOUT, startup.run),
    "stored": (stored.ABOUT, stored.run),
    "long": (endurance.ABOUT, endurance.run),
}
"""What is measured in ways of its own."""
LINEAR = "linear"
NAMES = (*SCENARIOS, *OTHERS, LINEAR)
LENGTHY = ("long",)
"""Only done where they are asked for."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark and return its exit code."""
    arguments = _parser().parse_args(argv)
    names = arguments.scenario or [name for name in NAMES if name not in LENGTHY or arguments.long]
    rounds = arguments.rounds or (QUICK_ROUNDS if arguments.quick else ROUNDS)
    dialects = [dialect for dialect in DIALECTS if dialect in (arguments.dialect or DIALECTS)]
    plan = Plan(_say, rounds, dialects, quick=arguments.quick, with_peer=arguments.peer is not None)
    if find_nginx() is None:
        _say(MISSING)
    try:
        report = run(names, plan, shlex.join(["python", "-m", "benchmarks", *(sys.argv[1:] if argv is None else argv)]))
        if arguments.page is not None:
            write_page(report, arguments.page)
    except BenchmarkError as error:
        _say(str(error))
        return 1
    except KeyboardInterrupt:
        return 130
    print(as_json(report) if arguments.json else as_text(report), end="")
    return 0


def run(names: Sequence[str], plan: Plan, command: str) -> Report:
    """Measure what is named. Raises `BenchmarkError`."""
    figures: list[Figure] = []
    measurements: list[Measurement] = []
    series: list[linear.Series] = []
    if scenarios := [SCENARIOS[name] for name in SCENARIOS if name in names]:
        figures, measurements = cpu.run(scenarios, plan)
    for name, (about, measure) in OTHERS.items():
        if name in names:
            plan.say(f"{name}: {about}")
            figures += measure(plan)
    if LINEAR in names:
        plan.say(f"{LINEAR}: {linear.ABOUT}")
        found, series = linear.run(plan)
        figures += found
    return Report(machine(), command, plan.rounds, figures, measurements, series)


def _parser() -> argparse.ArgumentParser:
    about = "Measure what the proxy costs, as a multiple of nginx passing the bytes through."
    abouts = {name: scenario.about for name, scenario in SCENARIOS.items()}
    abouts |= {name: about for name, (about, _) in OTHERS.items()} | {LINEAR: linear.ABOUT}
    parser = argparse.ArgumentParser(
        "python -m benchmarks",
        description=about,
        epilog="scenarios:\n" + "\n".join(f"  {name:<8} {abouts[name]}" for name in NAMES),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--scenario", nargs="+", choices=NAMES, metavar="NAME", help="only these")
    parser.add_argument("--dialect", nargs="+", choices=DIALECTS, metavar="NAME", help=f"only {', '.join(DIALECTS)}")
    parser.add_argument("--rounds", type=_positive, metavar="N", help=f"default {ROUNDS}; with --quick {QUICK_ROUNDS}")
    parser.add_argument("--quick", action="store_true", help="short rounds: a rough figure within seconds")
    parser.add_argument("--long", action="store_true", help="200,000 requests as well, which take minutes")
    parser.add_argument("--peer", choices=[peer.NAME], help="measure this proxy as well; it is installed on first use")
    parser.add_argument("--json", action="store_true", help="all figures as JSON, each round's too")
    parser.add_argument("--page", type=Path, metavar="FOLDER", help="write performance.md and its plots there, too")
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
