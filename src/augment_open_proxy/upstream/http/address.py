"""Where a URL leads, and the part of a request's head that is the same for all requests to it."""

import re
from urllib.parse import SplitResult, quote, urlsplit

from msgspec import Struct

from augment_open_proxy.upstream.http.coding import ACCEPTED
from augment_open_proxy.upstream.http.proxying import Proxy, proxy_for

_DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[A-Za-z0-9._:%-]+")
_IN_PATHS = "/:@!$&'()*+,;=-._~%?"
"""What a path or a query may hold as it is (RFC 3986, 3.3 and 3.4), escapes included."""


class AddressError(Exception):
    """The URL is none that a request can be sent to."""


class HeaderError(Exception):
    """A header holds what no header may."""


class Address(Struct, frozen=True):
    """`origin` is scheme, host and port: connections to it are interchangeable. `head` ends before the first header
    that differs from request to request.
    """

    origin: str
    host: str
    port: int
    secure: bool
    proxy: Proxy | None
    head: str

    @property
    def authority(self) -> str:
        """Host and port, as CONNECT names them."""
        return f"{_bracketed(self.host)}:{self.port}"

    def request_head(self, headers: dict[str, str], length: int) -> bytes:
        """The head of a request whose body has `length` bytes. Raises `HeaderError`."""
        fields = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        if fields.count("\r") != len(headers) or fields.count("\n") != len(headers) or "\0" in fields:
            raise HeaderError  # a value with a line break would be read as more headers, or another request
        try:
            return f"{self.head}{fields}Content-Length: {length}\r\n\r\n".encode()
        except UnicodeEncodeError:
            raise HeaderError from None


def parse_address(url: str, proxies: dict[str, str]) -> Address:
    """`proxies`: their URLs by scheme. Raises `AddressError`, `ProxyUnusableError`."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".").encode("idna").decode()
        port = parts.port
    except ValueError:  # UnicodeError is one
        raise AddressError from None
    if parts.scheme not in _DEFAULT_PORTS or not _HOST.fullmatch(host) or parts.username is not None:
        raise AddressError
    if port is None:
        port = _DEFAULT_PORTS[parts.scheme]
    shown = _bracketed(host) if port == _DEFAULT_PORTS[parts.scheme] else f"{_bracketed(host)}:{port}"
    proxy = proxy_for(proxies, parts.scheme, host)
    secure = parts.scheme == "https"
    is_asked_of_proxy = proxy is not None and not secure
    target = _target(parts)
    lines = [
        f"POST http://{shown}{target} HTTP/1.1" if is_asked_of_proxy else f"POST {target} HTTP/1.1",
        f"Host: {shown}",
        "Accept: */*",
        f"Accept-Encoding: {ACCEPTED}",
    ]
    if proxy is not None and is_asked_of_proxy and proxy.authorization is not None:
        lines.append(f"Proxy-Authorization: {proxy.authorization}")
    return Address(f"{parts.scheme}://{host}:{port}", host, port, secure, proxy, "\r\n".join([*lines, ""]))


def _target(parts: SplitResult) -> str:
    path = quote(parts.path or "/", safe=_IN_PATHS)
    return f"{path}?{quote(parts.query, safe=_IN_PATHS)}" if parts.query else path


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
