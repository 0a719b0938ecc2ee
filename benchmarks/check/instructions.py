"""Counts the proxy's instructions by valgrind's callgrind: the same work takes the same number, whatever else runs.

The counter is read, and begins anew, at each dump; so start-up and warm-up fall out.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

from benchmarks.check.loads import CHECKED, loads
from benchmarks.model import BenchmarkError
from benchmarks.plan import Say
from benchmarks.servers import proxy_module, running_backend, running_proxy

MISSING = "valgrind is missing. Debian: apt-get install valgrind"
START_SECONDS = 180.0
_DUMP_SECONDS = 60.0
_SUMMARY = "summary:"


def find_valgrind() -> str | None:
    """Its path, where all that is needed of it is there."""
    return shutil.which("valgrind") if shutil.which("callgrind_control") else None


def count(valgrind: str, say: Say) -> dict[str, float]:
    """Instructions for each request or line, by the name of the load. Raises `BenchmarkError`."""
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="aop-check-") as name, running_backend(CHECKED) as backend:
        folder = Path(name)
        command = [valgrind, "--tool=callgrind", f"--callgrind-out-file={folder}/out", *proxy_module()]
        environment = {"PYTHONHASHSEED": "0"}
        say("starting the proxy under valgrind")
        with running_proxy(folder, backend.port, command, environment, START_SECONDS) as proxy:
            counter = _Counter(proxy.pid, folder)
            for load in loads():
                load.warm_up(proxy)
                counter.read()
                load.put(proxy)
                found[load.name] = counter.read() / load.units
                say(f"{load.name}: {found[load.name]:,.0f} instructions per {load.scenario.unit}")
    return found


class _Counter:
    def __init__(self, pid: int, folder: Path) -> None:
        self._pid = pid
        self._folder = folder
        self._dumps = 0

    def read(self) -> int:
        """The instructions since it was last read. Raises `BenchmarkError`."""
        self._dumps += 1
        command = ["callgrind_control", "-d", str(self._pid)]
        subprocess.run(command, capture_output=True, timeout=_DUMP_SECONDS, check=False)
        dump = self._folder / f"out.{self._dumps}"
        if not dump.exists():
            raise BenchmarkError("valgrind does not tell its counts")
        with dump.open(encoding="utf-8", errors="replace") as lines:
            counted = next((line for line in lines if line.startswith(_SUMMARY)), None)
        dump.unlink()
        if counted is None:
            raise BenchmarkError("valgrind's dump has no summary")
        return int(counted.removeprefix(_SUMMARY))
