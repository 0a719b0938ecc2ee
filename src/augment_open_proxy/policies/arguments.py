"""Calls whose arguments are no JSON object: an error in APIs where arguments are an object, and never dropped.

Such a call is held back until it is whole.
"""

import msgspec

from augment_open_proxy.core.conversation import ChatRequest, ToolCall
from augment_open_proxy.core.errors import ErrorKind, Problem
from augment_open_proxy.core.events import BlockDelta, BlockStart, BlockStop, Event, Failure
from augment_open_proxy.core.jsontext import UNREADABLE


def prepare(request: ChatRequest) -> tuple[ChatRequest, "WholeArguments | None"]:
    return request, WholeArguments() if request.whole_arguments and request.tools else None


class WholeArguments:
    """Passes calls on when they are whole and sound; fails at the first that is not."""

    def __init__(self) -> None:
        self._held: list[Event] | None = None
        self._name = ""
        self._failed = False

    def feed(self, events: list[Event]) -> list[Event]:
        out: list[Event] = []
        for event in events:
            if self._failed:
                break
            match event:
                case BlockStart(block=ToolCall(name=name, custom=False)):
                    self._held, self._name = [event], name
                case BlockStop() if self._held is not None:
                    out += self._released([*self._held, event])
                    self._held = None
                case BlockDelta() if self._held is not None:
                    self._held.append(event)
                case _:
                    out.append(event)
        return out

    def _released(self, call: list[Event]) -> list[Event]:
        arguments = "".join(event.text for event in call if isinstance(event, BlockDelta))
        if _is_object(arguments):
            return call
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
