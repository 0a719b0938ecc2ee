"""Everything that can be set, in one frozen `Settings`, and where the values come from.

Flags override the environment, that overrides `.env` in the working directory, that overrides the TOML file.
Blank means unset, at each level. To add a setting, add one field here: the flags, the help, the checks of the
files and the test of the documentation follow from it.
"""

# `_setting` is `dataclasses.field` by another name, so no default is shared:
# ruff: noqa: RUF009

import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar
from urllib.parse import urlsplit

APP_NAME = "augment-open-proxy"
MOST_WORKERS = 64

Logging = Literal["none", "info", "body"]
LogFormat = Literal["text", "json"]

T = TypeVar("T")
Parser = Callable[[str], T]
"""From text to a value; a `ValueError` says what is accepted."""


class SettingsError(Exception):
    """A setting that cannot be used. The message is one line: which, from where, and what is accepted."""


class Option(NamedTuple):
    """How one field of `Settings` is given."""

    env: str
    default: str
    """As the documentation writes it; blank for none, and where `computed`."""
    computed: bool
    """Whether the default depends on the platform."""
    parse: Parser[object]
    flags: tuple[str, ...]
    metavar: str
    about: str
    secret: bool
    aliases: Mapping[str, Parser[object]]
    """Other names, heard only where `env` and the flags are set nowhere."""


def _setting(
    env: str,
    default: str,
    parse: Parser[T],
    usage: str,
    about: str,
    *,
    computed: Callable[[], T] | None = None,
    secret: bool = False,
    aliases: Mapping[str, Parser[T]] | None = None,
) -> T:
    """A dataclass field. `usage` is its flags and what follows them, such as `--port PORT`; blank for no flag."""
    *flags, metavar = usage.split() or [""]
    option = Option(env, default, computed is not None, parse, tuple(flags), metavar, about, secret, aliases or {})
    if computed is not None:
        return field(default_factory=computed, metadata={"option": option})
    return field(default=parse(default), repr=not secret, metadata={"option": option})


# --- Parsers ---------------------------------------------------------------------------------------------------------


def _optional(parse: Parser[T]) -> Parser[T | None]:
    return lambda text: parse(text) if text else None


def _whole(low: int, high: int, accepted: str = "") -> Parser[int]:
    words = accepted or f"a whole number from {low} to {high}"

    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,18}", text) or not low <= int(text) <= high:
            raise ValueError(words)
        return int(text)

    return parse


def _workers(text: str) -> int:
    if text.lower() == "auto":
        return 1 if sys.platform == "win32" else min(_cores(), MOST_WORKERS)
    number = _count_of_workers(text)
    if sys.platform == "win32" and number > 1:
        raise ValueError("1: processes cannot share a port on Windows as this needs it")
    return number


def _cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _one_of(values: Mapping[str, T]) -> Parser[T]:
    *words, last = dict.fromkeys(str(value) for value in values.values())

    def parse(text: str) -> T:
        value = values.get(text.lower())
        if value is None:
            raise ValueError(f"{', '.join(words)} or {last}")
        return value

    return parse


_count_of_workers = _whole(1, MOST_WORKERS, f"a whole number from 1 to {MOST_WORKERS}, or auto: one for each core")
_milliseconds = _whole(0, 10**12, "a whole number of milliseconds, or 0 for no limit")


_YES_OR_NO = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def _yes_or_no(text: str) -> bool:
    value = _YES_OR_NO.get(text.lower())
    if value is None:
        raise ValueError("true or false")
    return value


def _factor(text: str) -> float:
    if not re.fullmatch(r"\d{1,3}(\.\d{1,9})?", text) or not 0.1 <= float(text) <= 10:
        raise ValueError("a number from 0.1 to 10")
    return float(text)


def _days(text: str) -> float:
    if not re.fullmatch(r"\d{1,5}(\.\d{1,9})?", text) or float(text) == 0:
        raise ValueError("a number of days, more than 0")
    return float(text) * 86400


def _store_url(text: str) -> str:
    if text in ("", "memory") or re.match(r"(sqlite:///.|postgres(ql)?://.)", text):
        return text
    raise ValueError("memory, sqlite:///FILE or postgresql://USER@HOST/DATABASE")


def _timeout(text: str) -> float | None:
    return _milliseconds(text) / 1000 or None


def _token(text: str) -> str:
    if not re.fullmatch(r"[!-~]+", text):
        raise ValueError("a token without spaces and line breaks, in ASCII")
    return text


