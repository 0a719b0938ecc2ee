"""One backend stream, one expected output for each dialect: streamed, whole, and what the backend was asked.

A folder of `tests/cases/` holds `upstream.ndjson` (the backend's answer) and `upstream.request.json` (what it was
asked); for each dialect `<dialect>.request.json`, `<dialect>.sse` and `<dialect>.reply.json`.
"""

import json
from pathlib import Path

import pytest

from augment_open_proxy.dialects.dialect import Dialect
from augment_open_proxy.dialects.registry import DIALECTS
from tests.cases import FOLDER, SCENARIOS, parsed_request, upstream_answer
from tests.pipeline import streamed, upstream_request, whole

per_scenario = pytest.mark.parametrize("scenario", SCENARIOS)
per_dialect = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)


@per_dialect
@per_scenario
def test_the_backend_is_asked(scenario: str, dialect: Dialect, request: pytest.FixtureRequest) -> None:
    asked = json.loads(upstream_request(parsed_request(scenario, dialect)))
    expect(FOLDER / scenario / "upstream.request.json", pretty(asked), request)


@per_dialect
@per_scenario
def test_the_stream(scenario: str, dialect: Dialect, request: pytest.FixtureRequest) -> None:
    body = streamed(dialect, parsed_request(scenario, dialect), [upstream_answer(scenario)])
    expect(FOLDER / scenario / f"{dialect.name}.sse", body.decode(), request)


@per_dialect
@per_scenario
def test_the_whole_reply(scenario: str, dialect: Dialect, request: pytest.FixtureRequest) -> None:
    reply = whole(dialect, parsed_request(scenario, dialect), [upstream_answer(scenario)])
    expect(FOLDER / scenario / f"{dialect.name}.reply.json", pretty(reply), request)


def pretty(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"


def expect(path: Path, actual: str, request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--update-golden"):
        path.write_text(actual, encoding="utf-8", newline="")
    assert actual == path.read_bytes().decode()
