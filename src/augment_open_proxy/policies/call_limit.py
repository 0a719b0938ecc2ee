"""How many calls a turn may have (`parallel_tool_calls: false` allows one): after the last one the turn ends."""

from augment_open_proxy.core.conversation import ChatRequest, ToolCall
from augment_open_proxy.core.events import BlockStart, BlockStop, Event, Finish, Usage


def prepare(request: ChatRequest) -> tuple[ChatRequest, "CallLimit | None"]:
    return request, None if request.max_tool_calls is None else CallLimit(request.max_tool_calls)


class CallLimit:
    """Lets so many calls through, and then ends the turn."""

    def __init__(self, limit: int) -> None:
        self._left = limit
        self._is_call = False

    def feed(self, events: list[Event]) -> list[Event]:
        out: list[Event] = []
        for event in events:
            if isinstance(event, BlockStart):
                self._is_call = isinstance(event.block, ToolCall)
                if self._is_call and self._left <= 0:  # no calls at all are allowed
                    return [*out, Finish("tool_use", None, Usage())]
            out.append(event)
            if isinstance(event, BlockStop) and self._is_call:
                self._is_call = False
                self._left -= 1
                if self._left <= 0:
                    return [*out, Finish("tool_use", None, Usage())]
        return out