def _url(text: str) -> str:
    words = "an http or https URL without user name, query and fragment"
    try:
        url = urlsplit(text)
        sound = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        raise ValueError(words) from None
    if not sound or "@" in url.netloc or re.search(r"[?#\s\x00-\x1f]", text):
        raise ValueError(words)
    return text.rstrip("/")


def _host(text: str) -> str:
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if not re.fullmatch(r"[A-Za-z0-9_.:%-]+", bare) or re.fullmatch(r"[^:]*:[0-9]*", bare):
        raise ValueError("a host name or an address, without scheme and port")
    return bare


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.replace(",", " ").split())


def _hosts(text: str) -> tuple[str, ...]:
    return tuple(_host(name).lower() for name in _words(text))


def _fallbacks(text: str) -> tuple[tuple[str, str], ...]:
    found: list[tuple[str, str]] = []
    for pair in _words(text):
        model, _, fallback = pair.partition("=")
        if not model or not fallback:
            raise ValueError("pairs of models, such as claude-sonnet-4-6=claude-sonnet-4-5, separated by commas")
        found.append((model, fallback))
    return tuple(found)


def _keys(text: str) -> tuple[str, ...]:
    keys = _words(text)
    if not all(re.fullmatch(r"[!-~]{8,}", key) for key in keys):
        raise ValueError("keys of at least 8 characters each, in ASCII without spaces, separated by commas")
    return keys


def _origins(text: str) -> tuple[str, ...]:
    origins = tuple(origin.rstrip("/") for origin in _words(text))
    if not all(re.fullmatch(r"[a-z][a-z0-9+.-]*://[^\s/?#*@]+", origin) for origin in origins):
        raise ValueError("origins such as https://chat.example.org, without path and wildcard, separated by commas")
    return tuple(origin.lower() for origin in origins)


def _origins_but_all(text: str) -> tuple[str, ...]:
    """The original's setting, whose `*` let every page in: it is not heard, rather than that the start fails."""
    return () if text == "*" else _origins(text)


def _path(text: str) -> Path:
    try:
        path = Path(text).expanduser()
    except RuntimeError:
        raise ValueError("a path below a home folder that exists") from None
    if "\0" in text:
        raise ValueError("a path")
    return path


def _existing_file(text: str) -> Path:
    path = _path(text)
    if not _is_file(path):
        raise ValueError("a file that exists")
    return path


def _file_if_there(text: str) -> Path | None:
    try:
        return _existing_file(text)
    except ValueError:
        return None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # such as a folder above it that may not be entered
        return False


# --- Places, by the platform's convention. The import takes 10 to 20 ms, so only who needs a place pays for it. ------


def user_config_file() -> Path:
    """Where the TOML file is looked for when none is named."""
    from platformdirs import user_config_path

    return user_config_path(APP_NAME, appauthor=False) / "config.toml"


def user_state_dir() -> Path:
    """The state folder when none is named."""
    from platformdirs import user_state_path

    return user_state_path(APP_NAME, appauthor=False)


# --- The settings ----------------------------------------------------------------------------------------------------

