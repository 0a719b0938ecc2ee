"""The command: `python -m benchmarks.check [--update]`.

Exit codes: 0 as in the baseline, 1 not so, 2 it could not be measured.
"""

import argparse
import signal
import sys
from collections.abc import Sequence

from benchmarks.check import baseline, instructions, ratios
from benchmarks.check.baseline import Baseline, Difference
from benchmarks.model import BenchmarkError

COUNTED = 0.03
"""The part by which instructions may differ, in either direction: an improvement is to be kept by `--update`."""
TIMED = 0.25
"""The part by which CPU time may be more."""


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, compare, and return the exit code."""
    parser = argparse.ArgumentParser("python -m benchmarks.check", description=__doc__)
    parser.add_argument("--update", action="store_true", help="write the baseline anew")
    try:
        return _update() if parser.parse_args(argv).update else _check()
    except (BenchmarkError, KeyError) as error:
        _say(f"it could not be measured: {error}")
        return 2


def _update() -> int:
    valgrind = instructions.find_valgrind()
    if valgrind is None:
        raise BenchmarkError(instructions.MISSING)
    counted = {name: round(value) for name, value in instructions.count(valgrind, _say).items()}
    timed = {name: round(value, 4) for name, value in ratios.measure(_say).items()}
    baseline.save(Baseline(baseline.this_python(), counted, timed), baseline.FILE)
    _say(f"{baseline.FILE.name} is written")
    return 0


def _check() -> int:
    expected, valgrind = baseline.load(baseline.FILE), instructions.find_valgrind()
    if valgrind is not None and expected.python == baseline.this_python():
        found = baseline.compare(instructions.count(valgrind, _say), expected.instructions)
        return _tell(found, [one for one in found if abs(one.part) > COUNTED], "instructions")
    if valgrind is None:
        _say(instructions.MISSING)
    else:
        _say(f"The baseline is of {expected.python}, and this is {baseline.this_python()}.")
    _say("So instructions cannot be compared. CPU time is, as a multiple of a fixed loop's.")
    found = baseline.compare(ratios.measure(_say), expected.ratios)
    return _tell(found, [one for one in found if one.part > TIMED], "CPU time in ten-thousandths of the loop's")


def _tell(found: Sequence[Difference], wrong: Sequence[Difference], what: str) -> int:
    print(f"{what}, by request or line:")
    for one in found:
        mark = "  WRONG" if one in wrong else ""
        print(f"  {one.name:<16} {_shown(one.found)} {_shown(one.expected)} {one.part:>+8.1%}{mark}")
    if wrong:
        print("If that is meant to be so: python -m benchmarks.check --update, and commit the baseline.")
    return 1 if wrong else 0


def _shown(value: float) -> str:
    return f"{value:>12,.0f}" if value >= 1000 else f"{value:>12,.3f}"


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers are ended as well
    sys.exit(main())
