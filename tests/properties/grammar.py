"""The grammar of reply events (`core/events.py`), as a check."""

from collections.abc import Iterable

from augment_open_proxy.core.events import (
    BlockDelta,
    BlockStart,
    BlockStop,
    Cancelled,
    Event,
    Failure,
    Finish,
    Opening,
)


def check(events: Iterable[Event]) -> Event:
    """Assert that `events` is one whole reply; gives its terminal event."""
    opened = False
    blocks = 0
    is_open = False
    terminal: Event | None = None
    for event in events:
        assert terminal is None, f"{event} follows the terminal {terminal}"
        match event:
            case Opening():
                assert not opened
                opened = True
            case BlockStart(index=index, block=block):
                assert opened and not is_open and index == blocks
                assert getattr(block, "text", "") == "" and getattr(block, "arguments", "") == ""
                is_open = True
            case BlockDelta(index=index, text=text):
                assert is_open and index == blocks and text
            case BlockStop(index=index):
                assert is_open and index == blocks
                is_open = False
                blocks += 1
            case Finish() | Failure() | Cancelled():
                assert opened and not is_open
                terminal = event
    assert terminal is not None
    return terminal
