"""A scripted model that obeys: for programs and test suites that expect a model to do what it is told.

It calls the tools that a text names, with the numbers and the quoted words of that text as arguments; it calls one
where one must be called; it answers with JSON where JSON is demanded. Else it repeats what was said, or what the tools
gave.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from augment_open_proxy.simulator import agent
from augment_open_proxy.simulator import directive as directives
from augment_open_proxy.simulator import request as requests
from augment_open_proxy.simulator.answer import Content, words
from augment_open_proxy.simulator.arguments import arguments, split_words
from augment_open_proxy.simulator.request import ChatStreamRequest, RequestNode, ToolDefinition
from augment_open_proxy.upstream.wire import ToolUse

_SYSTEM = "System: "
_MUST_CALL = "This turn must be a call of"
_MUST_BE_JSON = "The answer must be one JSON value"
_BY_SCHEMA = re.compile(r"JSON Schema:\s*")
_QUOTED = re.compile(r"(?<!\w)'([^'\n]+)'(?!\w)|\"([^\"\n]+)\"|“([^”\n]+)”")
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?")
_WEAK = frozenset({"a", "the", "my", "get", "use", "tool", "function", "and", "of", "in", "for", "with"})
_NOT_PLAIN = frozenset({"const", "$ref", "allOf", "anyOf", "oneOf", "not"})
_scan = json.JSONDecoder().raw_decode


def obey(request: ChatStreamRequest) -> Content:
    """Calls, JSON, or words."""
    task = _task(request)
    must_call = any(_MUST_CALL in text for text in _told(request.nodes))
    tools = _asked_for(request, task, must_call)
    if tools:
        calls = tuple(
            ToolUse(agent.call_id(request, index), tool.name, _json(_filled(tool.schema(), task)))
            for index, tool in enumerate(tools)
        )
        return Content(text=() if must_call else words("I call what was asked for."), calls=calls)
    schema = _demanded(request, task)
    return Content(text=words(_plain(request)) if schema is None else (_json(_value(schema, task)),))


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


# --------------------------------------------------------------------- texts


def _task(request: ChatStreamRequest) -> str:
    """What the user said last, which may be before the calls of this turn's results."""
    spoken = (directives.texts(nodes) for nodes in reversed(requests.turns(request)))
    return next(("\n".join(texts) for texts in spoken if texts), request.message)


def _told(nodes: Sequence[RequestNode]) -> list[str]:
    """The system's texts of one turn."""
    texts = [node.text_node.content for node in nodes if node.text_node is not None]
    return [text for text in texts if text.startswith(_SYSTEM)]


def _plain(request: ChatStreamRequest) -> str:
    said = [result.content for result in requests.results(request.nodes)] or [directives.user_text(request)]
    if pictures := sum(node.image_node is not None for node in request.nodes):
        said.append(f"There {'is 1 picture' if pictures == 1 else f'are {pictures} pictures'}.")
    return "\n".join(text for text in said if text) or "Done."


def _quoted(text: str) -> list[str]:
    return ["".join(groups) for groups in _QUOTED.findall(text)]


# --------------------------------------------------------------------- tools


def _asked_for(request: ChatStreamRequest, task: str, must_call: bool) -> list[ToolDefinition]:
    """The tools to call now: those that the text names, or the one that fits it best. None twice for one text."""
    is_after_call = directives.carries_results(request, len(request.chat_history))
    if is_after_call and not must_call:
        return []
    called = _called(request) if is_after_call else frozenset()
    tools = [tool for tool in request.tools if tool.name not in called] or (list(request.tools) if must_call else [])
    places = {tool.name: place for tool in tools if (place := _place(tool.name, task)) is not None}
    if places:
        return sorted((tool for tool in tools if tool.name in places), key=lambda tool: places[tool.name])
    spoken = frozenset(split_words(task)) - _WEAK
    best = max(tools, key=lambda tool: len(spoken.intersection(split_words(tool.name))), default=None)
    if best is None or not (must_call or spoken.intersection(split_words(best.name))):
        return []
    return [best]


def _called(request: ChatStreamRequest) -> frozenset[str]:
    """The tools that have been called since the user said something."""
    names: set[str] = set()
    for entry in reversed(request.chat_history):
        names.update(node.tool_use.tool_name for node in entry.response_nodes if node.tool_use is not None)
        if directives.texts(entry.request_nodes):
            break
    return frozenset(names)


