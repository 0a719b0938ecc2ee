"""Opening a connection: the name's addresses, TCP, a proxy's tunnel, TLS. Bounding the time is up to the caller."""

import asyncio
import socket
import ssl
from collections.abc import Sequence
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

from augment_open_proxy.upstream.http.address import Address
from augment_open_proxy.upstream.http.connection import Connection, reason_of
from augment_open_proxy.upstream.http.proxying import Proxy, ProxyUnusableError, Tunnel

NEXT_ADDRESS_AFTER = 0.25
"""Seconds after which a name's next address is tried beside the one before (RFC 8305, "Connection Attempt Delay")."""

KEEP_ALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPALIVE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}
"""Seconds, and a number, after which one who is gone without a word is found out, and firewalls are reminded. The first
is called as the second on macOS.
"""

AddressInfo = tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]


def trusting(ca_file: Path | None) -> ssl.SSLContext:
    """What trusts the system's authorities, and those of the PEM file.

    From Python 3.13 on, those that lack what RFC 5280 asks for would be refused, as companies' own often do.
    """
    context = ssl.create_default_context()
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context


def distrust(error: ssl.SSLCertVerificationError) -> str:
    """Why a certificate is not trusted, in brackets, and what might help."""
    match error.verify_code:
        case 9 | 10:  # X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED
            advice = "check the clock of this machine"
        case 62 | 64:  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH
            advice = "check its address"
        case _:
            advice = "behind a company's proxy, name its CA file in AOP_CA_FILE"
    return f"({error.verify_message.rstrip('.')}); {advice}"


async def open_connection(address: Address, context: ssl.SSLContext, connection: Connection) -> None:
    """Connect `connection` with what the address names. Raises `OSError`, `ProxyUnusableError`."""
    if address.proxy is not None:
        await _open_through(address.proxy, address, context, connection)
        return
    loop = asyncio.get_running_loop()
    sock = await connected_socket(address.host, address.port)
    await loop.create_connection(
        lambda: connection,
        sock=sock,
        ssl=context if address.secure else None,
        server_hostname=address.host if address.secure else None,
    )


async def _open_through(proxy: Proxy, address: Address, context: ssl.SSLContext, connection: Connection) -> None:
    loop = asyncio.get_running_loop()
    tunnel = Tunnel() if address.secure else None
    try:
        sock = await connected_socket(proxy.host, proxy.port)
        transport, _ = await loop.create_connection(
            lambda: tunnel or connection,
            sock=sock,
            ssl=context if proxy.secure else None,
            server_hostname=proxy.host if proxy.secure else None,
        )
    except ssl.SSLCertVerificationError as error:
        raise ProxyUnusableError(f"its certificate is not trusted {distrust(error)}") from error
    except OSError as error:
        advice = "; perhaps its URL must begin with http://" if proxy.secure else ""
        raise ProxyUnusableError(f"{reason_of(error)}{advice}", passes=not isinstance(error, ssl.SSLError)) from error
    if tunnel is None:
        return
    try:
        await tunnel.ask(transport, address.authority, proxy.authorization)
        connection.connection_made(transport)  # start_tls makes none, and may lose it
        secured = await loop.start_tls(transport, connection, context, server_hostname=address.host)
    except BaseException:
        transport.abort()
        raise
    if secured is None:
        raise ConnectionResetError("the connection was closed")
    connection.connection_made(secured)


async def connected_socket(host: str, port: int) -> socket.socket:
    """A TCP connection to the first address of `host` that answers, of both families in turn (RFC 8305).

    The event loop of uvloop has no such thing of its own. Raises `OSError`.
    """
    loop = asyncio.get_running_loop()
    addresses = _in_turn(await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    if len(addresses) == 1:
        return await _connect(addresses[0])
    errors: list[OSError] = []
    attempts: set[asyncio.Task[socket.socket]] = set()
    try:
        while addresses or attempts:
            if addresses:
                attempts.add(loop.create_task(_connect(addresses.pop(0))))
            done, _ = await asyncio.wait(
                attempts, timeout=NEXT_ADDRESS_AFTER if addresses else None, return_when=asyncio.FIRST_COMPLETED
            )
            for attempt in done:
                attempts.remove(attempt)
                error = attempt.exception()
                if error is None:
                    return attempt.result()
                if not isinstance(error, OSError):
                    raise error
                errors.append(error)
    finally:
        for attempt in attempts:
            attempt.add_done_callback(_close)
            attempt.cancel()
    raise errors[0] if errors else OSError("the name has no address")


async def _connect(address: AddressInfo) -> socket.socket:
    family, kind, protocol, _, target = address
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in KEEP_ALIVE.items():
            if option := getattr(socket, name, 0):
                sock.setsockopt(socket.IPPROTO_TCP, option, value)
        await asyncio.get_running_loop().sock_connect(sock, target)
    except BaseException:
        sock.close()
        raise
    return sock


def _close(attempt: asyncio.Task[socket.socket]) -> None:
    """Of an attempt that another was faster than."""
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().close()


def _in_turn(addresses: Sequence[AddressInfo]) -> list[AddressInfo]:
    """The addresses, family by family in turn, beginning with the one that the system prefers."""
    preferred = [address for address in addresses if address[0] == addresses[0][0]]
    others = [address for address in addresses if address[0] != addresses[0][0]]
    return [address for address in chain(*zip_longest(preferred, others)) if address is not None]
