"""What a start needs, and makes where it is not there yet: the secret of seals, a client key, the demo's backend; and
what it tells of that.

With several workers their parent does this first, so that all find the same.
"""

import contextlib
import dataclasses
import secrets
from collections.abc import AsyncIterator, Sequence
from urllib.parse import urlsplit

from msgspec import Struct

from augment_open_proxy import __version__
from augment_open_proxy.server.keys import KeyFile, KeyFileError, KeyRing, new_key
from augment_open_proxy.server.listen import is_loopback
from augment_open_proxy.server.shares import DayCounts
from augment_open_proxy.settings import APP_NAME, Settings, SettingsError
from augment_open_proxy.state import StateFolder

MADE_KEY = "client-key"
SECRET_SIZE = 32
"""Bytes."""
DELAY = 0.02
"""Seconds between two lines of the simulator's answers, so that a stream looks like one."""

CLIENT_HINTS = (
    ("Claude Code", "ANTHROPIC_BASE_URL={base} ANTHROPIC_AUTH_TOKEN={key} claude"),
    ("OpenAI client", "OPENAI_BASE_URL={base}/v1 OPENAI_API_KEY={key}"),
)
"""What to paste for each client, with the proxy's own URL as `{base}`, and a key."""

_CREDENTIALS_HELP = (
    ("credentials", "none found"),
    ("", "Requests are answered with 401 until there are some. To get them, either"),
    ("", "npm install -g @augmentcode/auggie && auggie login"),
    ("", "or set AUGMENT_API_TOKEN and AUGMENT_API_URL"),
)
_DEMO_BODY = '{"model": "claude-sonnet-4-5", "messages": [{"role": "user", "content": "Hello"}]}'


class Ready(Struct, frozen=True):
    """What is known when the server takes requests. `credentials` says where they come from, `None` for nowhere."""

    credentials: str | None
    state: str
    store: str
    troubles: tuple[str, ...] = ()
    """Why credentials that are there cannot be used."""
    notices: tuple[str, ...] = ()
    needs_key: bool = False
    """Whether clients must send a key."""
    made_key: str | None = None
    """The client key that was made because other machines can reach the port and none was defined."""
    workers: int = 1
    """The processes that take requests."""


def seal_secret(settings: Settings, state: StateFolder) -> bytes:
    """What seals are made with: the setting, else one that is made once and kept in the state folder."""
    if settings.secret is not None:
        return settings.secret.encode(errors="surrogateescape")
    kept = state.read("secret")
    if kept is None or len(kept) < SECRET_SIZE:
        kept = secrets.token_bytes(SECRET_SIZE)
        state.write("secret", kept)
    return kept


def client_keys(settings: Settings, state: StateFolder, shares: DayCounts | None = None) -> tuple[KeyRing, str | None]:
    """The client keys, and the one that the proxy made, the same at each start. Raises `SettingsError`.

    `shares`: see `KeyRing`.
    """
    try:
        keys = KeyRing(settings.api_keys, KeyFile(state), shares=shares)
        if not needs_key(settings, keys) or not keys.is_empty:
            return keys, None
        made = (state.read(MADE_KEY) or b"").decode(errors="replace").strip() or new_key()
        state.write(MADE_KEY, made.encode())
        return KeyRing([made], KeyFile(state), shares=shares), made
    except KeyFileError as error:
        raise SettingsError(str(error)) from None


def needs_key(settings: Settings, keys: KeyRing) -> bool:
    """Whether clients must send a key."""
    return not keys.is_empty or not (is_loopback(settings.host) or settings.allow_unauthenticated)


@contextlib.asynccontextmanager
async def simulated(settings: Settings) -> AsyncIterator[Settings]:
    """The settings to serve the demo with, as long as its simulator runs."""
    from augment_open_proxy.simulator import Simulator  # only the demo pays for its import

    async with Simulator(delay=DELAY, keep=0) as simulator:
        yield dataclasses.replace(settings, augment_api_token=simulator.token, augment_api_url=simulator.url)


# --- The banner ------------------------------------------------------------------------------------------------------


def banner(urls: Sequence[str], ready: Ready, settings: Settings, demo: bool, *, styled: bool = False) -> str:
    """What the user needs to know once the proxy answers at `urls`; never a secret. `styled` allows bold and dim."""
    base = urls[0].replace("//0.0.0.0:", "//localhost:").replace("//[::]:", "//localhost:")  # as a client can reach it
    rows = [("listening on", url) for url in urls]
    if demo:
        rows.append(("simulation", "no account is used, nothing leaves this machine, and the replies are made up"))
        sent = f" -H 'Authorization: Bearer {ready.made_key or '<key>'}'" if ready.needs_key else ""
        rows.append(
            ("try it", f"curl {base}/v1/chat/completions{sent} -H 'Content-Type: application/json' -d '{_DEMO_BODY}'")
        )
    elif ready.credentials:
        rows.append(("credentials", ready.credentials))
    else:
        rows += (("credentials", f"not usable: {trouble}") for trouble in ready.troubles)
        rows += _CREDENTIALS_HELP[bool(ready.troubles) :]
    rows += (("state", ready.state), ("store", ready.store))
    if ready.workers > 1:
        rows.append(("workers", f"{ready.workers} processes"))
    if ready.made_key is not None:
        rows.append(("client key", f"{ready.made_key} (other machines can reach the port, so a key is asked for)"))
    key = ready.made_key or ("<key>" if ready.needs_key else "any")
    rows += ((client, hint.format(base=base, key=key)) for client, hint in CLIENT_HINTS)
    notices = [*ready.notices, *settings.notices]
    if settings.logging == "body":
        notices.append("the log on stdout contains prompts and replies (AOP_LOGGING)")
    rows += (("note", notice) for notice in notices)
    if not ready.needs_key and not all(is_loopback(urlsplit(url).hostname or "") for url in urls):
        warning = "not only this machine: everyone who reaches this port can use the account"
        rows.append(("WARNING", f"{warning}; the names that clients reach it under go into AOP_ALLOWED_HOSTS"))
    bold, dim, plain = ("\x1b[1m", "\x1b[2m", "\x1b[0m") if styled else ("", "", "")
    head = f"{bold}{APP_NAME} {__version__}{plain}\n"
    return head + "".join(f"  {dim}{label:<13}{plain} {text}\n" for label, text in rows)
