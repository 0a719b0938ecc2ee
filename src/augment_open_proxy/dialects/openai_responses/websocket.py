"""What is said on the WebSocket of `/v1/responses`, beside the events that a stream has too: a client's messages →
what they ask for, problems → error events, events → text messages.

Spelled as OpenAI (https://developers.openai.com/api/docs/guides/websocket-mode) and Open Responses of 2026-04-24 do.
"""

import re
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from augment_open_proxy.core.errors import Problem
from augment_open_proxy.core.events import Event
from augment_open_proxy.dialects.dialect import StreamRenderer
from augment_open_proxy.dialects.framing import Frame, joined
from augment_open_proxy.dialects.openai_errors import ERRORS
from augment_open_proxy.dialects.reading import read

Lane = str | None
"""A `stream_id`: requests of one lane are answered one after the other. `None` is the lane of those without one."""
LONGEST_LANE = 256
_LANE = re.compile(rf"[A-Za-z0-9_.-]{{1,{LONGEST_LANE}}}")
_json = msgspec.json.Encoder().encode


class Head(Struct, frozen=True):
    """Of a client's message, what is not a parameter of the response."""

    type: Any = None
    stream_id: Any = None
    generate: Any = None
    previous_response_id: Any = None
    background: Any = None
    stream: Any = None


class Create(Struct, frozen=True):
    """A response that is asked for. `body` is that of `POST /v1/responses`, with fields that its parser passes over.

    Without `generates` the model is not asked: the request is kept, to be gone on from by its id.
    """

    lane: Lane
    body: bytes
    generates: bool = True
    previous: str | None = None


class Refusal(Exception):  # noqa: N818 (it becomes an event)
    """A client's message can't be served, for a reason that only this transport has."""

    def __init__(self, code: str, message: str, param: str | None = None, lane: Lane = None, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param
        self.lane = lane
        self.status = status


ACKNOWLEDGED = "response.processed"
"""Codex can say so of a response that it has dealt with; it waits for no answer, and would take one for the next."""
_head = msgspec.json.Decoder(Head)
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


def parse_message(text: bytes) -> Create | None:
    """What a text message asks for; `None` where it asks for nothing. Raises `Refusal`, and `ProxyError` for no JSON.

    `stream: true` says what is so anyway, and Codex and OpenAI's agents send it.
    """
    head = read(_head, text)
    if head.type == ACKNOWLEDGED:
        return None
    lane = _lane(head.stream_id)
    if head.type == "response.steer":
        raise Refusal("unsupported_event", "A response can't be steered: the Augment backend takes no input then.")
    if head.type != "response.create":
        raise Refusal("unknown_event", f"type must be response.create; it is {_shown(head.type)}.", "type", lane)
    if head.background:
        message = "background is not to be had over a WebSocket; post to /v1/responses instead."
        raise Refusal("unsupported_parameter", message, "background", lane)
    if head.stream is False:
        raise Refusal("unsupported_parameter", "Over a WebSocket each response is a stream.", "stream", lane)
    previous = head.previous_response_id if isinstance(head.previous_response_id, str) else None
    if head.generate is False:
        return Create(lane, _without_generate(text), generates=False, previous=previous)
    return Create(lane, text, previous=previous)


def _without_generate(text: bytes) -> bytes:
    """Only here it means something; the parser of bodies refuses it."""
    return _json({name: value for name, value in read(_fields, text).items() if name != "generate"})


def _lane(given: Any) -> Lane:
    if given is None or (isinstance(given, str) and _LANE.fullmatch(given)):
        return given
    raise Refusal(
        "invalid_stream_id",
        f"stream_id must be 1 to {LONGEST_LANE} letters, digits, underscores, hyphens and periods; leave it out for "
        "the lane without a name.",
        "stream_id",
    )


def _shown(type_: Any) -> str:
    return repr(type_)[:100] if type_ is not None else "missing"


# ------------------------------------------------------------------ events


class ErrorDetail(Struct, frozen=True, kw_only=True):
    type: str
    code: str
    message: str
    param: str | None = None
    headers: dict[str, str] | UnsetType = UNSET


class ErrorEvent(Struct, frozen=True, kw_only=True):
    type: Literal["error"] = "error"
    status: int
    error: ErrorDetail
    stream_id: str | UnsetType = UNSET


def render_refusal(refusal: Refusal, lane: Lane) -> bytes:
    """The error event."""
    detail = ErrorDetail(type="invalid_request_error", code=refusal.code, message=refusal.message, param=refusal.param)
    return _json(ErrorEvent(status=refusal.status, error=detail, stream_id=lane or UNSET))


def render_problem(problem: Problem, lane: Lane, headers: dict[str, str]) -> bytes:
    """The error event of a response that failed before its first event; `headers` are those it would have by HTTP."""
    shape = ERRORS[problem.kind]
    detail = ErrorDetail(
        type=shape.type,
        code=shape.code or shape.type,
        message=problem.message,
        param=problem.param,
        headers=headers or UNSET,
    )
    return _json(ErrorEvent(status=shape.status, error=detail, stream_id=lane or UNSET))


class Messages:
    """The renderer of a response as messages: each a line, and none with a line break in it. They name their lane."""

    media_type = "application/jsonl"

    def __init__(self, renderer: StreamRenderer, lane: Lane) -> None:
        self._renderer = renderer
        self._end = (b"}" if lane is None else b',"stream_id":%b}' % _json(lane)) + b"\n"

    def feed(self, events: list[Event], choice: int = 0) -> bytes:
        return self._lines(self._renderer.feed(events, choice))

    def heartbeat(self) -> bytes:
        return self._lines(self._renderer.heartbeat())

    def _lines(self, frames: list[Frame]) -> bytes:
        return b"".join(joined(data)[:-1] + self._end for _, data in frames)
