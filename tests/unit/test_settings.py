"""Where settings come from, what they accept, and what is said when one is wrong."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import trustme

from augment_open_proxy.settings import OPTIONS, Settings, SettingsError, load, user_config_file, user_state_dir


class Places:
    """A working directory and a configuration folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.cwd = folder / "work"
        self.toml = folder / "config" / "config.toml"
        self.cwd.mkdir()
        self.toml.parent.mkdir()

    def dotenv(self, text: str) -> None:
        (self.cwd / ".env").write_text(text, encoding="utf-8")

    def load(self, environ: Mapping[str, str] | None = None, flags: Mapping[str, str] | None = None) -> Settings:
        return load(flags or {}, environ or {}, self.cwd, lambda: self.toml)

    def error(self, environ: Mapping[str, str] | None = None, flags: Mapping[str, str] | None = None) -> str:
        with pytest.raises(SettingsError) as raised:
            self.load(environ, flags)
        message = str(raised.value)
        assert "\n" not in message
        return message


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path)


# --- Where they come from ---


def test_without_anything_set_the_defaults_hold(places: Places) -> None:
    settings = places.load()
    assert settings == Settings()
    assert (settings.port, settings.host, settings.logging, settings.log_format) == (7888, "localhost", "info", "text")
    assert (settings.headers_timeout, settings.body_timeout, settings.connect_timeout) == (1800.0, 1800.0, 30.0)
    assert (settings.body_limit, settings.allowed_hosts, settings.disable_effort_models) == (33554432, (), ())
    assert (settings.augment_api_token, settings.augment_api_url, settings.augment_session_auth) == (None, None, None)
    assert (settings.ca_file, settings.config, settings.state_dir) == (None, None, user_state_dir())


def test_flags_beat_the_environment_that_beats_dotenv_that_beats_toml(places: Places) -> None:
    places.toml.write_text('AOP_PORT = 1\nAOP_HOST = "toml"\nAOP_LOGGING = "none"\nAOP_BODY_LIMIT = 1\n')
    places.dotenv("AOP_PORT=2\nAOP_HOST=dotenv\nAOP_LOGGING=body\n")
    settings = places.load({"AOP_PORT": "3", "AOP_HOST": "environment"}, {"--port": "4"})
    assert (settings.port, settings.host, settings.logging, settings.body_limit) == (4, "environment", "body", 1)


def test_blank_means_unset_at_each_level(places: Places) -> None:
    places.toml.write_text('AOP_PORT = "5"')
    places.dotenv("AOP_PORT=\nAOP_HOST=''\n")
    assert places.load({"AOP_PORT": "  "}, {"--port": ""}).port == 5
    places.toml.write_text('AOP_PORT = " "\nAOP_ALLOWED_HOSTS = []')
    assert places.load() == Settings()


def test_spaces_around_a_value_do_not_count(places: Places) -> None:
    assert places.load({"AOP_PORT": " 80\n"}).port == 80


def test_dotenv_values_are_taken_as_they_are(places: Places) -> None:
    places.dotenv("\ufeffAUGMENT_API_TOKEN=a${HOME}b # mine\nexport AOP_PORT='81'\nOTHER=1\nALONE\n")
    settings = places.load({"HOME": "x"})
    assert (settings.augment_api_token, settings.port) == ("a${HOME}b", 81)


def test_dotenv_of_other_folders_is_not_read(places: Places) -> None:
    (places.cwd.parent / ".env").write_text("AOP_PORT=1")
    assert places.load().port == 7888


def test_toml_keys_may_be_lower_case_and_values_numbers_texts_or_lists(places: Places) -> None:
    places.toml.write_text('aop_port = 82\naop_log_format = "JSON"\naop_disable_effort_models = ["a", "b"]')
    settings = places.load()
    assert (settings.port, settings.log_format, settings.disable_effort_models) == (82, "json", ("a", "b"))


