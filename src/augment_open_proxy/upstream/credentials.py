"""Where the account's token and address come from, and when they change (`WIRE.md`, "Credentials").

In this order: settings (`AUGMENT_API_TOKEN`, `AUGMENT_API_URL`), `AUGMENT_SESSION_AUTH` (JSON, or a path to it),
`~/.augment/session.json`. A source that has only one of the two is completed from the next.
"""

from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from augment_open_proxy.core.errors import ErrorKind, Problem, ProxyError

ADVICE = (
    "Run `auggie login` (install the CLI with `npm install -g @augmentcode/auggie`), "
    "or set AUGMENT_API_TOKEN and AUGMENT_API_URL; a session is picked up without a restart."
)


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


class CredentialSource:
    """Gives the credentials as they are now; a session file is read again when it has changed."""

    def __init__(self, token: str | None, url: str | None, session_auth: str | None, home: Path) -> None:
        self._settings = _Found(token, url, "AUGMENT_API_TOKEN and AUGMENT_API_URL")
        self._inline: _Found | None = None
        self._files: list[_SessionFile] = []
        if session_auth is not None:
            if session_auth.lstrip().startswith("{"):
                self._inline = _parse_session(session_auth.encode(), "AUGMENT_SESSION_AUTH")
            else:
                path = Path(session_auth).expanduser()
                self._files.append(_SessionFile(path, f"the session in {path} (AUGMENT_SESSION_AUTH)"))
        path = home / ".augment" / "session.json"
        self._files.append(_SessionFile(path, f"the session of `auggie login` in {path}"))

    def current(self) -> Credentials:
        """Raises `ProxyError` (authentication) with advice where there are none."""
        token: str | None = None
        url: str | None = None
        sources: list[str] = []
        troubles: list[str] = []
        for found in self._found(troubles):
            used = (token is None and found.token is not None) or (url is None and found.url is not None)
            token, url = token or found.token, url or found.url
            if used:
                sources.append(found.source)
            if token is not None and url is not None:
                return Credentials(token, url, ", completed by ".join(sources))
        raise ProxyError(Problem(ErrorKind.AUTHENTICATION, _missing(token, url, troubles)))

    def _found(self, troubles: list[str]) -> Iterator[_Found]:
        """The sources in their order; a file is looked at only when those before it did not suffice."""
        yield self._settings
        if self._inline is not None:
            yield self._inline
        for file in self._files:
            session = file.read(troubles)
            if session is not None:
                yield session

    def describe(self) -> str | None:
        """Where the credentials come from, in words; `None` where there are none."""
        try:
            return self.current().source
        except ProxyError:
            return None


class _SessionFile:
    """One session file and what it held when it was last whole."""

    def __init__(self, path: Path, source: str) -> None:
        self._path = path
        self._source = source
        self._stamp: tuple[int, int, int] | None = None
        self._session: _Found | None = None
        self._trouble: str | None = None

    def read(self, troubles: list[str]) -> _Found | None:
        """The session; what keeps the file from being read is added to `troubles`."""
        try:
            status = self._path.stat()
            stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
            if stamp != self._stamp:
                self._session = _parse_session(self._path.read_bytes(), self._source)
                self._trouble = None if self._session else f"{self._path} is not a session file"
                self._stamp = stamp
        except FileNotFoundError:
            self._session, self._stamp, self._trouble = None, None, None
        except OSError as error:
            self._session, self._stamp = None, None
            self._trouble = f"{self._path} cannot be read: {error.strerror or error}"
        if self._trouble:
            troubles.append(self._trouble)
        return self._session


def _parse_session(data: bytes, source: str) -> _Found | None:
    try:
        session = msgspec.json.decode(data, type=Session)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    url = session.tenant_url.strip().rstrip("/") if isinstance(session.tenant_url, str) else ""
    token = session.access_token.strip() if isinstance(session.access_token, str) else ""
    if not url.startswith(("https://", "http://")):
        url = ""
    return _Found(token or None, url or None, source)


def _missing(token: str | None, url: str | None, troubles: list[str]) -> str:
    if token is not None and url is None:
        what = "There is a token for the Augment backend but no address: AUGMENT_API_URL is missing."
    elif url is not None and token is None:
        what = "There is an address of the Augment backend but no token: AUGMENT_API_TOKEN is missing."
    else:
        what = "There are no credentials for the Augment backend."
    return " ".join([what, *(f"{trouble}." for trouble in troubles), ADVICE])
