"""Calls whose arguments are no JSON object: an error in APIs where arguments are an object, and never dropped.

Such a call is held back until it is whole.
"""

import msgspec

from augment_open_proxy.core.conversation import ChatRequest, ToolCall
from augment_open_proxy.core.errors import ErrorKind, Problem
from augment_open_proxy.core.events import BlockDelta, BlockStart, BlockStop, Event, Failure, begins
from augment_open_proxy.core.jsontext import UNREADABLE, mended


def prepare(request: ChatRequest) -> tuple[ChatRequest, "WholeArguments | None"]:
    return request, WholeArguments() if request.whole_arguments else None


class WholeArguments:
    """Passes calls on when they are whole and sound; fails at the first that is not."""

    def __init__(self) -> None:
        self._start: BlockStart | None = None
        self._name = ""
        self._deltas: list[BlockDelta] = []
        self._failed = False

    @property
    def rests(self) -> bool:
        return self._start is None and not self._failed

    def feed(self, events: list[Event]) -> list[Event]:
        if self.rests and not begins(events, ToolCall):
            return events
        out: list[Event] = []
        for event in events:
            if self._failed:
                break
            if type(event) is BlockDelta:  # as most are; a pattern takes longer
                if self._start is None:
                    out.append(event)
                else:
                    self._deltas.append(event)
                continue
            match event:
                case BlockStart(block=ToolCall(name=name, custom=False)):
                    self._start, self._name, self._deltas = event, name, []
                case BlockStop() if self._start is not None:
                    out += self._released(self._start, self._deltas, event)
                    self._start = None
                case _:
                    out.append(event)
        return out

    def _released(self, start: BlockStart, deltas: list[BlockDelta], stop: BlockStop) -> list[Event]:
        arguments = "".join(delta.text for delta in deltas)
        sound = mended(arguments.encode()).decode()
        if _is_object(sound):
            return [start, *(deltas if sound == arguments else [BlockDelta(start.index, sound)]), stop]
        self._failed = True
        shown = arguments if len(arguments) <= 200 else arguments[:200] + "…"
        problem = Problem(
            ErrorKind.BACKEND, f"The model called {self._name} with arguments that are no JSON object: {shown}"
        )
        return [Failure(problem)]


def _is_object(text: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(text), dict)
    except UNREADABLE:
        return False