@pytest.mark.parametrize("level", ["flag", "environment", ".env"])
def test_another_toml_file_can_be_named(places: Places, level: str) -> None:
    places.toml.write_text("AOP_PORT = 1")
    other = places.cwd / "other.toml"
    other.write_text("AOP_PORT = 83")
    if level == ".env":
        places.dotenv(f"AOP_CONFIG={other}")
    environ = {"AOP_CONFIG": str(other)} if level == "environment" else {}
    settings = places.load(environ, {"--config": str(other)} if level == "flag" else {})
    assert (settings.port, settings.config) == (83, other)


def test_a_named_toml_file_must_exist(places: Places) -> None:
    assert places.error(flags={"--config": "/nowhere/x.toml"}) == (
        "--config is '/nowhere/x.toml' (from the command line): expected a file that exists"
    )


def test_the_users_places_follow_the_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform.startswith("linux"):
        monkeypatch.setenv("XDG_CONFIG_HOME", "/c")
        monkeypatch.setenv("XDG_STATE_HOME", "/s")
        assert user_config_file() == Path("/c/augment-open-proxy/config.toml")
        assert user_state_dir() == Path("/s/augment-open-proxy")
    assert user_config_file().name == "config.toml"


# --- What they accept ---


@pytest.mark.parametrize(
    ("name", "text", "field", "value"),
    [
        ("AOP_PORT", "0", "port", 0),
        ("AOP_PORT", "65535", "port", 65535),
        ("AOP_HOST", "10.0.0.1", "host", "10.0.0.1"),
        ("AOP_HOST", "[::1]", "host", "::1"),
        ("AOP_HOST", "::", "host", "::"),
        ("AUGMENT_API_TOKEN", "abc.DEF-_~+/=", "augment_api_token", "abc.DEF-_~+/="),
        ("AUGMENT_API_URL", "https://e1.api.augmentcode.com//", "augment_api_url", "https://e1.api.augmentcode.com"),
        ("AUGMENT_API_URL", "http://127.0.0.1:80/x/", "augment_api_url", "http://127.0.0.1:80/x"),
        ("AUGMENT_SESSION_AUTH", '{"accessToken": 1}', "augment_session_auth", '{"accessToken": 1}'),
        ("AOP_DISABLE_EFFORT_MODELS", " a, b\tc,,d ", "disable_effort_models", ("a", "b", "c", "d")),
        ("AOP_DISABLE_EFFORT_MODELS", " , ", "disable_effort_models", ()),
        ("AOP_ALLOWED_HOSTS", "Proxy.Example, [fd00::1]", "allowed_hosts", ("proxy.example", "fd00::1")),
        ("AOP_LOGGING", "None", "logging", "none"),
        ("AOP_LOGGING", "OFF", "logging", "none"),
        ("AOP_LOGGING", "silent", "logging", "none"),
        ("AOP_LOGGING", "Info", "logging", "info"),
        ("AOP_LOGGING", "body", "logging", "body"),
        ("AOP_LOGGING", "debug", "logging", "body"),
        ("AOP_LOGGING", "VERBOSE", "logging", "body"),
        ("AOP_LOG_FORMAT", "Json", "log_format", "json"),
        ("AOP_HEADERS_TIMEOUT_MS", "1500", "headers_timeout", 1.5),
        ("AOP_HEADERS_TIMEOUT_MS", "0", "headers_timeout", None),
        ("AOP_BODY_TIMEOUT_MS", "0", "body_timeout", None),
        ("AOP_CONNECT_TIMEOUT_MS", "0", "connect_timeout", None),
        ("AOP_BODY_LIMIT", "1", "body_limit", 1),
        ("AOP_STORE", "memory", "store", "memory"),
        ("AOP_STORE", "sqlite:///relative.db", "store", "sqlite:///relative.db"),
        ("AOP_STORE", "sqlite:////state/store.db", "store", "sqlite:////state/store.db"),
        ("AOP_STORE", "postgres://u:p@host/proxy", "store", "postgres://u:p@host/proxy"),
        ("AOP_STORE", "postgresql://host/proxy?sslmode=require", "store", "postgresql://host/proxy?sslmode=require"),
        ("AOP_STORE_TTL_DAYS", "1", "store_ttl", 86400),
        ("AOP_STORE_TTL_DAYS", "0.5", "store_ttl", 43200),
        ("AOP_STORE_LIMIT", "1048576", "store_limit", 1048576),
        ("AOP_STATE_DIR", "/state", "state_dir", Path("/state")),
        ("AOP_STATE_DIR", "~/state", "state_dir", Path.home() / "state"),
    ],
)
def test_accepted(places: Places, name: str, text: str, field: str, value: Any) -> None:
    assert getattr(places.load({name: text}), field) == value


