"""Which tools may and must be called: the backend has no field for it, so it is said to the model, and checked.

A reply without the call that is required is asked for once more, before the client has seen anything of it.
"""

import msgspec

from augment_open_proxy.core.conversation import ChatRequest, Message, Part, Text, Thinking, ToolCall
from augment_open_proxy.core.errors import ErrorKind, Problem, invalid_request
from augment_open_proxy.core.events import BlockDelta, BlockStart, BlockStop, Event, Failure, Finish, Opening, Usage
from augment_open_proxy.core.reply import Fold

_AGAIN = "You did not call a tool, and this turn must be a tool call. "


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
    names = ", ".join(tool.name for tool in request.tools)
    demand = f"This turn must be a call of {'the tool' if len(request.tools) == 1 else 'one of the tools'} {names}."
    messages = (*request.messages, Message("system", (Text(demand),)))
    return msgspec.structs.replace(request, messages=messages), RequiredCall(demand)


class RequiredCall:
    """Holds everything back until a call comes; `again` asks for another turn, once."""

    def __init__(self, demand: str) -> None:
        self._demand = demand
        self._held: list[Event] = []
        self._has_called = False
        self._tries = 1
        self._spent = Usage()
        self.again: tuple[Message, ...] | None = None
        """What the conversation goes on with, where the model must be asked once more."""

    def feed(self, events: list[Event]) -> list[Event]:
        if self._has_called:
            return self._with_all_usage(events)
        if any(isinstance(event, BlockStart) and isinstance(event.block, ToolCall) for event in events):
            self._has_called = True
            held, self._held = self._held, []
            return self._with_all_usage([*held, *events])
        last = events[-1]
        if isinstance(last, Opening):
            return events
        if isinstance(last, Finish) and last.reason == "stop":
            return self._without_call([*self._held, *events], last)
        if isinstance(last, Finish | Failure):
            return [*self._held, *events]
        self._held += events
        return []

    def _without_call(self, turn: list[Event], finish: Finish) -> list[Event]:
        self._held = []
        if self._tries > 1:
            problem = Problem(
                ErrorKind.BACKEND,
                "The model called no tool, although tool_choice requires it and it was asked twice.",
            )
            return [Failure(problem)]
        self._tries += 1
        self._spent = finish.usage
        said = Message("assistant", _said(turn))
        nudge = Message("user", (Text(_AGAIN + self._demand),))
        self.again = (said, nudge) if said.content else (nudge,)
        return []

    def _with_all_usage(self, events: list[Event]) -> list[Event]:
        last = events[-1]
        if isinstance(last, Finish) and self._spent != Usage():
            return [*events[:-1], msgspec.structs.replace(last, usage=self._spent + last.usage)]
        return events


def _said(turn: list[Event]) -> tuple[Part, ...]:
    """The parts of a turn that the client does not see."""
    folding = Fold()
    folding.feed(event for event in turn if isinstance(event, BlockStart | BlockDelta | BlockStop))
    return tuple(block for block in folding.blocks if not isinstance(block, Thinking))
