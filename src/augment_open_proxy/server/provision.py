"""What a start needs of the state folder, and makes where it is not there yet: the secret of seals, a client key.

With several workers their parent does this first, so that all find the same.
"""

import secrets

from augment_open_proxy.server.keys import KeyFile, KeyFileError, KeyRing, new_key
from augment_open_proxy.server.listen import is_loopback
from augment_open_proxy.server.shares import DayCounts
from augment_open_proxy.settings import Settings, SettingsError
from augment_open_proxy.state import StateFolder

MADE_KEY = "client-key"
SECRET_SIZE = 32
"""Bytes."""


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
