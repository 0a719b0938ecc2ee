"""Where the account's token and address come from, and when they change (`WIRE.md`, "Credentials").

In this order: settings (`AUGMENT_API_TOKEN`, `AUGMENT_API_URL`), `AUGMENT_SESSION_AUTH` (JSON, or a path to it),
`~/.augment/session.json`. A source that has only one of the two is completed from the next.
"""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from augment_open_proxy.core.errors import ErrorKind, Problem, ProxyError
from augment_open_proxy.core.jsontext import UNREADABLE

ADVICE = (
    "Run `auggie login` (install the CLI with `npm install -g @augmentcode/auggie`), "
    "or set AUGMENT_API_TOKEN and AUGMENT_API_URL; a session is picked up without a restart."
)

_log = logging.getLogger(__name__)


class Credentials(Struct, frozen=True):
    """`url` is the tenant's address without a trailing slash. `source` says in words where they come from."""

    token: str
    url: str
    source: str

    def __repr__(self) -> str:
        return f"Credentials(url={self.url!r}, source={self.source!r})"


class Session(Struct, frozen=True, rename="camel"):
    """What `auggie login` writes. Fields that are not text are as good as absent."""

    access_token: object = None
    tenant_url: object = msgspec.field(name="tenantURL", default=None)


class _Found(Struct, frozen=True):
    token: str | None
    url: str | None
    source: str
    troubles: tuple[str, ...] = ()


class CredentialSource:
    """Gives the credentials as they are now; a session file is read again when it has changed."""

    def __init__(self, token: str | None, url: str | None, session_auth: str | None, home: Path) -> None:
        given = {"AUGMENT_API_TOKEN": token, "AUGMENT_API_URL": url}
        self._settings = _Found(token, url, " and ".join(name for name, value in given.items() if value))
        self._given = Credentials(token, url, self._settings.source) if token is not None and url is not None else None
        self._sessions: list[_Inline | _SessionFile] = []
        if session_auth is not None:
            if session_auth.lstrip().startswith("{"):
                self._sessions.append(_Inline(session_auth))
            else:
                path = Path(session_auth).expanduser()
                self._sessions.append(_SessionFile(path, f"the session in {path} (AUGMENT_SESSION_AUTH)", named=True))
        path = home / ".augment" / "session.json"
        self._sessions.append(_SessionFile(path, f"the session of `auggie login` in {path}", named=False))

    def current(self) -> Credentials:
        """Raises `ProxyError` (authentication) with advice where there are none."""
        found = self._given or self._looked_up()
        if isinstance(found, Credentials):
            return found
        told = ["There are no credentials for the Augment backend", *found]
        raise ProxyError(Problem(ErrorKind.AUTHENTICATION, f"{'. '.join(told)}. {ADVICE}"))

    def _looked_up(self) -> Credentials | tuple[str, ...]:
        """The credentials, or why those that are there cannot be used, each in one line."""
        token: str | None = None
        url: str | None = None
        sources: list[str] = []
        troubles: list[str] = []
        for found in self._found(troubles):
            used = (token is None and found.token is not None) or (url is None and found.url is not None)
            token, url = token or found.token, url or found.url
            troubles += found.troubles
            if used:
                sources.append(found.source)
            if token is not None and url is not None:
                return Credentials(token, url, ", completed by ".join(sources))
        if token is not None:
            troubles.append("AUGMENT_API_URL is missing (there is a token, but no address)")
        if url is not None:
            troubles.append("AUGMENT_API_TOKEN is missing (there is an address, but no token)")
        return tuple(troubles)

    def renewed(self, refused: Credentials) -> Credentials | None:
        """The credentials as they are in their files now, where they are others than those that were refused."""
        for session in self._sessions:
            session.forget()
        try:
            current = self.current()
        except ProxyError:
            return None
        return current if (current.token, current.url) != (refused.token, refused.url) else None

    def describe(self) -> str | None:
        """Where the credentials come from, in words; `None` where there are none."""
        try:
            return self.current().source
        except ProxyError:
            return None

    @property
    def troubles(self) -> tuple[str, ...]:
        """Why there are no credentials, though something is there; nothing where there are some."""
        found = self._given or self._looked_up()
        return () if isinstance(found, Credentials) else found

    def _found(self, troubles: list[str]) -> Iterator[_Found]:
        """The sources in their order; a file is looked at only when those before it did not suffice."""
        yield self._settings
        for session in self._sessions:
            found = session.read(troubles)
            if found is not None:
                yield found


