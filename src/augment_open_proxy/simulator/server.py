"""The simulator's HTTP server: the only module here that does I/O. It plays what `backend.py` decides.

It runs in any event loop, on loopback unless told otherwise, and holds nothing back on exit: open calls are cut off.
"""

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Self, assert_never

import msgspec
from aiohttp import web

from augment_open_proxy.simulator.backend import Backend, Received
from augment_open_proxy.simulator.scenarios import MODEL_PREFIX, SCENARIOS
from augment_open_proxy.simulator.steps import Cut, Hang, Pause, Reset, Send, Stall, Status, Step

DEFAULT_TOKEN = "simulator-token"  # noqa: S105 (it opens nothing but a simulator)
_BODY_LIMIT = 256 * 2**20
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, for 0 s


class Simulator:
    """`async with Simulator() as sim:` serves at `sim.url` until the block ends."""

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        token: str = DEFAULT_TOKEN,
        *,
        delay: float = 0,
        keep: int = 100,
    ) -> None:
        """`delay` is the seconds between lines by default, `keep` how many received requests are kept."""
        self.requests: deque[Received] = deque(maxlen=keep)
        """The chat-stream requests received last, refused ones too."""
        self.open_calls = 0
        """How many calls are being answered now."""
        self.closed_early = 0
        """How many calls the client left before their end."""
        self.token = token
        self._host = host
        self._port = port
        self._backend = Backend(token, delay)
        self._calls: set[asyncio.Task[object]] = set()
        self._stopping = False
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """The tenant URL, without a slash at its end."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    def script(self, answer: bytes | Iterable[Step | bytes], times: int = 1) -> None:
        """The next `times` valid requests get exactly these bytes or steps, whatever they ask; first in, first out."""
        self._backend.script(answer, times)

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=_BODY_LIMIT)
        app.router.add_get("/", _describe)
        app.router.add_post("/chat-stream", self._chat_stream)
        app.router.add_route("*", "/{path:.*}", _not_found)
        self._stopping = False
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port, backlog=4096).start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopping = True
        for call in self._calls:
            call.cancel()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _chat_stream(self, request: web.Request) -> web.StreamResponse:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 (a handler runs in a task)
        self._calls.add(task)
        self.open_calls += 1
        try:
            received = self._backend.receive(
                {name.lower(): value for name, value in request.headers.items()}, await request.read()
            )
            self.requests.append(received)
            return await _play(request, received.steps)
        except (asyncio.CancelledError, ConnectionError):
            self.closed_early += not self._stopping
            raise
        finally:
            self.open_calls -= 1
            self._calls.discard(task)


async def _describe(_: web.Request) -> web.Response:
    about = {
        "service": "augment-open-proxy simulator",
        "models": f"{MODEL_PREFIX}<scenario>",
        "scenarios": list(SCENARIOS),
    }
    return _json(200, msgspec.json.encode(about))


async def _not_found(request: web.Request) -> web.Response:
    return _json(404, msgspec.json.encode({"error": f"{request.method} {request.path} is not served here"}))


def _json(status: int, body: bytes, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(status=status, body=body, headers={"Content-Type": "application/json", **(headers or {})})


async def _play(request: web.Request, steps: Sequence[Step]) -> web.StreamResponse:
    """One answer. Where it breaks the connection, aiohttp finds that closed and adds nothing."""
    response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
    for step in steps:
        match step:
            case Send(data):
                if not response.prepared:
                    await response.prepare(request)
                if data:
                    await response.write(data)
            case Pause(seconds):
                await asyncio.sleep(seconds)
            case Status(code, body, headers):
                return _json(code, body, headers)
            case Hang():
                await asyncio.get_running_loop().create_future()
            case Stall(seconds):
                await asyncio.sleep(seconds)
                _close(request)
                return response
            case Reset():
                _reset(request)
                return response
            case Cut():
                _close(request)
                return response
            case _:
                assert_never(step)
    return response


def _close(request: web.Request) -> None:
    """What was written still goes out, then FIN."""
    if request.transport is not None:
        request.transport.close()


def _reset(request: web.Request) -> None:
    if request.transport is not None:
        connection: socket.socket = request.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        request.transport.abort()
