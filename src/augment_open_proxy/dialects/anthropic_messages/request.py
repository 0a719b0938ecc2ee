"""Messages body → `ChatRequest`. The only place in this dialect that reads `stream`."""

import re
from typing import TypeVar

import msgspec

from augment_open_proxy.core.conversation import (
    ChatRequest,
    Effort,
    Message,
    OutputFormat,
    Part,
    Text,
    ThinkingOutput,
    ToolChoice,
)
from augment_open_proxy.core.errors import invalid_request
from augment_open_proxy.core.jsontext import UNREADABLE
from augment_open_proxy.core.steps import Steps, whole
from augment_open_proxy.dialects.anthropic_messages import wire
from augment_open_proxy.dialects.anthropic_messages.tools import parse_tools
from augment_open_proxy.dialects.blocks import Block, assistant_parts, unsupported, user_parts
from augment_open_proxy.dialects.dialect import NOTHING, Delivery, Draft, Keep, Parsed, Recalled, References, parsed
from augment_open_proxy.dialects.reading import (
    ConversationReader,
    ignored_reader,
    read_effort,
    read_limit,
    read_output_format,
    read_stop,
    read_value,
)

_reader = ConversationReader(wire.Request, wire.Message, wire.Tool)
_count_reader = ConversationReader(wire.CountTokensRequest, wire.Message, wire.Tool)
_tool = msgspec.json.Decoder(wire.Tool)
_decode_session = msgspec.json.Decoder(wire.Session)

IGNORED = (
    "temperature",
    "top_p",
    "top_k",
    "mcp_servers",
    "container",
    "fallbacks",
    "speed",
    "output_config.task_budget",
)
"""Accepted without effect; a response header names those that a client sent."""
_ignored = ignored_reader(IGNORED)
_BILLING = "x-anthropic-billing-header"
"""Claude Code's system block that begins so differs with every request, and would spoil the backend's cache."""
_OLDER_SESSION = re.compile(r"_session_([0-9A-Za-z-]+)$")
_NEXT_USER_MESSAGE = "next_user_message"
_AT_ONCE = 64
"""Messages that are converted in one step."""
_LOW_BUDGET, _MEDIUM_BUDGET = 4096, 16384


def read(body: bytes) -> Steps[Draft]:
    """Raises `ProxyError` (invalid request) that names the field by its path, as does what follows."""
    wire_request = yield from _reader.read(body)
    return Draft(lambda recalled: _parsed(wire_request, recalled), References(_continued(wire_request)))


def parse(body: bytes, recalled: Recalled = NOTHING) -> Parsed:
    """A body in one go. Raises `ProxyError`."""
    return parsed(read, body, recalled)


def _parsed(given: wire.Request, recalled: Recalled) -> Steps[Parsed]:
    if given.compaction is not None:
        raise invalid_request("compaction: the Augment backend makes no such summaries; leave it out.", "compaction")
    if given.max_tokens == 0:
        raise invalid_request(
            "max_tokens 0 fills the prompt cache alone, which the Augment backend can't.", "max_tokens"
        )
    wire_request, past = yield from _with_past(given, recalled)
    request = yield from _request(wire_request, _ignored(wire_request), must_serve=True)
    request = msgspec.structs.replace(
        request,
        messages=past + request.messages,
        stop=read_stop(wire_request.stop_sequences, "stop_sequences"),
        max_output_tokens=read_limit(wire_request.max_tokens, "max_tokens"),
    )
    keep = Keep() if wire_request.thread is not None else None
    return Parsed(request, Delivery(stream=bool(wire_request.stream)), keep)


def parse_count(body: bytes, recalled: Recalled = NOTHING) -> ChatRequest:
    """The body of `count_tokens`: the same, but for what concerns the reply."""
    request, past = whole(_with_past(whole(_count_reader.read(body)), recalled))
    counted = whole(_request(request, (), must_serve=False))
    return msgspec.structs.replace(counted, messages=past + counted.messages)


