"""A conversation that the backend can take: it ends with something to answer, and each speaker's turn is one message.

The backend answers 400 "Unidentified internal error" where there is no current turn, or a call has no result.
"""

import msgspec

from augment_open_proxy.core.conversation import ChatRequest, Message, Text, ToolCall, ToolResult
from augment_open_proxy.core.errors import invalid_request


def prepare(request: ChatRequest) -> tuple[ChatRequest, None]:
    """Joins neighbouring assistant messages; refuses a history without a current turn, or with an open call at its end.

    Clients split one assistant turn in several messages (Codex 0.94: its calls, then its text, then the results).
    """
    messages = _joined(request.messages)
    _check_end(request, messages)
    if len(messages) == len(request.messages):
        return request, None
    return msgspec.structs.replace(request, messages=messages), None


def _joined(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    joined: list[Message] = []
    for message in messages:
        if joined and message.role == "assistant" == joined[-1].role:
            joined[-1] = Message("assistant", joined[-1].content + message.content)
        else:
            joined.append(message)
    return tuple(joined)


def _check_end(request: ChatRequest, messages: tuple[Message, ...]) -> None:
    last = max((i for i, message in enumerate(messages) if message.role == "assistant"), default=-1)
    current = messages[last + 1 :]
    if last >= 0:
        answered = {part.call_id for message in current for part in message.content if isinstance(part, ToolResult)}
        calls = [part for part in messages[last].content if isinstance(part, ToolCall)]
        unanswered = [call for call in calls if call.id not in answered]
        if unanswered:
            raise invalid_request(
                "The conversation ends with tool calls that have no result, and the model can't go on without: "
                f"{', '.join(f'{call.name} ({call.id})' for call in unanswered)}. Add a tool message for each.",
                "messages",
            )
        if not current:
            raise invalid_request(
                "The conversation ends with an assistant message. The Augment backend can't continue one (prefill): "
                "end with a user message or a tool result.",
                "messages",
            )
    if not _says_something(current) and not (last < 0 and any(request.system)):
        raise invalid_request("There is nothing to answer: the last message is empty.", "messages")


def _says_something(messages: tuple[Message, ...]) -> bool:
    """Whether the backend gets any node: an empty user text makes one, an empty system text none."""
    return any(
        message.content if message.role != "system" else any(isinstance(p, Text) and p.text for p in message.content)
        for message in messages
    )