_LOGGING: dict[str, Logging] = {
    "none": "none",
    "off": "none",
    "silent": "none",
    "info": "info",
    "body": "body",
    "debug": "body",
    "verbose": "body",
}
_LOG_FORMAT: dict[str, LogFormat] = {"text": "text", "json": "json"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """All settings, checked. Timeouts are in seconds, None for no limit; relative paths are the working directory's."""

    port: int = _setting("AOP_PORT", "7888", _whole(0, 65535), "--port PORT", "port to listen on; 0 takes any free one")
    host: str = _setting(
        "AOP_HOST", "localhost", _host, "--host HOST", "where to listen; localhost means both 127.0.0.1 and ::1"
    )
    allowed_hosts: tuple[str, ...] = _setting(
        "AOP_ALLOWED_HOSTS", "", _hosts, "--allowed-hosts NAMES", "other host names that clients reach the proxy under"
    )
    api_keys: tuple[str, ...] = _setting(
        "AOP_API_KEY", "", _keys, "", "keys that clients must send, one or several, comma separated", secret=True
    )
    allow_unauthenticated: bool = _setting(
        "AOP_ALLOW_UNAUTHENTICATED",
        "false",
        _yes_or_no,
        "--allow-unauthenticated YES",
        "ask for no key where other machines can reach the port",
    )
    cors_origins: tuple[str, ...] = _setting(
        "AOP_CORS_ORIGINS",
        "",
        _origins,
        "--cors-origins ORIGINS",
        "origins of web pages that may use the proxy, exactly as browsers send them",
        aliases={"CORS_ORIGIN": _origins_but_all},
    )
    augment_api_token: str | None = _setting(
        "AUGMENT_API_TOKEN", "", _optional(_token), "", "token of the Augment account", secret=True
    )
    augment_api_url: str | None = _setting(
        "AUGMENT_API_URL", "", _optional(_url), "--api-url URL", "URL of the Augment account's tenant"
    )
    augment_session_auth: str | None = _setting(
        "AUGMENT_SESSION_AUTH", "", _optional(str), "", "session of `auggie login`: its JSON or its path", secret=True
    )
    disable_effort_models: tuple[str, ...] = _setting(
        "AOP_DISABLE_EFFORT_MODELS",
        "",
        _words,
        "--disable-effort-models MODELS",
        "models whose effort variants are not offered: ids, short names or single variants",
    )
    logging: Logging = _setting(
        "AOP_LOGGING",
        "info",
        _one_of(_LOGGING),
        "--log --logging WHAT",
        "log of requests: none, info, or body (prompts and replies too)",
        aliases={"AOP_LOG_LEVEL": _one_of(_LOGGING)},
    )
    log_format: LogFormat = _setting(
        "AOP_LOG_FORMAT", "text", _one_of(_LOG_FORMAT), "--log-format FORMAT", "form of the log: text or json"
    )
    connect_timeout: float | None = _setting(
        "AOP_CONNECT_TIMEOUT_MS",
        "30000",
        _timeout,
        "--connect-timeout-ms MS",
        "limit for reaching the backend; 0: none",
    )
    headers_timeout: float | None = _setting(
        "AOP_HEADERS_TIMEOUT_MS", "1800000", _timeout, "--headers-timeout-ms MS", "limit to its first byte; 0: none"
    )
    body_timeout: float | None = _setting(
        "AOP_BODY_TIMEOUT_MS", "1800000", _timeout, "--body-timeout-ms MS", "limit between two chunks of it; 0: none"
    )
    first_byte_timeout: float | None = _setting(
        "AOP_FIRST_BYTE_TIMEOUT_MS",
        "0",
        _timeout,
        "--first-byte-timeout-ms MS",
        "silence of a model before its first byte; 0: none, but 120000 for models with a fallback",
    )
    stall_timeout: float | None = _setting(
        "AOP_STALL_TIMEOUT_MS", "0", _timeout, "--stall-timeout-ms MS", "silence of a model between two chunks; 0: none"
    )
    fallback_models: tuple[tuple[str, str], ...] = _setting(
        "AOP_FALLBACK_MODELS",
        "",
        _fallbacks,
        "--fallback-models PAIRS",
        "models to ask where one says nothing, such as claude-sonnet-4-6=claude-sonnet-4-5",
    )
    max_concurrency: int = _setting(
        "AOP_MAX_CONCURRENCY", "0", _whole(0, 10**6), "--max-concurrency N", "turns that run at once; 0: no limit"
    )
    rate_limit: int = _setting(
        "AOP_RATE_LIMIT", "0", _whole(0, 10**6), "--rate-limit N", "turns that begin in a minute; 0: no limit"
    )
    queue_timeout: float | None = _setting(
        "AOP_QUEUE_TIMEOUT_MS", "30000", _timeout, "--queue-timeout-ms MS", "how long a turn waits for these limits"
    )
    workers: int = _setting(
        "AOP_WORKERS", "1", _workers, "--workers N", "processes that serve, or auto: one for each core"
    )
    shutdown_grace: float | None = _setting(
        "AOP_SHUTDOWN_GRACE_MS",
        "30000",
        _timeout,
        "--shutdown-grace-ms MS",
        "how long replies may go on after the signal to stop; 0: to their end",
    )
    log_body_limit: int = _setting(
        "AOP_LOG_BODY_LIMIT",
        "0",
        _whole(0, 2**40),
        "--log-body-limit BYTES",
        "how much of each body the log shows; 0: all of it",
    )
    body_limit: int = _setting(
        "AOP_BODY_LIMIT", "33554432", _whole(1, 2**40), "--body-limit BYTES", "largest request body that is read"
    )
    fetch_urls: bool = _setting(
        "AOP_FETCH_URLS",
        "true",
        _yes_or_no,
        "--fetch-urls YES",
        "fetch pictures and documents that requests name by URL",
    )
    claude_token_factor: float = _setting(
        "AOP_CLAUDE_TOKEN_FACTOR",
        "1.2",
        _factor,
        "--claude-token-factor FACTOR",
        "Claude's tokens for one of the o200k tokenizer",
    )
    ca_file: Path | None = _setting(
        "AOP_CA_FILE",
        "",
        _optional(_existing_file),
        "--ca-file FILE",
        "PEM file of certificate authorities to trust beside the system's",
        aliases={"NODE_EXTRA_CA_CERTS": _file_if_there},
    )
    secret: str | None = _setting(
        "AOP_SECRET",
        "",
        _optional(str),
        "",
        "what seals are made with, for replicas; else one is made and kept",
        secret=True,
    )
    store: str = _setting(
        "AOP_STORE",
        "",
        _store_url,
        "--store URL",
        "where responses and the like are kept: memory, sqlite:///FILE or postgresql://…; else in the state folder",
    )
    store_ttl: float = _setting(
        "AOP_STORE_TTL_DAYS", "30", _days, "--store-ttl-days DAYS", "how long what is stored is kept, in days"
    )
    store_limit: int = _setting(
        "AOP_STORE_LIMIT",
        "1073741824",
        _whole(2**20, 2**50),
        "--store-limit BYTES",
        "size beyond which the oldest goes",
    )
    batch_concurrency: int = _setting(
        "AOP_BATCH_CONCURRENCY", "4", _whole(1, 1000), "--batch-concurrency N", "requests of batches that run at once"
    )
    state_dir: Path = _setting(
        "AOP_STATE_DIR", "", _path, "--state-dir DIR", "folder for what outlives a restart", computed=user_state_dir
    )
    config: Path | None = _setting(
        "AOP_CONFIG",
        "",
        _optional(_existing_file),
        "--config FILE",
        "TOML file of settings, instead of the user's own (see below)",
    )
    notices: tuple[str, ...] = ()
    """What the user should know of how the settings were given."""


OPTIONS: Mapping[str, Option] = {
    entry.name: entry.metadata["option"] for entry in fields(Settings) if "option" in entry.metadata
}
"""The fields of `Settings` by name, with how each is given."""

# --- Loading ---------------------------------------------------------------------------------------------------------

_COMMAND_LINE = "the command line"
_OLD_NAMES = {
    "CORS_ORIGIN": "CORS_ORIGIN lets web pages use the account: name their origins in AOP_CORS_ORIGINS instead"
}
"""Aliases whose use is worth a word; for the others it is as good as the name itself."""


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
    if _is_file(cwd / ".env"):
        layers.append(_Layer(".env", _read_dotenv(cwd / ".env")))
    config = _config_file(layers, config_place)
    if config:
        layers.append(_Layer(str(config), _read_toml(config)))
    given = {name: found for name, option in OPTIONS.items() if (found := _find(option, layers))}
    values = {name: _parsed(OPTIONS[name], found) for name, found in given.items()}
    notices = tuple(_notice(found) for found in given.values() if found.name in _OLD_NAMES)
    return Settings(**values, notices=notices)  # type: ignore[arg-type]


def _notice(given: _Given) -> str:
    not_heard = " (CORS_ORIGIN=* is not honoured)" if given.text == "*" else ""
    return _OLD_NAMES[given.name] + not_heard


def _config_file(layers: list[_Layer], config_place: Callable[[], Path]) -> Path | None:
    named = _find(OPTIONS["config"], layers)
    if named:
        _parsed(OPTIONS["config"], named)
        return _path(named.text)
    return _file_if_there(str(config_place()))


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
            raise SettingsError(f"{path} has an unknown key {key!r}{_closest(key, known)}")
    return {key.upper(): _toml_text(path, key, value) for key, value in entries.items()}


def _toml_keys() -> list[str]:
    return [
        key
        for option in OPTIONS.values()
        for key in (option.env, *option.aliases)
        if option is not OPTIONS["config"]  # a file cannot say where it is
    ]


def _closest(key: str, known: list[str]) -> str:
    from difflib import get_close_matches

    matches = get_close_matches(key.upper(), known, n=1)
    if not matches:
        return "; its keys are the names of the environment variables"
    return f"; did you mean {matches[0].lower() if key.islower() else matches[0]!r}?"


def _toml_text(path: Path, key: str, value: object) -> str:
    """`value` as it would be written in the environment."""
    match value:
        case str():
            return value
        case int() if not isinstance(value, bool):
            return str(value)
        case list() if all(isinstance(item, str) for item in value):
            return ",".join(value)
        case _:
            raise SettingsError(f"{key} (from {path}): expected a text, a whole number or a list of texts")
