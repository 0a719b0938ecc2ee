"""Chat Completions body → `ChatRequest`. The only place in this dialect that reads `stream`."""

from augment_open_proxy.core.conversation import ChatRequest, Effort, Message, Text
from augment_open_proxy.core.errors import invalid_request
from augment_open_proxy.core.steps import Steps
from augment_open_proxy.dialects.dialect import Delivery, Draft, Keep, Parsed
from augment_open_proxy.dialects.openai_chat import wire
from augment_open_proxy.dialects.openai_chat.content import (
    assistant_parts,
    old_functions,
    system_text,
    tool_result,
    user_parts,
)
from augment_open_proxy.dialects.openai_chat.tools import parse_tools
from augment_open_proxy.dialects.reading import (
    ConversationReader,
    ignored_reader,
    read_choices,
    read_effort,
    read_limit,
    read_metadata,
    read_output_format,
    read_stop,
    read_tool_choice,
)

_reader = ConversationReader(wire.Request, wire.Message, wire.Tool)
_AT_ONCE = 64
"""Messages that are converted in one step."""

IGNORED = (
    "temperature",
    "top_p",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "verbosity",
    "prediction",
    "web_search_options",
    "moderation",
)
"""Accepted without effect; a response header names those that a client sent."""
_ignored = ignored_reader(IGNORED)


def read(body: bytes) -> Steps[Draft]:
    """Raises `ProxyError` (invalid request) that names the field by its path, as does what follows."""
    wire_request = yield from _reader.read(body)
    return Draft(lambda recalled: _parsed(wire_request))


def _parsed(wire_request: wire.Request) -> Steps[Parsed]:
    if not wire_request.model.strip():
        raise invalid_request("model must not be empty.", "model")
    if not wire_request.messages:
        raise invalid_request("messages must hold at least one message.", "messages")
    _refuse(wire_request)
    system, messages = yield from _conversation(wire_request.messages)
    tools = parse_tools(wire_request.tools) if wire_request.tools else ()
    options = wire_request.stream_options
    return Parsed(
        ChatRequest(
            model=wire_request.model,
            messages=messages,
            system=system,
            tools=tools,
            tool_choice=read_tool_choice(wire_request.tool_choice, "function", "custom"),
            stop=read_stop(wire_request.stop, "stop"),
            output_format=read_output_format(wire_request.response_format, "response_format"),
            max_output_tokens=_limit(wire_request),
            max_tool_calls=1 if wire_request.parallel_tool_calls is False else None,
            thinking="none" if _hides_thinking(wire_request) else "plain",
            effort=_effort(wire_request),
            ignored=_ignored(wire_request),
        ),
        Delivery(
            stream=bool(wire_request.stream),
            include_usage=options is not None and bool(options.include_usage),
            choices=read_choices(wire_request.n),
        ),
        Keep(metadata=read_metadata(wire_request.metadata)) if wire_request.store else None,
    )


def _refuse(wire_request: wire.Request) -> None:
    """What a client would miss in the reply."""
    for name in ("functions", "function_call"):
        if getattr(wire_request, name):
            raise old_functions(name)
    for name in ("logprobs", "top_logprobs", "audio"):
        if getattr(wire_request, name):
            raise invalid_request(f"{name} cannot be had: the Augment backend gives nothing of the kind.", name)
    if wire_request.modalities not in (None, ["text"]):
        raise invalid_request("modalities must be text alone: the Augment backend gives nothing else.", "modalities")


def _limit(wire_request: wire.Request) -> int | None:
    """The newer name wins."""
    newer = read_limit(wire_request.max_completion_tokens, "max_completion_tokens")
    return newer if newer is not None else read_limit(wire_request.max_tokens, "max_tokens")


def _hides_thinking(wire_request: wire.Request) -> bool:
    """OpenRouter's two ways to say so."""
    return wire_request.include_reasoning is False or bool(wire_request.reasoning and wire_request.reasoning.exclude)


def _effort(wire_request: wire.Request) -> Effort | None:
    """The nested `reasoning.effort` wins over `reasoning_effort`."""
    nested = wire_request.reasoning.effort if wire_request.reasoning else None
    param = "reasoning.effort" if nested else "reasoning_effort"
    return read_effort(nested or wire_request.reasoning_effort, param)


# ---------------------------------------------------------------- messages


def _conversation(wire_messages: list[wire.Message]) -> Steps[tuple[tuple[str, ...], tuple[Message, ...]]]:
    """The system messages before the conversation, and the conversation."""
    system: list[str] = []
    messages: list[Message] = []
    for i, message in enumerate(wire_messages):
        if i and not i % _AT_ONCE:
            yield
        path = f"messages[{i}]"
        match message.role:
            case "system" | "developer":
                text = system_text(message, path)
                if messages:
                    messages.append(Message("system", (Text(text),)))
                else:
                    system.append(text)
            case "user":
                messages.append(Message("user", user_parts(message, path)))
            case "assistant":
                messages.append(Message("assistant", assistant_parts(message, path)))
            case "tool":
                messages.append(Message("user", (tool_result(message, path),)))
            case "function":
                raise old_functions(f"{path}.role")
            case _:
                raise invalid_request(
                    f"{path}.role must be system, developer, user, assistant or tool; it is {message.role!r}.",
                    f"{path}.role",
                )
    return tuple(system), tuple(messages)
