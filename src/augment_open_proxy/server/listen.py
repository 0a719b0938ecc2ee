"""Opens the sockets that the proxy listens on, before anything heavy is loaded, and says why when it cannot."""

import errno
import os
import socket
import sys
from contextlib import suppress
from typing import Any, NamedTuple

_BACKLOG = 2048
_ATTEMPTS = 20
_LACKING = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT)


class ListenError(Exception):
    """The proxy cannot listen. The message is one line for the user, with what to do."""


class PortInUseError(ListenError):
    """Another program listens there."""

    def __init__(self, address: str, port: int) -> None:
        super().__init__(
            f"port {port} on {address} is in use; find who holds it with"
            f" `ss -ltnp 'sport = :{port}'` or `lsof -i :{port}` (Linux),"
            f" `lsof -nP -iTCP:{port} -sTCP:LISTEN` (macOS) or `netstat -ano | findstr :{port}` (Windows),"
            " or choose another port with --port (AOP_PORT)"
        )


class _Address(NamedTuple):
    family: int
    host: str
    scope: tuple[Any, ...] = ()
    """What follows the port in the address of a socket of this family."""


_LOCALHOST = [_Address(socket.AF_INET, "127.0.0.1"), _Address(socket.AF_INET6, "::1")]


def open_sockets(host: str, port: int) -> list[socket.socket]:
    """Listening sockets, all on one port: one for each address that `host` means and this machine has.

    `localhost` means both 127.0.0.1 and ::1. Port 0 takes any that is free on all of them. Raises `ListenError`.
    """
    addresses = _LOCALHOST if _is_localhost(host) else _resolve(host)
    for _ in range(_ATTEMPTS if port == 0 else 0):
        # The port that the first address gave may be taken on the second one.
        with suppress(PortInUseError):
            return _open_all(addresses, host, port)
    return _open_all(addresses, host, port)


def divided(sockets: list[socket.socket], number: int) -> list[list[socket.socket]]:
    """For each of so many processes, sockets on the same addresses; the first ones are those given.

    Linux gives each connection to one of them by a hash. Elsewhere the processes take connections off the same
    sockets: SO_REUSEPORT gives all to one of them on macOS. Raises `ListenError`.
    """
    if sys.platform != "linux":
        return [sockets] * number
    for bound in sockets:
        # Only now: a second start is refused, since its first sockets are opened without.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    return [sockets, *([_beside(bound) for bound in sockets] for _ in range(number - 1))]


def _beside(bound: socket.socket) -> socket.socket:
    """Another listening socket on the same address."""
    another = socket.socket(bound.family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        another.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        another.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if bound.family == socket.AF_INET6:
            only = bound.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
            another.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)
        another.bind(bound.getsockname())
        another.listen(_BACKLOG)
    except OSError as error:
        another.close()
        address, port = bound.getsockname()[:2]
        raise _failure(error, address, port) from None
    return another


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens on `host`."""
    bare = host.strip("[]").lower()
    return _is_localhost(bare) or bare == "::1" or (bare.startswith("127.") and bare.replace(".", "").isdigit())


def urls(sockets: list[socket.socket], host: str) -> list[str]:
    """Where the proxy is reached, for the user to read; `host` is what `open_sockets` was asked for."""
    names = [bound.getsockname()[:2] for bound in sockets]
    if _is_localhost(host):
        return [f"http://localhost:{names[0][1]}"]
    return [f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}" for address, port in names]


def _is_localhost(host: str) -> bool:
    return host.lower() == "localhost"


def _resolve(host: str) -> list[_Address]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise ListenError(
            f"the host {host!r} is not known on this machine; set --host (AOP_HOST) to localhost,"
            " to 0.0.0.0 for every network, or to an address of this machine"
        ) from None
    addresses = [_Address(family, str(name[0]), tuple(name[2:])) for family, _, _, _, name in found]
    return list(dict.fromkeys(addresses))


def _open_all(addresses: list[_Address], host: str, port: int) -> list[socket.socket]:
    opened: list[socket.socket] = []
    lacking: OSError | None = None
    try:
        for address in addresses:
            try:
                opened.append(_open(address, port))
            except OSError as error:
                if error.errno not in _LACKING:
                    raise _failure(error, address.host, port) from None
                lacking = error
            else:
                port = opened[0].getsockname()[1]
        if not opened:
            raise _failure(lacking or OSError(errno.EADDRNOTAVAIL, ""), host, port)
    except BaseException:
        for bound in opened:
            bound.close()
        raise
    return opened


def _open(address: _Address, port: int) -> socket.socket:
    # asyncio's own event loop sends at once (TCP_NODELAY) only where the protocol is named.
    bound = socket.socket(address.family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if sys.platform == "win32":
            # There, SO_REUSEADDR would let two programs share the port.
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if address.family == socket.AF_INET6:
            with suppress(OSError):  # some systems always keep IPv4 apart
                bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, address.host != "::")
        bound.bind((address.host, port, *address.scope))
        # With SO_REUSEADDR, only this finds another program that has bound the port.
        bound.listen(_BACKLOG)
    except BaseException:
        bound.close()
        raise
    return bound


def _failure(error: OSError, address: str, port: int) -> ListenError:
    match error.errno:
        case errno.EADDRINUSE:
            return PortInUseError(address, port)
        case errno.EACCES | errno.EPERM if port < 1024:
            advice = "ports below 1024 need special rights: choose a higher one with --port (AOP_PORT)"
        case errno.EACCES | errno.EPERM:
            advice = "the system does not permit it: choose another port with --port (AOP_PORT)"
        case number if number in _LACKING:
            advice = "this machine has no such address: set --host (AOP_HOST) to localhost, 0.0.0.0 or one that it has"
        case _:
            advice = os.strerror(error.errno) if error.errno else str(error)
    return ListenError(f"cannot listen on port {port} of {address}: {advice}")
