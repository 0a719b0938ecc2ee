"""Our OpenAPI document: it describes each route that there is, and none that there is not; and it is sound."""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import jsonschema
import pytest

from augment_open_proxy.journal.log import Log
from augment_open_proxy.server.app import App
from augment_open_proxy.server.assembly import open_app
from augment_open_proxy.server.openapi import APIS, Operation, document
from augment_open_proxy.server.openapi_schemas import Schemas
from augment_open_proxy.settings import Settings
from tests.servers import Proxy

OPERATIONS = [operation for api in APIS for operation in api.operations]
DOCUMENT = json.loads(document())
Route = tuple[str, str]


@pytest.fixture(scope="module")
def routes() -> set[Route]:
    """Methods and paths of the application, as they run."""

    async def opened() -> App:
        settings = Settings(port=0, state_dir=Path("/nonexistent"), store="memory")
        async with open_app(settings, Log("none", "text"), use_cli=False) as (app, _):
            return app

    app = asyncio.run(opened())
    found = {("GET", path) for path in app._probes}
    for path, methods in app._routes._plain.items():
        found |= {(method, path) for method in methods}
    for pieces, methods in app._routes._templates:
        found |= {(method, "/".join(pieces).replace("...}", "}")) for method in methods}
    return found


def without_version(path: str) -> str:
    return path.removeprefix("/v1")


def test_each_route_is_described_and_each_description_has_its_route(routes: set[Route]) -> None:
    described = {(operation.method, operation.path) for operation in OPERATIONS}
    below = {(method, path) for method, path in described if path.startswith("/v1/")}
    answering = described | {(method, without_version(path)) for method, path in below}
    undescribed, unserved = sorted(routes - answering), sorted(answering - routes)
    assert not undescribed, f"server/openapi.py lacks {undescribed}: add a line to APIS"
    assert not unserved, f"server/openapi.py describes {unserved}, which the application does not serve"


def test_no_route_is_described_twice() -> None:
    assert len({(operation.method, operation.path) for operation in OPERATIONS}) == len(OPERATIONS)


@pytest.mark.parametrize("path", ["/openapi.json", "/v1/openapi.json"])
def test_it_is_served(proxy: Proxy, path: str) -> None:
    answer = httpx.get(proxy.url + path)
    assert answer.headers["content-type"] == "application/json"
    assert answer.content == document()


def inner(value: Any) -> Iterator[Any]:
    yield value
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from inner(part)


def test_each_reference_leads_to_a_schema_and_each_schema_is_valid() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    references = {value["$ref"] for value in inner(DOCUMENT) if isinstance(value, dict) and "$ref" in value}
    assert references == {f"#/components/schemas/{name}" for name in schemas}
    for name, schema in schemas.items():
        assert re.fullmatch(r"[\w.]+", name)
        jsonschema.Draft202012Validator.check_schema(schema)


def test_ids_of_operations_are_unique_and_names_in_paths_are_parameters() -> None:
    ids = []
    for path, methods in DOCUMENT["paths"].items():
        for described in methods.values():
            ids.append(described["operationId"])
            given = [parameter["name"] for parameter in described["parameters"] if parameter["in"] == "path"]
            assert given == re.findall(r"{(\w+)}", path)
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("operation", [each for each in OPERATIONS if each.body], ids=lambda each: each.path)
def test_what_is_read_may_lack_what_has_a_default(operation: Operation) -> None:
    schemas = Schemas(written=False)
    reference = schemas.of(operation.body)["$ref"]
    described = schemas.components[reference.rpartition("/")[2]]
    assert set(described.get("required", ())) <= {"model", "messages", "requests", "items", "metadata"}


def test_a_reply_is_as_it_is_described(proxy: Proxy) -> None:
    """schemathesis looks at all others; this one can't be missed by chance."""
    body = {"model": "claude-sonnet-4-5", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi."}]}
    reply = httpx.post(f"{proxy.url}/v1/messages", json=body).json()
    responses = DOCUMENT["paths"]["/v1/messages"]["post"]["responses"]
    schema = {**DOCUMENT, **responses["200"]["content"]["application/json"]["schema"]}
    validator = jsonschema.Draft202012Validator(schema)
    validator.validate(reply)
    assert not validator.is_valid({**reply, "usage": None})
    assert not validator.is_valid({name: value for name, value in reply.items() if name != "usage"})


def test_it_is_not_made_before_somebody_asks() -> None:
    program = (
        "import sys, augment_open_proxy.server.run; print([name for name in sys.modules if name.endswith('.openapi')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "[]\n"


def test_a_type_without_a_schema_is_an_error() -> None:
    with pytest.raises(TypeError, match="bytes"):
        Schemas(written=True).of(bytes)
