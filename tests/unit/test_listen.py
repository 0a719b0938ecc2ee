"""Where the proxy listens, and what it says when it cannot."""

import asyncio
import errno
import itertools
import socket
import sys
from collections.abc import Iterator

import pytest

from augment_open_proxy.server import listen
from augment_open_proxy.server.listen import ListenError, PortInUseError, divided, open_sockets, urls


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not _has_ipv6(), reason="this machine has no ::1")


@pytest.fixture
def opened() -> Iterator[list[socket.socket]]:
    """Whatever a test puts in here is closed at its end."""
    sockets: list[socket.socket] = []
    yield sockets
    for one in sockets:
        one.close()


def held(address: str, opened: list[socket.socket]) -> int:
    """A port of `address` that another program holds."""
    holder = socket.create_server((address, 0), family=socket.AF_INET6 if ":" in address else socket.AF_INET)
    opened.append(holder)
    port: int = holder.getsockname()[1]
    return port


def refuse(monkeypatch: pytest.MonkeyPatch, number: int, *hosts: str) -> None:
    """Let opening fail with an error number, on `hosts` or everywhere."""
    really = listen._open

    def _open(address: listen._Address, port: int) -> socket.socket:
        if not hosts or address.host in hosts:
            raise OSError(number, "no")
        return really(address, port)

    monkeypatch.setattr(listen, "_open", _open)


# --- Addresses ---


@needs_ipv6
def test_localhost_is_both_loopback_addresses_on_one_port(opened: list[socket.socket]) -> None:
    opened += open_sockets("LocalHost", 0)
    assert [one.getsockname()[0] for one in opened] == ["127.0.0.1", "::1"]
    assert len({one.getsockname()[1] for one in opened}) == 1
    assert opened[0].getsockname()[1] != 0


def test_clients_can_connect_at_once(opened: list[socket.socket]) -> None:
    opened += open_sockets("localhost", 0)
    for one in list(opened):
        opened.append(socket.create_connection(one.getsockname()[:2], timeout=5))


