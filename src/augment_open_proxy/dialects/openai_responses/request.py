"""Responses body → `ChatRequest`, and what the response object repeats of it. The only place that reads `stream`."""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from augment_open_proxy.core.conversation import ChatRequest, ThinkingOutput
from augment_open_proxy.core.errors import invalid_request
from augment_open_proxy.core.jsontext import mended
from augment_open_proxy.core.remembered import ByIdentity, ByText, is_small
from augment_open_proxy.core.steps import Steps
from augment_open_proxy.dialects.dialect import (
    NO_REFERENCES,
    NOTHING,
    Delivery,
    Draft,
    Keep,
    Parsed,
    Recalled,
    References,
    parsed,
)
from augment_open_proxy.dialects.openai_responses import wire
from augment_open_proxy.dialects.openai_responses.calls import ParsedTools, check_choice, parse_tools
from augment_open_proxy.dialects.openai_responses.items import (
    PLACE,
    Input,
    continued,
    ends_with_trigger,
    kind_of,
    messages_of,
    parse_past,
    read_request,
)
from augment_open_proxy.dialects.openai_responses.reply import Shape, fields_of, shape_of
from augment_open_proxy.dialects.reading import (
    ignored_reader,
    read_effort,
    read_limit,
    read_metadata,
    read_output_format,
    read_tool_choice,
    read_value,
)
from augment_open_proxy.dialects.reading import read as read_body

_decoder = msgspec.json.Decoder(wire.Request)
_head = msgspec.json.Decoder(wire.ItemHead)
_added_tools = msgspec.json.Decoder(wire.AddedTools)
_tool = msgspec.json.Decoder(wire.Tool)
_raws = msgspec.json.Decoder(list[Raw])
_fields = msgspec.json.Decoder(dict[str, Raw])
_encode = msgspec.json.Encoder().encode
LOGPROBS = "message.output_text.logprobs"
ENCRYPTED = "reasoning.encrypted_content"
_NO_TOOLS: list[Raw] = []
_ADDED = "additional_tools"
"""Items of this type hold tools."""

IGNORED = (
    "context_management",
    "moderation",
    "temperature",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "truncation",
    "text.verbosity",
    "reasoning.context",
    "reasoning.mode",
)
"""Accepted without effect; a response header names those that a client sent."""
_ignored = ignored_reader(IGNORED)


def read(body: bytes) -> Steps[Draft]:
    """Raises `ProxyError` (invalid request) that names the field by its path, as does what follows."""
    wire_request, given = yield from read_request(body)
    referred = references(wire_request.previous_response_id, wire_request.conversation, given)
    return Draft(lambda recalled: _parsed(body, wire_request, given, recalled, referred), referred)


def parse(body: bytes, recalled: Recalled = NOTHING) -> Parsed:
    """A body in one go. Raises `ProxyError`."""
    return parsed(read, body, recalled)


def references(previous: str | None, conversation: object, given: Input) -> References:
    """The previous response, the conversation, and the items that the input names by their ids."""
    conversation_id = _conversation(conversation)
    if conversation_id and previous:
        raise invalid_request("previous_response_id and conversation exclude each other.", "conversation")
    may_refer = not given.types.isdisjoint((None, "item_reference"))
    items = [item.id for item in given.items if item.id and kind_of(item) == "item_reference"] if may_refer else ()
    return References(previous or None, conversation_id, tuple(items))


def _parsed(
    body: bytes, wire_request: wire.Request, given: Input, recalled: Recalled, referred: References
) -> Steps[Parsed]:
    if not wire_request.model.strip():
        raise invalid_request("model must not be empty.", "model")
    is_all_there = recalled is not NOTHING or referred == NO_REFERENCES
    if referred.conversation and is_all_there:
        _check_ids(given, recalled.items)
    settled = _settled(body, wire_request, given, recalled) if recalled is not NOTHING else body
    if settled is not body:
        wire_request, given = yield from read_request(settled)
    raw_tools = _tools(wire_request, given)
    options = _options(wire_request, _known_tools(raw_tools))
    compacts = ends_with_trigger(given)
    past = yield from parse_past(recalled)
    messages = past + (yield from messages_of(given))
    if not compacts:
        messages = continued(messages)
    if is_all_there and not (messages or wire_request.instructions or raw_tools):  # a WebSocket takes tools alone
        raise invalid_request("input is missing.", "input")
    request = replace(options.request, model=wire_request.model, messages=messages, compacts=compacts)
    delivery = options.delivery
    if compacts:
        delivery = replace(delivery, shape=replace(shape_of(delivery), compacts=True))
    return Parsed(request, delivery, options.keep, None if settled is body else settled)