@pytest.mark.parametrize(
    ("name", "text", "accepted"),
    [
        ("AOP_PORT", "abc", "a whole number from 0 to 65535"),
        ("AOP_PORT", "65536", "a whole number from 0 to 65535"),
        ("AOP_PORT", "-1", "a whole number from 0 to 65535"),
        ("AOP_PORT", "8_0", "a whole number from 0 to 65535"),
        ("AOP_PORT", "٨٠", "a whole number from 0 to 65535"),
        ("AOP_HOST", "http://localhost", "a host name or an address, without scheme and port"),
        ("AOP_HOST", "localhost:80", "a host name or an address, without scheme and port"),
        ("AOP_ALLOWED_HOSTS", "good.example,https://bad.example", "a host name or an address"),
        ("AOP_LOGGING", "loud", "none, info or body"),
        ("AOP_LOG_FORMAT", "xml", "text or json"),
        ("AOP_HEADERS_TIMEOUT_MS", "1.5", "a whole number of milliseconds, or 0 for no limit"),
        ("AOP_BODY_LIMIT", "0", "a whole number from 1"),
        ("AOP_BODY_LIMIT", "9" * 5000, "a whole number from 1"),
        ("AUGMENT_API_URL", "e1.api.augmentcode.com", "an http or https URL"),
        ("AUGMENT_API_URL", "ftp://host", "an http or https URL"),
        ("AUGMENT_API_URL", "https://", "an http or https URL"),
        ("AUGMENT_API_URL", "https://host:99999", "an http or https URL"),
        ("AUGMENT_API_URL", "https://ho st", "an http or https URL"),
        ("AUGMENT_API_URL", "https://host/?x=1", "an http or https URL"),
        ("AUGMENT_API_URL", "https://[::1", "an http or https URL"),
        ("AOP_STORE", "/state/store.db", "memory, sqlite:///FILE or postgresql://"),
        ("AOP_STORE", "sqlite:///", "memory, sqlite:///FILE or postgresql://"),
        ("AOP_STORE", "mysql://host/proxy", "memory, sqlite:///FILE or postgresql://"),
        ("AOP_STORE_TTL_DAYS", "0", "a number of days, more than 0"),
        ("AOP_STORE_TTL_DAYS", "-1", "a number of days, more than 0"),
        ("AOP_STORE_TTL_DAYS", "forever", "a number of days, more than 0"),
        ("AOP_STORE_LIMIT", "1000", "a whole number from 1048576"),
        ("AOP_BATCH_CONCURRENCY", "0", "a whole number from 1 to 1000"),
        ("AOP_WORKERS", "0", "a whole number from 1 to 64, or auto: one for each core"),
        ("AOP_WORKERS", "65", "a whole number from 1 to 64, or auto: one for each core"),
        ("AOP_WORKERS", "all", "a whole number from 1 to 64, or auto: one for each core"),
        ("AOP_CA_FILE", "/nowhere/ca.pem", "a file that exists"),
        ("AOP_STATE_DIR", "~nobody-of-that-name/x", "a path below a home folder that exists"),
    ],
)
def test_refused_with_name_value_origin_and_what_is_accepted(
    places: Places, name: str, text: str, accepted: str
) -> None:
    message = places.error({name: text})
    assert message.startswith(f"{name} is {text[:80]!r}"[:80])
    assert "(from the environment): expected " + accepted in message
    assert len(message) < 300