def _request(
    wire_request: wire.CountTokensRequest, ignored: tuple[str, ...], *, must_serve: bool
) -> Steps[ChatRequest]:
    if not wire_request.model.strip():
        raise invalid_request("model must not be empty.", "model")
    if not wire_request.messages:
        raise invalid_request("messages must hold at least one message.", "messages")
    choice = wire_request.tool_choice
    offered, given = wire_request.tools or [], wire_request.messages
    if "system" in [message.role for message in given]:  # as in few
        offered, given = _with_changes(offered, given), _without_cleared(given)
    tools, left_out = parse_tools(offered, choice, must_serve=must_serve)
    messages: list[Message] = []
    for i, message in enumerate(given):
        if i and not i % _AT_ONCE:
            yield
        messages.append(_message(message, f"messages[{i}]"))
    return ChatRequest(
        model=wire_request.model,
        messages=tuple(messages),
        system=_system(wire_request.system),
        tools=tools,
        tool_choice=_tool_choice(choice),
        max_tool_calls=1 if choice is not None and choice.disable_parallel_tool_use else None,
        effort=_effort(wire_request),
        conversation=_session(wire_request.metadata),
        thinking=_thinking(wire_request.thinking),
        output_format=_output_format(wire_request),
        whole_arguments=True,
        ignored=ignored,
        left_out=left_out,
    )


def _output_format(wire_request: wire.CountTokensRequest) -> OutputFormat | None:
    """`output_config.format`, or its older name."""
    config = wire_request.output_config or wire.OutputConfig()
    if config.format is not None:
        return read_output_format(config.format, "output_config.format")
    return read_output_format(wire_request.output_format, "output_format")


def _tool_choice(choice: wire.ToolChoice | None) -> ToolChoice:
    match choice:
        case None | wire.ToolChoice(type="auto"):
            return ToolChoice()
        case wire.ToolChoice(type="none"):
            return ToolChoice("none")
        case wire.ToolChoice(type="any"):
            return ToolChoice("required")
        case wire.ToolChoice(type="tool", name=str(name)):
            return ToolChoice("required", (name,))
    raise invalid_request("tool_choice.type must be auto, any, none, or tool with a name.", "tool_choice")


# ---------------------------------------------------------------- threads


def _continued(wire_request: wire.CountTokensRequest) -> str | None:
    """The id of the message that the request's thread goes on from."""
    match wire_request.thread:
        case None | wire.Thread(type="create"):
            return None
        case wire.Thread(type="continue", previous_message_id=str(id_)) if id_:
            return id_
    raise invalid_request("thread.type must be create, or continue with a previous_message_id.", "thread")


_R = TypeVar("_R", bound=wire.CountTokensRequest)


def _with_past(wire_request: _R, recalled: Recalled) -> Steps[tuple[_R, tuple[Message, ...]]]:
    """The request with the thread's system and tools, which can't be sent again, and the effort that a system message
    of the thread set; and the thread's messages.
    """
    if not _continued(wire_request):
        return wire_request, ()
    for name in ("system", "tools"):
        if getattr(wire_request, name):
            raise invalid_request(f"{name} stays what the thread was created with; leave it out.", name)
    if not recalled.turns:
        return wire_request, ()
    requests: list[wire.Request] = []
    for turn in recalled.turns:
        requests.append((yield from _reader.read(turn.request)))
    config = wire_request.output_config
    for message in (message for request in requests for message in request.messages):
        if message.role == "system" and message.output_config is not None and message.output_config.effort:
            config = msgspec.structs.replace(config or wire.OutputConfig(), effort=message.output_config.effort)
    tools = requests[0].tools or []
    for request in requests:
        tools = _with_changes(tools, request.messages)
    continued = msgspec.structs.replace(wire_request, system=requests[0].system, tools=tools, output_config=config)
    return continued, _past(requests, recalled)


def _past(requests: list[wire.Request], recalled: Recalled) -> tuple[Message, ...]:
    messages: tuple[Message, ...] = ()
    for request, turn in zip(requests, recalled.turns, strict=True):
        reply = (Message("assistant", turn.reply.blocks),) if turn.reply.blocks else ()
        given = [*request.messages, _NEXT_TURN]
        messages += tuple(_message(message, "the stored thread") for message in _without_cleared(given)[:-1]) + reply
    return messages


# ---------------------------------------------------------------- messages


_NEXT_TURN = wire.Message("user")


