"""Fetching by URL: what is reached, what never is, and the bounds.

A canary listens on loopback and counts who comes; the site that may be reached is an HTTPS server at another loopback
address, with a certificate of its own. Nothing here leaves the machine.
"""

import asyncio
import contextlib
import functools
import socket
import ssl
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from ipaddress import ip_address
from pathlib import Path
from typing import Any, ParamSpec

import pytest
import trustme

from augment_open_proxy import __version__
from augment_open_proxy.core.errors import ErrorKind, Problem, ProxyError
from augment_open_proxy.server import fetch
from augment_open_proxy.server.fetch import Address, Bounds, Fetcher, Resolve, is_public
from augment_open_proxy.server.files import Fetched

PARAM = "messages[0].content[1].image_url.url"
CANARY = "127.0.0.1"
SITE = "127.0.0.2"
NAME = "pictures.test"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
SMALL = Bounds(size=1000, seconds=5)

P = ParamSpec("P")
Reply = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(autouse=True)
def _no_proxy_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Certificate and key of the site, for `NAME` and `SITE`."""
    folder = tmp_path_factory.mktemp("site")
    crt, key = folder / "site.crt", folder / "site.key"
    authority = trustme.CA()
    issued = authority.issue_cert(NAME, f"*.{NAME}", SITE)
    issued.private_key_pem.write_to_path(str(key))
    for blob in (*issued.cert_chain_pems, authority.cert_pem):
        blob.write_to_path(str(crt), append=True)
    return crt, key


def in_a_loop(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Runs the test in an event loop of its own, within 20 s."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        asyncio.run(asyncio.wait_for(test(*args, **kwargs), 20))

    return run


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - the condition is another's
        await asyncio.sleep(0.005)


class Canary:
    """Counts the connections to `CANARY` and to ::1, on one port. Nobody may ever come."""

    def __init__(self) -> None:
        self.port = 0
        self.count = 0

    async def _on_connection(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.count += 1
        writer.close()

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator["Canary"]:
        async with contextlib.AsyncExitStack() as stack:
            first = await stack.enter_async_context(await asyncio.start_server(self._on_connection, CANARY, 0))
            self.port = first.sockets[0].getsockname()[1]
            with contextlib.suppress(OSError):  # no IPv6 here
                await stack.enter_async_context(await asyncio.start_server(self._on_connection, "::1", self.port))
            yield self
            await asyncio.sleep(0.02)


class Site:
    """An HTTPS server at `SITE`: its path says which reply it gives. `heads` is what clients have sent."""

    def __init__(self, certificate: tuple[Path, Path]) -> None:
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(*certificate)
        self.certificate = certificate[0]
        self.replies: dict[str, Reply] = {}
        self.heads: list[str] = []
        self.port = 0
        self.open = 0
        self.most_open = 0

    async def _on_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
            await self.replies.get(self.heads[-1].split()[1], says(status="404 Not Found"))(reader, writer)
            await writer.drain()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        self.open -= 1

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator["Site"]:
        try:
            server = await asyncio.start_server(self._on_connection, SITE, 0, ssl=self._context)
        except OSError:
            pytest.skip(f"this system has no {SITE}")
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self
            await until(lambda: self.open == 0)

    def url(self, path: str, host: str = NAME) -> str:
        return f"https://{host}:{self.port}{path}"


def says(
    body: bytes = PNG, status: str = "200 OK", length: int | None = -1, media_type: str = "image/png", **headers: str
) -> Reply:
    """One whole answer; `length` is its Content-Length: -1 for the true one, `None` for none."""
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {media_type}"]
    if length is not None:
        lines.append(f"Content-Length: {len(body) if length == -1 else length}")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]

    async def reply(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)

    return reply


def goes_to(location: str, status: str = "302 Found") -> Reply:
    return says(b"<p>elsewhere</p>", status, Location=location)


async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Never answers; waits until the client leaves."""
    await reader.read()


