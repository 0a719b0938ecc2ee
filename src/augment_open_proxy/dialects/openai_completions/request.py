"""Completions body → `ChatRequest`. The only place in this dialect that reads `stream`.

The backend knows chats only: the prompt becomes a user's message, and a system text asks for its continuation. Where
a request has no `max_tokens` there is no limit; OpenAI's default of 16 would cut what a chat model says.
"""

import msgspec
from msgspec import Struct

from augment_open_proxy.core.conversation import ChatRequest, Message, Text
from augment_open_proxy.core.errors import invalid_request
from augment_open_proxy.core.steps import Steps
from augment_open_proxy.dialects.dialect import Delivery, Draft, Parsed
from augment_open_proxy.dialects.openai_completions import wire
from augment_open_proxy.dialects.reading import ignored_reader, read_choices, read_in_steps, read_limit, read_stop

_decoder = msgspec.json.Decoder(wire.Request)

INSTRUCTIONS = (
    "The user's message is a text that stops short. Write on from its very last character. Give the continuation "
    "alone: do not repeat the text, answer it or comment on it, and put no quotes or code fences around what you "
    "write. Begin with a space or a line break where one has to follow."
)
"""What makes a chat model complete."""

IGNORED = ("temperature", "top_p", "seed", "presence_penalty", "frequency_penalty", "logit_bias")
"""Accepted without effect; a response header names those that a client sent."""
_ignored = ignored_reader(IGNORED)


class Echo(Struct, frozen=True):
    """The client wants its prompt back, before the completion."""

    prompt: str


def read(body: bytes) -> Steps[Draft]:
    """Raises `ProxyError` (invalid request) that names the field, as does what follows."""
    wire_request = yield from read_in_steps(_decoder, body)
    return Draft(lambda recalled: _parsed(wire_request))


def _parsed(wire_request: wire.Request) -> Steps[Parsed]:
    yield
    if not wire_request.model.strip():
        raise invalid_request("model must not be empty.", "model")
    prompt = _prompt(wire_request.prompt)
    _refuse_what_cannot_be_had(wire_request)
    options = wire_request.stream_options
    return Parsed(
        ChatRequest(
            model=wire_request.model,
            messages=(Message("user", (Text(prompt),)),),
            system=(INSTRUCTIONS,),
            stop=read_stop(wire_request.stop, "stop"),
            max_output_tokens=read_limit(wire_request.max_tokens, "max_tokens"),
            thinking="none",
            place="prompt",
            ignored=_ignored(wire_request),
        ),
        Delivery(
            stream=bool(wire_request.stream),
            include_usage=options is not None and bool(options.include_usage),
            choices=read_choices(wire_request.n),
            shape=Echo(prompt) if wire_request.echo else None,
        ),
    )


def _prompt(prompt: object) -> str:
    match prompt:
        case str(text) | [str(text)]:
            return text
        case None:
            raise invalid_request("prompt is missing.", "prompt")
        case [int() | list(), *_]:
            raise invalid_request("prompt must be a text: the Augment backend reads no tokens.", "prompt")
        case [str(), *_]:
            raise invalid_request("prompt must be one text: the proxy completes one for each request.", "prompt")
    raise invalid_request("prompt must be a text, or a list of one.", "prompt")


def _refuse_what_cannot_be_had(wire_request: wire.Request) -> None:
    if wire_request.best_of not in (None, wire_request.n or 1):
        raise invalid_request(
            "best_of must equal n: the Augment backend does not say which completion is best.", "best_of"
        )
    if wire_request.suffix not in (None, ""):
        raise invalid_request("suffix cannot be had: the Augment backend completes only at the end.", "suffix")
    if wire_request.logprobs is not None and wire_request.logprobs is not False:  # 0 asks for them
        raise invalid_request("logprobs cannot be had: the Augment backend gives none.", "logprobs")
