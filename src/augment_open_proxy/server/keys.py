"""Client keys: which one a request has, which there are, what each may do, and what it did today.

Keys that were created are kept in the state folder, as digests; the file is read again when it changes, so that a key
can be revoked while the proxy runs. A key is 256 random bits, so a plain digest of it tells nothing.
"""

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Iterable
from functools import lru_cache

import msgspec
from msgspec import Struct

from augment_open_proxy.core.errors import ErrorKind, Problem, ProxyError
from augment_open_proxy.core.jsontext import UNREADABLE
from augment_open_proxy.server.asgi import Scope, header_values
from augment_open_proxy.server.shares import DAY, DayCounts, Shares
from augment_open_proxy.state import StateFolder
from augment_open_proxy.upstream.catalog import EFFORT_ORDER, canonical_id

FILE = "keys.json"
KEY = "augment_open_proxy.key"
"""Where a request's scope has its key, or `None`."""
_PRESENTED = "aop.presented"
PREFIX = "aop-"
LOOK_EVERY = 1.0
"""Seconds between two looks at the file."""
_SHOWN = 100
"""Characters of a name that a client gave, in a message."""


class Key(Struct, frozen=True):
    """A client key. `digest` is the SHA-256 of it, in hex; no limit is `None`, all models an empty tuple."""

    name: str
    digest: str
    created: int = 0
    models: tuple[str, ...] = ()
    requests_per_day: int | None = None
    tokens_per_day: int | None = None

    @property
    def has_share(self) -> bool:
        """Whether what it has in a day is limited."""
        return self.requests_per_day is not None or self.tokens_per_day is not None

    def may_use(self, model: str) -> bool:
        """A key for a model is one for its levels of effort, too."""
        asked = canonical_id(model)
        base, _, level = asked.rpartition("-")
        allowed = {canonical_id(name) for name in self.models}
        return not allowed or asked in allowed or (level in EFFORT_ORDER and base in allowed)


class ShareSpent(ProxyError):  # noqa: N818 (nothing went wrong)
    """A key has had what it may have in a day."""


class KeyFileError(Exception):
    """The file of keys can't be read or written; the message says why."""


def new_key() -> str:
    return PREFIX + secrets.token_urlsafe(32)


def digest(key: bytes) -> str:
    return hashlib.sha256(key).hexdigest()


class KeyFile:
    """The keys that were created, in the state folder."""

    def __init__(self, state: StateFolder) -> None:
        self.state = state

    def read(self) -> list[Key]:
        """Raises `KeyFileError`: a file that can't be read must not open the proxy to everybody."""
        path = self.state.path / FILE
        try:
            return msgspec.json.decode(path.read_bytes(), type=list[Key])
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise KeyFileError(f"{path} cannot be read: {error.strerror or error}") from None
        except UNREADABLE as error:
            raise KeyFileError(f"{path} is not what it should be: {error}") from None

    def add(self, key: Key) -> None:
        """Raises `KeyFileError`, also where the name is taken."""
        with self.state.alone():
            keys = self.read()
            if any(known.name == key.name for known in keys):
                raise KeyFileError(f"there is a key named {key.name!r} already; revoke it first, or take another name")
            self._write([*keys, key])

    def remove(self, name: str) -> bool:
        """Whether there was one. Raises `KeyFileError`."""
        with self.state.alone():
            keys = self.read()
            left = [key for key in keys if key.name != name]
            if len(left) < len(keys):
                self._write(left)
        return len(left) < len(keys)

    def stamp(self) -> object:
        """Changes when the file does."""
        try:
            status = (self.state.path / FILE).stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino

    def _write(self, keys: list[Key]) -> None:
        self.state.write(FILE, msgspec.json.format(msgspec.json.encode(keys), indent=2))
        if self.state.warning:
            raise KeyFileError(self.state.warning)


