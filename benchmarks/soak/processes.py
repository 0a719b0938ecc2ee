"""The simulator and the proxy, each a child process that is ended by its id; and what the system knows of the proxy."""

import asyncio
import os
import resource
import signal
import socket
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from augment_open_proxy.simulator import DEFAULT_TOKEN
from benchmarks.model import BenchmarkError
from benchmarks.servers import ROOT
from benchmarks.soak.backend import Counts

START_SECONDS, STOP_SECONDS = 20.0, 40.0
"""How long a process may take; the proxy lets replies end for up to 30 s."""
FILES_FOR_EACH_STREAM, FILES_BESIDE = 3, 256


class Figures(Struct, frozen=True):
    """Of a process: its open descriptors, and its resident memory in MiB."""

    descriptors: int
    memory: float


def allow_files(streams: int) -> None:
    """Raise our limit of open files, which the children inherit, so that there is room for so many streams."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = streams * FILES_FOR_EACH_STREAM + FILES_BESIDE
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise BenchmarkError(f"{wanted} open files are needed, and the system allows {hard} (ulimit -Hn)")
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class Backend:
    """The simulator's process."""

    def __init__(self, url: str, process: Process) -> None:
        self.url = url
        self._process = process

    async def counts(self) -> Counts:
        """Raises `BenchmarkError` where it does not answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        return msgspec.json.decode(await _line(self._process), type=Counts)


@asynccontextmanager
async def backend() -> AsyncIterator[Backend]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.soak.backend", cwd=ROOT, stdin=PIPE, stdout=PIPE
    )
    try:
        yield Backend((await _line(process)).decode().strip(), process)
    finally:
        await _end(process)


async def _line(process: Process) -> bytes:
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_SECONDS):
            line = await process.stdout.readline()
    except TimeoutError:
        line = b""
    if not line:
        raise BenchmarkError("the simulator does not answer")
    return line


class Proxy:
    """The proxy as a user has it: the command, default settings, its state in a folder. It is restarted at its port."""

    def __init__(self, folder: Path, backend_url: str) -> None:
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "proxy.log"
        self.exit_codes: list[int] = []
        self._home = folder
        self._environment = {
            "HOME": str(folder),
            "PATH": str(folder / "bin"),  # where no `auggie` is found
            "LANG": "C.UTF-8",
            "AUGMENT_API_TOKEN": DEFAULT_TOKEN,
            "AUGMENT_API_URL": backend_url,
        }
        self._process: Process | None = None

    async def start(self) -> None:
        """Raises `BenchmarkError` where it does not answer in time; it listens before it can be ended in good order."""
        with self.log.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "augment_open_proxy", "--port", str(self.port)),
                cwd=self._home,
                env=self._environment,
                stdin=DEVNULL,
                stdout=output,
                stderr=output,
            )
        end = time.monotonic() + START_SECONDS
        while self._process.returncode is None and time.monotonic() < end:
            with suppress(OSError):
                if await self._is_live():
                    return
            await asyncio.sleep(0.02)
        raise BenchmarkError(f"the proxy did not start:\n{self.log.read_text(errors='replace')[-2000:]}")

    async def _is_live(self) -> bool:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = await reader.readline()
        writer.close()
        return answer.startswith(b"HTTP/1.1 200 ")

    async def stop(self) -> None:
        """Ask it to end, and wait until it has."""
        if self._process is not None:
            process, self._process = self._process, None
            self.exit_codes.append(await _end(process))

    def figures(self) -> Figures:
        assert self._process is not None
        place = Path(f"/proc/{self._process.pid}")
        pages = int((place / "statm").read_text().split()[1])
        return Figures(len(list((place / "fd").iterdir())), pages * os.sysconf("SC_PAGE_SIZE") / 2**20)


@asynccontextmanager
async def proxy(folder: Path, backend_url: str) -> AsyncIterator[Proxy]:
    running = Proxy(folder, backend_url)
    try:
        await running.start()
        yield running
    finally:
        await running.stop()


async def _end(process: Process) -> int:
    """SIGTERM, and SIGKILL for what does not heed it; gives the exit code."""
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(STOP_SECONDS):
            return await process.wait()
    except TimeoutError:
        process.kill()
        return await process.wait()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
