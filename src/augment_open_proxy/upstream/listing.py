"""Asking the `auggie` CLI which models the account has, behind the requests and never in their way."""

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence

from augment_open_proxy.upstream.catalog import BUILT_IN, Catalog, Model, parse_listing

TIME_LIMIT = 20.0
"""Seconds that the CLI may take."""
RETRY_AFTER = 30.0
"""Seconds until a failed listing is tried again."""
MAX_AGE = 3600.0
"""Seconds until a listing is asked for anew."""

_log = logging.getLogger(__name__)


class ListingFailed(Exception):  # noqa: N818 (an outcome that callers expect)
    """The CLI gave no listing; the message says why."""


class Listing:
    """Holds the last catalog that is known, and sees to it that a newer one comes.

    `command` is the CLI's argv (`None`: no CLI, the built-in list serves for good).
    """

    def __init__(
        self,
        command: Sequence[str] | None,
        disabled: Sequence[str] = (),
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._command = command
        self._disabled = disabled
        self._now = now
        self._catalog = Catalog(BUILT_IN, disabled)
        self._next_refresh = now()
        self._refreshing: asyncio.Task[None] | None = None

    def current(self) -> Catalog:
        """The last catalog, at once; where it is old, a newer one is fetched behind."""
        if self._command is not None and self._refreshing is None and self._now() >= self._next_refresh:
            self._refreshing = asyncio.create_task(self.refresh())
            self._refreshing.add_done_callback(self._refreshed)
        return self._catalog

    async def refresh(self) -> None:
        """Ask the CLI now. Where it fails, the last catalog stays, and the log says why."""
        if self._command is None:
            return
        try:
            models = await ask_cli(self._command)
        except ListingFailed as failure:
            self._next_refresh = self._now() + RETRY_AFTER
            _log.warning("auggie models list failed, the last known models serve: %s", failure)
            return
        self._catalog = Catalog(models, self._disabled)
        self._next_refresh = self._now() + MAX_AGE

    async def close(self) -> None:
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.wait([self._refreshing])

    def _refreshed(self, task: asyncio.Task[None]) -> None:
        self._refreshing = None
        if not task.cancelled() and task.exception() is not None:
            _log.error("listing the models failed", exc_info=task.exception())


def find_cli() -> tuple[str, ...] | None:
    """The argv that lists the models, where the CLI is installed (`auggie.cmd` on Windows included)."""
    path = shutil.which("auggie")
    return None if path is None else (path, "models", "list", "--json")


async def ask_cli(command: Sequence[str]) -> tuple[Model, ...]:
    """Run the CLI, at most `TIME_LIMIT`. Raises `ListingFailed`."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=os.name == "posix",
        )
    except OSError as error:
        raise ListingFailed(f"{command[0]} could not be run: {error}") from error
    try:
        async with asyncio.timeout(TIME_LIMIT):
            output, errors = await process.communicate()
    except TimeoutError:
        await _end(process)
        raise ListingFailed(f"no answer within {TIME_LIMIT:.0f} s") from None
    except BaseException:
        await _end(process)
        raise
    if process.returncode:
        raise ListingFailed(f"exit code {process.returncode}: {errors.decode(errors='replace').strip()[-300:]}")
    try:
        return parse_listing(output)
    except ValueError as error:
        raise ListingFailed(str(error)) from error


async def _end(process: asyncio.subprocess.Process) -> None:
    """End the CLI and what it started: a child may hold the pipes open after the CLI itself has ended."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    await process.wait()
    transport: asyncio.SubprocessTransport = process._transport  # type: ignore[attr-defined]  # there is no public way
    transport.close()
