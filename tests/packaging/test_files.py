"""What the files around the package must agree on: settings, versions, users, targets, owners."""

import os
import re
import runpy
import shutil
import ssl
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from augment_open_proxy import __version__
from augment_open_proxy.settings import OPTIONS, Option

ROOT = Path(__file__).parents[2]
TARGETS = ("linux-x64", "linux-arm64", "darwin-arm64", "win-x64")


def text(path: str) -> str:
    return (ROOT / path).read_text("utf-8")


def environment_of_compose() -> dict[str, str]:
    """What docker-compose.yml sets for the proxy, by name; blank for what it passes on."""
    block = re.search(
        r"^  augment-open-proxy:\n.*?^    environment:\n(.*?)^    \w", text("docker-compose.yml"), re.M | re.S
    )
    assert block is not None
    return dict(re.findall(r"^      ([A-Z_]+):[ ]?(.*)$", block[1], re.M))


# --- The single file ---


@pytest.mark.parametrize(
    ("built_in", "given", "wanted"),
    [
        (None, {}, {"SSL_CERT_FILE": "authorities.pem"}),
        (None, {"SSL_CERT_FILE": "mine.pem"}, {"SSL_CERT_FILE": "mine.pem"}),
        ("built-in.pem", {}, {}),
    ],
)
def test_the_single_file_finds_the_authorities_of_a_system_that_keeps_them_elsewhere(
    built_in: str | None,
    given: dict[str, str],
    wanted: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """OpenSSL knows one place: on Linux Debian's, on macOS that of the Python that built the file."""
    monkeypatch.chdir(tmp_path)
    Path("authorities.pem").touch()
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: SimpleNamespace(cafile=built_in, capath=None))
    monkeypatch.setattr(os, "environ", given)
    program = runpy.run_path(str(ROOT / "deploy/binary/program.py"))
    program["find_authorities"](("missing.pem", "authorities.pem"))
    assert given == wanted


# --- Compose ---


@pytest.mark.parametrize("option", OPTIONS.values(), ids=lambda option: option.env)
def test_compose_passes_every_setting_on(option: Option) -> None:
    assert option.env in environment_of_compose()


def test_compose_names_no_setting_that_does_not_exist() -> None:
    known = {name for option in OPTIONS.values() for name in (option.env, *option.aliases)}
    assert {name for name in environment_of_compose() if name.startswith(("AOP_", "AUGMENT_"))} <= known


def test_compose_gives_no_setting_a_default_of_its_own_but_where_a_container_differs() -> None:
    given = {name for name, value in environment_of_compose().items() if value}
    assert given == {
        "AOP_PORT",
        "AOP_HOST",
        "AOP_STATE_DIR",
        "AOP_ALLOW_UNAUTHENTICATED",
        "AOP_CA_FILE",
        "AOP_CONFIG",
        "AOP_STORE",
        "AUGMENT_SESSION_AUTH",
    }


def test_compose_asks_for_no_key_only_because_it_publishes_on_loopback() -> None:
    assert environment_of_compose()["AOP_ALLOW_UNAUTHENTICATED"] == "${AOP_ALLOW_UNAUTHENTICATED:-true}"
    assert re.findall(r"ports: (.*)", text("docker-compose.yml")) == [
        '["127.0.0.1:${AOP_PORT:-7888}:${AOP_PORT:-7888}"]'
    ]


# --- The image ---


@pytest.mark.parametrize(
    "line",
    [
        "USER 1000:1000",
        "VOLUME /data",
        'ENTRYPOINT ["augment-open-proxy"]',
        'CMD ["augment-open-proxy", "health"]',
        "AOP_HOST=0.0.0.0",
        "AOP_STATE_DIR=/data",
        "HOME=/root",
        "chmod 755 /root",
        "install -d -m 1777 /data",
    ],
)
def test_the_image_has(line: str) -> None:
    slim = text("Dockerfile").partition(" AS slim\n")[2].partition("FROM ")[0]
    assert line in slim


def test_the_default_image_is_the_one_with_the_cli() -> None:
    stages = re.findall(r"^FROM (\S+) AS (\S+)$", text("Dockerfile"), re.M)
    assert stages[-1] == ("slim", "full")


def test_the_image_gets_every_file_that_it_copies() -> None:
    allowed = {line[1:] for line in text(".dockerignore").splitlines() if line.startswith("!")}
    copied = [
        word for line in re.findall(r"^COPY (?!--from)(.*)$", text("Dockerfile"), re.M) for word in line.split()[:-1]
    ]
    assert copied
    for path in copied:
        assert (ROOT / path).exists()
        assert path.split("/")[0] in allowed


