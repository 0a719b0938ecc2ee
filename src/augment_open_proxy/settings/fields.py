"""The settings: to add one, add one field to `Settings`. The flags, the help, the checks of the files and the test of
the documentation follow from it.
"""

# `_setting` is `dataclasses.field` by another name, so no default is shared:
# ruff: noqa: RUF009

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

from augment_open_proxy.settings import parsers
from augment_open_proxy.settings.parsers import Parser

APP_NAME = "augment-open-proxy"

Logging = Literal["none", "info", "body"]
LogFormat = Literal["text", "json"]

T = TypeVar("T")


# Places by the platform's convention. The import takes 10 to 20 ms, so only who needs a place pays for it.
def user_config_file() -> Path:
    """Where the TOML file is looked for when none is named."""
    from platformdirs import user_config_path

    return user_config_path(APP_NAME, appauthor=False) / "config.toml"


def user_state_dir() -> Path:
    """The state folder when none is named."""
    from platformdirs import user_state_path

    return user_state_path(APP_NAME, appauthor=False)


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

    port: int = _setting(
        "AOP_PORT", "7888", parsers.whole(0, 65535), "--port PORT", "port to listen on; 0 takes any free one"
    )
    host: str = _setting(
        "AOP_HOST", "localhost", parsers.host, "--host HOST", "where to listen; localhost means both 127.0.0.1 and ::1"
    )
    allowed_hosts: tuple[str, ...] = _setting(
        "AOP_ALLOWED_HOSTS",
        "",
        parsers.hosts,
        "--allowed-hosts NAMES",
        "other host names that clients reach the proxy under",
    )
    api_keys: tuple[str, ...] = _setting(
        "AOP_API_KEY", "", parsers.keys, "", "keys that clients must send, one or several, comma separated", secret=True
    )
    allow_unauthenticated: bool = _setting(
        "AOP_ALLOW_UNAUTHENTICATED",
        "false",
        parsers.yes_or_no,
        "--allow-unauthenticated YES",
        "ask for no key where other machines can reach the port",
    )
    cors_origins: tuple[str, ...] = _setting(
        "AOP_CORS_ORIGINS",
        "",
        parsers.origins,
        "--cors-origins ORIGINS",
        "origins of web pages that may use the proxy, exactly as browsers send them",
        aliases={"CORS_ORIGIN": parsers.origins_but_all},
    )
    augment_api_token: str | None = _setting(
        "AUGMENT_API_TOKEN", "", parsers.optional(parsers.token), "", "token of the Augment account", secret=True
    )
    augment_api_url: str | None = _setting(
        "AUGMENT_API_URL", "", parsers.optional(parsers.url), "--api-url URL", "URL of the Augment account's tenant"
    )
    augment_session_auth: str | None = _setting(
        "AUGMENT_SESSION_AUTH",
        "",
        parsers.optional(str),
        "",
        "session of `auggie login`: its JSON or its path",
        secret=True,
    )
    disable_effort_models: tuple[str, ...] = _setting(
        "AOP_DISABLE_EFFORT_MODELS",
        "",
        parsers.words,
        "--disable-effort-models MODELS",
        "models whose effort variants are not offered: ids, short names or single variants",
    )
    logging: Logging = _setting(
        "AOP_LOGGING",
        "info",
        parsers.one_of(_LOGGING),
        "--log --logging WHAT",
        "log of requests: none, info, or body (prompts and replies too)",
        aliases={"AOP_LOG_LEVEL": parsers.one_of(_LOGGING)},
    )
    log_format: LogFormat = _setting(
        "AOP_LOG_FORMAT", "text", parsers.one_of(_LOG_FORMAT), "--log-format FORMAT", "form of the log: text or json"
    )
    connect_timeout: float | None = _setting(
        "AOP_CONNECT_TIMEOUT_MS",
        "30000",
        parsers.timeout,
        "--connect-timeout-ms MS",
        "limit for reaching the backend; 0: none",
    )
    headers_timeout: float | None = _setting(
        "AOP_HEADERS_TIMEOUT_MS",
        "1800000",
        parsers.timeout,
        "--headers-timeout-ms MS",
        "limit to its first byte; 0: none",
    )
    body_timeout: float | None = _setting(
        "AOP_BODY_TIMEOUT_MS",
        "1800000",
        parsers.timeout,
        "--body-timeout-ms MS",
        "limit between two chunks of it; 0: none",
    )
    first_byte_timeout: float | None = _setting(
        "AOP_FIRST_BYTE_TIMEOUT_MS",
        "0",
        parsers.timeout,
        "--first-byte-timeout-ms MS",
        "silence of a model before its first byte; 0: none, but 120000 for models with a fallback",
    )
    stall_timeout: float | None = _setting(
        "AOP_STALL_TIMEOUT_MS",
        "0",
        parsers.timeout,
        "--stall-timeout-ms MS",
        "silence of a model between two chunks; 0: none",
    )
    fallback_models: tuple[tuple[str, str], ...] = _setting(
        "AOP_FALLBACK_MODELS",
        "",
        parsers.fallbacks,
        "--fallback-models PAIRS",
        "models to ask where one says nothing, such as claude-sonnet-4-6=claude-sonnet-4-5",
    )
    max_concurrency: int = _setting(
        "AOP_MAX_CONCURRENCY",
        "0",
        parsers.whole(0, 10**6),
        "--max-concurrency N",
        "turns that run at once; 0: no limit",
    )
    rate_limit: int = _setting(
        "AOP_RATE_LIMIT", "0", parsers.whole(0, 10**6), "--rate-limit N", "turns that begin in a minute; 0: no limit"
    )
    queue_timeout: float | None = _setting(
        "AOP_QUEUE_TIMEOUT_MS",
        "30000",
        parsers.timeout,
        "--queue-timeout-ms MS",
        "how long a turn waits for these limits",
    )
    workers: int = _setting(
        "AOP_WORKERS", "1", parsers.workers, "--workers N", "processes that serve, or auto: one for each core"
    )
    shutdown_grace: float | None = _setting(
        "AOP_SHUTDOWN_GRACE_MS",
        "30000",
        parsers.timeout,
        "--shutdown-grace-ms MS",
        "how long replies may go on after the signal to stop; 0: to their end",
    )
    log_body_limit: int = _setting(
        "AOP_LOG_BODY_LIMIT",
        "0",
        parsers.whole(0, 2**40),
        "--log-body-limit BYTES",
        "how much of each body the log shows; 0: all of it",
    )
    body_limit: int = _setting(
        "AOP_BODY_LIMIT", "33554432", parsers.whole(1, 2**40), "--body-limit BYTES", "largest request body that is read"
    )
    fetch_urls: bool = _setting(
        "AOP_FETCH_URLS",
        "true",
        parsers.yes_or_no,
        "--fetch-urls YES",
        "fetch pictures and documents that requests name by URL",
    )
    claude_token_factor: float = _setting(
        "AOP_CLAUDE_TOKEN_FACTOR",
        "1.2",
        parsers.factor,
        "--claude-token-factor FACTOR",
        "Claude's tokens for one of the o200k tokenizer",
    )
    ca_file: Path | None = _setting(
        "AOP_CA_FILE",
        "",
        parsers.optional(parsers.certificates),
        "--ca-file FILE",
        "PEM file of certificate authorities to trust beside the system's",
        aliases={"NODE_EXTRA_CA_CERTS": parsers.tolerant(parsers.certificates)},
    )
    secret: str | None = _setting(
        "AOP_SECRET",
        "",
        parsers.optional(str),
        "",
        "what seals are made with, for replicas; else one is made and kept",
        secret=True,
    )
    store: str = _setting(
        "AOP_STORE",
        "",
        parsers.store_url,
        "--store URL",
        "where responses and the like are kept: memory, sqlite:///FILE or postgresql://...; else in the state folder",
    )
    store_ttl: float = _setting(
        "AOP_STORE_TTL_DAYS", "30", parsers.days, "--store-ttl-days DAYS", "how long what is stored is kept, in days"
    )
    store_limit: int = _setting(
        "AOP_STORE_LIMIT",
        "1073741824",
        parsers.whole(2**20, 2**50),
        "--store-limit BYTES",
        "size beyond which the oldest goes",
    )
    batch_concurrency: int = _setting(
        "AOP_BATCH_CONCURRENCY",
        "4",
        parsers.whole(1, 1000),
        "--batch-concurrency N",
        "requests of batches that run at once",
    )
    state_dir: Path = _setting(
        "AOP_STATE_DIR",
        "",
        parsers.path,
        "--state-dir DIR",
        "folder for what outlives a restart",
        computed=user_state_dir,
    )
    config: Path | None = _setting(
        "AOP_CONFIG",
        "",
        parsers.optional(parsers.existing_file),
        "--config FILE",
        "TOML file of settings, instead of the user's own",
    )
    notices: tuple[str, ...] = ()
    """What the user should know of how the settings were given."""


OPTIONS: Mapping[str, Option] = {
    entry.name: entry.metadata["option"] for entry in fields(Settings) if "option" in entry.metadata
}
"""The fields of `Settings` by name, with how each is given."""

# --- Loading ---------------------------------------------------------------------------------------------------------
