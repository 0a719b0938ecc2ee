"""The client APIs: how a prompt is asked in each, and what its answers say, whole and streamed."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

MODEL = "claude-sonnet-4-5"


class Seen:
    """What has come of an answer: its text by choice, and whether it has told a good or a bad end."""

    def __init__(self) -> None:
        self.texts: dict[int, str] = {}
        self.ended = False
        self.failed = False
        self.id = ""
        self.number = -1
        """Of the last event, where events have numbers."""

    def say(self, text: str | None, choice: int = 0) -> None:
        self.texts[choice] = self.texts.get(choice, "") + (text or "")


class Api(NamedTuple):
    """`whole` and `event` put what they read into a `Seen`."""

    name: str
    path: str
    body: Callable[[str], dict[str, Any]]
    whole: Callable[[Any, Seen], None]
    event: Callable[[Any, Seen], None]


def read_frame(api: Api, frame: bytes, seen: Seen) -> None:
    """A server-sent event."""
    for line in frame.split(b"\n"):
        if line == b"data: [DONE]":
            seen.ended = True
        elif line.startswith(b"data: "):
            value = json.loads(line[6:])
            if "error" in value and value["error"] is not None:
                seen.failed = True
            else:
                api.event(value, seen)


def _messages(prompt: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": prompt}]


# --------------------------------------------------------------- chat completions


def _chat_whole(reply: Any, seen: Seen) -> None:
    seen.id, seen.ended = reply["id"], True
    for choice in reply["choices"]:
        seen.say(choice["message"]["content"], choice["index"])


def _chat_event(event: Any, seen: Seen) -> None:
    seen.id = event["id"]
    for choice in event["choices"]:
        seen.say(choice["delta"].get("content"), choice["index"])


# -------------------------------------------------------------------- completions


def _completion_whole(reply: Any, seen: Seen) -> None:
    seen.ended = True
    for choice in reply["choices"]:
        seen.say(choice["text"], choice["index"])


def _completion_event(event: Any, seen: Seen) -> None:
    for choice in event["choices"]:
        seen.say(choice["text"], choice["index"])


# ----------------------------------------------------------------------- messages


def _message_whole(reply: Any, seen: Seen) -> None:
    seen.ended = True
    seen.say("".join(block["text"] for block in reply["content"] if block["type"] == "text"))


def _message_event(event: Any, seen: Seen) -> None:
    if event["type"] == "content_block_delta":
        seen.say(event["delta"].get("text"))
    seen.ended |= event["type"] == "message_stop"


# ---------------------------------------------------------------------- responses


def _response_whole(reply: Any, seen: Seen) -> None:
    seen.id, seen.ended = reply["id"], reply["status"] == "completed"
    seen.failed = reply["status"] == "failed"
    parts = [part for item in reply["output"] if item["type"] == "message" for part in item["content"]]
    seen.say("".join(part["text"] for part in parts))


def _response_event(event: Any, seen: Seen) -> None:
    seen.number = event["sequence_number"]
    if event["type"] == "response.output_text.delta":
        seen.say(event["delta"])
    elif "response" in event:
        seen.id = event["response"]["id"]
        seen.ended |= event["type"] == "response.completed"
        seen.failed |= event["type"] == "response.failed"


CHAT = Api(
    "chat",
    "/v1/chat/completions",
    lambda prompt: {"model": MODEL, "messages": _messages(prompt)},
    _chat_whole,
    _chat_event,
)
COMPLETIONS = Api(
    "completions",
    "/v1/completions",
    lambda prompt: {"model": MODEL, "prompt": prompt},
    _completion_whole,
    _completion_event,
)
MESSAGES = Api(
    "messages",
    "/v1/messages",
    lambda prompt: {"model": MODEL, "max_tokens": 10_000, "messages": _messages(prompt)},
    _message_whole,
    _message_event,
)
RESPONSES = Api(
    "responses",
    "/v1/responses",
    lambda prompt: {"model": MODEL, "input": prompt, "store": False},
    _response_whole,
    _response_event,
)
APIS = (CHAT, MESSAGES, RESPONSES, COMPLETIONS)
