"""The HTTP proxies that the environment names (`HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`), and a way through them."""

import asyncio
import base64
import os
import re
import sys
from urllib.parse import unquote, urlsplit

from msgspec import Struct

_HEAD_LIMIT = 64 * 1024
_ANSWER = re.compile(rb"HTTP/1\.[01] (\d{3})(?: ([^\r\n]*))?\r\n")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class ProxyUnusableError(Exception):
    """Why the HTTP proxy cannot be used; the text is for the user, without the proxy's password."""

    def __init__(self, reason: str, *, passes: bool = False) -> None:
        """`passes`: it may be over at the next try."""
        super().__init__(reason)
        self.passes = passes


class Proxy(Struct, frozen=True):
    """An HTTP proxy. `secure`: whether it is itself spoken to under TLS. `authorization` is its header's value."""

    host: str
    port: int
    secure: bool
    authorization: str | None


def environment_proxies() -> dict[str, str]:
    """The proxies' URLs by the scheme that they are for; where no variable is set, the system's."""
    if sys.platform.startswith("linux") and not any(name.lower().endswith("_proxy") for name in os.environ):
        return {}
    from urllib.request import getproxies  # it takes 18 ms to import, and few need it

    return getproxies()


def proxy_for(proxies: dict[str, str], scheme: str, host: str) -> Proxy | None:
    """The proxy that leads to `host`: none for loopback, and for what `NO_PROXY` names.

    Raises `ProxyUnusableError`.
    """
    url = proxies.get(scheme)
    if url is None or host in _LOOPBACK:
        return None
    from urllib.request import proxy_bypass

    return None if proxy_bypass(host) else parse_proxy(url)


def parse_proxy(url: str) -> Proxy:
    """A proxy as variables name it: `[http[s]://][user:password@]host[:port]`. Raises `ProxyUnusableError`."""
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        host, port = (parts.hostname or "").encode("idna").decode(), parts.port
    except ValueError:
        raise ProxyUnusableError("its URL is not valid") from None
    if parts.scheme not in ("http", "https"):
        raise ProxyUnusableError(f"its URL must begin with http:// or https://, not {parts.scheme}://")
    if not host:
        raise ProxyUnusableError("its URL names no host")
    secure = parts.scheme == "https"
    return Proxy(host, port or (443 if secure else 80), secure, _authorization(parts.username, parts.password))


def _authorization(user: str | None, password: str | None) -> str | None:
    if user is None:
        return None
    credentials = f"{unquote(user)}:{unquote(password or '')}".encode()
    return f"Basic {base64.b64encode(credentials).decode()}"


class Tunnel(asyncio.Protocol):
    """Asks a proxy for a connection to another host (CONNECT, RFC 9110 9.3.6)."""

    def __init__(self) -> None:
        self._received = b""
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def ask(self, transport: asyncio.Transport, authority: str, authorization: str | None) -> asyncio.Future[None]:
        """Done when the proxy has agreed. Raises `ProxyUnusableError`."""
        credentials = "" if authorization is None else f"Proxy-Authorization: {authorization}\r\n"
        transport.write(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{credentials}\r\n".encode())
        return self._opened

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, rest = self._received.partition(b"\r\n\r\n")
        if end:
            self._finish(_refusal(head + b"\r\n", rest))
        elif len(self._received) > _HEAD_LIMIT:
            self._finish(ProxyUnusableError("its answer has no end"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._finish(ProxyUnusableError(str(exc) if exc else "it closed the connection", passes=True))

    def _finish(self, refusal: ProxyUnusableError | None) -> None:
        if self._opened.done():
            return
        if refusal is None:
            self._opened.set_result(None)
        else:
            self._opened.set_exception(refusal)


def _refusal(head: bytes, rest: bytes) -> ProxyUnusableError | None:
    """Why the answer to CONNECT opens no tunnel; `None` where it does."""
    answer = _ANSWER.match(head)
    if answer is None:
        return ProxyUnusableError("its answer is not valid HTTP")
    status = int(answer[1])
    if not 200 <= status < 300:
        reason = (answer[2] or b"").decode("latin-1")[:100]
        advice = ": its URL must have the right user and password" if status == 407 else ""
        text = f"it answered with status {status} {reason}".rstrip() + advice
        return ProxyUnusableError(text, passes=status >= 500)
    return ProxyUnusableError("it sent something before it was spoken to") if rest else None
