"""The documentation is true: settings and routes are all in it, links lead somewhere, and what it shows is run.

Blocks of `sh` and `python` are run against a proxy on the simulator, and those that start a proxy until it is ready.
A block is left out only where it calls a program of `ELSEWHERE`, which has the reason.
"""

import base64
import contextlib
import hashlib
import html
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import tomllib
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

import httpx2 as httpx
import pytest

from augment_open_proxy.server.openapi import APIS, document
from augment_open_proxy.server.openapi_page import page
from augment_open_proxy.settings import OPTIONS, Option, load
from augment_open_proxy.simulator import table
from augment_open_proxy.upstream.catalog import nearest_effort
from tests.servers import Proxy

ROOT = Path(__file__).parent.parent
PAGES = sorted(path.relative_to(ROOT).as_posix() for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")))
ROW = re.compile(r"^\|\s*`([A-Z][A-Z0-9_]+)`\s*\|([^|]*)\|", re.M)
ASSIGNMENT = re.compile(r"^(?:# )?([A-Z][A-Z0-9_]+)=(.*)$", re.M)
NO_DEFAULT = ("", "—", "-", "none", "unset")
SET_IN_EXAMPLE = "AOP_DISABLE_EFFORT_MODELS"
every_setting = pytest.mark.parametrize("option", OPTIONS.values(), ids=lambda option: option.env)


def readme() -> dict[str, str]:
    """The defaults in README's table, by variable."""
    return {name: cell.strip().strip("`") for name, cell in ROW.findall((ROOT / "README.md").read_text("utf-8"))}


def example() -> dict[str, str]:
    """The values in .env.example, by variable, whether commented out or not."""
    return dict(ASSIGNMENT.findall((ROOT / ".env.example").read_text("utf-8")))


def known() -> set[str]:
    return {name for option in OPTIONS.values() for name in (option.env, *option.aliases)}


@every_setting
def test_readme_has_the_setting_with_its_default(option: Option) -> None:
    table = readme()
    wanted = f"| `{option.env}` | {option.default or '—'} | … |"
    assert option.env in table, f"README.md's table of settings lacks {option.env}: add a row {wanted}"
    if option.default:
        assert table[option.env] == option.default, f"README.md gives another default for {option.env}: write {wanted}"
    elif not option.computed:
        assert table[option.env].lower() in NO_DEFAULT, f"{option.env} has no default, README.md says: write {wanted}"


@every_setting
def test_readme_names_the_aliases_of_the_setting(option: Option) -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    for alias in option.aliases:
        assert alias in text, f"README.md does not say that {alias} stands in for {option.env}"


@every_setting
def test_the_example_has_the_setting_with_its_default(option: Option) -> None:
    values = example()
    assert option.env in values, f".env.example lacks {option.env}: add a line '# {option.env}={option.default}'"
    if option.env != SET_IN_EXAMPLE:
        assert values[option.env] == option.default, f".env.example gives another default for {option.env}"


def test_readme_and_example_name_no_setting_that_does_not_exist() -> None:
    ours = {name for name in (*readme(), *example()) if name.startswith(("AOP_", "AUGMENT_"))}
    assert ours <= known(), f"README.md or .env.example has settings that do not exist: {sorted(ours - known())}"


def test_the_example_as_it_stands_sets_only_the_effort_variants_that_the_backend_lacks(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text((ROOT / ".env.example").read_text("utf-8"), "utf-8")
    settings = load({}, {}, tmp_path, lambda: tmp_path / "none.toml")
    defaults = load({}, {}, tmp_path / "elsewhere", lambda: tmp_path / "none.toml")
    assert settings.disable_effort_models == (
        "claude-opus-4-6",
        "claude-opus-4-6-500k",
        "claude-sonnet-4-6-500k",
        "claude-opus-4-7-500k",
    )
    changed = [name for name in OPTIONS if getattr(settings, name) != getattr(defaults, name)]
    assert changed == ["disable_effort_models"]


def test_the_simulator_s_scenarios_are_documented() -> None:
    document = (ROOT / "docs" / "simulator.md").read_text(encoding="utf-8")
    assert document.endswith(table()), "docs/simulator.md does not end with what simulator.table() gives"


# ------------------------------------------------------------------------------------------------- routes


def test_api_has_each_route_and_none_that_there_is_not() -> None:
    rows = re.findall(r"^\| ((?:`[A-Z]+`,? )+)\| `(/[^`]*)` \|", (ROOT / "API.md").read_text("utf-8"), re.M)
    written = sorted((method, path) for methods, path in rows for method in re.findall(r"[A-Z]+", methods))
    routes = sorted((operation.method, operation.path) for api in APIS for operation in api.operations)
    assert written == routes


def test_efforts_are_mapped_as_it_is_said() -> None:
    text = (ROOT / "API.md").read_text("utf-8")
    (asked,) = re.findall(r"^\| Asked for \|(.*)\|$", text, re.M)
    rows = re.findall(r"^\| (?:a model|one) with ([a-z, ]+) \|(.*)\|$", text, re.M)
    assert len(rows) == 2
    for efforts, chosen in rows:
        made = [nearest_effort(effort, efforts.split(", ")) for effort in re.findall(r"\w+", asked)]
        assert re.findall(r"\w+", chosen) == made


def test_the_page_of_the_routes_has_each_of_them(proxy: Proxy) -> None:
    answer = httpx.get(f"{proxy.url}/docs")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    shown = re.findall(r"<summary><b>([A-Z]+)</b><code>([^<]+)</code>", answer.text)
    described = json.loads(document())
    assert sorted((method, html.unescape(path)) for method, path in shown) == sorted(
        (method.upper(), path) for path, methods in described["paths"].items() for method in methods
    )
    for name, schema in described["components"]["schemas"].items():
        entry = answer.text.partition(f'<h3 id="{name}">')[2].partition("<h3")[0]
        assert re.findall(r"<tr><td><code>([^<]+)", entry) == list(schema["properties"])


def test_the_page_of_the_routes_needs_nothing_from_elsewhere(proxy: Proxy) -> None:
    answer = httpx.get(f"{proxy.url}/docs")
    targets = re.findall(r'href="([^"]*)"', answer.text)
    assert set(targets) - {"/openapi.json"} <= {f"#{name}" for name in re.findall(r' id="([^"]*)"', answer.text)}
    assert not re.search(r"<script|<link|<img|src=|url\(|@import| style=| on\w+=", answer.text)
    (style,) = re.findall(r"<style>(.*?)</style>", answer.text, re.S)
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    assert f"'sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_what_the_document_says_is_escaped() -> None:
    text = page().decode()
    assert "<b>required</b>" in text
    assert not re.findall(
        r"<(?!/?(?:!doctype|html|head|meta|title|style|body|h[123]|p|a|nav|details|summary|b|code|span"
        r"|table|tr|td)\b)",
        text,
    )


# -------------------------------------------------------------------------------------------------- links

LINK = re.compile(r"!?\[[^\]]*\]\(([^()\s]+)\)|(?:src|srcset|href)=\"([^\"]+)\"")
FENCE = re.compile(r"^( *)```([\w-]*)[^\n]*\n(.*?)^ *```$", re.M | re.S)
every_page = pytest.mark.parametrize("page_name", PAGES)


def prose(text: str) -> str:
    """The text without its blocks and spans of code."""
    return re.sub(r"`[^`\n]*`", "", FENCE.sub("", text))


def anchors(text: str) -> set[str]:
    """The anchors of the headings, as GitHub makes them."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.*)$", FENCE.sub("", text), re.M):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
        count = 0
        while (numbered := f"{name}-{count}" if count else name) in found:
            count += 1
        found.add(numbered)
    return found


@every_page
def test_links_lead_to_files_and_headings(page_name: str) -> None:
    here = ROOT / page_name
    for found in LINK.findall(prose(here.read_text("utf-8"))):
        target = unquote(found[0] or found[1])
        if re.match(r"https?://|mailto:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (here.parent / name).resolve() if name else here
        assert file.is_relative_to(ROOT), f"{page_name}: {target} is outside of the repository"
        assert file.exists(), f"{page_name}: there is no {target}"
        if anchor:
            assert anchor in anchors(file.read_text("utf-8")), f"{page_name}: {target} is no heading"


@every_page
def test_files_and_commands_that_are_named_exist(page_name: str) -> None:
    text = (ROOT / page_name).read_text("utf-8")
    for name in re.findall(r"`((?:src|tests|docs|scripts|benchmarks|deploy|\.github)/[\w./-]*)`", text):
        assert (ROOT / name).exists(), f"{page_name}: there is no {name}"
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text("utf-8"), re.M))
    code = [*re.findall(r"`([^`\n]+)`", FENCE.sub("", text)), *(block[2] for block in FENCE.findall(text))]
    named = {name for part in code for name in re.findall(r"^make (?:[A-Z]+=\S+ )?([a-z][a-z-]*)", part, re.M)}
    assert named <= targets, f"{page_name}: the Makefile has no {sorted(named - targets)}"


def test_each_page_of_docs_is_in_its_index() -> None:
    linked = set()
    for folder in ("docs", "docs/clients"):
        text = (ROOT / folder / "README.md").read_text("utf-8")
        linked |= {(ROOT / folder / found[0].partition("#")[0]).resolve() for found in LINK.findall(text)}
    pages = [name for name in PAGES if re.match(r"docs/(?!decisions/|README)", name)]
    missing = [name for name in pages if (ROOT / name).resolve() not in linked]
    assert not missing, f"docs/README.md has no link to {missing}"


def test_drawings_need_nothing_from_elsewhere() -> None:
    drawings = sorted((ROOT / "docs").glob("**/*.svg"))
    assert ROOT / "docs" / "architecture.svg" in drawings
    for drawing in drawings:
        for element in ElementTree.fromstring(drawing.read_bytes()).iter():  # noqa: S314 (our own file)
            assert not any("href" in name or "url(" in value for name, value in element.attrib.items()), drawing


# ------------------------------------------------------------------------------------- what is shown is run

ELSEWHERE: Mapping[str, str] = {
    "auggie": "logs in to an Augment account",
    "docker": "needs a Docker engine",
    "kubectl": "needs a cluster",
    "helm": "needs a cluster",
    "systemctl": "needs systemd",
    "journalctl": "needs systemd",
    "sudo": "changes the system",
    "nginx": "changes the system",
    "psql": "needs a PostgreSQL server of the reader's",
    "pg_dump": "needs a PostgreSQL server of the reader's",
    "npm": "installs from a registry",
    "pip": "installs from a registry",
    "pipx": "installs from a registry",
    "uv": "installs from a registry",
    "uvx": "installs from a registry",
    "git": "clones or pushes",
    "tar": "unpacks what was downloaded",
    "gh": "needs an account at GitHub",
    "Invoke-WebRequest": "is for Windows",
    **dict.fromkeys(
        ("claude", "codex", "opencode", "cn", "aider", "cline", "qwen", "pi"), "is run by `make test-clients`"
    ),
    **dict.fromkeys(("cloudflared", "open-webui"), "is a program of others that is not installed here"),
}
"""What cannot be run here, and why."""
SERVING = re.compile(r"(?:augment-open-proxy|aop)(?: serve| demo)?(?: --.*)?|make (?:run|demo)")
START_SECONDS = 30
RUN_SECONDS = 30
PRELUDE = """
set -euo pipefail
curl() { command curl -sS --fail-with-body "$@"; }
make() { command make -o .venv/.run -o .venv/.dev "$@"; }
"""
"""Makes failures of requests those of the block, and leaves the environment as it is."""


class Block(NamedTuple):
    """A block of code. `line` is where it begins."""

    page: str
    line: int
    language: str
    text: str

    @property
    def commands(self) -> list[str]:
        """Its command lines, joined where they go on, without what they set."""
        lines = re.sub(r"\\\n\s*", " ", self.text).splitlines()
        commands = [part.strip() for line in lines for part in re.split(r"(?:\||&&|;) ", line)]
        return [re.sub(r"^(?:[A-Z_]+=\S* )+", "", line) for line in commands if line and not line.startswith("#")]

    @property
    def reason(self) -> str | None:
        """Why it can't be run here."""
        for command in self.commands:
            for name, reason in ELSEWHERE.items():
                if re.match(rf"{re.escape(name)}(?= |$)", command):
                    return f"{name} {reason}"
            if command.startswith(("scripts/", "./", "make ")) and not SERVING.fullmatch(command):
                return f"{command} installs, measures, builds or runs the tests themselves"
        return None

    @property
    def serves(self) -> bool:
        """Whether it starts a proxy, which is its last command."""
        return bool(SERVING.fullmatch(self.commands[-1]))


def blocks(*languages: str) -> list[Block]:
    found = []
    for name in PAGES:
        text = (ROOT / name).read_text("utf-8")
        for match in FENCE.finditer(text):
            if match[2] in languages:
                body = re.sub(rf"^{match[1]}", "", match[3], flags=re.M)
                found.append(Block(name, text.count("\n", 0, match.start()) + 1, match[2], body))
    return found


def named(block: Block) -> str:
    return f"{block.page}:{block.line}"


SHELL = blocks("sh")
RUN = [block for block in SHELL if block.reason is None]


@pytest.fixture
def environment(proxy: Proxy, tmp_path: Path) -> dict[str, str]:
    """Of a user with a home of their own, on whose path the command is; no account, and no proxy for HTTP."""
    return {
        "HOME": str(tmp_path),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "AOP_PORT": "0",
        "OPENAI_BASE_URL": proxy.base_url,
        "OPENAI_API_KEY": "any",
        "ANTHROPIC_BASE_URL": proxy.url,
        "ANTHROPIC_API_KEY": "any",
    }


def here(block: Block, proxy: Proxy) -> str:
    return block.text.replace("http://localhost:7888", proxy.url)


@pytest.mark.parametrize("block", [block for block in RUN if not block.serves], ids=named)
def test_what_the_shell_is_given_succeeds(
    block: Block, proxy: Proxy, environment: dict[str, str], tmp_path: Path
) -> None:
    done = subprocess.run(
        ["bash", "-c", PRELUDE + here(block, proxy)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "curl " not in block.text or done.stdout, "it should have printed the reply"


@pytest.mark.parametrize("block", [block for block in RUN if block.serves], ids=named)
def test_what_starts_a_proxy_starts_one(block: Block, environment: dict[str, str], tmp_path: Path) -> None:
    process = subprocess.Popen(
        ["bash", "-c", PRELUDE + re.sub(r"--port \d+", "--port 0", block.text)],
        cwd=ROOT if "make " in block.text else tmp_path,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        assert process.stderr is not None
        with bounded(process.pid):
            seen = ""
            while "listening on" not in seen and (line := process.stderr.readline()):
                seen += line
            end(process.pid, signal.SIGTERM)
            rest = process.stderr.read()
            process.wait(START_SECONDS)
    assert "listening on" in seen, seen + rest


def end(group: int, number: signal.Signals) -> None:
    """Signal the processes that a block has started; they may have ended by themselves."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)


@contextlib.contextmanager
def bounded(group: int) -> Iterator[None]:
    """Kill the processes where what is done with them takes too long, or fails."""
    timer = threading.Timer(START_SECONDS, end, [group, signal.SIGKILL])
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        end(group, signal.SIGKILL)


@pytest.mark.parametrize("block", SHELL, ids=named)
def test_shell_blocks_are_well_formed(block: Block) -> None:
    done = subprocess.run(["bash", "-n", "-c", block.text], capture_output=True, text=True, timeout=RUN_SECONDS)
    assert (done.returncode, done.stderr) == (0, "")
    settings = {name for name in re.findall(r"\bAOP_[A-Z_]+", block.text) if name != "AOP_UID"}
    assert settings <= known(), "it names a setting that does not exist"  # AOP_UID is docker-compose.yml's own


def test_blocks_are_run() -> None:
    """The rules above are for what can't be run, and must not come to leave out the rest."""
    assert {"README.md", "API.md", "docs/operations.md", "docs/simulator.md"} <= {block.page for block in RUN}
    assert any(block.serves for block in RUN)
    assert not [block for block in blocks("bash", "shell", "console", "") if re.search(r"^curl ", block.text, re.M)]


@pytest.mark.parametrize("block", blocks("python"), ids=named)
def test_what_python_is_given_succeeds(block: Block, proxy: Proxy, environment: dict[str, str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", here(block, proxy)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    assert "simulation" in done.stdout


@pytest.mark.parametrize("block", blocks("js"), ids=named)
def test_what_node_is_given_succeeds(block: Block, proxy: Proxy, environment: dict[str, str], tmp_path: Path) -> None:
    packages = ROOT / "tests" / "clients" / ("anthropic_js" if "anthropic" in block.text else "openai_js")
    node = shutil.which("node")
    if node is None or not (packages / "node_modules").is_dir():
        pytest.skip("the package is not installed: `make setup-clients`")
    (tmp_path / "node_modules").symlink_to(packages / "node_modules")
    (tmp_path / "example.mjs").write_text(here(block, proxy), "utf-8")
    done = subprocess.run(
        [node, "example.mjs"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=RUN_SECONDS
    )
    assert done.returncode == 0, done.stderr
    assert "simulation" in done.stdout


@pytest.mark.parametrize("block", blocks("json", "toml", "dotenv"), ids=named)
def test_files_that_are_shown_can_be_read(block: Block, tmp_path: Path) -> None:
    if block.language == "json":
        json.loads(block.text)
    elif block.language == "toml":
        tomllib.loads(block.text)
    else:
        (tmp_path / ".env").write_text(block.text, "utf-8")
        changed = load({}, {}, tmp_path, lambda: tmp_path / "none.toml")
        defaults = load({}, {}, tmp_path / "elsewhere", lambda: tmp_path / "none.toml")
        assert changed != defaults
        assert set(re.findall(r"^([A-Z][A-Z_]+)=", block.text, re.M)) <= known()


# ------------------------------------------------------------------------------------------------- clients

CLIENTS = sorted(path for path in (ROOT / "docs" / "clients").glob("*.md") if path.name != "README.md")
PINNED = {
    "claude-code": ("claude_code", "@anthropic-ai/claude-code"),
    "codex": ("codex", "@openai/codex"),
    "opencode": ("agents", "opencode-ai"),
    "cline": ("agents", "cline"),
    "continue": ("agents", "@continuedev/cli"),
    "qwen-code": ("agents", "@qwen-code/qwen-code"),
    "pi": ("agents", "@earendil-works/pi-coding-agent"),
}
"""The folder under tests/clients, and the package there, that a page's client is tested with."""


@pytest.mark.parametrize("path", CLIENTS, ids=lambda path: path.stem)
def test_each_client_is_said_to_be_tested_or_not(path: Path) -> None:
    text = path.read_text("utf-8")
    status = re.findall(r"^\*\*(Tested|Untested)\*\* *([^\n]*)", text, re.M)
    assert len(status) == 1
    if status[0][0] == "Tested":
        assert re.search(r"\d+\.\d+", status[0][1]), "with its version"
        assert re.search(r"20\d\d-\d\d-\d\d", status[0][1]), "with a date"
    row = re.search(rf"^\| \[[^\]]+\]\({path.name}\) \|(.*)$", (path.parent / "README.md").read_text("utf-8"), re.M)
    assert row, f"docs/clients/README.md has no row for {path.name}"
    assert ("untested" in row[1]) == (status[0][0] == "Untested")


@pytest.mark.parametrize("name", PINNED)
def test_clients_are_tested_with_the_version_that_is_said(name: str) -> None:
    folder, package = PINNED[name]
    given = json.loads((ROOT / "tests" / "clients" / folder / "package.json").read_bytes())
    version = given["dependencies"][package]
    assert version in (ROOT / "docs" / "clients" / f"{name}.md").read_text("utf-8")
    assert version in (ROOT / "docs" / "clients" / "README.md").read_text("utf-8")