class _Inline:
    """A session in the environment."""

    def __init__(self, text: str) -> None:
        self._session = _parse_session(text.encode(errors="replace"), "AUGMENT_SESSION_AUTH")

    def forget(self) -> None:
        """There is nothing to read again."""

    def read(self, troubles: list[str]) -> _Found | None:
        if self._session is None:
            troubles.append("AUGMENT_SESSION_AUTH is not the JSON of a session")
        return self._session


class _SessionFile:
    """One session file, and what it held when it was last whole: `auggie login` rewrites it while we read."""

    def __init__(self, path: Path, source: str, *, named: bool) -> None:
        """`named`: the user has named the file, so that its absence is worth telling."""
        self._path = path
        self._source = source
        self._named = named
        self._stamp: tuple[int, int, int] | None = None
        self._session: _Found | None = None
        self._warned = ""

    def forget(self) -> None:
        """Read the file again, even where it seems to be the same."""
        self._stamp = None

    def read(self, troubles: list[str]) -> _Found | None:
        """The session; what keeps the file from being read is added to `troubles`."""
        try:
            status = self._path.stat()
            stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
            if stamp != self._stamp:
                session = _parse_session(self._path.read_bytes(), self._source)
                if session is not None:
                    self._session, self._stamp = session, stamp
        except FileNotFoundError:
            self._session, self._stamp = None, None
            if self._named:
                troubles.append(f"{self._path} (AUGMENT_SESSION_AUTH) does not exist")
            return None
        except OSError as error:
            self._session, self._stamp = None, None
            trouble = f"{self._path} cannot be read: {error.strerror or error}{_remedy(self._path, error)}"
            troubles.append(trouble)
            if trouble != self._warned:  # once: each request reads anew
                self._warned = trouble
                _log.warning("%s", trouble)
            return None
        if self._session is None:
            troubles.append(f"{self._path} is not a session file")
        return self._session


def _remedy(path: Path, error: OSError) -> str:
    """What to do about a file of another user, as one that is mounted into a container often is."""
    if not isinstance(error, PermissionError) or not hasattr(os, "geteuid"):
        return ""
    owner = _owner(path)
    user = os.geteuid()
    if owner is None or owner == user:
        return ""
    return (
        f"; it belongs to user {owner} and the proxy runs as user {user}: run the proxy as user {owner}"
        f" (docker run --user {owner}, AOP_UID={owner} with docker compose), or let user {user} read it"
    )


def _owner(path: Path) -> int | None:
    """The owner of the file or, where its folder cannot be entered, of that folder."""
    for place in (path, path.parent):
        try:
            return place.stat().st_uid
        except OSError:
            continue
    return None


def _parse_session(data: bytes, source: str) -> _Found | None:
    """What a session holds; `None` where it holds neither a token nor an address."""
    try:
        session = msgspec.json.decode(data, type=Session)
    except UNREADABLE:
        return None
    url = session.tenant_url.strip().rstrip("/") if isinstance(session.tenant_url, str) else ""
    token = session.access_token.strip() if isinstance(session.access_token, str) else ""
    troubles: tuple[str, ...] = ()
    if url and not url.startswith(("https://", "http://")):
        url, troubles = "", (f"tenantURL of {source} is not an http or https URL",)
    return _Found(token or None, url or None, source, troubles) if token or url else None