def _settled(body: bytes, wire_request: wire.Request, given: Input, recalled: Recalled) -> bytes:
    """The body with what it takes from elsewhere: the items that it refers to, and the tools in what was said before.

    What is made of it again needs nothing else then.
    """
    is_reference = [kind_of(item) == "item_reference" and item.id in recalled.by_id for item in given.items]
    own = wire_request.tools or _NO_TOOLS
    said_before = _said_before(own + _added(given), recalled)
    if not said_before and not any(is_reference):
        return body
    fields = read_value(_fields, body)
    if any(is_reference):
        raw_items = read_value(_raws, fields["input"])
        for i, item in enumerate(given.items):
            if is_reference[i]:
                raw_items[i] = Raw(recalled.by_id[item.id or ""])
        fields["input"] = Raw(_encode(raw_items))
    if said_before:
        fields["tools"] = Raw(_encode(own + said_before))
    return _encode(fields)


def _check_ids(given: Input, kept: Sequence[bytes]) -> None:
    """Refuse an item that would replace one that its conversation has `kept`, in the words of OpenAI's API."""
    ids = {read_value(_head, item, PLACE).id for item in kept}
    for item in given.items:
        if item.id and kind_of(item) != "item_reference":
            if item.id in ids:
                raise invalid_request(
                    f"Duplicate item found with id {item.id}. Remove duplicate items from your input and try again.",
                    "input",
                )
            ids.add(item.id)


def _options(wire_request: wire.Request, tools: "_Tools") -> Parsed:
    """All but model and messages; agents give the same with each request."""
    asked = replace(wire_request, model="", input=None, tools=None)
    is_plain = _is_plain(asked)
    if is_plain and tools.last is not None and tools.last[0] == asked:
        return tools.last[1]
    options = _read_options(asked, tools)
    if is_plain and is_small((asked,)):
        tools.last = asked, options
    return options


def _is_plain(asked: wire.Request) -> bool:
    """Whether what is equal to it is the same: in JSON of any type `1`, `1.0` and `true` are equal."""
    return asked.text is asked.metadata is asked.conversation is None and not isinstance(asked.tool_choice, dict)


def _read_options(asked: wire.Request, tools: "_Tools") -> Parsed:
    _refuse(asked)
    check_choice(tools.parsed, asked.tool_choice)
    reasoning = asked.reasoning or wire.Reasoning()
    keep, echo = _keep(asked), _echo(asked, tools.echo)
    return Parsed(
        ChatRequest(
            model="",
            messages=(),
            system=(asked.instructions,) if asked.instructions else (),
            tools=tools.parsed.tools,
            tool_choice=read_tool_choice(asked.tool_choice, "function", "custom", "local_shell"),
            max_output_tokens=read_limit(asked.max_output_tokens, "max_output_tokens"),
            max_tool_calls=_call_limit(asked),
            output_format=read_output_format((asked.text or {}).get("format"), "text.format"),
            effort=read_effort(reasoning.effort, "reasoning.effort"),
            conversation=asked.prompt_cache_key,
            thinking=_thinking(asked, is_kept=keep is not None),
            ignored=_ignored(asked),
            left_out=tools.parsed.left_out,
            place="input",
        ),
        Delivery(
            stream=bool(asked.stream),
            include_usage=bool((asked.stream_options or {}).get("include_usage")),
            shape=Shape(echo, tools.parsed.forms, ENCRYPTED in (asked.include or []), fields=fields_of(echo)),
        ),
        keep,
    )


def _tools(wire_request: wire.Request, given: Input) -> list[Raw]:
    """The tools of the request, and those in items: Codex sends them so to its newest models, once for all turns."""
    tools, added = wire_request.tools or _NO_TOOLS, _added(given)
    return _one_list(b"[%b]" % b",".join(map(bytes, tools + added))) if added else tools


def _added(given: Input) -> list[Raw]:
    """The tools in items of the input."""
    added: list[Raw] = []
    for i, item in enumerate(given.items if _ADDED in given.types else ()):
        if item.type == _ADDED:
            added += read_value(_added_tools, given.raw_items[i], f"input[{i}]").tools or []
    return added


def _said_before(tools: list[Raw], recalled: Recalled) -> list[Raw]:
    """The tools in what was said before, but for those of the name of one in `tools`; of each name the latest."""
    requests = [read_body(_decoder, turn.request).input for turn in recalled.turns]
    past = [bytes(item) for items in requests if isinstance(items, list) for item in items]
    added = [tool for item in reversed([*past, *recalled.items]) for tool in _added_before(item)]
    names = {_tool_key(tool) for tool in tools} if added else set()
    more: list[Raw] = []
    for tool in added:
        if _tool_key(tool) not in names:
            names.add(_tool_key(tool))
            more.append(tool)
    return more


