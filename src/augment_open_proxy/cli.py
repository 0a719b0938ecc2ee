"""The command line: `serve` (the default), `demo`, `models`, `health` and `keys`.

What is heavy (the server, the simulator) is imported by the command that needs it, after the settings and the port
are known to be good. Exit codes: 0 fine, 1 cannot listen or is not healthy, 2 bad usage or settings.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any

from augment_open_proxy import __version__
from augment_open_proxy.settings import APP_NAME, OPTIONS, Option, Settings, SettingsError, load
from augment_open_proxy.settings.parsers import whole

if TYPE_CHECKING:
    import socket

    from augment_open_proxy.server.keys import KeyFile
    from augment_open_proxy.server.provision import Ready

_DESCRIPTION = """\
A local proxy that lets OpenAI and Anthropic clients use the models of your own
Augment account."""
_EPILOG = """\
examples:
  augment-open-proxy                        serve on http://localhost:7888
  augment-open-proxy demo                   try it out: simulated replies, no account
  augment-open-proxy --port 8000 --log body
  augment-open-proxy models                 which models there are

Instead of a flag, the variable in its brackets can be set: in the environment,
in a file .env in the working directory, or in a TOML file (--config, else
config.toml in the user's configuration folder, such as
~/.config/augment-open-proxy) with the variables' names as keys. Flags override
the environment, that overrides .env, and that overrides the TOML file.

Secrets have no flags: set AUGMENT_API_TOKEN (with AUGMENT_API_URL) or
AUGMENT_SESSION_AUTH, or run `auggie login`.

exit codes: 0 fine, 1 cannot listen (such as a port in use) or, for health, does
not answer, 2 bad usage or settings
"""
_KEYS_EPILOG = """\
examples:
  augment-open-proxy keys create laptop
  augment-open-proxy keys create ci --models claude-haiku-4-5 --requests-per-day 500
  augment-open-proxy keys list
  augment-open-proxy keys revoke ci

As long as there is no key, clients on this machine need none. A running proxy
takes up a change within a second.
"""
_COMMANDS = {
    "serve": ("serve the proxy (what happens without a command)", "  augment-open-proxy serve --port 8000"),
    "demo": (
        "serve a simulation: no account, nothing leaves the machine",
        "  augment-open-proxy demo\n  augment-open-proxy demo --port 0 --log body",
    ),
    "models": (
        "list the models, as GET /v1/models does",
        "  augment-open-proxy models\n  augment-open-proxy models --json",
    ),
    "health": (
        "ask whether the proxy on this port lives, and exit with 0 or 1",
        "  augment-open-proxy health\n  augment-open-proxy health --port 8000",
    ),
}
HEALTH_SECONDS = 3.0
"""How long `health` waits for an answer; less than what the image's health check allows."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr is; the encoding may be a code page of Windows
    try:
        words = sys.argv[1:] if argv is None else argv
        parser = _parser()
        if flag := _unknown_flag(words):
            parser.error(f"unrecognized arguments: {flag}")
        arguments = parser.parse_args(words)
        flags: dict[str, str] = dict(value for value in vars(arguments).values() if isinstance(value, tuple))
        settings = load(flags, os.environ, Path())
        if arguments.command == "keys":
            return _keys(settings, arguments)
        if arguments.command == "models":
            return _models(settings, as_json=arguments.as_json)
        if arguments.command == "health":
            return _health(settings)
        return _serve(settings, demo=arguments.command == "demo")
    except SettingsError as error:
        return _fail(str(error), 2)
    except SystemExit as stop:  # argparse has had its say
        return stop.code if isinstance(stop.code, int) else 2
    except KeyboardInterrupt:
        return 130


def _fail(message: str, code: int) -> int:
    sys.stderr.write(f"{APP_NAME}: {message}\n")
    return code


# --- Arguments -------------------------------------------------------------------------------------------------------


class _Keep(argparse.Action):
    """Keeps a flag with its text, as it was written, for `settings.load`."""

    def __call__(
        self, parser: object, namespace: argparse.Namespace, values: Any, option_string: str | None = None
    ) -> None:
        setattr(namespace, self.dest, (option_string, values))


