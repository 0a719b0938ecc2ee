"""Fetches what a request names by URL (pictures, documents), from public addresses only.

It promises: https alone; all addresses of the host are checked, at each redirect anew, and the connection goes to one
of these and no other; bounds of size, time and redirects; nothing of ours goes along (cookies, credentials, Referer).
Where the environment names a proxy for the host, nothing is fetched: the proxy would resolve the name itself, past the
check, and going around it would ignore what the user set. NO_PROXY is the way out.
"""

import asyncio
import re
import socket
import zlib
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from urllib.request import getproxies, proxy_bypass

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from msgspec import Struct
from yarl import URL

from augment_open_proxy import __version__
from augment_open_proxy.core.errors import invalid_request
from augment_open_proxy.server.files import Fetched
from augment_open_proxy.upstream.http.opening import trusting

Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Awaitable[list[str]]]
"""Host and port → its addresses as text; raises `OSError` where there are none."""

_MEBIBYTE = 1024 * 1024
_URL_LIMIT = 8192
_NAME = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?")
_ENCODED = re.compile(r"[\w.~:/?#\[\]@!$&'()*+,;=%-]*", re.ASCII)
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_ENCODINGS = frozenset({"identity", "gzip", "x-gzip", "deflate"})
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
_GLOBAL_UNICAST = ip_network("2000::/3")
_NAT64 = ip_network("64:ff9b::/96")
_NOT_PUBLIC = [
    *map(ip_network, ("0.0.0.0/8", "10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16")),
    *map(ip_network, ("100.64.0.0/10", "192.0.0.0/24")),  # carriers', protocols'; Alibaba's and Oracle's metadata
    *map(ip_network, ("168.63.129.16/32", "2001::/23")),  # Azure's platform; Teredo, benchmarks, ORCHID
    *map(ip_network, ("192.88.99.0/24", "198.18.0.0/15")),  # relays from 6to4, benchmarks
    *map(ip_network, ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20")),  # examples
    *map(ip_network, ("224.0.0.0/4", "240.0.0.0/4")),  # multicast, reserved and broadcast
]
"""Beside what `ipaddress` says, whose tables differ from one Python to the next."""


class Bounds(Struct, frozen=True):
    """`size` is bytes of one file, unpacked, `total` those of all files of one request; `seconds` is for one file."""

    size: int = 20 * _MEBIBYTE
    total: int = 64 * _MEBIBYTE
    seconds: float = 10.0
    redirects: int = 3
    at_once: int = 4


class _RefusedError(Exception):
    """Why something is not fetched, as half a sentence."""


def is_public(address: Address) -> bool:
    """Whether anybody on the internet may be reached there. An IPv6 address that carries an IPv4 one is as that one."""
    if isinstance(address, IPv6Address):
        embedded = _embedded(address)
        if embedded is not None:
            return address.scope_id is None and is_public(embedded)
        if address.scope_id is not None or address not in _GLOBAL_UNICAST:  # local ones, multicast, IPv4-compatible …
            return False
    return address.is_global and not any(address in network for network in _NOT_PUBLIC)


def _embedded(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that packets to a mapped, 6to4 or NAT64 address end at."""
    if address in _NAT64:
        return IPv4Address(address.packed[-4:])
    return address.ipv4_mapped or address.sixtofour


class Fetcher:
    """Fetches URLs. To be made and closed inside a running event loop; it opens nothing until the first URL."""

    def __init__(
        self,
        enabled: bool = True,
        ca_file: Path | None = None,
        bounds: Bounds | None = None,
        *,
        resolve: Resolve | None = None,
        allowed: Callable[[Address], bool] = is_public,
    ) -> None:
        """`ca_file` is a PEM file of CAs to trust beside the system's; `resolve` and `allowed` are for tests."""
        self._enabled = enabled
        self._ca_file = ca_file
        self._bounds = bounds or Bounds()
        self._resolve = resolve or _resolve
        self._allowed = allowed
        self._proxied = "https" in getproxies()
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def fetch_all(self, wanted: Sequence[tuple[str, str]]) -> list[Fetched]:
        """The files of one request, from (URL, `param`): each URL once, a few at a time; the first failure ends all."""
        params = dict(reversed(wanted))
        turns = asyncio.Semaphore(self._bounds.at_once)
        found: dict[str, Fetched] = {}

        async def fetch(url: str, param: str) -> None:
            async with turns:
                found[url] = await self.fetch(url, param)
            if sum(len(file.data) for file in found.values()) > self._bounds.total:
                raise invalid_request(f"The files behind all URLs exceed {_megabytes(self._bounds.total)}.", param)

        try:
            async with asyncio.TaskGroup() as group:
                for url, param in params.items():
                    group.create_task(fetch(url, param))
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return [found[url] for url, _ in wanted]

    async def fetch(self, url: str, param: str) -> Fetched:
        """The file at `url`. Raises `ProxyError` that names `param`, whatever goes wrong."""
        if not self._enabled:
            raise invalid_request(f"{param} is a URL, and fetching these is turned off (AOP_FETCH_URLS).", param)
        try:
            async with asyncio.timeout(self._bounds.seconds):
                return await self._follow(url)
        except TimeoutError:
            reason = f"it took more than {self._bounds.seconds:g} s"
        except (_RefusedError, aiohttp.ClientError, OSError, zlib.error) as error:
            reason = _reason(error)
        raise invalid_request(f"{param} cannot be fetched: {reason}.", param)

    async def _follow(self, text: str) -> Fetched:
        url = await self._checked(text, None)
        for _ in range(self._bounds.redirects + 1):
            async with self._opened().get(url, allow_redirects=False) as response:
                if response.status not in _REDIRECTS:
                    return await self._read(response)
                location = response.headers.get("Location")
            if location is None:
                raise _RefusedError(f"{url.raw_host} redirects without saying where")
            url = await self._checked(location, url)
        raise _RefusedError(f"it redirects more than {self._bounds.redirects} times")

    async def _checked(self, text: str, base: URL | None) -> URL:
        """A URL that may be asked for. Any port may: what listens at a public address is open to everybody anyway."""
        if len(text) > _URL_LIMIT:
            raise _RefusedError(f"its URL is longer than {_URL_LIMIT} characters")
        try:
            # What is well written goes out as it is: a signature may cover its very spelling.
            url = URL(text, encoded=_ENCODED.fullmatch(text) is not None)
            url = url if base is None else base.join(url)
            host, _ = (url.raw_host or "").lower(), url.port  # which may be no port
        except ValueError as error:
            raise _RefusedError("its URL is not valid") from error
        if url.scheme != "https":
            raise _RefusedError("only https URLs are fetched" if base is None else "it redirects to what is not https")
        if url.raw_user or url.raw_password:
            raise _RefusedError("its URL has credentials in it")
        address = _literal(host)
        if address is not None and not self._allowed(address):
            raise _RefusedError(f"{host} is not a public address")
        # In a thread, as some systems look the host up to tell.
        if self._proxied and not await asyncio.to_thread(proxy_bypass, host):
            raise _RefusedError(f"HTTPS_PROXY is set, and only hosts that NO_PROXY names are fetched from, not {host}")
        return url

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            # No DNS cache and no kept connections: what is connected to was checked for this very request.
            connector = aiohttp.TCPConnector(
                resolver=_CheckedResolver(self._resolve, self._allowed),
                use_dns_cache=False,
                force_close=True,
                ssl=trusting(self._ca_file),
                socket_factory=self._socket,
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": f"augment-open-proxy/{__version__}", "Accept-Encoding": "identity"},
            )
        return self._session

    def _socket(self, info: aiohttp.AddrInfoType) -> socket.socket:
        """The last gate: aiohttp does not ask the resolver about what it takes for an address."""
        family, kind, protocol, _, target = info
        if not self._allowed(ip_address(target[0])):
            raise PermissionError(f"{target[0]} is not a public address")
        return socket.socket(family, kind, protocol)

    async def _read(self, response: aiohttp.ClientResponse) -> Fetched:
        limit = self._bounds.size
        if response.status != 200:
            raise _RefusedError(f"{response.url.raw_host} answers with status {response.status}")
        too_large = _RefusedError(f"it is larger than {_megabytes(limit)}")
        if (response.content_length or 0) > limit:
            raise too_large
        encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding not in _ENCODINGS:
            raise _RefusedError(f"it is encoded as {encoding[:40]!r}, although we ask for none")
        inflater = None if encoding == "identity" else zlib.decompressobj(_GZIP_OR_ZLIB)
        received, data = 0, bytearray()
        async for chunk in response.content.iter_any():
            received += len(chunk)
            data += chunk if inflater is None else inflater.decompress(chunk, limit + 1 - len(data))
            if max(received, len(data)) > limit:
                raise too_large
            if inflater is not None and inflater.eof:
                break
        if inflater is not None and not inflater.eof:
            raise _RefusedError("it ends early")
        if not data:
            raise _RefusedError("it is empty")
        return Fetched(response.content_type.lower(), bytes(data))


class _CheckedResolver(AbstractResolver):
    """Gives aiohttp the addresses of a host once all are checked: there is no second look-up in between."""

    def __init__(self, resolve: Resolve, allowed: Callable[[Address], bool]) -> None:
        self._resolve = resolve
        self._allowed = allowed

    async def resolve(self, host: str, port: int = 0, family: int = socket.AF_UNSPEC) -> list[ResolveResult]:
        try:
            addresses = [ip_address(text) for text in await self._resolve(host, port)]
        except (OSError, ValueError) as error:
            raise _RefusedError(f"the host {host} is not known") from error
        if not addresses or not all(self._allowed(address) for address in addresses):
            raise _RefusedError(f"the host {host} is not at public addresses only")
        found = [(str(address), socket.AF_INET6 if address.version == 6 else socket.AF_INET) for address in addresses]
        flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
        return [
            ResolveResult(hostname=host, host=ip, port=port, family=kind, proto=0, flags=flags) for ip, kind in found
        ]

    async def close(self) -> None:
        """There is nothing to release."""


async def _resolve(host: str, port: int) -> list[str]:
    infos = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(info[4][0]) for info in infos]


def _literal(host: str) -> Address | None:
    """The address that `host` spells, or `None` for a name. Spellings that only some programs read are refused.

    What ends in a number is meant as an IPv4 address (WHATWG URL, "ends in a number"): 127.1, 0x7f.1, 2130706433.
    """
    last = host.rstrip(".").rpartition(".")[2]
    if ":" not in host and not last.isdigit() and not last.startswith("0x"):
        if _NAME.fullmatch(host) is None:
            raise _RefusedError("its URL has no valid host")
        return None
    try:
        return ip_address(host)
    except ValueError as error:
        raise _RefusedError(f"{host[:60]} is not an address in its usual spelling") from error


def _reason(error: Exception) -> str:
    match error:
        case _RefusedError():
            return str(error)
        case zlib.error():
            return "it cannot be unpacked"
        case aiohttp.ClientConnectorCertificateError():
            return f"the certificate of {error.host} is not trusted ({error.certificate_error})"
        case aiohttp.ClientConnectorError():
            return f"{error.host} cannot be reached ({error.os_error.strerror or error.os_error})"
        case _:
            return f"the connection broke ({' '.join(str(error).split())[:200].rstrip('.') or type(error).__name__})"


def _megabytes(size: int) -> str:
    return f"{size / _MEBIBYTE:g} MB"
