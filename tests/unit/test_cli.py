"""The command line and the banner, with a stand-in for the server."""

import errno
import io
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import trustme

from augment_open_proxy import __version__
from augment_open_proxy.cli import main
from augment_open_proxy.journal.log import Log
from augment_open_proxy.journal.record import Record
from augment_open_proxy.server import stopping
from augment_open_proxy.server.models import render_list
from augment_open_proxy.server.provision import banner
from augment_open_proxy.server.stopping import Stop
from augment_open_proxy.settings import Settings, load
from augment_open_proxy.upstream.catalog import Catalog, Model

URL = "http://localhost:7888"


def ready(**given: Any) -> Any:
    known = {"credentials": "the session of auggie", "state": "/state", "store": "/state/store.db"}
    return SimpleNamespace(
        **known | {"made_key": None, "needs_key": False, "notices": (), "troubles": (), "workers": 1} | given
    )


class Server:
    """Stands in for `server.run` and `server.workers`, and remembers what it was asked for."""

    def __init__(self) -> None:
        self.settings: Settings | None = None
        self.demo: bool | None = None
        self.names: list[Any] = []
        self.code = 0
        self.trouble: type[BaseException] | None = None

    def serve(
        self,
        settings: Settings,
        sockets: list[socket.socket],
        stop: Stop,
        *,
        demo: bool,
        on_ready: Callable[[Any], None],
    ) -> int:
        self.settings, self.demo = settings, demo
        self.names = [one.getsockname() for one in sockets]
        on_ready(ready())
        if self.trouble:
            raise self.trouble
        return self.code

    def list_models(self, settings: Settings) -> Catalog:
        self.settings = settings
        return Catalog([Model("claude-a", ("high",))])


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    server = Server()
    for name in ("run", "workers"):
        module = ModuleType(f"augment_open_proxy.server.{name}")
        vars(module).update(serve=server.serve, list_models=server.list_models)
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return server


@pytest.fixture(autouse=True)
def clean_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings but those of the test; and any free port."""
    for name in list(os.environ):
        if name.startswith(("AOP_", "AUGMENT_", "XDG_")) or name == "NODE_EXTRA_CA_CERTS":
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AOP_PORT", "0")
    monkeypatch.chdir(tmp_path)


# --- Commands ---


@pytest.mark.parametrize(("arguments", "demo"), [([], False), (["serve"], False), (["demo"], True)])
def test_serving_is_the_default(server: Server, arguments: list[str], demo: bool) -> None:
    assert main(arguments) == 0
    assert server.demo is demo


def test_the_exit_code_is_the_servers(server: Server) -> None:
    server.code = 7
    assert main([]) == 7


def test_the_sockets_are_open_when_the_server_starts_and_closed_after_it(server: Server) -> None:
    main([])
    port = server.names[0][1]
    assert {name[0] for name in server.names} <= {"127.0.0.1", "::1"}
    with socket.socket() as client:
        client.settimeout(5)
        assert client.connect_ex(("127.0.0.1", port)) != 0


def test_the_banner_appears_on_stderr_with_the_real_port(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    main([])
    out, err = capsys.readouterr()
    assert f"http://localhost:{server.names[0][1]}\n" in err
    assert "\x1b" not in err
    assert out == ""


def test_models_are_one_a_line(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    assert capsys.readouterr().out == "claude-a\nclaude-a-high\n"


def test_models_as_json_are_the_object_of_v1_models(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(render_list(server.list_models(Settings()), {}))


def test_what_the_output_s_encoding_has_not_is_shown_in_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a command's output, or the log, is read by another program on Windows."""
    assert main(["keys", "create", "\u65e5"]) == 0
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, "cp1252", write_through=True))
    assert main(["keys", "list"]) == 0
    assert out.getvalue().splitlines()[1].startswith(b"\\u65e5 ")
    Log("info", "text").write(Record("POST", "/\u65e5", 0.0))
    assert b'POST "/\\u65e5" ?' in out.getvalue()


@pytest.mark.parametrize("command", [["models"], ["keys", "list"]])
@pytest.mark.parametrize(
    ("reason", "code", "told"),
    [
        (errno.EPIPE, 0, ""),  # as of `head`, which has seen enough
        (errno.ENOSPC, 1, "augment-open-proxy: standard output: No space left on device\n"),
    ],
)
def test_output_that_nobody_takes(
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: list[str],
    reason: int,
    code: int,
    told: str,
) -> None:
    with (tmp_path / "out").open("w") as out:

        class Closed:
            fileno = out.fileno

            def write(self, text: str) -> None:
                raise OSError(reason, os.strerror(reason))

        monkeypatch.setattr(sys, "stdout", Closed())
        assert main(command) == code
        assert capsys.readouterr().err == told