class KeyRing:
    """The keys in force: those of the settings, and those in the file. With none, everybody may come in."""

    def __init__(
        self,
        given: Iterable[str],
        file: KeyFile,
        *,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        shares: DayCounts | None = None,
    ) -> None:
        """`given` are the keys themselves, from `AOP_API_KEY`; `shares` count for other processes, too."""
        self._given = tuple(
            Key(f"AOP_API_KEY {number}", digest(key.encode(errors="surrogateescape")))
            for number, key in enumerate(given, 1)
        )
        self._file = file
        self._now = now
        self._shares: DayCounts = shares or Shares(file.state, now, monotonic)
        self._monotonic = monotonic
        self._stamp: object = file.stamp()
        self._looked = monotonic()
        self._keys: tuple[Key, ...] = (*self._given, *file.read())

    @property
    def is_empty(self) -> bool:
        """Whether no key is asked for."""
        self._look()
        return not self._keys

    def find(self, presented: bytes) -> Key | None:
        """The key that was presented. It takes the same time whichever it is, and whether it is one."""
        self._look()
        if not self._keys:
            return None  # there is nothing that the time could tell
        shown = digest(presented)
        found: Key | None = None
        for key in self._keys:
            if hmac.compare_digest(key.digest, shown):
                found = key
        return found

    def known(self, digest: str) -> Key:
        """The key with this digest. Raises `ProxyError` where it is there no more."""
        self._look()
        for key in self._keys:
            if key.digest == digest:
                return key
        raise ProxyError(Problem(ErrorKind.PERMISSION, "The key that asked for this was revoked."))

    def admit(self, key: Key | None, model: str) -> None:
        """Count a request. Raises `ProxyError` where the key may not ask this model, or had its share of the day."""
        if key is None:
            return
        if not key.may_use(model):
            listed = ", ".join(key.models)
            message = f"The key {key.name!r} may use {listed}; the request names {model[:_SHOWN]!r}."
            raise ProxyError(Problem(ErrorKind.PERMISSION, message, "model"))
        if not key.has_share:
            return
        spent = self._shares.admit(key.digest, key.requests_per_day, key.tokens_per_day)
        if spent is not None:
            limit = key.requests_per_day if spent == "requests" else key.tokens_per_day
            message = f"The key {key.name!r} has had its {limit} {spent} of the day (in UTC)."
            raise ShareSpent(Problem(ErrorKind.RATE_LIMITED, message, retry_after=DAY - self._now() % DAY))

    def count(self, key: Key | None, tokens: int) -> None:
        """Count the tokens that a turn took."""
        if key is not None and tokens and key.has_share:
            self._shares.add(key.digest, 0, tokens)

    def close(self) -> None:
        """Keep what was counted, for the next start."""
        self._shares.save()

    def _look(self) -> None:
        """Read the file again where it has changed; one that can't be read leaves the keys as they are."""
        now = self._monotonic()
        if now - self._looked < LOOK_EVERY:
            return
        self._looked = now
        stamp = self._file.stamp()
        if stamp == self._stamp:
            return
        try:
            self._keys = (*self._given, *self._file.read())
        except KeyFileError:
            return
        self._stamp = stamp


def presented_key(scope: Scope) -> bytes:
    """The key that the client sent, in whichever header; empty for none."""
    known: bytes | None = scope.get(_PRESENTED)
    if known is None:
        known = scope[_PRESENTED] = _presented(scope)
    return known


def _presented(scope: Scope) -> bytes:
    for value in header_values(scope, b"authorization"):
        scheme, _, key = value.partition(b" ")
        return key.strip() if scheme.lower() == b"bearer" else value
    for name in (b"x-api-key", b"api-key"):
        for value in header_values(scope, name):
            return value
    return b""


def owner_of(scope: Scope) -> str:
    """Who owns what the client stores: a digest of its key, the same at every replica. Each key has its own stored
    things and its own conversations.
    """
    return _owner(presented_key(scope))


@lru_cache(maxsize=64)
def _owner(key: bytes) -> str:
    return hashlib.blake2b(key, digest_size=16, person=b"aop owner").hexdigest()
