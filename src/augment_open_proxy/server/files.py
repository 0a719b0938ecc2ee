"""The files that a request names by URL. What fetches them (`fetch.py`) is loaded at the first one: it takes 100 ms."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from augment_open_proxy.server.fetch import Fetcher


class Fetched(Struct, frozen=True):
    """A file. `media_type` is what its server declares, without parameters: look at `data` before you rely on it."""

    media_type: str
    data: bytes


class Files:
    """Fetches files. To be made and closed inside a running event loop."""

    def __init__(self, enabled: bool, ca_file: Path | None) -> None:
        """`ca_file` is a PEM file of CAs to trust beside the system's."""
        self._enabled = enabled
        self._ca_file = ca_file
        self._fetcher: Fetcher | None = None

    async def close(self) -> None:
        if self._fetcher is not None:
            await self._fetcher.close()

    async def fetch_all(self, wanted: Sequence[tuple[str, str]]) -> list[Fetched]:
        """The files at these (URL, `param`), in their order. Raises `ProxyError` that names the `param`."""
        if not wanted:
            return []
        fetcher_type = await asyncio.to_thread(_fetcher_type)
        if self._fetcher is None:
            self._fetcher = fetcher_type(self._enabled, self._ca_file)
        return await self._fetcher.fetch_all(wanted)


def _fetcher_type() -> "type[Fetcher]":
    from augment_open_proxy.server.fetch import Fetcher

    return Fetcher
