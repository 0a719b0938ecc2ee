"""Who may come in. A server that holds an account is attacked from the browser: by rebound names, by foreign pages,
by posts that need no preflight. So the Host must be one of ours, the Origin not foreign, the content type JSON; and
where other machines can reach the port, there must be a key.
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from augment_open_proxy.core.errors import ErrorKind, Problem, ProxyError
from augment_open_proxy.server.asgi import Headers, Scope, header_values, headers_of
from augment_open_proxy.server.keys import Key, KeyRing, presented_key

ALWAYS_ALLOWED = ("localhost", "127.0.0.1", "[::1]", "host.docker.internal")

_HOST = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*)(?::\d*)?")
"""A name or an address in brackets, and perhaps a port."""
_JSON = [b"application/json"]
_TOKENS = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~-]+( *, *[A-Za-z0-9!#$%&'*+.^_`|~-]+)*")
"""Names of headers, as a preflight lists them."""


class Guard:
    """Checks the head of each request, before anything else is done with it."""

    def __init__(
        self,
        host: str,
        keys: KeyRing,
        *,
        allowed_hosts: Iterable[str] = (),
        cors_origins: Iterable[str] = (),
        needs_key: bool = False,
    ) -> None:
        """`host` is what the server listens on; `allowed_hosts` are more names that it is reached under.

        `needs_key`: a key is asked for even where none is defined, as when the last one was revoked.
        """
        names = (*ALWAYS_ALLOWED, host, *allowed_hosts)
        self._hosts = frozenset(_bracketed(name.strip().lower()) for name in names)
        self._keys = keys
        self._origins = frozenset(origin.encode() for origin in cors_origins)
        self._needs_key = needs_key

    def reader(self, scope: Scope) -> bytes | None:
        """The origin of the page that may read the answer, whatever that is."""
        values = header_values(scope, b"origin")
        return values[0] if len(values) == 1 and values[0] in self._origins else None

    def check(self, scope: Scope) -> Key | None:
        """The key that the request has. Raises `ProxyError` where it must not be served."""
        headers = headers_of(scope)
        presented = presented_key(scope)
        key = self._keys.find(presented) if presented else None
        # A browser sends no key with a preflight, but with what follows it.
        knows_key = key is not None or (self._asks_for_key and is_preflight(scope))
        host = self._check_host(headers.get(b"host", ()), knows_key=knows_key)
        if b"origin" in headers:
            self._check_origin(headers[b"origin"], host)
        if not knows_key and self._asks_for_key:
            raise ProxyError(Problem(ErrorKind.AUTHENTICATION, _no_key(presented)))
        if scope.get("method") in ("POST", "PUT", "PATCH"):
            types = headers.get(b"content-type", ())
            if types or not _has_no_body(scope):
                _check_content_type(types)
        return key

    @property
    def _asks_for_key(self) -> bool:
        return self._needs_key or not self._keys.is_empty

    def _check_host(self, values: Sequence[bytes], *, knows_key: bool) -> str:
        if len(values) != 1 or not values[0]:
            raise ProxyError(Problem(ErrorKind.INVALID_REQUEST, "The request must have one Host header."))
        host, name = _host_and_name(values[0])
        if knows_key and name:
            return host  # no page knows a key
        if name not in self._hosts:
            other_way = ", or send a valid key, with which any name is accepted" if self._asks_for_key else ""
            raise ProxyError(
                Problem(
                    ErrorKind.PERMISSION,
                    f"The server is not known by the name {(host if name is None else name)[:200]!r}. "
                    f"If it is yours, add it to AOP_ALLOWED_HOSTS{other_way}.",
                )
            )
        return host

    def _check_origin(self, values: Sequence[bytes], host: str) -> None:
        for value in values:
            if value in self._origins:
                continue
            origin = value.decode("latin-1").lower()
            if origin not in (f"http://{host}", f"https://{host}"):
                raise ProxyError(
                    Problem(
                        ErrorKind.PERMISSION,
                        f"Requests from web pages of {origin[:200]!r} are not accepted. "
                        "If the page is yours, add its origin to AOP_CORS_ORIGINS.",
                    )
                )


def is_preflight(scope: Scope) -> bool:
    """Whether a browser asks if a page may send a request."""
    return scope.get("method") == "OPTIONS" and bool(header_values(scope, b"access-control-request-method"))


def cors_headers(scope: Scope, origin: bytes) -> Headers:
    """The headers that let the page of `origin` read an answer. Private networks are not opened to public pages."""
    headers: Headers = [(b"access-control-allow-origin", origin), (b"vary", b"origin")]
    if not is_preflight(scope):
        return [*headers, (b"access-control-expose-headers", b"*")]
    asked = b", ".join(header_values(scope, b"access-control-request-headers"))
    if _TOKENS.fullmatch(asked):
        headers.append((b"access-control-allow-headers", asked))
    return [
        *headers,
        (b"access-control-allow-methods", b"GET, POST, DELETE"),
        (b"access-control-max-age", b"600"),
    ]


def _no_key(presented: bytes) -> str:
    what = "The key is not one that this proxy knows" if presented else "This proxy asks for a key"
    return (
        f"{what}. Send one of AOP_API_KEY, the one that the proxy showed at its start, or one that "
        "`augment-open-proxy keys create` made, as Authorization: Bearer …, x-api-key or api-key."
    )


def _has_no_body(scope: Scope) -> bool:
    """As `curl -X POST` sends it. Pages can send such a request, too; the check of the origin holds them off."""
    lengths = header_values(scope, b"content-length")
    return not header_values(scope, b"transfer-encoding") and all(length == b"0" for length in lengths)


@lru_cache(maxsize=64)
def _host_and_name(value: bytes) -> tuple[str, str | None]:
    """A Host header, and the name in it; `None` where it is not of that form."""
    host = value.decode("latin-1").lower()
    parts = _HOST.fullmatch(host)
    return host, None if parts is None else parts[1]


def _check_content_type(values: Sequence[bytes]) -> None:
    if values == _JSON:
        return
    content_type = values[0].decode("latin-1").partition(";")[0].strip().lower() if len(values) == 1 else ""
    if content_type != "application/json" and not (
        content_type.startswith("application/") and content_type.endswith("+json")
    ):
        raise ProxyError(Problem(ErrorKind.UNSUPPORTED_MEDIA_TYPE, "The header Content-Type must be application/json."))


def _bracketed(name: str) -> str:
    return f"[{name}]" if ":" in name and not name.startswith("[") else name