@pytest.mark.parametrize(("lacking", "left"), [("::1", "127.0.0.1"), ("127.0.0.1", "::1")])
@needs_ipv6
def test_localhost_is_the_address_that_the_machine_has(
    lacking: str, left: str, opened: list[socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch, errno.EADDRNOTAVAIL, lacking)
    opened += open_sockets("localhost", 0)
    assert [one.getsockname()[0] for one in opened] == [left]


def test_an_address_is_taken_as_it_is(opened: list[socket.socket]) -> None:
    opened += open_sockets("127.0.0.1", 0)
    assert [one.getsockname()[0] for one in opened] == ["127.0.0.1"]


@needs_ipv6
@pytest.mark.parametrize(("host", "only_ipv6"), [("::", 0), ("::1", 1)])
def test_every_ipv6_address_takes_ipv4_as_well(
    host: str, only_ipv6: int, opened: list[socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The socket is only set up: a test listens nowhere but on loopback."""
    bound: list[str] = []
    monkeypatch.setattr(socket.socket, "bind", lambda _, address: bound.append(address[0]))
    monkeypatch.setattr(socket.socket, "listen", lambda _, backlog: None)
    opened += open_sockets(host, 4000)
    assert bound == [host]
    assert opened[0].getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == only_ipv6


@needs_ipv6
def test_a_free_port_is_free_on_both_addresses(opened: list[socket.socket], monkeypatch: pytest.MonkeyPatch) -> None:
    """The port that 127.0.0.1 gives first is taken on ::1, so another one is tried."""
    really = listen._open
    tries: list[str] = []

    def _open(address: listen._Address, port: int) -> socket.socket:
        tries.append(address.host)
        if len(tries) == 2:
            raise OSError(errno.EADDRINUSE, "taken")
        return really(address, port)

    monkeypatch.setattr(listen, "_open", _open)
    opened += open_sockets("localhost", 0)
    assert tries == ["127.0.0.1", "::1", "127.0.0.1", "::1"]
    assert len(opened) == 2


def test_a_port_can_be_used_again_right_after_a_connection(opened: list[socket.socket]) -> None:
    [server] = open_sockets("127.0.0.1", 0)
    port = server.getsockname()[1]
    client = socket.create_connection(("127.0.0.1", port), timeout=5)
    server.accept()[0].close()
    server.close()
    client.close()
    opened += open_sockets("127.0.0.1", port)


# --- What can be wrong ---


def test_a_port_in_use_is_named_with_how_to_find_its_holder(opened: list[socket.socket]) -> None:
    port = held("127.0.0.1", opened)
    with pytest.raises(PortInUseError) as raised:
        open_sockets("127.0.0.1", port)
    message = str(raised.value)
    assert f"port {port} on 127.0.0.1 is in use" in message
    for command in (
        f"ss -ltnp 'sport = :{port}'",
        f"lsof -i :{port}",
        f"lsof -nP -iTCP:{port} -sTCP:LISTEN",
        f"netstat -ano | findstr :{port}",
    ):
        assert command in message
    assert "\n" not in message


@pytest.mark.parametrize("address", ["127.0.0.1", pytest.param("::1", marks=needs_ipv6)])
def test_localhost_is_in_use_when_either_address_is(address: str, opened: list[socket.socket]) -> None:
    port = held(address, opened)
    with pytest.raises(PortInUseError, match=f"on {address} is in use"):
        open_sockets("localhost", port)


def test_an_unknown_host_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(*_: object, **__: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(ListenError, match=r"'nowhere.example' is not known.*AOP_HOST"):
        open_sockets("nowhere.example", 0)


def test_a_host_that_no_resolver_takes_is_unknown_too() -> None:
    with pytest.raises(ListenError, match="is not known"):
        open_sockets("a" * 70 + ".example", 0)


@pytest.mark.parametrize(
    ("number", "port", "advice"),
    [
        (errno.EACCES, 80, "below 1024 need special rights"),
        (errno.EPERM, 8080, "choose another port with --port"),
        (errno.EADDRNOTAVAIL, 8080, "this machine has no such address: set --host"),
        (errno.EMFILE, 8080, "open files"),
    ],
)
def test_other_refusals_say_what_to_do(number: int, port: int, advice: str, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, number)
    with pytest.raises(ListenError, match=rf"cannot listen on port {port} of .*{advice}"):
        open_sockets("localhost", port)


def test_answers_are_sent_at_once_in_any_event_loop(opened: list[socket.socket]) -> None:
    """Else each waits some 40 ms for the client to acknowledge its head, where there is no uvloop, as on Windows."""

    async def accepted() -> bool:
        found: asyncio.Queue[bool] = asyncio.Queue()

        def connected(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connection = writer.get_extra_info("socket")
            found.put_nowait(bool(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)))
            writer.close()

        async with await asyncio.start_server(connected, sock=opened[0]):
            _, writer = await asyncio.open_connection(*opened[0].getsockname()[:2])
            writer.close()
            return await found.get()

    opened += open_sockets("127.0.0.1", 0)
    assert asyncio.run(accepted())


# --- For the banner ---


def test_localhost_is_one_url(opened: list[socket.socket]) -> None:
    opened += open_sockets("localhost", 0)
    assert urls(opened, "localhost") == [f"http://localhost:{opened[0].getsockname()[1]}"]


@pytest.mark.parametrize(
    ("host", "start"), [("127.0.0.1", "http://127.0.0.1:"), pytest.param("::1", "http://[::1]:", marks=needs_ipv6)]
)
def test_an_address_is_a_url_with_the_port_that_was_given(host: str, start: str, opened: list[socket.socket]) -> None:
    opened += open_sockets(host, 0)
    assert urls(opened, host) == [f"{start}{opened[0].getsockname()[1]}"]


# --- Several processes ---


on_linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere SO_REUSEPORT does not divide")


@on_linux
def test_each_process_has_sockets_of_its_own_on_the_same_addresses(opened: list[socket.socket]) -> None:
    given = open_sockets("localhost", 0)
    sets = divided(given, 3)
    opened += [one for sockets in sets for one in sockets]
    assert sets[0] == given
    assert [[one.getsockname() for one in sockets] for sockets in sets] == [[one.getsockname() for one in given]] * 3
    assert len({one.fileno() for one in opened}) == 3 * len(given)


@on_linux
def test_connections_are_divided_among_them(opened: list[socket.socket]) -> None:
    sets = divided(open_sockets("127.0.0.1", 0), 2)
    opened += [sets[0][0], sets[1][0]]
    for _ in range(200):
        opened.append(socket.create_connection(sets[0][0].getsockname(), timeout=5))
    assert min(accepted(one) for one in opened[:2]) >= 60


def accepted(listening: socket.socket) -> int:
    """How many connections wait there; they are closed."""
    listening.setblocking(False)
    for count in itertools.count():
        try:
            listening.accept()[0].close()
        except BlockingIOError:
            return count
    raise AssertionError("it never ends")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "0.0.0.0", "::"])  # noqa: S104
def test_a_divided_port_is_in_use_for_others(host: str, opened: list[socket.socket]) -> None:
    if ":" in host and not _has_ipv6():
        pytest.skip("this machine has no ::1")
    sets = divided(open_sockets(host, 0), 2)
    opened += [one for sockets in sets for one in sockets]
    port = opened[0].getsockname()[1]
    with pytest.raises(PortInUseError):
        open_sockets(host, port)


def test_elsewhere_processes_have_the_same_sockets(
    opened: list[socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened += open_sockets("127.0.0.1", 0)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert divided(opened, 2) == [opened, opened]
