"""Who may import whom (`docs/decisions/0001-architecture.md`), held on the syntax tree."""

import ast
from pathlib import Path

import pytest

import augment_open_proxy

ROOT = Path(augment_open_proxy.__file__).parent
PACKAGE = "augment_open_proxy"

MAY_IMPORT: dict[str, set[str]] = {
    "__init__": set(),
    "__main__": {"cli"},
    "settings": set(),
    "state": set(),
    "cli": {"server", "settings", "simulator", "state"},
    "core": set(),
    "tokens": {"core"},
    "dialects": {"core"},
    "policies": {"core", "tokens"},
    "upstream": {"core"},
    "journal": {"core"},
    "server": {"core", "dialects", "policies", "tokens", "upstream", "journal", "settings", "state", "simulator"},
    "simulator": {"upstream"},
}
"""What each part may import of ours, beside itself and the package's version."""

PURE_IN_UPSTREAM = ("catalog", "decode", "encode", "lines", "problems", "wire")
PURE = ("core", "dialects", "policies", "tokens", *(f"upstream/{name}" for name in PURE_IN_UPSTREAM))
IMPURE_MODULES = {"asyncio", "logging", "os", "random", "secrets", "socket", "subprocess", "sys", "threading", "time"}
IMPURE_MODULES |= {"datetime", "uuid", "aiohttp", "uvicorn", "pathlib"}

ONE_PLACE = {
    "aiohttp": {"simulator/server", "server/fetch"},
    "httptools": {"server/http_protocol", "upstream/http/connection"},
    "uvicorn": {"server/run", "server/http_cycle", "server/http_protocol", "server/websocket_protocol"},
    "websockets": {"server/websocket_protocol"},
}
"""Libraries that only these modules may import."""

DATABASES = {"sqlalchemy", "alembic", "aiosqlite", "asyncpg", "sqlite3"}
STORE = "journal/store/"
LIGHT_IN_STORE = {f"{STORE}{name}" for name in ("__init__", "opening", "records")}
"""What others may import of the store without loading a library for databases."""

MODULES = sorted(path.relative_to(ROOT).with_suffix("").as_posix() for path in ROOT.rglob("*.py"))
per_module = pytest.mark.parametrize("module", MODULES)
per_pure_module = pytest.mark.parametrize("module", [module for module in MODULES if module.startswith(PURE)])
DIALECT_FOLDERS = {path.parent.name for path in (ROOT / "dialects").glob("*/wire.py")}


def imports(module: str) -> list[str]:
    """The full names of all that a module imports, wherever the import stands."""
    return names_in(tree(module), module)


def names_in(part: ast.AST, module: str) -> list[str]:
    names: list[str] = []
    for node in ast.walk(part):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports are absolute"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def tree(module: str) -> ast.Module:
    return ast.parse((ROOT / f"{module}.py").read_text(encoding="utf-8"))


def part(name: str) -> str:
    """`augment_open_proxy.core.events.Event` → `core`; the package's own names → `__init__`."""
    words = name.split(".")[1:]
    return words[0] if words and words[0] in MAY_IMPORT else "__init__"


@per_module
def test_a_module_imports_only_what_its_part_may(module: str) -> None:
    own = module.split("/")[0]
    allowed = MAY_IMPORT[own] | {own, "__init__"}
    ours = {part(name) for name in imports(module) if name.split(".")[0] == PACKAGE}
    assert ours <= allowed


@pytest.mark.parametrize("folder", sorted(DIALECT_FOLDERS))
def test_no_dialect_imports_another(folder: str) -> None:
    for module in MODULES:
        if module.startswith(f"dialects/{folder}/"):
            used = {name.split(".")[2] for name in imports(module) if name.startswith(f"{PACKAGE}.dialects.")}
            assert not (used & DIALECT_FOLDERS) - {folder}, module


@per_pure_module
def test_what_is_pure_has_no_clock_chance_environment_or_io(module: str) -> None:
    roots = {name.split(".")[0] for name in imports(module)}
    assert not roots & IMPURE_MODULES
    assert not any(isinstance(node, ast.AsyncFunctionDef | ast.Await) for node in ast.walk(tree(module)))


@per_module
def test_a_library_for_io_is_used_in_one_place(module: str) -> None:
    for library, places in ONE_PLACE.items():
        if any(name.split(".")[0] == library for name in imports(module)):
            assert module in places


@per_module
def test_a_library_for_databases_is_used_in_the_store_alone(module: str) -> None:
    if any(name.split(".")[0] in DATABASES for name in imports(module)):
        assert module.startswith(STORE)
        assert module not in LIGHT_IN_STORE


@pytest.mark.parametrize("module", [module for module in MODULES if not module.startswith(STORE)])
def test_nobody_loads_a_library_for_databases_by_importing_the_store(module: str) -> None:
    named = {name.removeprefix(f"{PACKAGE}.").replace(".", "/") for name in loaded(module)}
    used = {name for name in named if name.startswith(STORE)}
    assert all(name.startswith(tuple(LIGHT_IN_STORE)) for name in used)


def loaded(module: str) -> list[str]:
    """The full names of what a module imports when it is imported, not for types alone or in a function."""
    outermost = tree(module).body
    plain = ast.Module([node for node in outermost if isinstance(node, ast.Import | ast.ImportFrom)], [])
    return names_in(plain, module)


def test_every_part_has_its_rule() -> None:
    assert {module.split("/")[0] for module in MODULES} == set(MAY_IMPORT)


def test_the_rules_can_fail() -> None:
    assert "aiohttp" in {name.split(".")[0] for name in imports("server/fetch")}
    assert part("augment_open_proxy.core.events.Event") == "core"
    assert part("augment_open_proxy.__version__") == "__init__"
    assert "sqlalchemy" in {name.split(".")[0] for name in imports("journal/store/turns")}
    assert f"{PACKAGE}.journal.store.opening.Stores" in {name for module in MODULES for name in loaded(module)}