def _parser() -> argparse.ArgumentParser:
    shared: dict[str, Any] = {"formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False}
    usage = f"{APP_NAME} [{' | '.join([*_COMMANDS, 'keys'])}] [settings]"
    parser = argparse.ArgumentParser(APP_NAME, usage, _DESCRIPTION, _EPILOG, **shared)
    parser.add_argument("--version", action="version", version=f"{APP_NAME} {__version__}")
    _add_settings(parser)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands", prog=APP_NAME)
    for name, (about, examples) in _COMMANDS.items():
        epilog = f"examples:\n{examples}\n\n`{APP_NAME} --help` tells about environment variables and files."
        description = f"{about[0].upper()}{about[1:]}."
        usage = f"{APP_NAME} {name}{' [--json]' if name == 'models' else ''} [settings]"
        command = commands.add_parser(name, help=about, usage=usage, description=description, epilog=epilog, **shared)
        if name == "models":
            command.add_argument("--json", action="store_true", dest="as_json", help="the JSON of GET /v1/models")
        _add_settings(command)
    _add_keys(commands, shared)
    return parser


def _unknown_flag(words: Sequence[str]) -> str | None:
    """A flag before the command that is none; argparse would take what follows it for the command."""
    known = {flag for option in OPTIONS.values() for flag in option.flags}
    rest = iter(words)
    for word in rest:
        flag, equals, _ = word.partition("=")
        if not flag.startswith("-") or flag in ("-", "--", "-h", "--help", "--version"):
            return None
        if flag not in known:
            return flag
        if not equals:
            next(rest, None)
    return None


def _add_keys(commands: Any, shared: dict[str, Any]) -> None:
    about = "manage the keys that clients must send"
    usage = f"{APP_NAME} keys [create | list | revoke] [--state-dir DIR] [--config FILE]"
    keys = commands.add_parser(
        "keys", help=about, usage=usage, description=f"{about.capitalize()}.", epilog=_KEYS_EPILOG, **shared
    )
    actions = keys.add_subparsers(
        dest="action", metavar="ACTION", title="actions", required=True, prog=f"{APP_NAME} keys"
    )
    create = actions.add_parser("create", help="make a key, and show it this once", **shared)
    create.add_argument("name", metavar="NAME", type=_name, help="what it is called here")
    create.add_argument("--models", default="", metavar="MODELS", help="the only models it may use, comma separated")
    create.add_argument("--requests-per-day", type=_count, metavar="N", help="requests that it may send in a day")
    create.add_argument("--tokens-per-day", type=_count, metavar="N", help="tokens that it may take in a day")
    listing = actions.add_parser("list", help="list the keys, without the keys themselves", **shared)
    revoke = actions.add_parser("revoke", help="make a key useless", **shared)
    revoke.add_argument("name", metavar="NAME", help="what it is called here")
    for command in (keys, create, listing, revoke):
        _add_settings(command, ("state_dir", "config"))


def _name(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise argparse.ArgumentTypeError("must be some printable characters")
    return text


def _count(text: str) -> int:
    try:
        return whole(1, 10**18)(text)
    except ValueError:
        raise argparse.ArgumentTypeError("must be a whole number, at least 1") from None


def _add_settings(parser: argparse.ArgumentParser, only: Sequence[str] = ()) -> None:
    """The flags of all settings, or of some. Without defaults, so those before the command survive those after it."""
    group = parser.add_argument_group("settings")
    for name, option in OPTIONS.items():
        if option.flags and (not only or name in only):
            group.add_argument(
                *option.flags,
                dest=name,
                action=_Keep,
                default=argparse.SUPPRESS,
                metavar=option.metavar,
                help=_flag_help(option),
            )


def _flag_help(option: Option) -> str:
    default = f", default {option.default}" if option.default else ""
    return f"{option.about} [{option.env}{default}]"


# --- Commands --------------------------------------------------------------------------------------------------------


def _serve(settings: Settings, *, demo: bool) -> int:
    from augment_open_proxy.server.listen import ListenError, open_sockets, urls
    from augment_open_proxy.server.stopping import Stop

    sockets: list[socket.socket] = []
    with Stop() as stop:
        try:
            sockets = open_sockets(settings.host, settings.port)
            if settings.workers == 1:
                from augment_open_proxy.server.run import serve
            else:
                from augment_open_proxy.server.workers import serve

            where = urls(sockets, settings.host)

            def announce(ready: "Ready") -> None:
                from augment_open_proxy.server.provision import banner

                # Windows' old console shows the codes as they are; its Terminal does not.
                styled = sys.stderr.isatty() and (os.name != "nt" or "WT_SESSION" in os.environ)
                sys.stderr.write(banner(where, ready, settings, demo, styled=styled))
                sys.stderr.flush()

            return serve(settings, sockets, stop, demo=demo, on_ready=announce)
        except ListenError as error:
            return _fail(str(error), 1)
        finally:
            for bound in sockets:
                bound.close()


def _models(settings: Settings, *, as_json: bool) -> int:
    from augment_open_proxy.server.run import list_models

    catalog = list_models(settings)
    if as_json:
        import json

        from augment_open_proxy.server.models import render_list

        text = json.dumps(json.loads(render_list(catalog, {})), indent=2)
    else:
        text = "\n".join(catalog.ids)
    return _print(text)


def _print(text: str) -> int:
    """Write what a command was asked for, and return its exit code."""
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing is left to flush at the exit
        if not isinstance(error, BrokenPipeError):  # that is a reader, such as `head`, that has seen enough
            return _fail(f"standard output: {error.strerror}", 1)
    return 0


def _health(settings: Settings) -> int:
    """Ask `/livez` of the proxy that has these settings: a health check that needs neither a shell nor curl."""
    import http.client

    if settings.port == 0:
        return _fail("AOP_PORT is 0, any free port: say with --port which one the proxy has taken", 2)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 (nothing listens)
    connection = http.client.HTTPConnection(host, settings.port, timeout=HEALTH_SECONDS)
    try:
        connection.request("GET", "/livez")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or error  # without the number of a system's error
        return _fail(f"no answer on port {settings.port} of {host}: {reason}", 1)
    finally:
        connection.close()
    return 0 if status == 200 else _fail(f"port {settings.port} of {host} answers with status {status}", 1)


def _keys(settings: Settings, arguments: argparse.Namespace) -> int:
    from augment_open_proxy.server.keys import KeyFile, KeyFileError
    from augment_open_proxy.state import StateFolder

    file = KeyFile(StateFolder(settings.state_dir))
    try:
        match arguments.action:
            case "create":
                return _print(_create_key(file, arguments))
            case "list":
                return _print("\n".join(_key_lines(file)))
            case _:
                if not file.remove(arguments.name):
                    return _fail(f"there is no key named {arguments.name!r}; `{APP_NAME} keys list` lists them", 1)
                sys.stderr.write(f"revoked {arguments.name}\n")
    except KeyFileError as error:
        return _fail(str(error), 1)
    return 0


def _create_key(file: "KeyFile", arguments: argparse.Namespace) -> str:
    """The key itself, which is shown this once and kept nowhere."""
    import time

    from augment_open_proxy.server.keys import Key, digest, new_key

    key = new_key()
    models = tuple(arguments.models.replace(",", " ").split())
    file.add(
        Key(
            arguments.name,
            digest(key.encode()),
            int(time.time()),
            models,
            arguments.requests_per_day,
            arguments.tokens_per_day,
        )
    )
    return key


def _key_lines(file: "KeyFile") -> list[str]:
    import datetime

    rows: list[tuple[str, ...]] = [("NAME", "CREATED", "MODELS", "REQUESTS A DAY", "TOKENS A DAY")]
    for key in file.read():
        made = datetime.datetime.fromtimestamp(key.created, datetime.UTC).date().isoformat()
        limits = (str(limit or "any") for limit in (key.requests_per_day, key.tokens_per_day))
        rows.append((key.name, made, ", ".join(key.models) or "all", *limits))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