def test_the_message_names_what_the_user_wrote_and_where(places: Places) -> None:
    assert places.error(flags={"--logging": "x"}).startswith("--logging is 'x' (from the command line): ")
    places.dotenv("AOP_PORT=x")
    assert places.error().startswith("AOP_PORT is 'x' (from .env): ")
    places.dotenv("")
    places.toml.write_text("aop_port = -1")
    assert places.error().startswith(f"AOP_PORT is '-1' (from {places.toml}): ")


def test_a_value_that_is_overridden_is_not_looked_at(places: Places) -> None:
    assert places.load({"AOP_PORT": "x"}, {"--port": "84"}).port == 84


# --- The other names of a setting ---


def test_log_level_is_an_alias(places: Places) -> None:
    assert places.load({"AOP_LOG_LEVEL": "debug"}).logging == "body"
    assert places.error({"AOP_LOG_LEVEL": "x"}).startswith("AOP_LOG_LEVEL is 'x'")


def test_logging_beats_log_level_wherever_either_is_set(places: Places) -> None:
    places.toml.write_text('AOP_LOGGING = "none"')
    assert places.load({"AOP_LOG_LEVEL": "debug"}).logging == "none"


def test_the_ca_file_falls_back_on_that_of_node_where_it_exists(places: Places) -> None:
    mine, nodes = places.cwd / "mine.pem", places.cwd / "node.pem"
    for file in (mine, nodes):
        trustme.CA().cert_pem.write_to_path(str(file))
    settings = places.load({"NODE_EXTRA_CA_CERTS": str(nodes)})
    assert (settings.ca_file, settings.notices) == (nodes, ())
    assert places.load({"NODE_EXTRA_CA_CERTS": str(nodes), "AOP_CA_FILE": str(mine)}).ca_file == mine


def not_certificates(folder: Path, kind: str) -> Path:
    file = folder / "ca.pem"
    if kind == "a broken one":
        file.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    elif kind != "missing":
        file.write_text("junk")
    if kind == "locked":
        file.chmod(0)
    return file


@pytest.mark.parametrize("kind", ["junk", "a broken one", "locked"])
def test_a_ca_file_without_certificates_is_refused(places: Places, kind: str) -> None:
    file = not_certificates(places.cwd, kind)
    assert places.error({"AOP_CA_FILE": str(file)}).endswith("expected a PEM file of certificates that can be read")


@pytest.mark.parametrize("kind", ["missing", "junk", "a broken one", "locked"])
def test_such_a_file_of_node_is_left_out_with_a_notice(places: Places, kind: str) -> None:
    file = not_certificates(places.cwd, kind)
    settings = places.load({"NODE_EXTRA_CA_CERTS": str(file)})
    assert settings.ca_file is None
    [notice] = settings.notices
    assert notice.startswith(f"NODE_EXTRA_CA_CERTS is not used: {str(file)[:80]!r}"[:80])
    assert notice.endswith(" is not a PEM file of certificates that can be read")


# --- Secrets ---


def test_secrets_are_not_shown(places: Places) -> None:
    settings = places.load({"AUGMENT_API_TOKEN": "sesame", "AUGMENT_SESSION_AUTH": '{"accessToken": "sesame"}'})
    assert settings.augment_api_token == "sesame"
    assert "sesame" not in repr(settings)
    assert "sesame" not in places.error({"AUGMENT_API_TOKEN": "sesame open"})
    assert "sesame" not in places.error({"AUGMENT_API_URL": "https://me:sesame@host"})


def test_secrets_have_no_flag() -> None:
    assert [name for name, option in OPTIONS.items() if not option.flags] == [
        "api_keys",
        "augment_api_token",
        "augment_session_auth",
        "secret",
    ]


