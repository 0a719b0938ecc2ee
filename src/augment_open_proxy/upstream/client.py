"""The way to the backend: one method, `stream`, that posts a body and gives bytes back.

It promises: a pool of kept-alive connections, proxies from the environment (`HTTPS_PROXY`, `NO_PROXY`), extra CA files,
the three timeouts, and that what goes wrong is a `ProxyError`. Leaving the `async with` closes the call.
"""

import asyncio
import math
import ssl
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from msgspec import Struct

from augment_open_proxy.core.errors import ErrorKind, Problem, ProxyError, Remedy
from augment_open_proxy.upstream import problems
from augment_open_proxy.upstream.http.address import Address, AddressError, HeaderError, parse_address
from augment_open_proxy.upstream.http.coding import CodingError, UnknownCodingError, Unpacker, unpacker_of
from augment_open_proxy.upstream.http.connection import Connection, Take, reason_of
from augment_open_proxy.upstream.http.opening import distrust, open_connection, trusting
from augment_open_proxy.upstream.http.pool import Pool
from augment_open_proxy.upstream.http.proxying import ProxyUnusableError, environment_proxies

_ERROR_BODY_LIMIT = 64 * 1024
_ERROR_BODY_SECONDS = 10.0
_ADDRESSES_LIMIT = 16
"""How many URLs are remembered taken apart; there is one, until the credentials name another."""


class Timeouts(Struct, frozen=True):
    """In seconds; `None` is off. `headers` runs until the first byte of the answer, `body` between two chunks."""

    connect: float | None
    headers: float | None
    body: float | None


class Patience(Struct, frozen=True):
    """How long a silence is borne where another model might not be silent, in seconds: until the first byte of the
    answer's body, counted from the request, and between two chunks; `None` is as long as the timeouts say.
    """

    first_byte: float | None = None
    stall: float | None = None


NO_HURRY = Patience()


class Limit(Struct, frozen=True):
    """How long a wait may take, in seconds, and what it is called: what the backend did not do, and the setting."""

    seconds: float | None
    what: str
    setting: str
    remedy: Remedy | None = None

    def due(self, since: float) -> float:
        """When a wait that began at `since` has taken too long, by the same clock."""
        return math.inf if self.seconds is None else since + self.seconds


def _shorter(limit: Limit, other: Limit) -> Limit:
    if other.seconds is None or (limit.seconds is not None and limit.seconds <= other.seconds):
        return limit
    return other


class Answer:
    """The body of an answer, chunk by chunk as it arrives."""

    __slots__ = ("_between", "_connection", "_first", "_is_first", "_loop", "_since", "_unpacker")

    def __init__(
        self, connection: Connection, unpacker: Unpacker | None, first: Limit, since: float, between: Limit
    ) -> None:
        """`first` is the limit of the wait for the first byte, which began at `since`; `between` that of each later."""
        self._loop = asyncio.get_running_loop()
        self._connection = connection
        self._unpacker = unpacker
        self._first = first
        self._is_first = True
        self._since = since
        self._between = between

    @property
    def is_at_end(self) -> bool:
        """Whether nothing more is to be read; where it is not known, it is not."""
        return self._connection.is_complete and not self._connection.has_data and self._unpacker is None

    @property
    def content_type(self) -> bytes:
        return self._connection.headers.get(b"content-type", b"")

    async def pump(self, take: Take, silence: float | None = None) -> bytes | None:
        """Give `take` what arrives: `None` once it wants no more, else what is known to be the last, not given to it.

        A silence of `silence` seconds counts as the end. What arrives is given on in the very call that brings it, and
        no task wakes up for it. Raises `ProxyError`, and what `take` raises.
        """
        connection, unpacker = self._connection, self._unpacker
        while True:
            data = connection.take() if unpacker is None else await self._unpacked(unpacker)
            if data:
                self._is_first = False
                if self.is_at_end:
                    return data
                if not take(data):
                    return None
            elif connection.is_complete:
                return b""
            elif connection.failure is not None:
                raise ProxyError(_broken(connection.failure))
            else:
                pause = self._between.due(0.0) if silence is None else silence
                await connection.news(self._due(silence), take if unpacker is None else None, pause)
                self._is_first = self._is_first and not connection.has_pushed
                if connection.has_pushed_enough:
                    return None
                if connection.is_overdue:
                    if silence is not None:
                        return b""
                    raise ProxyError(_overdue(self._first if self._is_first else self._between))

    def _due(self, silence: float | None) -> float:
        """When a wait that begins now has taken too long, by the loop's clock."""
        if silence is not None:
            return self._loop.time() + silence
        return self._first.due(self._since) if self._is_first else self._between.due(self._loop.time())

    async def read_error(self) -> bytes:
        """The body of an answer that is no success, within bounds; what is there of it where it breaks."""
        body = bytearray()

        def take(data: bytes) -> bool:
            body.extend(data)
            return len(body) < _ERROR_BODY_LIMIT

        with suppress(ProxyError, TimeoutError):  # its status is known, and says more
            async with asyncio.timeout(_ERROR_BODY_SECONDS):
                body.extend(await self.pump(take) or b"")
        return bytes(body[:_ERROR_BODY_LIMIT])

    async def _unpacked(self, unpacker: Unpacker) -> bytes:
        """The next step of what has arrived; empty where there is none. Raises `ProxyError`."""
        await asyncio.sleep(0)  # one read of the network may hold a thousand steps, and others want to run
        try:
            data = unpacker.take()
            while not data and self._connection.has_data:
                unpacker.feed(self._connection.take())
                data = unpacker.take()
            if not data and self._connection.is_complete:
                unpacker.close()
        except CodingError as error:
            raise ProxyError(_broken(str(error))) from None
        return data


