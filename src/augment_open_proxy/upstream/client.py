"""The only module that opens a connection to the backend: one method, `stream`, that posts a body and gives bytes back.

It promises: a pool of kept-alive connections, proxies from the environment (`HTTPS_PROXY`, `NO_PROXY`), extra CA files,
the three timeouts, and that what goes wrong is a `ProxyError`. Leaving the `async with` closes the call.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from msgspec import Struct

from augment_open_proxy.core.errors import ErrorKind, Problem, ProxyError, Remedy
from augment_open_proxy.upstream import problems

_ERROR_BODY_LIMIT = 64 * 1024
_ERROR_BODY_SECONDS = 10.0


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


def _shorter(limit: Limit, other: Limit) -> Limit:
    if other.seconds is None or (limit.seconds is not None and limit.seconds <= other.seconds):
        return limit
    return other


class Answer:
    """The body of an answer, chunk by chunk as it arrives."""

    def __init__(self, content: aiohttp.StreamReader, deadline: "Deadline", later: Limit) -> None:
        """`later` is the deadline's limit once the first byte is there."""
        self._content = content
        self._deadline = deadline
        self._later: Limit | None = later

    async def read(self) -> bytes:
        """What has arrived, at least one byte; empty at the end."""
        if self._later is None:
            self._deadline.start()
        data = await self._content.readany()
        self._deadline.stop()
        if self._later is not None:
            if self._later is not self._deadline.limit:
                self._deadline.change(self._later)
            self._later = None
        return data

    async def read_unless_silent(self, seconds: float) -> bytes:
        """Like `read`, but a silence of so many seconds counts as the end."""
        try:
            async with asyncio.timeout(seconds):
                return await self._content.readany()
        except TimeoutError:
            return b""


class Deadline:
    """Times the waits for the backend, and only those: one timer, set anew when it fires and not at each wait."""

    def __init__(self, scope: asyncio.Timeout, limit: Limit) -> None:
        self._scope = scope
        self._loop = asyncio.get_running_loop()
        self._since: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.limit = limit

    def start(self) -> None:
        self._since = self._loop.time()
        if self._timer is None:
            self._arm(self._since)

    def stop(self) -> None:
        self._since = None

    def change(self, limit: Limit) -> None:
        """Another limit for the waits to come; one that is on goes on."""
        self.close()
        self.limit = limit
        if self._since is not None:
            self._arm(self._since)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, since: float) -> None:
        if self.limit.seconds is not None:
            self._timer = self._loop.call_at(since + self.limit.seconds, self._fire)

    def _fire(self) -> None:
        self._timer = None
        now = self._loop.time()
        if self._since is None or self.limit.seconds is None:
            return
        if now - self._since >= self.limit.seconds:
            self._scope.reschedule(now)
        else:
            self._arm(self._since)


