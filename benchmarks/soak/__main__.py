"""The soak: `python -m benchmarks.soak [--seconds 60] [--streams 1000] [--seed N]`.

Exit codes: 0 nothing was lost, mixed up or left open; 1 something was, or a process did not start.
"""

import argparse
import random
import sys
import tempfile
from pathlib import Path

import uvloop

from benchmarks.model import BenchmarkError
from benchmarks.soak.processes import allow_files
from benchmarks.soak.run import Soak


def main() -> int:
    """Run, print the verdict, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="how long the mixed load lasts (60)")
    parser.add_argument("--streams", type=int, default=1000, help="how many streams come at once afterwards (1000)")
    parser.add_argument("--seed", type=int, default=None, help="makes the same choices again")
    arguments = parser.parse_args()
    seed = random.randrange(10**6) if arguments.seed is None else arguments.seed
    try:
        allow_files(arguments.streams)
        with tempfile.TemporaryDirectory(prefix="aop-soak-") as folder:
            faults = uvloop.run(Soak(Path(folder), seed).run(arguments.seconds, arguments.streams))
    except BenchmarkError as error:
        faults = [str(error)]
    except KeyboardInterrupt:
        faults = ["it was interrupted"]
    for fault in faults:
        print(f"FAULT {fault}")
    print(f"verdict: {f'{len(faults)} faults' if faults else 'nothing lost, mixed up or left open'} (seed {seed})")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