class Call:
    """A request and its answer: it is sent on entering, and the connection kept or closed on leaving."""

    __slots__ = ("_body", "_client", "_connection", "_headers", "_patience", "_url")

    def __init__(self, client: "Client", url: str, headers: dict[str, str], body: bytes, patience: Patience) -> None:
        self._client = client
        self._url = url
        self._headers = headers
        self._body = body
        self._patience = patience
        self._connection: Connection | None = None

    async def __aenter__(self) -> Answer:
        """The answer, whose status was 200. Raises `ProxyError`."""
        client = self._client
        address = client.address(self._url)
        request_head = _request_head(address, self._headers, len(self._body))
        limits = client.limits(self._patience)
        since = client.loop.time()
        kept = client.pool.take(address.origin)
        connection = kept or await client.open(address, since, limits.head)
        try:
            connection.send(request_head, self._body)
            due = limits.head.due(since)
            while not connection.has_head:
                if connection.failure is not None:
                    if connection is not kept or connection.has_answered:
                        raise ProxyError(_broken_before(connection.failure))
                    connection = await client.open(address, since, limits.head)
                    connection.send(request_head, self._body)
                await connection.news(due)
                if connection.is_overdue:
                    raise ProxyError(_overdue(limits.head))
            if connection.status != 200:
                raise ProxyError(await _problem(connection, self._headers.get("Authorization", "")))
            unpacker = _unpacker(connection)
        except BaseException:
            client.pool.give_back(connection)
            raise
        self._connection = connection
        if self._patience.first_byte is None:
            since = client.loop.time()  # the wait for the first byte of the body is one of its own
        return Answer(connection, unpacker, limits.first_byte, since, limits.between)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._connection is not None:
            self._client.pool.give_back(self._connection)


class _Limits(Struct, frozen=True):
    """Of the wait for the head, for the first byte of the body, and for each next chunk."""

    head: Limit
    first_byte: Limit
    between: Limit


class Client:
    """Talks HTTP to the backend. To be made and closed inside a running event loop."""

    def __init__(self, timeouts: Timeouts, ca_file: Path | None = None) -> None:
        """`ca_file` is a PEM file of CAs to trust beside the system's."""
        self._timeouts = timeouts
        self._context = trusting(ca_file)
        self._context.set_alpn_protocols(["http/1.1"])
        self._connect = Limit(timeouts.connect, "could not be reached within", "AOP_CONNECT_TIMEOUT_MS", "again")
        self._known_limits: dict[Patience, _Limits] = {}
        self._proxies = environment_proxies()
        self._addresses: dict[str, Address] = {}
        self.loop = asyncio.get_running_loop()
        self.pool = Pool()

    async def close(self) -> None:
        await self.pool.close()

    def stream(self, url: str, headers: dict[str, str], body: bytes, patience: Patience = NO_HURRY) -> Call:
        """Post `body`, and read the answer inside `async with`. Entering and reading raise `ProxyError`."""
        return Call(self, url, headers, body, patience)

    def address(self, url: str) -> Address:
        """Raises `ProxyError`."""
        known = self._addresses.get(url)
        if known is not None:
            return known
        try:
            address = parse_address(url, self._proxies)
        except AddressError:
            message = "The address of the Augment backend (AUGMENT_API_URL) is invalid."
            raise ProxyError(Problem(ErrorKind.AUTHENTICATION, message)) from None
        except ProxyUnusableError as error:
            raise ProxyError(_proxy_unusable(error)) from None
        if len(self._addresses) >= _ADDRESSES_LIMIT:
            self._addresses.clear()
        self._addresses[url] = address
        return address

    def limits(self, patience: Patience) -> _Limits:
        known = self._known_limits.get(patience)
        if known is None:
            timeouts = self._timeouts
            head = Limit(timeouts.headers, "did not begin its answer within", "AOP_HEADERS_TIMEOUT_MS")
            first_byte = Limit(patience.first_byte, "sent nothing for", "AOP_FIRST_BYTE_TIMEOUT_MS", "other_model")
            body = Limit(timeouts.body, "sent nothing more for", "AOP_BODY_TIMEOUT_MS")
            stall = Limit(patience.stall, "sent nothing more for", "AOP_STALL_TIMEOUT_MS", "other_model")
            known = _Limits(
                _shorter(head, first_byte),
                body if patience.first_byte is None else first_byte,
                _shorter(body, stall),
            )
            self._known_limits[patience] = known
        return known

    async def open(self, address: Address, since: float, head: Limit) -> Connection:
        """A new connection; the wait for the answer's head, whose limit is `head`, began at `since`.

        Raises `ProxyError`.
        """
        limit = _shorter(self._connect, head)
        due = limit.due(since)
        connection = self.pool.new(address.origin)
        scope = asyncio.timeout_at(None if due == math.inf else due)
        try:
            async with scope:
                await open_connection(address, self._context, connection)
        except ProxyUnusableError as error:
            raise ProxyError(_proxy_unusable(error)) from error
        except OSError as error:
            raise ProxyError(_overdue(limit) if scope.expired() else _unreachable(error)) from error
        self.pool.add(connection)
        return connection


