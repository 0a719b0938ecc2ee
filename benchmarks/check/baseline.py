"""What the check compares to: the committed counts, and of which Python they are."""

import platform
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

FILE = Path(__file__).parent / "baseline.json"


class Baseline(Struct, frozen=True):
    """By the name of the load: instructions for each request or line, and CPU time in ten-thousandths of the loop's."""

    python: str
    instructions: dict[str, int]
    ratios: dict[str, float]


class Difference(Struct, frozen=True):
    """What was counted and what it should be; `part` is by how much more it is, 0.03 for 3 %."""

    name: str
    found: float
    expected: float

    @property
    def part(self) -> float:
        return self.found / self.expected - 1


def this_python() -> str:
    """What instructions depend on: the version, the processor's kind, and how Python was built."""
    return (
        f"{platform.python_implementation()} {platform.python_version()} on {platform.machine()}, "
        f"built with {platform.python_compiler()}"
    )


def load(file: Path) -> Baseline:
    return msgspec.json.decode(file.read_bytes(), type=Baseline)


def save(baseline: Baseline, file: Path) -> None:
    file.write_bytes(msgspec.json.format(msgspec.json.encode(baseline)) + b"\n")


def compare(found: Mapping[str, float], expected: Mapping[str, float]) -> list[Difference]:
    """One for each load. Raises `KeyError` for a load that the baseline does not know."""
    return [Difference(name, value, expected[name]) for name, value in found.items()]
