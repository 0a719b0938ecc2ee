"""Responses body → `ChatRequest`, and what the response object repeats of it. The only place that reads `stream`."""

import msgspec

from augment_open_proxy.core.conversation import ChatRequest, ThinkingOutput
from augment_open_proxy.core.errors import invalid_request
from augment_open_proxy.dialects.dialect import Delivery, Parsed
from augment_open_proxy.dialects.openai_responses import wire
from augment_open_proxy.dialects.openai_responses.calls import CallForms, parse_tools
from augment_open_proxy.dialects.openai_responses.items import parse_input
from augment_open_proxy.dialects.reading import read, read_effort

_decoder = msgspec.json.Decoder(wire.Request)
_encode = msgspec.json.Encoder().encode
ENCRYPTED = "reasoning.encrypted_content"

IGNORED = (
    "max_output_tokens",
    "max_tool_calls",
    "temperature",
    "top_p",
    "top_logprobs",
    "presence_penalty",
    "frequency_penalty",
)
"""Accepted without effect; a response header names those that a client sent."""


class Shape(msgspec.Struct, frozen=True):
    """What the renderer needs to know of the request."""

    echo: wire.Echo = wire.Echo()
    forms: CallForms = CallForms()


def parse(body: bytes) -> Parsed:
    """Raises `ProxyError` (invalid request) that names the field by its path."""
    wire_request = read(_decoder, body)
    if not wire_request.model.strip():
        raise invalid_request("model must not be empty.", "model")
    _refuse_state(wire_request)
    reasoning = wire_request.reasoning or wire.Reasoning()
    parsed_tools = parse_tools(wire_request.tools or [], wire_request.tool_choice)
    messages = parse_input(wire_request.input)
    if not messages and not wire_request.instructions:
        raise invalid_request("input is missing.", "input")
    return Parsed(
        ChatRequest(
            model=wire_request.model,
            messages=messages,
            system=(wire_request.instructions,) if wire_request.instructions else (),
            tools=() if wire_request.tool_choice == "none" else parsed_tools.tools,
            effort=read_effort(reasoning.effort, "reasoning.effort"),
            conversation=wire_request.prompt_cache_key,
            thinking=_thinking(wire_request),
            ignored=_ignored(wire_request),
            left_out=parsed_tools.left_out,
        ),
        Delivery(stream=bool(wire_request.stream), shape=Shape(_echo(wire_request), parsed_tools.forms)),
    )


def _refuse_state(wire_request: wire.Request) -> None:
    for name in ("previous_response_id", "conversation", "prompt"):
        if getattr(wire_request, name) is not None:
            raise invalid_request(
                f"{name} refers to what is stored, and nothing is stored here yet; send all in input.",
                name,
            )
    if wire_request.background:
        raise invalid_request("background responses are not kept here yet; leave background out.", "background")


def _thinking(wire_request: wire.Request) -> ThinkingOutput:
    """The summary is shown where it is asked for; what comes back must be sealed."""
    shows = wire_request.reasoning is not None and wire_request.reasoning.summary not in (None, "none")
    if ENCRYPTED in (wire_request.include or []):
        return "sealed" if shows else "omitted"
    return "plain" if shows else "none"


def _ignored(wire_request: wire.Request) -> tuple[str, ...]:
    names = [name for name in IGNORED if getattr(wire_request, name) is not None]
    if wire_request.tool_choice not in (None, "auto", "none"):
        names.append("tool_choice")
    if wire_request.parallel_tool_calls is False:
        names.append("parallel_tool_calls")
    if _format(wire_request.text) not in (None, "text"):
        names.append("text.format")
    return tuple(names)


def _format(text: object) -> object:
    given = text.get("format") if isinstance(text, dict) else None
    return given.get("type") if isinstance(given, dict) else None


# -------------------------------------------------------------------- echo


def _echo(given: wire.Request) -> wire.Echo:
    reasoning = given.reasoning or wire.Reasoning()
    text = given.text if isinstance(given.text, dict) else {}
    return wire.Echo(
        frequency_penalty=given.frequency_penalty or 0.0,
        instructions=given.instructions,
        max_output_tokens=given.max_output_tokens,
        max_tool_calls=given.max_tool_calls,
        metadata=given.metadata if given.metadata is not None else {},
        parallel_tool_calls=given.parallel_tool_calls is not False,
        presence_penalty=given.presence_penalty or 0.0,
        prompt_cache_key=given.prompt_cache_key,
        reasoning=wire.ReasoningEcho(reasoning.effort, reasoning.summary),
        safety_identifier=given.safety_identifier,
        temperature=1.0 if given.temperature is None else given.temperature,
        text={"format": {"type": "text"}, **{name: value for name, value in text.items() if value is not None}},
        tool_choice=given.tool_choice or "auto",
        tools=_tools_echo(given.tools or []),
        top_logprobs=given.top_logprobs or 0,
        top_p=1.0 if given.top_p is None else given.top_p,
        truncation=given.truncation or "disabled",
        user=given.user,
    )


def _tools_echo(tools: list[wire.Tool]) -> msgspec.Raw:
    """On one line, which a schema from the client need not be: a line break would end an event's data."""
    return msgspec.Raw(msgspec.json.format(_encode([_tool_echo(tool) for tool in tools]), indent=-1))


def _tool_echo(tool: wire.Tool) -> object:
    if tool.type == "function":
        parameters = tool.parameters if bytes(tool.parameters) else msgspec.Raw(b"null")
        return wire.FunctionToolEcho(
            name=tool.name or "", description=tool.description, parameters=parameters, strict=tool.strict
        )
    fields: dict[str, object] = {
        "type": tool.type,
        "name": tool.name,
        "description": tool.description,
        "format": tool.format,
    }
    if tool.tools is not None:
        fields["tools"] = [_tool_echo(inner) for inner in tool.tools]
    return {name: value for name, value in fields.items() if value is not None}
