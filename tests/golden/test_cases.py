"""One backend stream, one expected output for each dialect: streamed, whole, and what the backend was asked.

A folder of `tests/cases/` holds `upstream.ndjson` (the backend's answer) and `upstream.request.json` (what it was
asked); for each dialect `<dialect>.request.json`, `<dialect>.sse` and `<dialect>.reply.json`, and
`<dialect>.upstream.request.json` where the same conversation can't be told in it.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from augment_open_proxy.dialects.dialect import Dialect
from tests.cases import FOLDER, parsed_request, per_case, upstream_answer
from tests.pipeline import streamed, upstream_request, whole

JSON_TEXTS = {"input_schema_json", "input_json"}


@per_case
def test_the_backend_is_asked(scenario: str, dialect: Dialect, request: pytest.FixtureRequest) -> None:
    asked = json.loads(upstream_request(parsed_request(scenario, dialect)), object_hook=with_json_read)
    own = FOLDER / scenario / f"{dialect.name}.upstream.request.json"
    expect(own if own.exists() else FOLDER / scenario / "upstream.request.json", pretty(asked), request)


@per_case
def test_the_stream(scenario: str, dialect: Dialect, request: pytest.FixtureRequest) -> None:
    body = streamed(dialect, parsed_request(scenario, dialect), [upstream_answer(scenario)])
    expect(FOLDER / scenario / f"{dialect.name}.sse", body.decode(), request)


@per_case
def test_the_whole_reply(scenario: str, dialect: Dialect, request: pytest.FixtureRequest) -> None:
    reply = whole(dialect, parsed_request(scenario, dialect), [upstream_answer(scenario)])
    expect(FOLDER / scenario / f"{dialect.name}.reply.json", pretty(reply), request)


def with_json_read(fields: dict[str, Any]) -> dict[str, Any]:
    """JSON inside JSON is compared as what it says."""
    return {name: json.loads(value) if name in JSON_TEXTS else value for name, value in fields.items()}


def pretty(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"


def expect(path: Path, actual: str, request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--update-golden"):
        path.write_text(actual, encoding="utf-8", newline="")
    assert actual == path.read_bytes().decode()