async def drips(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends for ever, a byte now and then."""
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.02)


async def packed_then_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The end of the packed data is the end; what would follow is not waited for."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + zlib.compress(b"x" * 1000, wbits=31))
    await silent(reader, writer)


async def endless_chunks(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"100\r\n" + bytes(0x100) + b"\r\n")
        await writer.drain()
        await asyncio.sleep(0.001)


class Names:
    """A resolver: each name has its answers, one after the other; the last one stays. It notes what it was asked."""

    def __init__(self, **answers: list[list[str]]) -> None:
        self._answers = {name.replace("_", "."): list(found) for name, found in answers.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        found = self._answers.get(host.lower())
        if found is None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return found.pop(0) if len(found) > 1 else found[0]


def names(**more: list[list[str]]) -> Names:
    return Names(**{NAME.replace(".", "_"): [[SITE]], "cdn_pictures_test": [[SITE]], **more})


async def everything_is_the_canary(host: str, port: int) -> list[str]:
    return [CANARY]


def only_the_site(address: Address) -> bool:
    return address == ip_address(SITE)


@contextlib.asynccontextmanager
async def fetching(
    resolve: Resolve,
    site: Site | None = None,
    bounds: Bounds | None = None,
    allowed: Callable[[Address], bool] | None = None,
) -> AsyncIterator[Fetcher]:
    if allowed is None:
        allowed = is_public if site is None else only_the_site
    ca_file = None if site is None else site.certificate
    fetcher = Fetcher(ca_file=ca_file, bounds=bounds, resolve=resolve, allowed=allowed)
    try:
        yield fetcher
    finally:
        await fetcher.close()
        await asyncio.sleep(0)


async def refusal(fetcher: Fetcher, url: str) -> str:
    with pytest.raises(ProxyError) as caught:
        await fetcher.fetch(url, PARAM)
    problem = caught.value.problem
    assert problem == Problem(ErrorKind.INVALID_REQUEST, problem.message, PARAM)
    assert problem.message.startswith(PARAM)
    assert problem.message.endswith(".")
    assert "\n" not in problem.message
    return problem.message


# What may be reached


@pytest.mark.parametrize(
    "address",
    [
        *("8.8.8.8", "93.184.216.34", "1.1.1.1", "100.63.255.255", "100.128.0.0", "172.32.0.1", "192.0.1.1"),
        *("2606:4700::1111", "2a00:1450:4001:800::200e", "2001:4860:4860::8888"),
        *("::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1"),
    ],
)
def test_a_public_address_is_public(address: str) -> None:
    assert is_public(ip_address(address))


NOT_PUBLIC = [
    *("0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254"),  # noqa: S104
    *("169.254.169.254", "169.254.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "168.63.129.16"),
    *("192.0.0.1", "192.0.0.192", "192.0.2.1", "192.88.99.1", "198.18.0.1", "198.19.255.255", "198.51.100.1"),
    *("203.0.113.1", "224.0.0.1", "233.252.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "::127.0.0.1", "::8.8.8.8", "fe80::1", "fe80::1%eth0", "2606:4700::1111%eth0", "fec0::1"),
    *("fc00::1", "fd00:ec2::254", "fd20:ce::254", "ff02::1", "ff0e::1", "100::1", "5f00::1", "4000::1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:0:127.0.0.1", "::ffff:8.8.8.8%1"),
    *("64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::8.8.8.8", "64:ff9b::6440:1"),
    *("2002:7f00:1::1", "2002:a00:1::", "2002:a9fe:a9fe::", "2001:0:4136:e378:8000:63bf:3fff:fdd2"),
    *("2001:db8::1", "2001:2::1", "2001:10::1", "2001:20::1", "2001:1::1", "3fff::1"),
]


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_any_other_address_is_not(address: str) -> None:
    assert not is_public(ip_address(address))


# The canary

WRITTEN = r"""
https://127.0.0.1:PORT/ https://127.1:PORT/ https://127.0.1:PORT/ https://2130706433:PORT/ https://0x7f.1:PORT/
https://0x7f000001:PORT/ https://0X7F.0.0.1:PORT/ https://0177.0.0.1:PORT/ https://017700000001:PORT/
https://127.0.0.1.:PORT/ https://127.0.0.1..:PORT/ https://127.1.:PORT/ https://0x7f.1.:PORT/ https://0:PORT/
https://0.0.0.0:PORT/ https://0x0:PORT/ https://①②⑦.⓪.⓪.①:PORT/ https://127。0。0。1:PORT/
https://127%2e0%2e0%2e1:PORT/ https://%31%32%37.0.0.1:PORT/ https://127.0.0.1%00:PORT/
https://[::1]:PORT/ https://[0:0:0:0:0:0:0:1]:PORT/ https://[::]:PORT/ https://[::ffff:127.0.0.1]:PORT/
https://[::FFFF:7f00:1]:PORT/ https://[::127.0.0.1]:PORT/ https://[64:ff9b::127.0.0.1]:PORT/
https://[2002:7f00:1::]:PORT/ https://[::1%25lo]:PORT/ https://[::1%lo]:PORT/ https://[fe80::1%25lo]:PORT/
https://[127.0.0.1]:PORT/ https://[v1.127]:PORT/ https://localhost:PORT/ https://LOCALHOST.:PORT/ https://ⓛocalhost:PORT/
https://canary.test:PORT/ https://127.0.0.1.nip.test:PORT/ https://例え.test:PORT/ HTTPS://127.0.0.1:PORT/
https:127.0.0.1:PORT/ https:/127.0.0.1:PORT/ https:///127.0.0.1:PORT/ //127.0.0.1:PORT/ 127.0.0.1:PORT
https://93.184.216.34@127.0.0.1:PORT/ https://user:secret@127.0.0.1:PORT/ https://:p@127.0.0.1:PORT/
https://@127.0.0.1:PORT/ https://127.0.0.1:PORT\@pictures.test/ https://pictures.test\@127.0.0.1:PORT
https://127.0.0.1:PORT#@pictures.test/ https://127.0.0.1:PORT?@pictures.test/
http://127.0.0.1:PORT/ http://canary.test:PORT/ ftp://127.0.0.1:PORT/ gopher://127.0.0.1:PORT/ ws://127.0.0.1:PORT/
file:///etc/passwd file://127.0.0.1:PORT/ data:image/png;base64,aGk= https:// https://:PORT/ https://[::1
https://127.0.0.1:x/ https://127.0.0.1:99999/ https://127.0.0.1:0/ https://x..y:PORT/
"""
SPELLINGS = [
    *WRITTEN.split(),
    *("", " https://127.0.0.1:PORT/", "ht\ntps://127.0.0.1:PORT", "https://127.0.0.1 :PORT/", "https://a b:PORT/"),
    *("https://\uff11\uff12\uff17.0.0.1:PORT/", "https://\udcff:PORT/"),
    *("https://127.0.0.1:PORT/" + "a" * 9000, "https://" + "a" * 300 + ":PORT/"),
]


@pytest.mark.parametrize("spelling", SPELLINGS)
@in_a_loop
async def test_no_spelling_reaches_a_private_address(spelling: str) -> None:
    async with Canary().listening() as canary, fetching(everything_is_the_canary) as fetcher:
        await refusal(fetcher, spelling.replace("PORT", str(canary.port)))
    assert canary.count == 0


@pytest.mark.parametrize("host", ["localhost", "127.1", "0x7f.1", "2130706433", "ip6-localhost", "[::1]", "127.0.0.1"])
@in_a_loop
async def test_the_system_s_resolver_leads_to_no_private_address_either(host: str) -> None:
    fetcher = Fetcher()
    async with Canary().listening() as canary:
        await refusal(fetcher, f"https://{host}:{canary.port}/")
        await fetcher.close()
    assert canary.count == 0


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://canary.test:PORT/", "only https"),
        ("https://me@canary.test:PORT/", "credentials"),
        ("https://:x@canary.test:PORT/", "credentials"),
        ("https://canary.test:PORT/" + "a" * 8192, "longer than 8192 characters"),
        (f"https://{'a' * 64}.test:PORT/", "no valid host"),
        ("https://canary_test%2f:PORT/", "no valid host"),
        ("https://127.1:PORT/", "usual spelling"),
    ],
)
@in_a_loop
async def test_a_bad_url_is_refused_wherever_it_leads(url: str, reason: str) -> None:
    async with (
        Canary().listening() as canary,
        fetching(everything_is_the_canary, allowed=lambda address: True) as fetcher,
    ):
        assert reason in await refusal(fetcher, url.replace("PORT", str(canary.port)))
    assert canary.count == 0


@pytest.mark.parametrize("address", ["127.0.0.1", "[::1]", "[fd00:ec2::254]", "169.254.169.254"])
@in_a_loop
async def test_an_address_itself_is_refused_before_a_connection_is_thought_of(address: str) -> None:
    async with fetching(everything_is_the_canary) as fetcher:
        assert "is not a public address" in await refusal(fetcher, f"https://{address}/")
        assert fetcher._session is None


@pytest.mark.parametrize("host", ["canary.test", "127.0.0.1", "[::ffff:127.0.0.1]"])
@in_a_loop
async def test_the_canary_would_tell(host: str) -> None:
    async with (
        Canary().listening() as canary,
        fetching(everything_is_the_canary, allowed=lambda address: True) as fetcher,
    ):
        assert "cannot be reached" in await refusal(fetcher, f"https://{host}:{canary.port}/")
    assert canary.count == 1


@pytest.mark.parametrize(
    "answer",
    [*([address] for address in NOT_PUBLIC), ["8.8.8.8", CANARY], [CANARY, "8.8.8.8"], ["2606:4700::1111", "::1"], []],
    ids=" ".join,
)
@in_a_loop
async def test_no_answer_of_the_resolver_leads_to_a_private_address(answer: list[str]) -> None:
    async with Canary().listening() as canary, fetching(Names(host_test=[answer])) as fetcher:
        message = await refusal(fetcher, f"https://host.test:{canary.port}/")
        assert "host.test is not at public addresses only" in message
    assert canary.count == 0


@pytest.mark.parametrize("answer", [["nonsense"], ["127.1"], [""]])
@in_a_loop
async def test_an_answer_that_is_no_address_is_none(answer: list[str]) -> None:
    async with fetching(Names(host_test=[answer])) as fetcher:
        assert "the host host.test is not known" in await refusal(fetcher, "https://host.test/")


@in_a_loop
async def test_a_name_that_is_rebound_reaches_nothing_new(certificate: tuple[Path, Path]) -> None:
    """First the site's address, then the canary's: one look-up for each request, and none of them remembered."""

    resolve = names(rebind_pictures_test=[[SITE], [CANARY]])
    async with (
        Canary().listening() as canary,
        Site(certificate).listening() as site,
        fetching(resolve, site) as fetcher,
    ):
        site.replies["/a"] = says()
        url = site.url("/a", "rebind.pictures.test")
        assert (await fetcher.fetch(url, PARAM)).data == PNG
        assert resolve.asked == ["rebind.pictures.test"]
        assert "not at public addresses" in await refusal(fetcher, url)
        assert "not at public addresses" in await refusal(fetcher, url.replace(str(site.port), str(canary.port)))
    assert canary.count == 0
    assert len(site.heads) == 1


@in_a_loop
async def test_the_socket_itself_is_guarded(monkeypatch: pytest.MonkeyPatch) -> None:
    """aiohttp asks no resolver about an address: were it overlooked before, no socket would be made for it."""
    monkeypatch.setattr(fetch, "_literal", lambda host: None)

    async with Canary().listening() as canary, fetching(everything_is_the_canary) as fetcher:
        for host in ("127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "127.1"):
            await refusal(fetcher, f"https://{host}:{canary.port}/")
    assert canary.count == 0


@pytest.mark.parametrize(
    "location",
    [
        *("https://127.0.0.1:{port}/", "https://[::1]:{port}/", "https://canary.test:{port}/", "https://127.1:{port}/"),
        *("//127.0.0.1:{port}/", "https://mixed.test:{port}/", "https://[::ffff:127.0.0.1]:{port}/"),
        *("http://127.0.0.1:{port}/", "http://canary.test:{port}/", "http://pictures.test/", "file:///etc/passwd"),
        *("ftp://127.0.0.1:{port}/", "data:image/png;base64,aGk=", "javascript:1", "https://u:p@canary.test:{port}/"),
        *("https://u@pictures.test/", "https://[", "https://unknown.test/", "https://\udcff/"),
    ],
)
@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
@in_a_loop
async def test_no_redirect_leads_to_a_private_address(
    certificate: tuple[Path, Path], location: str, status: str
) -> None:
    resolve = names(canary_test=[[CANARY]], mixed_test=[[SITE, CANARY]])
    async with (
        Canary().listening() as canary,
        Site(certificate).listening() as site,
        fetching(resolve, site) as fetcher,
    ):
        target = location.replace("{port}", str(canary.port)).encode("utf-8", "surrogateescape").decode("latin-1")
        site.replies["/a"] = goes_to(target, status)
        await refusal(fetcher, site.url("/a"))
    assert canary.count == 0
    assert len(site.heads) == 1


# What is fetched


@in_a_loop
async def test_a_file_is_fetched_and_nothing_of_ours_goes_along(
    certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".netrc").write_text(f"machine {NAME} login me password secret\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))

    resolve = names()
    async with Site(certificate).listening() as site, fetching(resolve, site) as fetcher:
        site.replies["/a?b=%2F"] = says(media_type="Image/PNG; x=y", Set_Cookie="a=b; Secure")
        for _ in range(2):
            assert await fetcher.fetch(site.url("/a?b=%2F#here"), PARAM) == Fetched("image/png", PNG)
        assert site.heads[0] == site.heads[1]
        lines = site.heads[0].split("\r\n")
        assert lines[0] == "GET /a?b=%2F HTTP/1.1"
        assert sorted(line for line in lines[1:] if line) == [
            "Accept-Encoding: identity",
            "Accept: */*",
            "Connection: close",
            f"Host: {NAME}:{site.port}",
            f"User-Agent: augment-open-proxy/{__version__}",
        ]
        assert resolve.asked == [NAME, NAME]


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("/a%2Fb/%7e?x=%2F%3d&y=a+b&z=%zz", "/a%2Fb/%7e?x=%2F%3d&y=a+b&z=%zz"),
        ("/ä b?ö=\r\n", "/%C3%A4%20b?%C3%B6="),
        ("?x", "/?x"),
        ("", "/"),
    ],
)
@in_a_loop
async def test_a_url_goes_out_as_it_is_written(certificate: tuple[Path, Path], path: str, sent: str) -> None:
    """A signature may cover its very spelling; only what no request can hold is quoted."""

    async with Site(certificate).listening() as site, fetching(names(), site) as fetcher:
        site.replies |= {"/start": goes_to(site.url(path).encode().decode("latin-1")), sent: says()}
        assert (await fetcher.fetch(site.url(path), PARAM)).data == PNG
        if "\n" not in path:
            assert (await fetcher.fetch(site.url("/start"), PARAM)).data == PNG


@pytest.mark.parametrize("host", [SITE, f"{NAME}.", NAME.upper()])
@in_a_loop
async def test_other_ways_to_name_an_allowed_host(certificate: tuple[Path, Path], host: str) -> None:
    resolve = names(pictures_test_=[[SITE]])
    async with Site(certificate).listening() as site, fetching(resolve, site) as fetcher:
        site.replies["/a"] = says()
        assert (await fetcher.fetch(site.url("/a", host), PARAM)).data == PNG


@in_a_loop
async def test_redirects_within_the_limit_are_followed_each_looked_up_anew(certificate: tuple[Path, Path]) -> None:
    resolve = names()
    async with Site(certificate).listening() as site, fetching(resolve, site) as fetcher:
        site.replies["/a"] = goes_to("/b", "301 Moved")
        site.replies["/b"] = goes_to(site.url("/c", "cdn.pictures.test"), "307 Temporary")
        site.replies["/c"] = goes_to("d?e#f", "308 Permanent")
        site.replies["/d?e"] = says()
        assert (await fetcher.fetch(site.url("/a"), PARAM)).data == PNG
        assert resolve.asked == [NAME, NAME, "cdn.pictures.test", "cdn.pictures.test"]
        assert not any("referer" in head.lower() for head in site.heads)


@in_a_loop
async def test_a_fourth_redirect_is_not_followed(certificate: tuple[Path, Path]) -> None:
    async with Site(certificate).listening() as site, fetching(names(), site) as fetcher:
        site.replies["/a"] = goes_to("/a")
        assert "redirects more than 3 times" in await refusal(fetcher, site.url("/a"))
        assert len(site.heads) == 4


def test_it_works_in_the_event_loop_of_the_server(certificate: tuple[Path, Path]) -> None:
    uvloop = pytest.importorskip("uvloop")

    async def main() -> None:
        async with (
            asyncio.timeout(20),
            Canary().listening() as canary,
            Site(certificate).listening() as site,
            fetching(names(), site) as fetcher,
        ):
            site.replies |= {"/a": goes_to("/b"), "/b": says(), "/c": goes_to(f"https://127.0.0.1:{canary.port}/")}
            assert (await fetcher.fetch(site.url("/a"), PARAM)).data == PNG
            await refusal(fetcher, site.url("/c"))
            assert canary.count == 0

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


# What goes wrong


@pytest.mark.parametrize(
    ("reply", "says_so"),
    [
        (says(status="404 Not Found"), "pictures.test answers with status 404"),
        (says(status="206 Partial Content"), "status 206"),
        (says(b"", "204 No Content"), "status 204"),
        (says(b"", "304 Not Modified"), "status 304"),
        (says(status="300 Multiple Choices"), "status 300"),
        (says(status="500 Oops"), "status 500"),
        (says(b"", "302 Found"), "redirects without saying where"),
        (says(b""), "it is empty"),
        (says(b"x", length=1001), "it is larger than"),
        (says(b"x" * 1001), "it is larger than"),
        (says(b"x" * 1001, length=None), "it is larger than"),
        (endless_chunks, "it is larger than"),
        (says(zlib.compress(bytes(10_000_000), wbits=31), Content_Encoding="gzip"), "it is larger than"),
        (says(zlib.compress(bytes(1001)), Content_Encoding=" Deflate"), "it is larger than"),
        (says(zlib.compress(PNG, wbits=31)[:-9], Content_Encoding="gzip"), "it ends early"),
        (
            says(zlib.compress(b"", 0, 31)[:10] + b"\0\0\0\xff\xff" * 201, length=None, Content_Encoding="gzip"),
            "it is larger than",
        ),
        (says(PNG, Content_Encoding="gzip"), "it cannot be unpacked"),
        (says(PNG, Content_Encoding="br"), "it is encoded as 'br'"),
        (says(PNG, Content_Encoding="gzip, gzip"), "it is encoded as 'gzip, gzip'"),
        (says(b"x", length=9), "the connection broke"),
        (says(b"x", length=None, Transfer_Encoding="chunked"), "the connection broke"),
        (says(b"x", "nonsense"), "the connection broke"),
        (says(b"x", length=None, A="b" * 100_000), "the connection broke"),
        (silent, "it took more than 0.5 s"),
        (drips, "it took more than 0.5 s"),
    ],
)
@in_a_loop
async def test_a_bad_answer_is_refused_with_its_reason(
    certificate: tuple[Path, Path], reply: Reply, says_so: str
) -> None:
    bounds = Bounds(size=1000, seconds=0.5 if says_so.startswith("it took") else 5)
    async with Site(certificate).listening() as site, fetching(names(), site, bounds) as fetcher:
        site.replies["/a"] = reply
        assert says_so in await refusal(fetcher, site.url("/a"))


@pytest.mark.parametrize(
    "reply",
    [
        says(b"x" * 1000),
        says(b"x" * 1000, length=None),
        says(zlib.compress(b"x" * 1000, wbits=31), Content_Encoding="gzip"),
        says(zlib.compress(b"x" * 1000), Content_Encoding="deflate"),
        says(zlib.compress(b"x" * 1000) + b"left over", Content_Encoding="deflate"),
        packed_then_silent,
        says(b"x" * 1000, media_type=" ;nonsense\\/ \xff"),
        says(b"3e8\r\n" + b"x" * 1000 + b"\r\n0\r\n\r\n", length=None, Transfer_Encoding="chunked"),
    ],
)
@in_a_loop
async def test_a_file_as_large_as_the_limit_is_fetched(certificate: tuple[Path, Path], reply: Reply) -> None:
    async with Site(certificate).listening() as site, fetching(names(), site, SMALL) as fetcher:
        site.replies["/a"] = reply
        assert (await fetcher.fetch(site.url("/a"), PARAM)).data == b"x" * 1000


@in_a_loop
async def test_the_time_is_for_everything_together(certificate: tuple[Path, Path]) -> None:
    async def slow(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.2)
        await goes_to("/a")(_, writer)

    async def never(host: str, port: int) -> list[str]:
        await asyncio.sleep(60)
        return [SITE]

    bounds = Bounds(seconds=0.5)
    async with Site(certificate).listening() as site:
        site.replies["/a"] = slow
        async with fetching(names(), site, bounds) as fetcher:
            assert "took more than 0.5 s" in await refusal(fetcher, site.url("/a"))
        async with fetching(never, site, bounds) as fetcher:
            assert "took more than 0.5 s" in await refusal(fetcher, site.url("/a"))


@in_a_loop
async def test_a_cancelled_fetch_ends_at_once(certificate: tuple[Path, Path]) -> None:
    async with Site(certificate).listening() as site, fetching(names(), site) as fetcher:
        site.replies["/a"] = silent
        task = asyncio.create_task(fetcher.fetch(site.url("/a"), PARAM))
        await until(lambda: len(site.heads) == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: site.open == 0)


@in_a_loop
async def test_the_host_s_certificate_is_verified(certificate: tuple[Path, Path]) -> None:
    resolve = names(other_test=[[SITE]])
    async with Site(certificate).listening() as site:
        async with fetching(resolve, site) as fetcher:
            assert "the certificate of other.test" in await refusal(fetcher, site.url("/a", "other.test"))
        async with fetching(resolve, allowed=only_the_site) as fetcher:
            assert f"the certificate of {NAME} is not trusted" in await refusal(fetcher, site.url("/a"))
        assert site.heads == []


@in_a_loop
async def test_a_host_that_is_down_or_unknown_is_named() -> None:
    with socket.create_server((CANARY, 0)) as listener:
        port = listener.getsockname()[1]
    async with fetching(Names(host_test=[[CANARY]]), allowed=lambda address: True) as fetcher:
        assert "host.test cannot be reached (" in await refusal(fetcher, f"https://host.test:{port}/")
        assert "the host nowhere.test is not known" in await refusal(fetcher, f"https://nowhere.test:{port}/")


@in_a_loop
async def test_a_message_repeats_no_secret_of_the_url() -> None:
    async with fetching(Names(host_test=[[CANARY]])) as fetcher:
        for url in ("https://me:secret@host.test/", "https://host.test/secret?secret", "https://a b/secret"):
            assert "secret" not in await refusal(fetcher, url)


@in_a_loop
async def test_fetching_can_be_turned_off() -> None:
    resolve = names()
    fetcher = Fetcher(enabled=False, resolve=resolve)
    assert "AOP_FETCH_URLS" in await refusal(fetcher, f"https://{NAME}/")
    await fetcher.close()
    assert resolve.asked == []


@in_a_loop
async def test_where_a_proxy_is_set_only_what_no_proxy_names_is_fetched(
    certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Canary().listening() as canary, Site(certificate).listening() as site:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{CANARY}:{canary.port}")
        monkeypatch.setenv("NO_PROXY", f"localhost,{NAME}")
        async with fetching(names(elsewhere_test=[[SITE]]), site) as fetcher:
            site.replies["/a"] = says()
            assert (await fetcher.fetch(site.url("/a"), PARAM)).data == PNG
            message = await refusal(fetcher, site.url("/a", "elsewhere.test"))
            assert "HTTPS_PROXY" in message
            assert "NO_PROXY" in message
    assert canary.count == 0


# Many


@in_a_loop
async def test_many_are_fetched_in_order_each_once_and_four_at_a_time(certificate: tuple[Path, Path]) -> None:
    async with Site(certificate).listening() as site, fetching(names(), site) as fetcher:
        for number in range(9):
            body = b"%d" % number

            async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes = body) -> None:
                await asyncio.sleep(0.05)
                await says(body)(reader, writer)

            site.replies[f"/{number}"] = reply
        order = [8, 3, 3, 0, 1, 2, 4, 5, 6, 7, 8]
        files = await fetcher.fetch_all([(site.url(f"/{number}"), PARAM) for number in order])
        assert [int(file.data) for file in files] == order
        assert len(site.heads) == 9
        assert site.most_open <= 4
        assert await fetcher.fetch_all([]) == []


@in_a_loop
async def test_the_first_failure_ends_all_and_names_its_own_place(certificate: tuple[Path, Path]) -> None:
    async with Site(certificate).listening() as site, fetching(names(), site) as fetcher:
        site.replies |= {"/a": silent, "/b": says(status="404 Not Found")}
        with pytest.raises(ProxyError) as caught:
            await fetcher.fetch_all([(site.url("/a"), "a"), (site.url("/b"), "b"), (site.url("/b"), "c")])
        assert caught.value.problem.param == "b"


@in_a_loop
async def test_the_files_of_one_request_are_bounded_together(certificate: tuple[Path, Path]) -> None:
    bounds = Bounds(total=1999)
    async with Site(certificate).listening() as site, fetching(names(), site, bounds) as fetcher:
        site.replies |= {"/a": says(b"x" * 1000), "/b": says(b"x" * 1000)}
        wanted = [(site.url("/a"), "a"), (site.url("/b"), "b")]
        assert len(await fetcher.fetch_all(wanted[:1] * 9)) == 9
        with pytest.raises(ProxyError, match="exceed"):
            await fetcher.fetch_all(wanted)
