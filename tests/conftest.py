"""What all tests share."""

from collections.abc import Iterator

import pytest

from tests.servers import Proxy, running_proxy


def pytest_addoption(parser: pytest.Parser) -> None:
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
