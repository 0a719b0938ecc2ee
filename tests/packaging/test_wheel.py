"""Wheel and sdist: the same bytes from the same source, and nothing in them that does not belong there."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MOST_BYTES = 420_000
"""For the wheel: the source is a third of its size when packed; a file that should not be there would show."""


def build(folder: Path, mask: int) -> tuple[Path, Path]:
    """Wheel and sdist of a copy of the project; the copy's times and rights are its own."""
    project = folder / "project"
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("src", "docs"):
        shutil.copytree(ROOT / name, project / name, ignore=ignored, copy_function=shutil.copyfile)
    for path in ROOT.iterdir():
        if path.suffix in (".md", ".toml") or path.name in ("LICENSE", ".env.example", ".gitignore"):
            shutil.copyfile(path, project / path.name)
    subprocess.run(
        [
            sys.executable,
            "-c",
            f"import os; os.umask({mask}); from hatchling.cli import hatchling; hatchling()",
            "build",
        ],
        cwd=project,
        env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000"},
        check=True,
        capture_output=True,
        timeout=60,
    )
    (wheel,) = (project / "dist").glob("*.whl")
    (sdist,) = (project / "dist").glob("*.tar.gz")
    return wheel, sdist


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return build(tmp_path_factory.mktemp("first"), 0o022)


def test_the_same_source_gives_the_same_bytes(built: tuple[Path, Path], tmp_path: Path) -> None:
    again = build(tmp_path, 0o077)
    assert [path.read_bytes() == other.read_bytes() for path, other in zip(built, again, strict=True)] == [True, True]


def test_the_wheel_has_the_package_and_nothing_else(built: tuple[Path, Path]) -> None:
    names = set(zipfile.ZipFile(built[0]).namelist())
    package = ROOT / "src/augment_open_proxy"
    sources = {path.relative_to(package.parent).as_posix() for path in package.rglob("*.py")}
    assert {name for name in names if ".dist-info/" not in name} == sources | {"augment_open_proxy/py.typed"}
    assert built[0].stat().st_size < MOST_BYTES


def test_the_sdist_has_what_the_wheel_is_made_of(built: tuple[Path, Path]) -> None:
    with tarfile.open(built[1]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    package = ROOT / "src/augment_open_proxy"
    assert {path.relative_to(ROOT).as_posix() for path in package.rglob("*.py")} <= names
    assert {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "PKG-INFO"} <= names
    assert not [name for name in names if name.endswith((".pyc", ".lock")) or name.startswith("tests/")]
