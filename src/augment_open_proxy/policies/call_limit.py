"""How many calls a turn may have (`parallel_tool_calls: false` allows one): before the next one the turn ends."""

from augment_open_proxy.core.conversation import ChatRequest, ToolCall
from augment_open_proxy.core.events import BlockStart, Event, Finish, prompt_of


def prepare(request: ChatRequest) -> tuple[ChatRequest, "CallLimit | None"]:
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