class Client:
    """Talks HTTP to the backend. To be made and closed inside a running event loop."""

    def __init__(self, timeouts: Timeouts, ca_file: Path | None = None, connections: int = 0) -> None:
        """`connections` bounds the pool (0: unbounded); `ca_file` is a PEM file of CAs to trust beside the system's."""
        self._timeouts = timeouts
        context = ssl.create_default_context()
        if ca_file is not None:
            context.load_verify_locations(ca_file)
        self._known_limits: dict[Patience, tuple[Limit, Limit, Limit]] = {}
        self._proxies = getproxies()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections, ssl=context, keepalive_timeout=60),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=timeouts.connect, sock_read=None),
            auto_decompress=True,
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=256 * 1024,
        )

    async def close(self) -> None:
        await self._session.close()

    def _proxy_for(self, url: str) -> str | None:
        """The HTTP proxy that the environment names for `url`; aiohttp's own look-up would read ~/.netrc as well."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        proxy = self._proxies.get(parts.scheme)
        if proxy is None or host in ("localhost", "127.0.0.1", "::1") or proxy_bypass(host):
            return None
        return proxy if "://" in proxy else f"http://{proxy}"

    def _limits(self, patience: Patience) -> tuple[Limit, Limit, Limit]:
        """Of the wait for the head, for the first byte of the body, and for each next chunk."""
        known = self._known_limits.get(patience)
        if known is None:
            timeouts = self._timeouts
            head = Limit(timeouts.headers, "did not begin its answer within", "AOP_HEADERS_TIMEOUT_MS")
            first_byte = Limit(patience.first_byte, "sent nothing for", "AOP_FIRST_BYTE_TIMEOUT_MS", "other_model")
            body = Limit(timeouts.body, "sent nothing more for", "AOP_BODY_TIMEOUT_MS")
            stall = Limit(patience.stall, "sent nothing more for", "AOP_STALL_TIMEOUT_MS", "other_model")
            known = (
                _shorter(head, first_byte),
                body if patience.first_byte is None else first_byte,
                _shorter(body, stall),
            )
            self._known_limits[patience] = known
        return known

    @contextlib.asynccontextmanager
    async def stream(
        self, url: str, headers: dict[str, str], body: bytes, patience: Patience = NO_HURRY
    ) -> AsyncIterator[Answer]:
        """Post `body`, and read the answer, whose status was 200. Raises `ProxyError`."""
        timeouts = self._timeouts
        head, first_byte, between = self._limits(patience)
        answering = False
        deadline: Deadline | None = None
        try:
            async with asyncio.timeout(None) as scope:
                deadline = Deadline(scope, head)
                deadline.start()
                async with self._session.post(
                    url, data=body, headers=headers, proxy=self._proxy_for(url), allow_redirects=False
                ) as response:
                    if response.status != 200:
                        deadline.close()
                        raise ProxyError(await _problem(response, headers["Authorization"]))
                    answering = True
                    if patience.first_byte is None:
                        deadline.start()  # the wait for the first byte of the body is one of its own
                    deadline.change(first_byte)
                    yield Answer(response.content, deadline, between)
        except TimeoutError as error:
            raise ProxyError(_timeout(error, deadline, timeouts)) from error
        except aiohttp.ClientError as error:
            raise ProxyError(_problem_of(error, answering)) from error
        finally:
            if deadline is not None:
                deadline.close()


async def _problem(response: aiohttp.ClientResponse, authorization: str) -> Problem:
    """What a status that is not 200 means; its body is read within bounds, and never quotes our token."""
    body = b""
    with contextlib.suppress(TimeoutError, aiohttp.ClientError):
        async with asyncio.timeout(_ERROR_BODY_SECONDS):
            body = await response.content.read(_ERROR_BODY_LIMIT)
    if 300 <= response.status < 400:
        return Problem(
            ErrorKind.BACKEND,
            f"The Augment backend redirects (status {response.status}), and a prompt is never posted to another "
            "address: check AUGMENT_API_URL, or run `auggie login` again.",
        )
    token = authorization.removeprefix("Bearer ").encode()
    body = body.replace(token, b"***") if token else body
    retry_after = _seconds(response.headers.get("Retry-After"))
    return problems.from_status(response.status, body, response.headers.get("Content-Type", ""), retry_after)


def _seconds(retry_after: str | None) -> float | None:
    """Retry-After in seconds; its date form is rare, and left out."""
    try:
        seconds = float(retry_after or "")
    except ValueError:
        return None
    return seconds if 0 <= seconds < 1e9 else None


def _problem_of(error: aiohttp.ClientError, answering: bool) -> Problem:
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return Problem(
                ErrorKind.BACKEND,
                f"The certificate of the Augment backend is not trusted ({error.certificate_error}); behind a "
                "company's proxy, name its CA file in AOP_CA_FILE.",
            )
        case aiohttp.ClientProxyConnectionError() | aiohttp.ClientHttpProxyError():
            return Problem(ErrorKind.BACKEND, f"The HTTP proxy (HTTPS_PROXY) cannot be used: {_reason(error)}.")
        case aiohttp.ClientConnectorError():
            return Problem(
                ErrorKind.BACKEND,
                f"The Augment backend cannot be reached: {_reason(error)}. Check the network, and AUGMENT_API_URL.",
                remedy="again",
            )
        case aiohttp.InvalidURL():
            return Problem(ErrorKind.AUTHENTICATION, "The address of the Augment backend (AUGMENT_API_URL) is invalid.")
        case _ if answering:
            return Problem(
                ErrorKind.BACKEND, f"The connection to the Augment backend broke: {_reason(error)}.", remedy="again"
            )
        case _:
            return Problem(
                ErrorKind.BACKEND,
                f"The connection to the Augment backend broke before its answer: {_reason(error)}.",
                remedy="again",
            )


def _reason(error: aiohttp.ClientError) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        return error.os_error.strerror or str(error.os_error) or type(error).__name__
    return " ".join(str(error).split()).rstrip(".")[:300] or type(error).__name__


def _timeout(error: TimeoutError, deadline: Deadline | None, timeouts: Timeouts) -> Problem:
    if isinstance(error, aiohttp.ConnectionTimeoutError) or deadline is None:
        limit = Limit(timeouts.connect, "could not be reached within", "AOP_CONNECT_TIMEOUT_MS", "again")
    else:
        limit = deadline.limit
    advice = (
        ""
        if limit.remedy != "other_model"
        else " Some prompts do this to some models: reword the prompt, or use "
        "another model (for claude-sonnet-4-6: claude-sonnet-4-5; AOP_FALLBACK_MODELS lets the proxy do so by itself)."
    )
    message = f"The Augment backend {limit.what} {limit.seconds or 0:g} s ({limit.setting}).{advice}"
    return Problem(ErrorKind.TIMEOUT, message, remedy=limit.remedy)
