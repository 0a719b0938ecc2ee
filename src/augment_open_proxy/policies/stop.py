"""Stop sequences, which the backend does not know: the text ends before the first of them, and so does the turn.

Held back is only text that could still begin a stop sequence.
"""

from augment_open_proxy.core.conversation import ChatRequest, Text
from augment_open_proxy.core.events import BlockDelta, BlockStart, BlockStop, Event, Finish, prompt_of


def prepare(request: ChatRequest) -> tuple[ChatRequest, "StopSequences | None"]:
    return request, StopSequences(request.stop) if request.stop else None


class StopSequences:
    """Looks at text alone; thinking and calls pass."""

    def __init__(self, sequences: tuple[str, ...]) -> None:
        self._sequences = sequences
        self._longest = max(map(len, sequences))
        self._start: BlockStart | None = None
        self._held: str | None = None
        """Text of the open text block that is not out yet; `None` outside of one."""

    def feed(self, events: list[Event]) -> list[Event]:
        out: list[Event] = []
        for event in events:
            match event:
                case BlockStart(block=Text()):
                    self._start, self._held = event, ""
                case BlockDelta(index=index, text=text) if self._held is not None:
                    found = self._first_in(self._held + text)
                    if found is not None:
                        place, sequence = found
                        self._give(index, (self._held + text)[:place], out)
                        if self._start is None:
                            out.append(BlockStop(index))
                        out.append(Finish("stop_sequence", None, prompt_of(events), stop_sequence=sequence))
                        return out
                    self._pass(index, self._held + text, out)
                case BlockStop(index=index) if self._held is not None:
                    self._give(index, self._held, out)
                    if self._start is not None:
                        out.append(self._start)
                    out.append(event)
                    self._start, self._held = None, None
                case _:
                    out.append(event)
        return out

    def _first_in(self, text: str) -> tuple[int, str] | None:
        """Where the stop sequence begins that is whole first, and which; of two that end together the longer."""
        found = [(place + len(s), place, s) for s in self._sequences if (place := text.find(s)) >= 0]
        if not found:
            return None
        _, place, sequence = min(found)
        return place, sequence

    def _pass(self, index: int, text: str, out: list[Event]) -> None:
        """Give out what can't begin a stop sequence any more, and hold the rest."""
        size = min(self._longest - 1, len(text))
        while size and not any(s.startswith(text[-size:]) for s in self._sequences):
            size -= 1
        self._give(index, text[: len(text) - size], out)
        self._held = text[len(text) - size :]

    def _give(self, index: int, text: str, out: list[Event]) -> None:
        if text:
            if self._start is not None:
                out.append(self._start)
                self._start = None
            out.append(BlockDelta(index, text))