# --- Files with mistakes ---


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("aop_prot = 1", "has an unknown key 'aop_prot'; did you mean 'aop_port'?"),
        ("AOP_LOGING = 'body'", "has an unknown key 'AOP_LOGING'; did you mean 'AOP_LOGGING'?"),
        ("zzz = 1", "has an unknown key 'zzz'; its keys are the names of the environment variables"),
        ("aop_config = 'x.toml'", "has an unknown key 'aop_config'"),
        ("port =", "is not valid TOML: "),
    ],
)
def test_a_toml_file_with_a_mistake_is_named(places: Places, text: str, complaint: str) -> None:
    places.toml.write_text(text)
    message = places.error()
    assert message.startswith(str(places.toml))
    assert complaint in message


def test_a_variable_that_is_almost_a_setting_is_told(places: Places) -> None:
    """It is no error: others may have an `AOP_` of their own, as docker-compose.yml has `AOP_IMAGE` and `AOP_UID`."""
    places.dotenv("AOP_RATELIMIT=5\nAOP_IMAGE=x\nAOP_UID=1\nAOP_GID=1\nAOP_PORT=80\nAOP=1\n")
    environ = {
        "AOP_API_KEYS": "secret",
        "AOP_CLIENT_KEY": "x",
        "AOP_LIVE_EFFORT_MODEL": "x",
        "AOP_PROT": "1",
        "API_KEY": "x",
    }
    assert places.load(environ).notices == (
        "AOP_API_KEYS (from the environment) is no setting; did you mean 'AOP_API_KEY'?",
        "AOP_PROT (from the environment) is no setting; did you mean 'AOP_PORT'?",
        "AOP_RATELIMIT (from .env) is no setting; did you mean 'AOP_RATE_LIMIT'?",
    )


def test_a_toml_value_may_have_the_type_of_its_setting(places: Places) -> None:
    places.toml.write_text("AOP_FETCH_URLS = false\nAOP_CLAUDE_TOKEN_FACTOR = 1.3\nAOP_ALLOW_UNAUTHENTICATED = true")
    settings = places.load()
    assert (settings.fetch_urls, settings.claude_token_factor, settings.allow_unauthenticated) == (False, 1.3, True)


@pytest.mark.parametrize("value", ["true", "1.5", "inf"])
def test_or_is_refused_as_any_other(places: Places, value: str) -> None:
    places.toml.write_text(f"AOP_PORT = {value}")
    assert places.error() == (f"AOP_PORT is '{value}' (from {places.toml}): expected a whole number from 0 to 65535")


@pytest.mark.parametrize("value", ["[1]", "{a = 1}", "2026-01-01"])
def test_a_toml_value_of_another_type_is_refused(places: Places, value: str) -> None:
    places.toml.write_text(f"AOP_PORT = {value}")
    assert places.error() == f"AOP_PORT (from {places.toml}): expected a text, a number, true, false or a list of texts"


def test_files_that_are_not_text_are_refused(places: Places) -> None:
    places.toml.write_bytes(b"\xff\xff")
    assert "cannot be read" in places.error()
    (places.cwd / ".env").write_bytes(b"AOP_PORT=\xff")
    assert places.error().startswith(str(places.cwd / ".env"))


# --- Workers ---


@pytest.mark.parametrize(("cores", "workers"), [(1, 1), (2, 2), (200, 64)])
def test_auto_is_a_worker_for_each_core_that_the_process_may_use(
    places: Places, monkeypatch: pytest.MonkeyPatch, cores: int, workers: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
    assert places.load({"AOP_WORKERS": "auto"}).workers == workers
    assert places.load({"AOP_WORKERS": "3"}).workers == 3


def test_windows_has_one_worker(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert places.load({"AOP_WORKERS": "1"}).workers == 1
    assert places.load({"AOP_WORKERS": "auto"}).workers == 1
    assert "Windows" in places.error({"AOP_WORKERS": "2"})
