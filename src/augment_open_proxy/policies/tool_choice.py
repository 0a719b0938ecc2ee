"""Which tools may and must be called, and how many of them: the backend has no field for it, so it is said and checked.

A reply without the call that is required is asked for once more, before the client has seen anything of it. A call of a
tool that is not offered is none. `parallel_tool_calls: false` allows one call: before the next one the turn ends.
"""

from collections.abc import Set

import msgspec

from augment_open_proxy.core.conversation import ChatRequest, Message, Text, ToolCall
from augment_open_proxy.core.errors import ErrorKind, Problem, invalid_request
from augment_open_proxy.core.events import BlockStart, Event, Failure, Finish, Opening, prompt_of
from augment_open_proxy.policies.second_turn import SecondTurn

_AGAIN = "You called no tool that may be called now. "
_NEVER = Problem(
    ErrorKind.BACKEND,
    "The model called no tool that may be called, although tool_choice requires it and it was asked twice.",
)


def prepare(request: ChatRequest) -> tuple[ChatRequest, "RequiredCall | None"]:
    """Raises `ProxyError` where a tool must be called and there is none by that name."""
    choice = request.tool_choice
    if choice.mode == "none":
        return msgspec.structs.replace(request, tools=()), None
    if choice.names:
        missing = sorted(set(choice.names) - {tool.name for tool in request.tools})
        if missing:
            raise invalid_request(f"tool_choice names a tool that is not offered: {', '.join(missing)}.", "tool_choice")
        tools = tuple(tool for tool in request.tools if tool.name in choice.names)
        request = msgspec.structs.replace(request, tools=tools)
    if choice.mode != "required":
        return request, None
    if not request.tools:
        raise invalid_request("tool_choice requires a call, and no tools are offered.", "tool_choice")
    names = [tool.name for tool in request.tools]
    demand = f"This turn must be a call of {'the tool' if len(names) == 1 else 'one of the tools'} {', '.join(names)}."
    messages = (*request.messages, Message("system", (Text(demand),)))
    return msgspec.structs.replace(request, messages=messages), RequiredCall(demand, set(names))


class RequiredCall(SecondTurn):
    """Holds everything back until a call comes of a tool among `names`."""

    def __init__(self, demand: str, names: Set[str]) -> None:
        super().__init__()
        self._demand = demand
        self._names = names
        self._has_called = False

    def feed(self, events: list[Event]) -> list[Event]:
        if self._has_called:
            return self.paid(events)
        blocks = [event.block for event in events if isinstance(event, BlockStart)]
        if any(isinstance(block, ToolCall) and block.name in self._names for block in blocks):
            self._has_called = True
            return self.paid([*self.released(), *events])
        last = events[-1]
        if isinstance(last, Opening):
            return events
        if isinstance(last, Finish) and last.reason in ("stop", "tool_use"):
            if self.ask([*self.released(), *events], last, _AGAIN + self._demand):
                return []
            return [Failure(_NEVER)]
        if isinstance(last, Finish | Failure):
            return self.paid([*self.released(), *events])
        self.hold(events)
        return []


def limit_calls(request: ChatRequest) -> tuple[ChatRequest, "CallLimit | None"]:
    return request, None if request.max_tool_calls is None else CallLimit(request.max_tool_calls)


class CallLimit:
    """Lets so many calls through, and ends the turn where the model begins another."""

    def __init__(self, limit: int) -> None:
        self._left = limit

    def feed(self, events: list[Event]) -> list[Event]:
        for at, event in enumerate(events):
            if isinstance(event, BlockStart) and isinstance(event.block, ToolCall):
                if self._left <= 0:
                    return [*events[:at], Finish("tool_use", None, prompt_of(events))]
                self._left -= 1
        return events