@pytest.mark.parametrize(
    "lock", ["requirements-postgres", "requirements-build", "requirements-binary", "requirements-packaging"]
)
def test_what_is_installed_is_pinned_with_hashes(lock: str) -> None:
    entries = re.split(r"\n(?=[a-z0-9])", text(f"{lock}.lock"))
    assert all("==" in entry and "--hash=sha256:" in entry for entry in entries)


def test_image_and_binary_have_what_the_tests_run_with() -> None:
    pins = [
        dict(re.findall(r"^([a-z0-9_.-]+)==(\S+)", text(f"requirements{lock}.lock"), re.M))
        for lock in ("", "-postgres")
    ]
    assert pins[0].items() <= pins[1].items()
    assert set(pins[1]) - set(pins[0]) == {"asyncpg"}


# --- Releases ---


def release_version(folder: Path, tag: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, folder / "scripts/release-version", tag], capture_output=True, text=True, timeout=20
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of version 3.1.4, released on a day."""
    for folder in ("scripts", "src/augment_open_proxy"):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copy(ROOT / "scripts/release-version", tmp_path / "scripts")
    (tmp_path / "src/augment_open_proxy/__init__.py").write_text('__version__ = "3.1.4"\n')
    (tmp_path / "CHANGELOG.md").write_text(
        "# Changelog\n\n## [Unreleased]\n\n- Later.\n\n"
        "## [3.1.4] - 2026-11-25\n\n- This.\n\n## [3.1.3] - 2026-11-01\n\n- Old.\n"
    )
    return tmp_path


def test_a_release_has_its_section_of_the_changelog(project: Path) -> None:
    done = release_version(project, "v3.1.4")
    assert (done.returncode, done.stdout, done.stderr) == (0, "- This.\n", "")


@pytest.mark.parametrize("tag", ["v3.1.3", "3.1.4", "v3.1", "v3.1.40", ""])
def test_another_tag_is_refused(project: Path, tag: str) -> None:
    done = release_version(project, tag)
    assert (done.returncode, done.stdout) == (1, "")
    assert "must be v3.1.4" in done.stderr


def test_a_version_without_a_dated_section_is_refused(project: Path) -> None:
    (project / "CHANGELOG.md").write_text("## [3.1.4]\n\n- This.\n")
    assert release_version(project, "v3.1.4").returncode == 1


def test_the_script_reads_the_project_s_version() -> None:
    assert f"must be v{__version__}" in release_version(ROOT, "v0").stderr


def test_the_release_builds_the_four_binaries() -> None:
    assert tuple(re.findall(r"\{target: (\S+?), system:", text(".github/workflows/release.yml"))) == TARGETS


def build_binary(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, ROOT / "scripts/build-binary", *arguments], capture_output=True, text=True, timeout=20
    )


def test_a_binary_for_another_machine_is_refused() -> None:
    unknown = build_binary("solaris-sparc")
    assert unknown.returncode == 2
    assert f"name a target: {', '.join(TARGETS)}" in unknown.stderr
    host = unknown.stderr.split()[-1]
    for target in TARGETS:
        if target != host:
            refused = build_binary(target)
            assert (refused.returncode, refused.stdout) == (2, "")
            assert f"this one is {host}" in refused.stderr


def test_the_owner_is_written_in_one_place() -> None:
    """In the workflows it is GitHub's `repository_owner`."""
    places = [
        path.relative_to(ROOT).as_posix()
        for folder in ("deploy/kubernetes", ".github")
        for path in sorted((ROOT / folder).rglob("*.y*ml"))
        if re.search(r"ghcr\.io/(?!\$\{\{ github\.repository_owner \}\})\S", path.read_text("utf-8"))
    ]
    assert places == ["deploy/kubernetes/kustomization.yaml"]
    assert not re.search(r"ghcr\.io", text("docker-compose.yml") + text("Dockerfile"))


# --- The image's context ---

BUILT_FROM = {"pyproject.toml", "hatch_build.py", "README.md", "LICENSE", "src"}
"""What the wheel is made of."""


def test_the_image_copies_what_the_wheel_is_made_of_and_its_context_has_it() -> None:
    lines = re.findall(r"^COPY (?!--from)(.+) \S+$", text("Dockerfile"), re.M)
    copied = {name for line in lines for name in line.split()}
    context = set(re.findall(r"^!(.+)$", text(".dockerignore"), re.M))
    assert copied >= BUILT_FROM
    assert {name.partition("/")[0] for name in copied} <= context
