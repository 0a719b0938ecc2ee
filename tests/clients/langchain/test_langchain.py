"""LangChain's own standard tests, LangChain's agents and `instructor`, in an environment of their own, on the proxy.

What runs is `suite/`. It downloads nothing: the files that the standard tests would fetch are made there.
"""

import os
import subprocess
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.servers import running_proxy

FOLDER = Path(__file__).parent
SECONDS = 240
"""What the suite may take; most of it are imports, and it is through in a sixth of that."""

pytestmark = pytest.mark.timeout(SECONDS + 30)

CLASSES = {"Chat", "ChatFunctionCalling", "Responses", "ResponsesFunctionCalling", "Messages", "MessagesThinking"}
SKIPPED = {
    "test_audio_inputs": CLASSES,  # the backend takes no audio
    "test_stream_time": CLASSES,  # measures replies that were recorded, not the proxy
    "test_json_mode": {"Messages", "MessagesThinking"},  # Anthropic's API has none
    "test_tool_choice": {"MessagesThinking"},  # Anthropic's API allows none together with thinking
}
"""The standard tests that skip themselves for what a class says of its API, and the classes that do."""


class Case(NamedTuple):
    file: str
    cls: str
    name: str
    outcome: str
    """`passed`, `skipped` (xfail too), `failure` or `error`."""


class Run(NamedTuple):
    code: int
    cases: list[Case]
    output: str


def python() -> Path:
    """The interpreter of the suite's environment."""
    found = [path for path in (FOLDER / ".venv/bin/python", FOLDER / ".venv/Scripts/python.exe") if path.exists()]
    if not found:
        pytest.fail("The suite's environment is missing: run `make setup-clients`.", False)
    return found[0]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """The suite, run once."""
    home = tmp_path_factory.mktemp("langchain")
    report = home / "report.xml"
    keep = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "LANG") if name in os.environ}
    with running_proxy(fetch_urls=False) as proxy:
        environment = {
            **keep,
            "HOME": str(home),
            "USERPROFILE": str(home),
            "TMPDIR": str(home),
            "PYTHONDONTWRITEBYTECODE": "1",
            "AOP_SUITE_URL": proxy.url,
        }
        ended = subprocess.run(
            [python(), "-m", "pytest", "--tb=short", "-W", "ignore", f"--junitxml={report}"],
            cwd=FOLDER / "suite",
            env=environment,
            timeout=SECONDS,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
    assert report.exists(), ended.stdout[-5000:]
    yield Run(ended.returncode, _cases(report), ended.stdout)


def _cases(report: Path) -> list[Case]:
    return [
        Case(
            str(case.get("classname")).split(".")[0],
            str(case.get("classname")).split(".")[-1].removeprefix("Test"),
            str(case.get("name")).partition("[")[0],
            next((child.tag for child in case if child.tag in ("failure", "error", "skipped")), "passed"),
        )
        for case in ElementTree.parse(report).iter("testcase")  # noqa: S314 (pytest has written it)
    ]


def test_nothing_fails(run: Run) -> None:
    failed = [case for case in run.cases if case.outcome in ("failure", "error")]
    assert not failed, run.output[-20_000:]
    assert run.code == 0, run.output[-20_000:]


def test_only_what_an_api_cannot_is_skipped(run: Run) -> None:
    skipped = {(case.name, case.cls) for case in run.cases if case.outcome == "skipped"}
    assert skipped == {(name, cls) for name, classes in SKIPPED.items() for cls in classes}


def test_every_part_of_the_suite_has_run(run: Run) -> None:
    passed = Counter(case.file for case in run.cases if case.outcome == "passed")
    assert set(passed) == {path.stem for path in (FOLDER / "suite").glob("test_*.py")}
    standard = Counter(case.cls for case in run.cases if case.file == "test_standard" and case.outcome == "passed")
    assert set(standard) == CLASSES
    assert min(standard.values()) > 40
