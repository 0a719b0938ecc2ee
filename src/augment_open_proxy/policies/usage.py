"""Usage that the backend leaves out is estimated from the text: a missing or zero count breaks the clients' meters."""

import msgspec

from augment_open_proxy.core.conversation import ChatRequest, Thinking
from augment_open_proxy.core.events import BlockDelta, BlockStart, Event, Finish, Opening, Usage
from augment_open_proxy.tokens.counter import for_model
from augment_open_proxy.tokens.length import estimate_text


def prepare(request: ChatRequest) -> tuple[ChatRequest, "UsageEstimate"]:
    return request, UsageEstimate(request.model)


KEPT = 2**16
"""Characters."""


class UsageEstimate:
    """Remembers what passes, and completes the usage at the end."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._input = 0
        self._said = _Estimate()
        self._thought = _Estimate()
        self._open = self._said

    def feed(self, events: list[Event]) -> list[Event]:
        for event in events:
            if type(event) is BlockDelta:
                self._open.add(event.text)
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
        said, thought = (for_model(estimate.tokens(), self._model) for estimate in (self._said, self._thought))
        output = usage.output
        if output is None or (output == 0 and said + thought > 0):
            output = max(1, said + thought)
        return msgspec.structs.replace(usage, input=input_, output=output, reasoning=min(output, thought))


class _Estimate:
    """The tokens of a text that comes in pieces, of which so many characters are kept at most."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._size = 0
        self._tokens = 0

    def add(self, text: str) -> None:
        self._pieces.append(text)
        self._size += len(text)
        if self._size >= KEPT:
            self._count_whole()

    def tokens(self) -> int:
        return self._tokens + estimate_text("".join(self._pieces))

    def _count_whole(self) -> None:
        """Count in parts of the same size, however the pieces were cut."""
        text = "".join(self._pieces)
        whole = len(text) - len(text) % KEPT
        self._tokens += sum(estimate_text(text[start : start + KEPT]) for start in range(0, whole, KEPT))
        self._pieces, self._size = [text[whole:]], len(text) - whole
