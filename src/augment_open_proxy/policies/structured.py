"""Structured output, which the backend does not know: JSON, or JSON that is valid by a schema.

The model is told; what it puts around the JSON is taken away; the result is validated, and if it is not valid, asked
for once more with the errors. Nothing is given out before it is valid; what stays invalid is an error.
"""

import json
from typing import TYPE_CHECKING, Any

import msgspec

from augment_open_proxy.core.conversation import ChatRequest, Message, Text, ToolCall
from augment_open_proxy.core.errors import ErrorKind, Problem, ProxyError
from augment_open_proxy.core.events import BlockDelta, BlockStart, BlockStop, Event, Failure, Finish, Opening
from augment_open_proxy.policies.second_turn import SecondTurn, said_in

if TYPE_CHECKING:
    from augment_open_proxy.policies.json_schema import Schema

DEMAND = "The answer must be one JSON value and nothing else: no prose around it, no code fence."
DEMAND_OBJECT = "It must be a JSON object."
DEMAND_SCHEMA = "It must be valid by this JSON Schema:"
_FENCE = "```"


def prepare(request: ChatRequest) -> tuple[ChatRequest, "StructuredOutput | None"]:
    """Raises `ProxyError` for a schema that is none."""
    wanted = request.output_format
    if wanted is None:
        return request, None
    schema = None
    if bytes(wanted.schema):
        from augment_open_proxy.policies.json_schema import Schema

        schema = Schema(wanted)
    rule = DEMAND_OBJECT if schema is None else f"{DEMAND_SCHEMA}\n{bytes(wanted.schema).decode()}"
    demand = Message("system", (Text(f"{DEMAND} {rule}"),))
    return msgspec.structs.replace(request, messages=(*request.messages, demand)), StructuredOutput(schema)


class StructuredOutput(SecondTurn):
    """Holds the reply back until its text is what was asked for; a reply that calls tools passes."""

    def __init__(self, schema: "Schema | None") -> None:
        super().__init__()
        self._schema = schema

    def feed(self, events: list[Event]) -> list[Event]:
        last = events[-1]
        if isinstance(last, Opening):
            return events
        self.hold(events)
        if not isinstance(last, Finish | Failure):
            return []
        turn = self.released()
        parts = said_in(turn)
        if isinstance(last, Failure) or last.reason != "stop" or any(isinstance(part, ToolCall) for part in parts):
            return self.paid(turn)
        text = "".join(part.text for part in parts if isinstance(part, Text))
        try:
            found, errors = self._check(text)
        except ProxyError as error:
            return [Failure(error.problem)]
        if found is not None:
            return self.paid([*_without_text(turn), *_text_block(turn, found), last])
        shown = "\n".join(f"- {error}" for error in errors)
        if self.ask(turn, last, f"That was not what must be answered:\n{shown}\nAnswer again. {DEMAND}"):
            return []
        problem = f"The model's answer is not the JSON that was asked for, and it was asked twice: {'; '.join(errors)}"
        return [Failure(Problem(ErrorKind.BACKEND, problem[:2000]))]

    def _check(self, text: str) -> tuple[str | None, list[str]]:
        """The JSON in a text where it is valid, else what is wrong with it."""
        errors: list[str] = []
        for candidate in _candidates(text):
            try:
                value = json.loads(candidate, parse_constant=_no_constant)
            except (ValueError, RecursionError) as error:
                errors = errors or [f"It is no JSON: {error}"]
                continue
            errors = self._errors(value)
            if not errors:
                return candidate, []
        return None, errors or ["There is no JSON in it."]

    def _errors(self, value: Any) -> list[str]:
        if self._schema is not None:
            return self._schema.errors(value)
        return [] if isinstance(value, dict) else ["It is no JSON object."]


def _candidates(text: str) -> list[str]:
    """What may be the JSON in a text: all of it, what stands in a code fence, what stands between brackets."""
    candidates = [text.strip()]
    fenced = text.split(_FENCE)
    candidates += [block.partition("\n")[2].strip() for block in fenced[1::2]]
    for opening, closing in ("{}", "[]"):
        start, end = text.find(opening), text.rfind(closing)
        if 0 <= start < end:
            candidates.append(text[start : end + 1])
    return [candidate for candidate in dict.fromkeys(candidates) if candidate]


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON value")


def _without_text(turn: list[Event]) -> list[Event]:
    """The turn's blocks but for text, numbered anew, without its end."""
    kept: list[Event] = []
    index, is_text = -1, False
    for event in turn:
        if isinstance(event, BlockStart):
            is_text = isinstance(event.block, Text)
            index += not is_text
        if isinstance(event, BlockStart | BlockDelta | BlockStop) and not is_text:
            kept.append(msgspec.structs.replace(event, index=index))
    return kept


def _text_block(turn: list[Event], text: str) -> list[Event]:
    index = sum(isinstance(event, BlockStart) and not isinstance(event.block, Text) for event in turn)
    return [BlockStart(index, Text("")), BlockDelta(index, text), BlockStop(index)]
