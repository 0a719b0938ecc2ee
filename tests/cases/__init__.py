"""The golden cases: a folder for each scenario, read by `tests/golden/` and `tests/properties/`."""

from pathlib import Path

from augment_open_proxy.dialects.dialect import Dialect, Parsed

FOLDER = Path(__file__).parent
SCENARIOS = tuple(sorted(path.name for path in FOLDER.iterdir() if (path / "upstream.ndjson").exists()))


def upstream_answer(scenario: str) -> bytes:
    """What the backend answers."""
    return (FOLDER / scenario / "upstream.ndjson").read_bytes()


def parsed_request(scenario: str, dialect: Dialect) -> Parsed:
    """The client's request, parsed."""
    return dialect.parse((FOLDER / scenario / f"{dialect.name}.request.json").read_bytes())