def _added_before(item: bytes) -> list[Raw]:
    """The tools in an item of the past."""
    if _ADDED.encode() not in item or read_value(_head, item, PLACE).type != _ADDED:
        return []
    return read_value(_added_tools, item, PLACE).tools or []


def _tool_key(raw: Raw) -> tuple[str, str | None]:
    tool = read_value(_tool, raw, "tools")
    return tool.type, tool.name


class _Tools(Struct):
    """Tools as they are read, what the response repeats of them, and what else was last asked for with them."""

    parsed: ParsedTools
    echo: Raw
    last: tuple[wire.Request, Parsed] | None = None


def _read_tools(raw_tools: list[Raw]) -> _Tools:
    tools = [read_value(_tool, raw, f"tools[{i}]") for i, raw in enumerate(raw_tools)]
    return _Tools(parse_tools(tools), _tools_echo(tools, raw_tools))


_one_list = ByText(_raws.decode)
"""The list of tools that were put together: for the same ones the same list, as if they had come so."""
_known_tools = ByIdentity(_read_tools)


def _conversation(given: object) -> str | None:
    match given:
        case None:
            return None
        case str(id_) | {"id": str(id_)} if id_:
            return id_
    raise invalid_request("conversation must be an id, or an object with one.", "conversation")


def _keep(wire_request: wire.Request) -> Keep | None:
    if wire_request.store is False:
        if wire_request.conversation is not None:
            raise invalid_request("conversation needs store: what is said is added to it.", "conversation")
        if wire_request.background:
            raise invalid_request("background needs store: what runs on must be kept somewhere.", "background")
        return None
    return Keep(bool(wire_request.background), read_metadata(wire_request.metadata))


def _refuse(wire_request: wire.Request) -> None:
    if wire_request.prompt is not None:
        raise invalid_request("prompt names a template kept at OpenAI, which is not here; send all in input.", "prompt")
    if wire_request.generate is False:
        raise invalid_request("generate: false warms up a WebSocket, and means nothing here; leave it out.", "generate")
    if wire_request.top_logprobs or LOGPROBS in (wire_request.include or []):
        raise invalid_request("logprobs cannot be had: the Augment backend gives nothing of the kind.", "top_logprobs")


def _thinking(wire_request: wire.Request, *, is_kept: bool) -> ThinkingOutput:
    """The summary is shown where it is asked for; what comes back, from the client or the store, must be sealed."""
    reasoning = wire_request.reasoning or wire.Reasoning()
    shows = (reasoning.summary or reasoning.generate_summary) not in (None, "none")
    if is_kept or ENCRYPTED in (wire_request.include or []):
        return "carried" if shows else "omitted"
    return "plain" if shows else "none"


def _call_limit(wire_request: wire.Request) -> int | None:
    limit = read_limit(wire_request.max_tool_calls, "max_tool_calls")
    return 1 if wire_request.parallel_tool_calls is False else limit


# -------------------------------------------------------------------- echo


def _echo(given: wire.Request, tools: Raw) -> wire.Echo:
    reasoning = given.reasoning or wire.Reasoning()
    text = given.text or {}
    conversation = _conversation(given.conversation)
    return wire.Echo(
        background=bool(given.background),
        conversation=wire.ConversationRef(conversation) if conversation else None,
        frequency_penalty=given.frequency_penalty or 0.0,
        instructions=given.instructions,
        max_output_tokens=given.max_output_tokens,
        max_tool_calls=given.max_tool_calls,
        metadata=read_metadata(given.metadata),
        parallel_tool_calls=given.parallel_tool_calls is not False,
        presence_penalty=given.presence_penalty or 0.0,
        previous_response_id=given.previous_response_id or None,
        prompt_cache_key=given.prompt_cache_key,
        prompt_cache_retention=given.prompt_cache_retention,
        reasoning=wire.ReasoningEcho(reasoning.effort, reasoning.summary or reasoning.generate_summary),
        safety_identifier=given.safety_identifier,
        store=given.store is not False,
        temperature=1.0 if given.temperature is None else given.temperature,
        text={**{name: value for name, value in text.items() if value is not None}, "format": _format_echo(text)},
        tool_choice=given.tool_choice or "auto",
        tools=tools,
        top_logprobs=given.top_logprobs or 0,
        top_p=1.0 if given.top_p is None else given.top_p,
        truncation=given.truncation or "disabled",
        user=given.user,
    )


def _format_echo(text: dict[str, Any]) -> dict[str, Any]:
    given = text.get("format")
    if not isinstance(given, dict):
        return {"type": "text"}
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
