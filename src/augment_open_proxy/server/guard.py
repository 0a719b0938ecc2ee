"""Who may come in. A server that holds an account is attacked from the browser: by rebound names, by foreign pages,
by posts that need no preflight. So the Host must be one of ours, the Origin not foreign, the content type JSON.
"""

import re
from collections.abc import Iterable

from augment_open_proxy.core.errors import ErrorKind, Problem, ProxyError
from augment_open_proxy.server.asgi import Scope, header_values

ALWAYS_ALLOWED = ("localhost", "127.0.0.1", "[::1]", "host.docker.internal")

_HOST = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*)(?::\d*)?")
"""A name or an address in brackets, and perhaps a port."""


class Guard:
    """Checks the head of each request, before anything else is done with it."""

    def __init__(self, host: str, allowed_hosts: Iterable[str] = ()) -> None:
        """`host` is what the server listens on; `allowed_hosts` are more names that it is reached under."""
        names = (*ALWAYS_ALLOWED, host, *allowed_hosts)
        self._hosts = frozenset(_bracketed(name.strip().lower()) for name in names)

    def check(self, scope: Scope) -> None:
        """Raises `ProxyError` where the request must not be served."""
        host = self._check_host(header_values(scope, b"host"))
        self._check_origin(header_values(scope, b"origin"), host)
        if scope["method"] in ("POST", "PUT", "PATCH") and not _has_neither_type_nor_body(scope):
            _check_content_type(header_values(scope, b"content-type"))

    def _check_host(self, values: list[bytes]) -> str:
        if len(values) != 1 or not values[0]:
            raise ProxyError(Problem(ErrorKind.INVALID_REQUEST, "The request must have one Host header."))
        host = values[0].decode("latin-1").lower()
        parts = _HOST.fullmatch(host)
        if parts is None or parts[1] not in self._hosts:
            raise ProxyError(
                Problem(
                    ErrorKind.PERMISSION,
                    f"The server is not known by the name {(parts[1] if parts else host)[:200]!r}. "
                    "If it is yours, add it to AOP_ALLOWED_HOSTS.",
                )
            )
        return host

    def _check_origin(self, values: list[bytes], host: str) -> None:
        for value in values:
            origin = value.decode("latin-1").lower()
            if origin not in (f"http://{host}", f"https://{host}"):
                raise ProxyError(
                    Problem(ErrorKind.PERMISSION, f"Requests from web pages of {origin!r} are not accepted.")
                )


def _has_neither_type_nor_body(scope: Scope) -> bool:
    """As `curl -X POST` sends it. Pages can send such a request, too; the check of the origin holds them off."""
    lengths = header_values(scope, b"content-length")
    names = {name for name, _ in scope["headers"]}
    return not names & {b"content-type", b"transfer-encoding"} and all(length == b"0" for length in lengths)


def _check_content_type(values: list[bytes]) -> None:
    content_type = values[0].decode("latin-1").partition(";")[0].strip().lower() if len(values) == 1 else ""
    if content_type != "application/json" and not (
        content_type.startswith("application/") and content_type.endswith("+json")
    ):
        raise ProxyError(Problem(ErrorKind.UNSUPPORTED_MEDIA_TYPE, "The header Content-Type must be application/json."))


def _bracketed(name: str) -> str:
    return f"[{name}]" if ":" in name and not name.startswith("[") else name
