"""The demo: the settings with the embedded simulator in the backend's place."""

import contextlib
import dataclasses
from collections.abc import AsyncIterator

from augment_open_proxy.settings import Settings

DELAY = 0.02
"""Seconds between two lines of the simulator's answers, so that a stream looks like one."""


@contextlib.asynccontextmanager
async def simulated(settings: Settings) -> AsyncIterator[Settings]:
    """The settings to serve the demo with, as long as its simulator runs."""
    from augment_open_proxy.simulator import Simulator  # only the demo pays for its import

    async with Simulator(delay=DELAY, keep=0) as simulator:
        yield dataclasses.replace(settings, augment_api_token=simulator.token, augment_api_url=simulator.url)
