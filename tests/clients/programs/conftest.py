"""The programs' lock files are in folders below, so the rule for this folder is said here."""

from pathlib import Path

import pytest


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return None if config.getoption("--real-clients") else True
