"""Wheel and sdist: the same bytes from the same source, and nothing in them that does not belong there."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MOST_BYTES = 300_000
"""For the wheel: quick to install, and a file that should not be there would show."""


def build(folder: Path, mask: int) -> tuple[Path, Path]:
    """Wheel and sdist of a copy of the project; the copy's times and rights are its own."""
    project = folder / "project"
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("src", "docs"):
        shutil.copytree(ROOT / name, project / name, ignore=ignored, copy_function=shutil.copyfile)
    for path in ROOT.iterdir():
        if path.suffix in (".md", ".py", ".toml") or path.name in ("LICENSE", ".env.example", ".gitignore"):
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


def test_the_wheel_s_code_is_the_source_s_line_by_line_but_for_comments_and_docstrings(
    built: tuple[Path, Path],
) -> None:
    package = ROOT / "src"
    with zipfile.ZipFile(built[0]) as wheel:
        for name in wheel.namelist():
            if name.endswith(".py"):
                source, shipped = (package / name).read_text("utf-8"), wheel.read(name).decode()
                assert code_of(shipped) == code_of(source), name


def code_of(source: str) -> list[str]:
    """The statements with their lines, but for docstrings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            kept = [one for one in node.body if not (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))]
            node.body = kept or [ast.Pass(lineno=0, col_offset=0, end_lineno=0, end_col_offset=0)]
    return [f"{ast.dump(node)} {getattr(node, 'lineno', 0)}" for node in ast.iter_child_nodes(tree)]


def test_the_wheel_serves_the_same_description_of_the_apis(built: tuple[Path, Path]) -> None:
    """It is made from docstrings."""
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]);"
        "from augment_open_proxy.server.openapi import document;"
        "sys.stdout.buffer.write(document())"
    )
    described = [
        subprocess.run([sys.executable, "-c", program, str(path)], check=True, capture_output=True, timeout=60).stdout
        for path in (built[0], ROOT / "src")
    ]
    assert described[0] == described[1]
    assert len(described[0]) > 10_000


def test_the_text_for_package_indexes_has_no_links_that_lead_nowhere(built: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(built[0]) as wheel:
        (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        text = wheel.read(name).decode()
    assert "uvx augment-open-proxy" in text
    assert not re.findall(r"\]\((?!https?:)", text)


def test_the_sdist_has_what_the_wheel_is_made_of(built: tuple[Path, Path]) -> None:
    with tarfile.open(built[1]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    package = ROOT / "src/augment_open_proxy"
    assert {path.relative_to(ROOT).as_posix() for path in package.rglob("*.py")} <= names
    assert {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "PKG-INFO", "hatch_build.py"} <= names
    assert not [name for name in names if name.endswith((".pyc", ".lock")) or name.startswith("tests/")]
