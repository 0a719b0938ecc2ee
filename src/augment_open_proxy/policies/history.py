"""A conversation that the backend can take: each call has its result and each result its call, ids are unique, and it
ends with something to answer. What is amiss in the past is mended neutrally; the last turn is the client's to mend.

The backend answers 400 ("Unidentified internal error") to a history that is not so.
"""

from collections import defaultdict, deque
from collections.abc import Sequence

import msgspec

from augment_open_proxy.core.conversation import (
    ChatRequest,
    Message,
    Part,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from augment_open_proxy.core.errors import invalid_request

NOT_RUN = "The tool was not run."


def prepare(request: ChatRequest) -> tuple[ChatRequest, None]:
    """Raises `ProxyError` where the last turn cannot be answered."""
    if _is_sound(request.messages):
        return request, None
    joined = _joined(request.messages)
    if _is_sound(joined):
        return msgspec.structs.replace(request, messages=tuple(joined)), None
    messages = _without_emptiness(joined)
    groups = _groups(messages)
    _check_end(request, groups)
    mended = _mended(groups)
    if mended == request.messages:
        return request, None
    return msgspec.structs.replace(request, messages=mended), None


def _is_sound(messages: Sequence[Message]) -> bool:
    """Whether a single look finds nothing to mend, as in most requests; others may be sound as well."""
    seen: set[str] = set()
    waiting: set[str] = set()
    role = "assistant"
    for message in messages:
        if not message.content:
            return False
        if message.role == "assistant" and (waiting or role == "assistant" or type(message.content[-1]) is Thinking):
            return False
        role = message.role
        for part in message.content:
            if type(part) is Text:
                if not part.text:
                    return False
            elif type(part) is ToolCall:
                if part.id in seen:
                    return False
                seen.add(part.id)
                waiting.add(part.id)
            elif type(part) is ToolResult:
                if part.call_id not in waiting:
                    return False
                waiting.remove(part.call_id)
    return not waiting and role != "assistant"


# ---------------------------------------------------------------- messages


def _without_emptiness(messages: list[Message]) -> list[Message]:
    """Without empty texts beside other parts, without thinking at the end of a message, and without assistant messages
    that say nothing then (but for the last).

    Anthropic refuses a message that ends with thinking, such as is left of a reply that broke off.
    """
    kept: list[Message] = []
    for message in messages:
        parts = tuple(part for part in message.content if not isinstance(part, Text) or part.text)
        while parts and isinstance(parts[-1], Thinking):
            parts = parts[:-1]
        if parts or message.role != "assistant" or message is messages[-1]:
            kept.append(Message(message.role, parts or message.content[:1]))
    return kept


def _joined(messages: Sequence[Message]) -> list[Message]:
    """Neighbouring assistant messages as one: Codex 0.94 sends its calls, then its text, then the results."""
    joined: list[Message] = []
    alike: list[Part] = []
    role = ""
    for message in messages:
        if message.role == role == "assistant":
            alike = alike or [*joined[-1].content]
            alike += message.content
            continue
        if alike:
            joined[-1] = Message("assistant", tuple(alike))
            alike = []
        joined.append(message)
        role = message.role
    if alike:
        joined[-1] = Message("assistant", tuple(alike))
    return joined


class _Group(msgspec.Struct):
    """An assistant message (none at the beginning) and what follows it until the next one."""

    assistant: Message | None
    following: list[Message]

    @property
    def calls(self) -> list[ToolCall]:
        return [] if self.assistant is None else [part for part in self.assistant.content if isinstance(part, ToolCall)]

    @property
    def result_ids(self) -> set[str]:
        return {part.call_id for message in self.following for part in message.content if isinstance(part, ToolResult)}


def _groups(messages: list[Message]) -> list[_Group]:
    groups = [_Group(None, [])]
    for message in messages:
        if message.role == "assistant":
            groups.append(_Group(message, []))
        else:
            groups[-1].following.append(message)
    return groups


# ------------------------------------------------------------ the last turn


def _check_end(request: ChatRequest, groups: list[_Group]) -> None:
    last = groups[-1]
    unanswered = [call for call in last.calls if call.id not in last.result_ids]
    if unanswered:
        raise invalid_request(
            "The conversation ends with tool calls that have no result, and the model can't go on without: "
            f"{', '.join(f'{call.name} ({call.id})' for call in unanswered)}. Add a result for each.",
            request.place,
        )
    if last.assistant is not None and not last.following:
        raise invalid_request(
            "The conversation ends with an assistant message. The Augment backend can't continue one (prefill): "
            "end with a user message or a tool result.",
            request.place,
        )
    is_first = last.assistant is None
    if not _says_something(last.following) and not (is_first and any(request.system)):
        raise invalid_request("There is nothing to answer: the last message is empty.", request.place)


def _says_something(messages: list[Message]) -> bool:
    """Whether the backend gets any node: an empty user text makes one, an empty system text none."""
    return any(
        message.content if message.role != "system" else any(isinstance(p, Text) and p.text for p in message.content)
        for message in messages
    )


# ----------------------------------------------------------------- the past


def _mended(groups: list[_Group]) -> tuple[Message, ...]:
    messages: list[Message] = []
    seen: dict[str, int] = {}
    for group in groups:
        if group.assistant is not None:
            new_ids, assistant = _with_unique_ids(group.assistant, seen)
            messages.append(assistant)
        else:
            new_ids = {}
        messages += _with_results(group.following, new_ids)
    return tuple(messages)


def _with_unique_ids(message: Message, seen: dict[str, int]) -> tuple[dict[str, deque[str]], Message]:
    """The new ids of the message's calls under their old ones, in their order; ids are unique in the whole history.

    `seen` has how often each id has come so far."""
    new_ids: dict[str, deque[str]] = defaultdict(deque)
    parts: list[Part] = []
    for part in message.content:
        if isinstance(part, ToolCall):
            id_ = part.id
            while id_ in seen:
                seen[part.id] += 1
                id_ = f"{part.id}-{seen[part.id]}"
            seen[id_] = 1
            new_ids[part.id].append(id_)
            part = part if id_ == part.id else msgspec.structs.replace(part, id=id_)
        parts.append(part)
    return new_ids, Message(message.role, tuple(parts))


def _with_results(messages: list[Message], new_ids: dict[str, deque[str]]) -> list[Message]:
    """The messages with a result for each call and none without a call."""
    mended = [
        Message(message.role, tuple(new for part in message.content for new in _with_call(part, new_ids)))
        for message in messages
    ]
    not_run = tuple(ToolResult(id_, (Text(NOT_RUN),), is_error=True) for ids in new_ids.values() for id_ in ids)
    return [Message("user", not_run), *mended] if not_run else mended


def _with_call(part: Part, new_ids: dict[str, deque[str]]) -> tuple[Part, ...]:
    """A result with the id of its call; one without a call becomes text, and pictures."""
    if not isinstance(part, ToolResult):
        return (part,)
    ids = new_ids.get(part.call_id)
    if not ids:
        return (Text(f"Result of the tool call {part.call_id}, which is not in this conversation:"), *part.content)
    id_ = ids.popleft()
    return (part if id_ == part.call_id else msgspec.structs.replace(part, call_id=id_),)
