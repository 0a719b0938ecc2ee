"""The documentation names every setting with its default, and no setting that does not exist; and every scenario."""

import re
from pathlib import Path

import pytest

from augment_open_proxy.settings import OPTIONS, Option, load
from augment_open_proxy.simulator import table

ROOT = Path(__file__).parent.parent
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
