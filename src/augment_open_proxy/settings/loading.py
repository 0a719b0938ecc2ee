"""Where the values come from: flags, the environment, `.env` in the working directory, the TOML file, in this order.

Blank means unset, at each level.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from augment_open_proxy.settings import parsers
from augment_open_proxy.settings.fields import OPTIONS, Option, Settings, user_config_file
from augment_open_proxy.settings.parsers import Parser


class SettingsError(Exception):
    """A setting that cannot be used. The message is one line: which, from where, and what is accepted."""


_COMMAND_LINE = "the command line"


class _Layer(NamedTuple):
    origin: str
    values: Mapping[str, str | None]


class _Given(NamedTuple):
    name: str
    text: str
    origin: str
    parse: Parser[object]


def load(
    flags: Mapping[str, str],
    environ: Mapping[str, str],
    cwd: Path,
    config_place: Callable[[], Path] = user_config_file,
) -> Settings:
    """The settings in force. `flags` are by flag (`{"--port": "80"}`), `environ` is by variable.

    Reads `.env` in `cwd`, and the TOML file that is named or, when there is one, that at `config_place()`.
    Raises `SettingsError` at the first thing wrong.
    """
    layers = [_Layer(_COMMAND_LINE, flags), _Layer("the environment", environ)]
    if parsers.is_file(cwd / ".env"):
        layers.append(_Layer(".env", _read_dotenv(cwd / ".env")))
    config = _config_file(layers, config_place)
    if config:
        layers.append(_Layer(str(config), _read_toml(config)))
    given = {name: found for name, option in OPTIONS.items() if (found := _find(option, layers))}
    values = {name: _parsed(OPTIONS[name], found) for name, found in given.items()}
    notices = [_notice(found, values[name]) for name, found in given.items()]
    notices += [_misspelt(name, layer.origin) for layer in layers for name in layer.values]
    return Settings(**values, notices=tuple(filter(None, notices)))  # type: ignore[arg-type]  # each was parsed by its field


def _notice(given: _Given, value: object) -> str:
    """What is worth a word about an alias; for the others it is as good as the name itself."""
    match given.name:
        case "CORS_ORIGIN":
            not_heard = " (CORS_ORIGIN=* is not honoured)" if given.text == "*" else ""
            return (
                f"CORS_ORIGIN lets web pages use the account: name their origins in AOP_CORS_ORIGINS instead{not_heard}"
            )
        case "NODE_EXTRA_CA_CERTS" if value is None:
            return f"NODE_EXTRA_CA_CERTS is not used: {_shown(given.text)} is not {parsers.CERTIFICATES}"
    return ""


def _misspelt(name: str, origin: str) -> str:
    """A word about a variable that is named as a setting of ours almost is; others may have their own `AOP_`."""
    if not name.startswith("AOP_") or name in (known := [OPTIONS["config"].env, *_toml_keys()]):
        return ""
    meant = _closest(name, known, 0.85)
    return meant and f"{name} (from {origin}) is no setting{meant}"


def _config_file(layers: list[_Layer], config_place: Callable[[], Path]) -> Path | None:
    named = _find(OPTIONS["config"], layers)
    if named:
        _parsed(OPTIONS["config"], named)
        return parsers.path(named.text)
    return parsers.tolerant(parsers.existing_file)(str(config_place()))


def _find(option: Option, layers: list[_Layer]) -> _Given | None:
    """Where `option` is set with the highest precedence. An alias counts only where the name itself is set nowhere."""
    for names, parse in (((*option.flags, option.env), option.parse), *(((a,), p) for a, p in option.aliases.items())):
        for layer in layers:
            for name in names:
                if text := (layer.values.get(name) or "").strip():
                    return _Given(name, text, layer.origin, parse)
    return None


def _parsed(option: Option, given: _Given) -> object:
    if given.origin == _COMMAND_LINE and re.search(r"//[^/@]*:[^/@]*@", given.text):
        raise SettingsError(
            f"{given.name} has a password, which every user of this machine can read on the command line: "
            f"set {option.env} instead"
        )
    try:
        return given.parse(given.text)
    except ValueError as error:
        value = "" if option.secret else f" is {_shown(given.text)}"
        raise SettingsError(f"{given.name}{value} (from {given.origin}): expected {error}") from None


def _shown(text: str) -> str:
    """`text` on one line, quoted, not too long, and without the password of a URL."""
    text = re.sub(r"//[^/]*@", "//***@", text)
    return repr(text if len(text) <= 80 else text[:80] + "…")


def _read_dotenv(path: Path) -> dict[str, str | None]:
    from dotenv import dotenv_values

    try:
        # Windows' editors may begin the file with a byte order mark.
        return dotenv_values(path, interpolate=False, encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}") from None


def _read_toml(path: Path) -> dict[str, str | None]:
    import tomllib

    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path} is not valid TOML: {error}") from None
    known = _toml_keys()
    for key in entries:
        if key.upper() not in known:
            meant = _closest(key, known) or "; its keys are the names of the environment variables"
            raise SettingsError(f"{path} has an unknown key {key!r}{meant}")
    return {key.upper(): _toml_text(path, key, value) for key, value in entries.items()}


def _toml_keys() -> list[str]:
    return [
        key
        for option in OPTIONS.values()
        for key in (option.env, *option.aliases)
        if option is not OPTIONS["config"]  # a file cannot say where it is
    ]


def _closest(key: str, known: list[str], likeness: float = 0.6) -> str:
    """The question for what may have been meant, or nothing."""
    from difflib import get_close_matches

    matches = get_close_matches(key.upper(), known, 1, likeness)
    return f"; did you mean {matches[0].lower() if key.islower() else matches[0]!r}?" if matches else ""


def _toml_text(path: Path, key: str, value: object) -> str:
    """`value` as it would be written in the environment."""
    match value:
        case str():
            return value
        case bool():
            return str(value).lower()
        case int() | float():
            return str(value)
        case list() if all(isinstance(item, str) for item in value):
            return ",".join(value)
        case _:
            raise SettingsError(f"{key} (from {path}): expected a text, a number, true, false or a list of texts")
