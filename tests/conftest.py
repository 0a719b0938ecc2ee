"""What all tests share."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.postgres import postgres as postgres
from tests.postgres import postgres_url as postgres_url
from tests.servers import Proxy, running_proxy

# CI tries the same examples each time; elsewhere they are new ones, and find new mistakes.
settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("local", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "local")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--real-clients",
        action="store_true",
        help="run the tests with programs of others too (`make test-clients`)",
    )
    parser.addoption(
        "--live",
        action="store_true",
        help="run the tests on the real backend, which the user's account pays (`make test-live`)",
    )
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="write the golden files anew; read the difference against the API's reference before you commit it",
    )


@pytest.fixture(scope="session")
def proxy() -> Iterator[Proxy]:
    """A proxy with default settings on the simulator, shared by all tests that change nothing in it."""
    with running_proxy() as running:
        yield running