def _place(name: str, text: str) -> int | None:
    """Where a text has a name as a word of its own."""
    match = re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text)
    return None if match is None else match.start()


# -------------------------------------------------------------------- values


def _filled(schema: Mapping[str, Any], task: str) -> dict[str, Any]:
    """Arguments by the schema, with what the text gives for them."""
    return arguments(_with_given(schema, task))


def _value(schema: object, task: str) -> Any:
    """A value by the schema, which need not be an object."""
    if not isinstance(schema, Mapping):
        return {}
    answer = _with_given(schema, task)
    definitions = {key: schema[key] for key in ("$defs", "definitions") if key in schema}
    whole = {"type": "object", "properties": {"answer": answer}, "required": ["answer"]}
    return arguments({**definitions, **whole})["answer"]


def _with_given(schema: Mapping[str, Any], task: str) -> dict[str, Any]:
    """The schema with properties fixed to the numbers and the quoted words of the text, in its order, if valid."""
    properties = schema.get("properties")
    if not isinstance(properties, Mapping):
        return dict(schema)
    quoted = _quoted(task)
    numbers = iter([float(number) for number in _NUMBER.findall(_QUOTED.sub("", task))])
    strings = iter(quoted)
    fixed = {name: _given(kind, task, numbers, strings) for name, kind in properties.items()}
    return {**schema, "properties": fixed}


def _given(schema: Any, task: str, numbers: Iterator[float], strings: Iterator[str]) -> Any:
    if not isinstance(schema, Mapping) or not _NOT_PLAIN.isdisjoint(schema):
        return schema
    if isinstance(options := schema.get("enum"), list):
        named = [option for option in options if isinstance(option, str) and _place(option, task) is not None]
        return {"const": named[0]} if named else schema
    try:
        match schema.get("type"):
            case "integer" | "number" as kind:
                number = next(numbers, None)
                if number is not None and _fits_number(schema, number, kind):
                    return {"const": int(number) if number.is_integer() else number}
            case "string" if "format" not in schema:
                text = next(strings, None)
                if text is not None and _fits_string(schema, text):
                    return {"const": text}
    except (TypeError, ArithmeticError, re.error):
        return schema  # malformed keywords are passed over
    return schema


def _fits_number(schema: Mapping[str, Any], number: float, kind: str) -> bool:
    return (
        (kind == "number" or number.is_integer())
        and schema.get("minimum", number) <= number <= schema.get("maximum", number)
        and schema.get("exclusiveMinimum", number - 1) < number < schema.get("exclusiveMaximum", number + 1)
        and number % schema.get("multipleOf", number or 1) == 0
    )


def _fits_string(schema: Mapping[str, Any], text: str) -> bool:
    return (
        schema.get("minLength", 0) <= len(text) <= schema.get("maxLength", len(text))
        and re.search(schema.get("pattern", ""), text) is not None
    )


# ---------------------------------------------------------------------- JSON


def _demanded(request: ChatStreamRequest, task: str) -> object | None:
    """The schema of the JSON that is demanded: by the proxy, by the system's text, or by the user's."""
    demand = next((text for text in _told(request.nodes) if _MUST_BE_JSON in text), None)
    if demand is not None and (mark := _BY_SCHEMA.search(demand)) is not None:
        return _parsed(demand, mark.end())
    if demand is None and "json" not in task.lower() and not any("json" in text.lower() for text in _system(request)):
        return None
    for text in (task, *_system(request)):
        for schema in _schemas(text):
            return schema
    if demand is None:
        return None
    keys = _quoted(task)
    return {"type": "object", "properties": {key: {"type": "string"} for key in keys}, "required": keys}


def _system(request: ChatStreamRequest) -> list[str]:
    """What the system has said so far."""
    return [text for nodes in reversed(requests.turns(request)) for text in _told(nodes) if _MUST_BE_JSON not in text]


def _parsed(text: str, start: int) -> object:
    try:
        return _scan(text, start)[0]
    except ValueError:
        return {}


def _schemas(text: str) -> Iterator[object]:
    """The JSON Schemas of objects that stand in a text."""
    position = 0
    while (position := text.find("{", position)) >= 0:
        try:
            value, position = _scan(text, position)
        except ValueError:
            position += 1
            continue
        if isinstance(value, dict) and isinstance(value.get("properties"), dict):
            yield value
