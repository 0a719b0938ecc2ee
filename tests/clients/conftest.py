"""Programs of others take installing and time: their folders are collected only with `--real-clients`."""

from pathlib import Path

import pytest


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    marks = ("package.json", "requirements.lock")
    is_program = collection_path.is_dir() and any((collection_path / mark).exists() for mark in marks)
    return True if is_program and not config.getoption("--real-clients") else None
