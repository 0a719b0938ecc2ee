"""What a start needs, and makes where it is not there yet: the secret of seals, a client key, the demo's backend; and
what it tells of that.

With several workers their parent does this first, so that all find the same.
"""

import contextlib
import dataclasses
import secrets
from collections.abc import AsyncIterator

from msgspec import Struct

from augment_open_proxy.server.keys import KeyFile, KeyFileError, KeyRing, new_key
from augment_open_proxy.server.listen import is_loopback
from augment_open_proxy.server.shares import DayCounts
from augment_open_proxy.settings import Settings, SettingsError
from augment_open_proxy.state import StateFolder

MADE_KEY = "client-key"
SECRET_SIZE = 32
"""Bytes."""
DELAY = 0.02
"""Seconds between two lines of the simulator's answers, so that a stream looks like one."""


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