def _without_cleared(messages: list[wire.Message]) -> list[wire.Message]:
    """Without the texts that system messages had for the turn of one user's message, where another one follows."""
    if not any(message.clear_at == _NEXT_USER_MESSAGE for message in messages):
        return messages
    last = max(i for i, message in enumerate(messages) if message.role == "user" or not i)
    return [
        msgspec.structs.replace(message, content=None)
        if message.role == "system" and message.clear_at == _NEXT_USER_MESSAGE and i < last
        else message
        for i, message in enumerate(messages)
    ]


def _with_changes(tools: list[wire.Tool], messages: list[wire.Message]) -> list[wire.Tool]:
    """The tools, with those that system messages add and without those that they take away."""
    changes = [
        (block.type, block.tool)
        for message in messages
        if message.role == "system" and isinstance(message.content, list)
        for block in message.content
        if block.tool is not None
    ]
    if not changes:
        return tools
    known = {tool.name or tool.type: tool for tool in tools}
    offered = dict(known)
    for kind, change in changes:
        if kind == "tool_removal":
            offered.pop(change.name, None)
            continue
        tool = known.get(change.name)
        if bytes(change.definition):
            tool = read_value(_tool, change.definition, "tool.definition")
        if tool is not None:
            known[tool.name or tool.type] = offered[tool.name or tool.type] = tool
    return list(offered.values())


def _system(system: str | list[Block] | None) -> tuple[str, ...]:
    """The blocks as one text, joined with nothing between, as the backend's SDK joins them."""
    if system is None or isinstance(system, str):
        return (system,) if system else ()
    text = ""
    for i, block in enumerate(system):
        if block.type != "text" or block.text is None:
            raise invalid_request(f"system[{i}] must be a text block.", f"system[{i}]")
        if not block.text.startswith(_BILLING):
            text += block.text
    return (text,) if text else ()


def _message(message: wire.Message, path: str) -> Message:
    match message.role:
        case "user":
            read_block = user_parts
        case "assistant":
            read_block = assistant_parts
        case "system":
            read_block = _system_parts
        case role:
            raise invalid_request(f"{path}.role must be user, assistant or system; it is {role!r}.", f"{path}.role")
    if message.content is None:
        if message.role != "system":
            raise invalid_request(f"{path}.content is missing.", f"{path}.content")
        return Message("system", ())
    if isinstance(message.content, str):
        return Message(message.role, (Text(message.content),))
    parts: list[Part] = []
    for i, block in enumerate(message.content):
        if block.type == "text" and block.text is not None:
            parts.append(Text(block.text))  # as most are
        else:
            parts += read_block(block, f"{path}.content[{i}]")
    return Message(message.role, tuple(parts))


def _system_parts(block: Block, path: str) -> tuple[Part, ...]:
    if block.type in ("tool_addition", "tool_removal"):  # `_with_changes` has read it
        return ()
    if block.type != "text" or block.text is None:
        raise unsupported(block, path)
    return (Text(block.text),)


def _session(metadata: wire.Metadata | None) -> str | None:
    """Claude Code's session, in JSON today, behind `_session_` in older versions."""
    user_id = metadata.user_id if metadata is not None else None
    if not user_id:
        return None
    try:
        return _decode_session.decode(user_id).session_id
    except UNREADABLE:
        older = _OLDER_SESSION.search(user_id)
        return older[1] if older else None


# ---------------------------------------------------------------- thinking


def _effort(wire_request: wire.CountTokensRequest) -> Effort | None:
    """What a later system message sets wins over `output_config.effort`, that over the budget of `thinking`."""
    for i, message in reversed(list(enumerate(wire_request.messages))):
        if message.role == "system" and message.output_config is not None and message.output_config.effort:
            return read_effort(message.output_config.effort, f"messages[{i}].output_config.effort")
    config = wire_request.output_config or wire.OutputConfig()
    if config.effort:
        return read_effort(config.effort, "output_config.effort")
    match wire_request.thinking:
        case wire.ThinkingConfig(type="enabled", budget_tokens=budget):
            if budget is None or budget <= _LOW_BUDGET:
                return "low"
            return "medium" if budget <= _MEDIUM_BUDGET else "high"
        case wire.ThinkingConfig(type="disabled"):
            return "none"
        case _:
            return None


def _thinking(thinking: wire.ThinkingConfig | None) -> ThinkingOutput:
    """How thinking is shown: a client that does not ask for it gets none, as at Anthropic."""
    if thinking is None or thinking.type == "disabled":
        return "none"
    return "omitted" if thinking.display == "omitted" else "sealed"
