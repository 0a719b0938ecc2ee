"""The golden cases: a folder for each scenario, read by `tests/golden/` and `tests/properties/`."""

from pathlib import Path

import pytest

from augment_open_proxy.dialects.dialect import NOTHING, Dialect, Parsed
from augment_open_proxy.dialects.registry import DIALECTS

FOLDER = Path(__file__).parent
SCENARIOS = tuple(sorted(path.name for path in FOLDER.iterdir() if (path / "upstream.ndjson").exists()))


def upstream_answer(scenario: str) -> bytes:
    """What the backend answers."""
    return (FOLDER / scenario / "upstream.ndjson").read_bytes()


CASES = tuple(
    (scenario, dialect)
    for scenario in SCENARIOS
    for dialect in DIALECTS
    if (FOLDER / scenario / f"{dialect.name}.request.json").exists()
)
"""Each scenario in each dialect that can ask for it."""

per_case = pytest.mark.parametrize(
    ("scenario", "dialect"), [pytest.param(*case, id=f"{case[0]}-{case[1].name}") for case in CASES]
)


def parsed_request(scenario: str, dialect: Dialect) -> Parsed:
    """The client's request, parsed."""
    return dialect.parse((FOLDER / scenario / f"{dialect.name}.request.json").read_bytes(), NOTHING)
