"""Usage that the backend leaves out is estimated from the text: a missing or zero count breaks the clients' meters."""

import msgspec

from augment_open_proxy.core.conversation import ChatRequest, Thinking
from augment_open_proxy.core.events import BlockDelta, BlockStart, Event, Finish, Opening, Usage
from augment_open_proxy.tokens.counter import CLAUDE_FACTOR, for_model
from augment_open_proxy.tokens.length import estimate_text
from augment_open_proxy.tokens.request import estimate_request


def prepare(request: ChatRequest, claude_factor: float = CLAUDE_FACTOR) -> tuple[ChatRequest, "UsageEstimate"]:
    return request, UsageEstimate(request, claude_factor)


KEPT = 2**16
"""Characters that are counted together."""
_PIECES, _LONG = 256, 2**13
"""Pieces that are kept before they are put together, and the characters of one that is not kept as a piece."""


class UsageEstimate:
    """Remembers what passes, and completes the usage at the end."""

    __slots__ = ("_claude_factor", "_input", "_open", "_pieces", "_said", "_thought", "asked", "model")

    def __init__(self, asked: ChatRequest, claude_factor: float = CLAUDE_FACTOR) -> None:
        self.asked = asked
        """What the backend is asked in the end, when later policies have added to it."""
        self.model = asked.model
        """The id of the model that answers."""
        self._claude_factor = claude_factor
        self._input = 0
        self._said = _Estimate()
        self._thought = _Estimate()
        self._open = self._said
        self._pieces = self._open.pieces

    def feed(self, events: list[Event]) -> list[Event]:
        pieces = self._pieces
        for event in events:
            if type(event) is BlockDelta:
                text = event.text
                pieces.append(text)
                if len(pieces) >= _PIECES or len(text) >= _LONG:
                    self._open.bound()
            elif type(event) is BlockStart:
                self._open = self._thought if type(event.block) is Thinking else self._said
                pieces = self._pieces = self._open.pieces
            elif type(event) is Opening:
                self._input = event.input_estimate
            elif type(event) is Finish:
                events[-1] = msgspec.structs.replace(event, usage=self._completed(event.usage))
        return events

    def estimate_prompt(self) -> int:
        """The tokens of the prompt; that takes time, and most turns need none."""
        return estimate_request(self.asked, self.model, self._claude_factor)

    def _completed(self, usage: Usage) -> Usage:
        input_ = usage.input
        if not usage.prompt:
            prompt = self._input or self.estimate_prompt()
            input_ = max(0, prompt - (usage.cache_read or 0) - (usage.cache_creation or 0))
        thought = self._tokens(self._thought)
        output = usage.output or 0
        if not output:
            said = thought + self._tokens(self._said)
            output = max(1, said) if said or usage.output is None else 0
        return Usage(input_, output, usage.cache_read, usage.cache_creation, min(output, thought))

    def _tokens(self, estimate: "_Estimate") -> int:
        tokens = estimate.tokens()
        return for_model(tokens, self.model, self._claude_factor) if tokens else 0


class _Estimate:
    """The tokens of a text that comes in pieces, of which so many characters are kept at most."""

    __slots__ = ("_tokens", "pieces")

    def __init__(self) -> None:
        self.pieces: list[str] = []
        """What is not counted yet; new pieces are added here."""
        self._tokens = 0

    def tokens(self) -> int:
        return self._tokens + (estimate_text("".join(self.pieces)) if self.pieces else 0)

    def bound(self) -> None:
        """Count what is long enough, in parts of the same size, however the pieces were cut."""
        text = "".join(self.pieces)
        whole = len(text) - len(text) % KEPT
        self._tokens += sum(estimate_text(text[start : start + KEPT]) for start in range(0, whole, KEPT))
        self.pieces[:] = [text[whole:]]
