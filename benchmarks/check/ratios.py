"""CPU time of the proxy as a multiple of a fixed loop's, measured in turn: what is left where nothing is counted."""

import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.accounts import tree_seconds
from benchmarks.check.loads import CHECKED, Checked, loads
from benchmarks.model import Target
from benchmarks.plan import Say
from benchmarks.servers import running_backend, running_proxy

_ROUNDS = 7
_TIMES = {"unary": 5, "burst": 10}
"""So many times the requests of the check: CPU time needs more of them than instructions do."""
_LOOP = 300_000


def measure(say: Say) -> dict[str, float]:
    """CPU time of each request or line, by the name of the load, in ten-thousandths of the loop's. Raises
    `BenchmarkError`.
    """
    found: dict[str, float] = {}
    with (
        TemporaryDirectory(prefix="aop-check-") as folder,
        running_backend(CHECKED) as backend,
        running_proxy(Path(folder), backend.port) as proxy,
    ):
        for load in loads():
            load.warm_up(proxy)
            found[load.name] = 1e4 * median(_ratio(load, proxy) for _ in range(_ROUNDS))
            say(f"{load.name}: {found[load.name]:.3f} ten-thousandths of the loop per {load.scenario.unit}")
    return found


def _ratio(load: Checked, proxy: Target) -> float:
    """With the loop's time taken before and after."""
    times = _TIMES[load.scenario.name]
    loop = _loop_seconds()
    before = tree_seconds(proxy.pid)
    load.put(proxy, times)
    taken = tree_seconds(proxy.pid) - before
    return 2 * taken / (times * load.units * (loop + _loop_seconds()))


def _loop_seconds() -> float:
    """CPU time of the fixed loop: it splits, joins and looks up as the proxy does."""
    began = time.process_time()
    counts: dict[str, int] = {}
    for number in range(_LOOP):
        name = f"field_{number % 97}"
        counts[name] = counts.get(name, 0) + len(name.partition("_")[2])
    return time.process_time() - began
