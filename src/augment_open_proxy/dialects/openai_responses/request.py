"""Responses body → `ChatRequest`, and what the response object repeats of it. The only place that reads `stream`."""

from typing import Any

import msgspec
from msgspec import Raw

from augment_open_proxy.core.conversation import ChatRequest, ThinkingOutput
from augment_open_proxy.core.errors import invalid_request
from augment_open_proxy.core.jsontext import mended
from augment_open_proxy.dialects.dialect import Delivery, Parsed
from augment_open_proxy.dialects.openai_responses import wire
from augment_open_proxy.dialects.openai_responses.calls import CallForms, parse_tools
from augment_open_proxy.dialects.openai_responses.items import continued, parse_input
from augment_open_proxy.dialects.reading import read, read_effort, read_limit, read_output_format, read_tool_choice

_decoder = msgspec.json.Decoder(wire.Request)
_head = msgspec.json.Decoder(wire.ItemHead)
_added_tools = msgspec.json.Decoder(wire.AddedTools)
_tool = msgspec.json.Decoder(wire.Tool)
_encode = msgspec.json.Encoder().encode
LOGPROBS = "message.output_text.logprobs"
ENCRYPTED = "reasoning.encrypted_content"

IGNORED = (
    "temperature",
    "top_p",
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
    raw_tools = _tools(wire_request)
    tools = [read(_tool, bytes(raw), f"tools[{i}]") for i, raw in enumerate(raw_tools)]
    parsed_tools = parse_tools(tools, wire_request.tool_choice)
    messages = continued(parse_input(wire_request.input))
    if not messages and not wire_request.instructions:
        raise invalid_request("input is missing.", "input")
    return Parsed(
        ChatRequest(
            model=wire_request.model,
            messages=messages,
            system=(wire_request.instructions,) if wire_request.instructions else (),
            tools=parsed_tools.tools,
            tool_choice=read_tool_choice(wire_request.tool_choice, "function", "custom", "local_shell"),
            max_output_tokens=read_limit(wire_request.max_output_tokens, "max_output_tokens"),
            max_tool_calls=_call_limit(wire_request),
            output_format=read_output_format((wire_request.text or {}).get("format"), "text.format"),
            effort=read_effort(reasoning.effort, "reasoning.effort"),
            conversation=wire_request.prompt_cache_key,
            thinking=_thinking(wire_request),
            ignored=_ignored(wire_request),
            left_out=parsed_tools.left_out,
        ),
        Delivery(
            stream=bool(wire_request.stream), shape=Shape(_echo(wire_request, tools, raw_tools), parsed_tools.forms)
        ),
    )


def _tools(wire_request: wire.Request) -> list[Raw]:
    """The tools of the request, and those in items: Codex sends them so to its newest models."""
    tools = list(wire_request.tools or [])
    for i, item in enumerate(wire_request.input if isinstance(wire_request.input, list) else []):
        if b'"additional_tools"' in bytes(item) and read(_head, bytes(item)).type == "additional_tools":
            tools += read(_added_tools, bytes(item), f"input[{i}]").tools or []
    return tools


def _refuse_state(wire_request: wire.Request) -> None:
    for name in ("previous_response_id", "conversation", "prompt"):
        if getattr(wire_request, name) is not None:
            raise invalid_request(
                f"{name} refers to what is stored, and nothing is stored here yet; send all in input.",
                name,
            )
    if wire_request.top_logprobs or LOGPROBS in (wire_request.include or []):
        raise invalid_request("logprobs cannot be had: the Augment backend gives nothing of the kind.", "top_logprobs")
    if wire_request.background:
        raise invalid_request("background responses are not kept here yet; leave background out.", "background")


def _thinking(wire_request: wire.Request) -> ThinkingOutput:
    """The summary is shown where it is asked for; what comes back must be sealed."""
    reasoning = wire_request.reasoning or wire.Reasoning()
    shows = (reasoning.summary or reasoning.generate_summary) not in (None, "none")
    if ENCRYPTED in (wire_request.include or []):
        return "carried" if shows else "omitted"
    return "plain" if shows else "none"


def _call_limit(wire_request: wire.Request) -> int | None:
    limit = read_limit(wire_request.max_tool_calls, "max_tool_calls")
    return 1 if wire_request.parallel_tool_calls is False else limit


def _ignored(wire_request: wire.Request) -> tuple[str, ...]:
    names = [name for name in IGNORED if getattr(wire_request, name) is not None]
    if wire_request.truncation not in (None, "disabled"):
        names.append("truncation")
    return tuple(names)


# -------------------------------------------------------------------- echo


def _echo(given: wire.Request, tools: list[wire.Tool], raw_tools: list[Raw]) -> wire.Echo:
    reasoning = given.reasoning or wire.Reasoning()
    text = given.text or {}
    return wire.Echo(
        frequency_penalty=given.frequency_penalty or 0.0,
        instructions=given.instructions,
        max_output_tokens=given.max_output_tokens,
        max_tool_calls=given.max_tool_calls,
        metadata=given.metadata if given.metadata is not None else {},
        parallel_tool_calls=given.parallel_tool_calls is not False,
        presence_penalty=given.presence_penalty or 0.0,
        prompt_cache_key=given.prompt_cache_key,
        prompt_cache_retention=given.prompt_cache_retention,
        reasoning=wire.ReasoningEcho(reasoning.effort, reasoning.summary or reasoning.generate_summary),
        safety_identifier=given.safety_identifier,
        temperature=1.0 if given.temperature is None else given.temperature,
        text={**{name: value for name, value in text.items() if value is not None}, "format": _format_echo(text)},
        tool_choice=given.tool_choice or "auto",
        tools=_tools_echo(tools, raw_tools),
        top_logprobs=given.top_logprobs or 0,
        top_p=1.0 if given.top_p is None else given.top_p,
        truncation=given.truncation or "disabled",
        user=given.user,
    )


def _format_echo(text: dict[str, Any]) -> dict[str, Any]:
    given: dict[str, Any] = text.get("format") or {"type": "text"}
    if given.get("type") != "json_schema":
        return given
    return {"description": None, **given, "strict": bool(given.get("strict"))}


def _tools_echo(tools: list[wire.Tool], raw_tools: list[Raw]) -> Raw:
    """On one line, which what comes from the client need not be: a line break would end an event's data."""
    echoed = [_tool_echo(tool, raw) for tool, raw in zip(tools, raw_tools, strict=True)]
    return Raw(msgspec.json.format(mended(_encode(echoed)), indent=-1))


def _tool_echo(tool: wire.Tool, raw: Raw) -> wire.FunctionToolEcho | Raw:
    """A function with the defaults filled in; any other tool as it came."""
    if tool.type != "function":
        return raw
    parameters = tool.parameters if bytes(tool.parameters) else Raw(b"null")
    return wire.FunctionToolEcho(
        name=tool.name or "", description=tool.description, parameters=parameters, strict=tool.strict
    )