def test_ctrl_break_asks_for_a_stop_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows has it, and sends it when the console is closed; another signal stands in for it here."""
    monkeypatch.setattr(signal, "SIGBREAK", signal.SIGUSR1, raising=False)
    on_windows = runpy.run_path(stopping.__file__)
    assert signal.SIGUSR1 in on_windows["SIGNALS"]
    with on_windows["Stop"]() as stop:
        signal.raise_signal(signal.SIGUSR1)
    assert stop.count == 1


# --- Flags ---


@pytest.mark.parametrize(
    "arguments",
    [
        ["--log", "body", "--log-format", "json"],
        ["serve", "--log", "body", "--log-format=json"],
        ["--log", "body", "serve", "--log-format", "json"],
        ["--logging", "none", "--log-format", "json", "serve", "--log", "body"],
    ],
)
def test_flags_stand_before_or_after_the_command(server: Server, arguments: list[str]) -> None:
    main(arguments)
    assert server.settings is not None
    assert (server.settings.logging, server.settings.log_format) == ("body", "json")


def test_every_flag_reaches_the_settings(server: Server, tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    (tmp_path / "my.toml").write_text("")
    flags = {
        "--port": "0",
        "--host": "127.0.0.1",
        "--allowed-hosts": "a.example",
        "--allow-unauthenticated": "yes",
        "--cors-origins": "https://a.example",
        "--api-url": "https://x.example",
        "--disable-effort-models": "m",
        "--log": "none",
        "--log-format": "json",
        "--connect-timeout-ms": "1",
        "--headers-timeout-ms": "2",
        "--body-timeout-ms": "3",
        "--first-byte-timeout-ms": "5",
        "--stall-timeout-ms": "6",
        "--fallback-models": "a=b",
        "--max-concurrency": "7",
        "--rate-limit": "8",
        "--queue-timeout-ms": "9",
        "--workers": "2",
        "--shutdown-grace-ms": "10",
        "--log-body-limit": "14",
        "--body-limit": "4",
        "--fetch-urls": "no",
        "--claude-token-factor": "1.5",
        "--ca-file": str(tmp_path / "ca.pem"),
        "--store": "memory",
        "--store-ttl-days": "11",
        "--store-limit": "12000000",
        "--batch-concurrency": "13",
        "--state-dir": "state",
        "--config": str(tmp_path / "my.toml"),
    }
    main([text for flag in flags.items() for text in flag])
    assert server.settings == load(flags, {}, tmp_path)
    defaults = Settings()
    same = [name for name in Settings.__slots__ if getattr(server.settings, name) == getattr(defaults, name)]
    assert same == ["api_keys", "augment_api_token", "augment_session_auth", "secret", "notices"]


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"augment-open-proxy {__version__}\n"


@pytest.mark.parametrize("command", [[], ["serve"], ["demo"], ["models"]])
def test_help_has_flags_variables_and_examples(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "--help"]) == 0
    out = capsys.readouterr().out
    for words in ("--port PORT", "[AOP_PORT,", "default 7888]", "examples:", "environment"):
        assert words in out


def test_help_says_how_secrets_are_given(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--help"])
    assert "Secrets have no flags: set AUGMENT_API_TOKEN" in capsys.readouterr().out


@pytest.mark.parametrize("command", [[], ["demo"], ["models"], ["health"], ["keys"], ["keys", "create"]])
def test_help_is_ascii_which_any_terminal_can_show(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    main([*command, "--help"])
    assert capsys.readouterr().out.isascii()


@pytest.mark.parametrize("argument", ["--version", "--help"])
def test_quick_answers_load_nothing_heavy(argument: str) -> None:
    program = (
        "import sys; from augment_open_proxy.__main__ import main; main([sys.argv[1]]);"
        "heavy = {'asyncio', 'msgspec', 'aiohttp', 'uvicorn', 'starlette', 'platformdirs', 'dotenv', 'ssl'};"
        "sys.exit(' '.join(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program, argument], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""


# --- What can be wrong ---


@pytest.mark.parametrize("arguments", [["serv"], ["--prot", "1"], ["--port"], ["demo", "--json"], ["--por", "1"]])
def test_bad_usage_ends_with_2(server: Server, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert "augment-open-proxy" in capsys.readouterr().err
    assert server.settings is None


@pytest.mark.parametrize(
    "arguments", [["--log-level", "info"], ["--port", "1", "--log-level=info", "serve"], ["-l", "info"]]
)
def test_an_unknown_flag_is_named_and_not_its_value(
    server: Server, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err.endswith(("unrecognized arguments: --log-level\n", "unrecognized arguments: -l\n"))


def test_a_bad_setting_ends_with_2_and_one_line(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--port", "abc"]) == 2
    assert capsys.readouterr().err == (
        "augment-open-proxy: --port is 'abc' (from the command line): expected a whole number from 0 to 65535\n"
    )
    assert server.settings is None


def test_a_port_in_use_ends_with_1_and_one_line(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        assert main(["--port", str(port)]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"augment-open-proxy: port {port} on 127.0.0.1 is in use; ")
    assert error.count("\n") == 1
    assert server.settings is None


def test_an_interrupt_prints_nothing_more(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.trouble = KeyboardInterrupt
    assert main([]) == 130
    assert capsys.readouterr().err.count("augment-open-proxy") == 1


# --- The banner ---


def show(urls: tuple[str, ...] = (URL,), demo: bool = False, styled: bool = False, **given: Any) -> str:
    settings = Settings(state_dir=Path("/state"), augment_api_token="sesame", **given.pop("settings", {}))
    return banner(urls, ready(**given), settings, demo, styled=styled)


def test_the_banner_says_who_where_with_what_and_how() -> None:
    assert show() == (
        f"augment-open-proxy {__version__}\n"
        "  listening on  http://localhost:7888\n"
        "  credentials   the session of auggie\n"
        "  state         /state\n"
        "  store         /state/store.db\n"
        "  Claude Code   ANTHROPIC_BASE_URL=http://localhost:7888 ANTHROPIC_AUTH_TOKEN=any claude\n"
        "  OpenAI client OPENAI_BASE_URL=http://localhost:7888/v1 OPENAI_API_KEY=any\n"
    )


def test_without_credentials_it_says_how_to_get_them() -> None:
    text = show(credentials=None)
    for words in ("401", "npm install -g @augmentcode/auggie", "auggie login", "AUGMENT_API_TOKEN and AUGMENT_API_URL"):
        assert words in text


def test_credentials_that_are_there_but_not_usable_are_told_with_what_is_wrong() -> None:
    text = show(credentials=None, troubles=("AUGMENT_API_URL is missing",))
    assert "  credentials   not usable: AUGMENT_API_URL is missing\n" in text
    assert "auggie login" in text
    assert "none found" not in text


def test_a_demo_needs_no_credentials_and_can_be_tried_with_curl() -> None:
    text = show(demo=True, credentials=None)
    assert "no account" in text
    assert "nothing leaves this machine" in text
    assert f"curl {URL}/v1/chat/completions -H 'Content-Type: application/json' -d '" in text
    assert "auggie" not in text


def test_notices_are_shown() -> None:
    assert "  note          the disk is full\n" in show(notices=("the disk is full",))


def test_a_log_of_bodies_is_pointed_out() -> None:
    assert "prompts and replies" in show(settings={"logging": "body"})


@pytest.mark.parametrize("url", [URL, "http://127.0.0.1:80", "http://127.1.2.3:80", "http://[::1]:80"])
def test_loopback_needs_no_warning(url: str) -> None:
    assert "WARNING" not in show((url,))


@pytest.mark.parametrize(
    "urls", [("http://0.0.0.0:7888",), ("http://[::]:7888",), ("http://127.0.0.1:7888", "http://10.0.0.1:7888")]
)
def test_beyond_loopback_without_keys_everyone_can_use_the_account(urls: tuple[str, ...]) -> None:
    warning = "everyone who reaches this port can use the account"
    shown = show(urls, settings={"allow_unauthenticated": True})
    assert f"{warning}; the names that clients reach it under go into AOP_ALLOWED_HOSTS\n" in shown
    assert warning not in show(urls, needs_key=True)


def test_a_key_that_was_made_is_shown_once_and_where_it_is_pasted() -> None:
    text = show(("http://0.0.0.0:7888",), made_key="aop-x", needs_key=True)
    assert "  client key    aop-x (" in text
    assert "ANTHROPIC_AUTH_TOKEN=aop-x claude" in text


def test_a_key_that_is_asked_for_is_left_to_be_filled_in() -> None:
    assert "OPENAI_API_KEY=<key>\n" in show(needs_key=True)


@pytest.mark.parametrize("url", ["http://0.0.0.0:7888", "http://[::]:7888"])
def test_what_to_paste_works_when_every_network_is_listened_on(url: str) -> None:
    assert "ANTHROPIC_BASE_URL=http://localhost:7888 " in show((url,))


def test_style_is_bold_and_dim_at_most() -> None:
    text = show(styled=True)
    assert text.startswith("\x1b[1maugment-open-proxy")
    plain = text
    for code in ("\x1b[0m", "\x1b[1m", "\x1b[2m"):
        plain = plain.replace(code, "")
    assert plain == show()


def test_it_never_shows_a_token() -> None:
    assert "sesame" not in show() + show(demo=True) + show(credentials=None)
