"""Usage that the backend leaves out is estimated by length: a missing or zero count breaks the clients' meters."""

import msgspec

from augment_open_proxy.core.conversation import ChatRequest, Thinking
from augment_open_proxy.core.events import BlockDelta, BlockStart, Event, Finish, Opening, Usage
from augment_open_proxy.tokens.length import estimate


def prepare(request: ChatRequest) -> tuple[ChatRequest, "UsageEstimate"]:
    return request, UsageEstimate()


class UsageEstimate:
    """Counts what passes, and completes the usage at the end."""

    def __init__(self) -> None:
        self._input = 0
        self._length = 0
        self._thinking_length = 0
        self._is_thinking = False

    def feed(self, events: list[Event]) -> list[Event]:
        for event in events:
            if type(event) is BlockDelta:
                self._length += len(event.text)
                if self._is_thinking:
                    self._thinking_length += len(event.text)
            elif type(event) is BlockStart:
                self._is_thinking = type(event.block) is Thinking
            elif type(event) is Opening:
                self._input = event.input_estimate
        last = events[-1]
        if type(last) is Finish:
            return [*events[:-1], msgspec.structs.replace(last, usage=self._completed(last.usage))]
        return events

    def _completed(self, usage: Usage) -> Usage:
        input_ = usage.input
        if not usage.prompt:
            input_ = max(0, self._input - (usage.cache_read or 0) - (usage.cache_creation or 0))
        output = usage.output
        if output is None or (output == 0 and self._length):
            output = estimate(self._length)
        reasoning = min(output, estimate(self._thinking_length)) if self._thinking_length else 0
        return msgspec.structs.replace(usage, input=input_, output=output, reasoning=reasoning)
