"""The scenarios. To add one, write a function that makes it, and list it in `SCENARIOS`.

The same conversation is written for each surface: as the client of the proxy sends it, and as the backend gets it.
"""

import itertools
from typing import Any

import msgspec
from msgspec.structs import replace

from benchmarks.model import Exchange, Scenario, Seen, marker

_MODEL = "claude-sonnet-4-5"
_SYSTEM = "You are a helpful assistant. Answer briefly, and say so when you do not know."
_PIECES = (
    "The answer is ",
    "in the file ",
    '"main.py",\n',
    "line forty-two: ",
    "the trains of ",
    "Zürich leave ",
    "on time. ",
)
_END = '{"text":"","nodes":[{"id":1,"type":10,"token_usage":{"input_tokens":42,"output_tokens":7}}],"stop_reason":1}'


def stored() -> Scenario:
    """As `unary`, each chat with `store: true`."""
    plain = _unary()
    body = _chat_body("stored", store=True)
    return replace(
        plain,
        name="stored",
        about="the same, each of them stored",
        exchanges={"chat": replace(plain.exchanges["chat"], body=body)},
    )


def _unary() -> Scenario:
    pieces = ("Paris is the capital of France, ", "and its largest city.", " Anything else?")
    return Scenario(
        name="unary",
        about="short whole chats, 32 at a time",
        unit="request",
        goal=8,
        concurrency=32,
        count=3000,
        lines=_lines(pieces),
        exchanges={
            "backend": Exchange("/chat-stream", _backend_body("unary"), "ndjson", _seen(pieces)),
            "chat": Exchange(
                "/v1/chat/completions", _chat_body("unary"), "chat_reply", Seen(1, "".join(pieces), ended=True)
            ),
        },
    )


def _burst() -> Scenario:
    pieces = tuple(itertools.islice(itertools.cycle(_PIECES), 499))
    return Scenario(
        name="burst",
        about="streams of 500 lines without pause, 16 at a time",
        unit="line",
        goal=9,
        concurrency=16,
        count=400,
        lines=_lines(pieces),
        exchanges={
            "backend": Exchange("/chat-stream", _backend_body("burst"), "ndjson", _seen(pieces)),
            "chat": Exchange(
                "/v1/chat/completions",
                _chat_body("burst", stream=True, stream_options={"include_usage": True}),
                "chat_stream",
                _seen(pieces),
            ),
        },
    )


def _lines(pieces: tuple[str, ...]) -> tuple[str, ...]:
    """The backend's answer: a line for each piece of text, and one for its end."""
    return (*(_json({"text": piece, "nodes": []}).decode() for piece in pieces), _END)


def _seen(pieces: tuple[str, ...]) -> Seen:
    return Seen(len(pieces), "".join(pieces), ended=True)


def _question(scenario: str) -> str:
    return f"What is the capital of France? {marker(scenario)}"


def _chat_body(scenario: str, **more: Any) -> bytes:
    messages = [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": _question(scenario)}]
    return _json({"model": _MODEL, "messages": messages, **more})


def _backend_body(scenario: str) -> bytes:
    system, question = f"System: {_SYSTEM}", _question(scenario)
    return _json(
        {
            "mode": "CLI_AGENT",
            "model": _MODEL,
            "message": f"{system}\n\n{question}",
            "nodes": [
                {"id": number, "text_node": {"content": text}, "type": 0}
                for number, text in enumerate((system, question))
            ],
            "chat_history": [],
            "conversation_id": "00000000-0000-4000-8000-000000000002",
        }
    )


def _json(value: Any) -> bytes:
    return msgspec.json.encode(value)


SCENARIOS = {scenario.name: scenario for scenario in (_unary(), _burst())}
