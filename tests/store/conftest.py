"""Each test of the store runs on all databases."""

from pathlib import Path

import pytest

from augment_open_proxy.journal.store import access
from tests.postgres import postgres, postgres_url
from tests.store.samples import Place

__all__ = ["place", "postgres", "postgres_url", "shared_place", "sqlite_place"]


@pytest.fixture(autouse=True)
def _without_spacing(monkeypatch: pytest.MonkeyPatch) -> None:
    """One write after the other need not wait; `test_writer.py` has the test of the spacing."""
    monkeypatch.setattr(access, "SPACING", 0.0)


@pytest.fixture
def sqlite_place(tmp_path: Path) -> Place:
    return Place(f"sqlite:///{tmp_path / 'state' / 'store.db'}")


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def place(request: pytest.FixtureRequest) -> Place:
    """A database of each kind."""
    return Place("memory") if request.param == "memory" else _shared(request)


@pytest.fixture(params=["sqlite", "postgresql"])
def shared_place(request: pytest.FixtureRequest) -> Place:
    """A database of each kind that several processes can share."""
    return _shared(request)


def _shared(request: pytest.FixtureRequest) -> Place:
    if request.param == "postgresql":
        return Place(request.getfixturevalue("postgres_url"))
    place: Place = request.getfixturevalue("sqlite_place")
    return place
