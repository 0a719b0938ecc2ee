"""Usage that the backend leaves out is estimated from the text: a missing or zero count breaks the clients' meters."""

import msgspec

from augment_open_proxy.core.conversation import ChatRequest, Thinking
from augment_open_proxy.core.events import BlockDelta, BlockStart, Event, Finish, Opening, Usage
from augment_open_proxy.tokens.counter import for_model
from augment_open_proxy.tokens.length import estimate_text


def prepare(request: ChatRequest) -> tuple[ChatRequest, "UsageEstimate"]:
    return request, UsageEstimate(request.model)


class UsageEstimate:
    """Remembers what passes, and completes the usage at the end."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._input = 0
        self._said: list[str] = []
        self._thought: list[str] = []
        self._open = self._said

    def feed(self, events: list[Event]) -> list[Event]:
        for event in events:
            if type(event) is BlockDelta:
                self._open.append(event.text)
            elif type(event) is BlockStart:
                self._open = self._thought if type(event.block) is Thinking else self._said
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
        reasoning = self._estimate(self._thought)
        output = usage.output
        if output is None or (output == 0 and (self._said or self._thought)):
            output = max(1, self._estimate(self._said) + reasoning)
        return msgspec.structs.replace(usage, input=input_, output=output, reasoning=min(output, reasoning))

    def _estimate(self, pieces: list[str]) -> int:
        return for_model(estimate_text("".join(pieces)), self._model)