def _request_head(address: Address, headers: dict[str, str], length: int) -> bytes:
    try:
        return address.request_head(headers, length)
    except HeaderError:
        message = "The token of the Augment backend (AUGMENT_API_TOKEN) holds what no header may, such as a line break."
        raise ProxyError(Problem(ErrorKind.AUTHENTICATION, message)) from None


def _unpacker(connection: Connection) -> Unpacker | None:
    """What unpacks the answer's body. Raises `ProxyError`."""
    try:
        return unpacker_of(connection.headers.get(b"content-encoding"))
    except UnknownCodingError as error:
        message = f"The answer of the Augment backend cannot be read: {error}."
        raise ProxyError(Problem(ErrorKind.BACKEND, message)) from None


async def _problem(connection: Connection, authorization: str) -> Problem:
    """What a status that is not 200 means; its body is read within bounds, and never quotes our token."""
    status = connection.status
    if 300 <= status < 400:
        return Problem(
            ErrorKind.BACKEND,
            f"The Augment backend redirects (status {status}), and a prompt is never posted to another "
            "address: check AUGMENT_API_URL, or run `auggie login` again.",
        )
    headers = connection.headers
    retry_after = _seconds(headers.get(b"retry-after", b""))
    content_type = headers.get(b"content-type", b"").decode("latin-1")
    body = await _error_body(connection)
    token = authorization.removeprefix("Bearer ").encode()
    body = body.replace(token, b"***") if token else body
    return problems.from_status(status, body, content_type, retry_after)


async def _error_body(connection: Connection) -> bytes:
    no_limit = Limit(None, "", "")
    try:
        unpacker = unpacker_of(connection.headers.get(b"content-encoding"))
    except UnknownCodingError:
        return b""  # the status says enough
    return await Answer(connection, unpacker, no_limit, 0.0, no_limit).read_error()


def _seconds(retry_after: bytes) -> float | None:
    """Retry-After in seconds; its date form is rare, and left out."""
    try:
        seconds = float(retry_after)
    except ValueError:
        return None
    return seconds if 0 <= seconds < 1e9 else None


def _unreachable(error: OSError) -> Problem:
    if isinstance(error, ssl.SSLCertVerificationError):
        return Problem(ErrorKind.BACKEND, f"The certificate of the Augment backend is not trusted {distrust(error)}.")
    message = f"The Augment backend cannot be reached: {reason_of(error)}. Check the network, and AUGMENT_API_URL."
    return Problem(ErrorKind.BACKEND, message, remedy="again")


def _proxy_unusable(error: ProxyUnusableError) -> Problem:
    message = f"The HTTP proxy (HTTPS_PROXY) cannot be used: {error}."
    return Problem(ErrorKind.BACKEND, message, remedy="again" if error.passes else None)


def _broken_before(reason: str) -> Problem:
    message = f"The connection to the Augment backend broke before its answer: {reason[:300]}."
    return Problem(ErrorKind.BACKEND, message, remedy="again")


def _broken(reason: str) -> Problem:
    message = f"The connection to the Augment backend broke: {reason[:300]}."
    return Problem(ErrorKind.BACKEND, message, remedy="again")


def _overdue(limit: Limit) -> Problem:
    advice = (
        ""
        if limit.remedy != "other_model"
        else " Some prompts do this to some models: reword the prompt, or use "
        "another model (for claude-sonnet-4-6: claude-sonnet-4-5; AOP_FALLBACK_MODELS lets the proxy do so by itself)."
    )
    message = f"The Augment backend {limit.what} {limit.seconds or 0:g} s ({limit.setting}).{advice}"
    return Problem(ErrorKind.TIMEOUT, message, remedy=limit.remedy)
