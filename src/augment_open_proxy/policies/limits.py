"""The limit of the output, which the backend does not know: at so many tokens the text ends, and so does the turn.

A token is at least one byte, so nothing is counted before that many bytes have come. A call that has come whole passes.
"""

import msgspec

from augment_open_proxy.core.conversation import ChatRequest, ToolCall
from augment_open_proxy.core.events import BlockDelta, BlockStart, BlockStop, Event, Finish, prompt_of
from augment_open_proxy.tokens.counter import CLAUDE_FACTOR, TokenCounter, is_claude


def prepare(
    request: ChatRequest, counter: TokenCounter, claude_factor: float = CLAUDE_FACTOR
) -> tuple[ChatRequest, "OutputLimit | None"]:
    """`counter` counts o200k tokens; a limit in Claude's tokens is so many fewer of them."""
    limit = request.max_output_tokens
    if limit is None:
        return request, None
    counted = max(1, int(limit / claude_factor)) if is_claude(request.model) else limit
    return request, OutputLimit(counted, counter, limit)


_PIECES = 256
"""Pieces that are kept before they are put together."""


class OutputLimit:
    """Counts thinking, text and the arguments of calls."""

    __slots__ = ("_bytes", "_counter", "_is_call", "_left", "_spent", "_uncounted")

    def __init__(self, limit: int, counter: TokenCounter, spent: int) -> None:
        """`limit` is in o200k tokens; `spent` is how many the client is told where the reply ends at the limit."""
        self._left = limit
        self._spent = spent
        self._counter = counter
        self._uncounted: list[str] = []
        self._bytes = 0
        self._is_call = False

    def feed(self, events: list[Event]) -> list[Event]:
        if self._takes_whole(events):
            return events
        out: list[Event] = []
        for event in events:
            match event:
                case BlockDelta(index=index, text=text):
                    self._uncounted.append(text)
                    self._bytes += len(text) if text.isascii() else 4 * len(text)
                    if self._bytes > self._left and not self._count_up() and not self._is_call:
                        self._cut(index, text, out)
                        return [*out, BlockStop(index), self._end(events)]
                    out.append(event)
                case BlockStart(block=block):
                    if self._left <= 0:
                        return [*out, self._end(events)]
                    self._is_call = isinstance(block, ToolCall)
                    out.append(event)
                case _:
                    out.append(event)
        return out

    def _takes_whole(self, events: list[Event]) -> bool:
        """Whether there is so much room that nothing need be counted."""
        uncounted, most, is_call = self._uncounted, self._bytes, self._is_call
        before = len(uncounted)
        for event in events:
            if type(event) is BlockDelta:
                text = event.text
                uncounted.append(text)
                most += len(text) if text.isascii() else 4 * len(text)
            elif type(event) is BlockStart:
                is_call = type(event.block) is ToolCall
        if self._left <= 0 or most > self._left:
            del uncounted[before:]
            return False
        self._bytes, self._is_call = most, is_call
        if len(uncounted) > _PIECES:
            self._uncounted = ["".join(uncounted)]
        return True

    def _count_up(self) -> bool:
        """Count what has come since the last time; whether it is within the limit."""
        tokens = self._counter.count("".join(self._uncounted))
        if tokens > self._left and not self._is_call:
            return False
        self._left -= tokens
        self._uncounted, self._bytes = [], 0
        return self._left >= 0

    def _cut(self, index: int, text: str, out: list[Event]) -> None:
        """Give out as many characters of the last delta as fit."""
        before = "".join(self._uncounted[:-1])
        low, high = 0, len(text)
        while low < high:
            middle = (low + high + 1) // 2
            if self._counter.count(before + text[:middle]) <= self._left:
                low = middle
            else:
                high = middle - 1
        if low:
            out.append(BlockDelta(index, text[:low]))

    def _end(self, events: list[Event]) -> Finish:
        return Finish("length", None, msgspec.structs.replace(prompt_of(events), output=self._spent))
