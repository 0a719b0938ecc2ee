"""One question in each API, streamed and whole, and what its answer says: for tests that hold in all of them."""

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import httpx2 as httpx
import pytest

from tests.servers import Proxy

Json = dict[str, Any]


class Api(NamedTuple):
    """`text` reads a whole body, `delta` the text in an event of a stream, `failure` the message of one that fails."""

    name: str
    path: str
    body: Json
    """What a request has beside the model and the conversation."""
    turns: str
    """The field of the conversation."""
    text: Callable[[Json], str]
    delta: Callable[[Json], str]
    failure: Callable[[Json], str | None]
    overloaded: int
    """The status that tells that the backend is overloaded."""


def _delta_of(type_: str, *path: str) -> Callable[[Json], str]:
    def delta(event: Json) -> str:
        if event.get("type") != type_:
            return ""
        value: Any = event
        for key in path:
            value = value.get(key, "")
        return str(value)

    return delta


CHAT = Api(
    "chat",
    "/v1/chat/completions",
    {},
    "messages",
    lambda body: body["choices"][0]["message"]["content"],
    lambda event: "".join(choice["delta"].get("content") or "" for choice in event.get("choices", ())),
    lambda event: event["error"]["message"] if "error" in event else None,
    503,
)
MESSAGES = Api(
    "messages",
    "/v1/messages",
    {"max_tokens": 50_000_000},
    "messages",
    lambda body: "".join(block.get("text", "") for block in body["content"]),
    _delta_of("content_block_delta", "delta", "text"),
    lambda event: event["error"]["message"] if event.get("type") == "error" else None,
    529,
)
RESPONSES = Api(
    "responses",
    "/v1/responses",
    {"store": False},
    "input",
    lambda body: "".join(part["text"] for item in body["output"] for part in item.get("content", ())),
    _delta_of("response.output_text.delta", "delta"),
    lambda event: event["response"]["error"]["message"] if event.get("type") == "response.failed" else None,
    503,
)
APIS = (CHAT, MESSAGES, RESPONSES)

every_api = pytest.mark.parametrize("api", APIS, ids=lambda api: api.name)
streamed_and_whole = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])


class Answer(NamedTuple):
    """`error` is the message of an error, whether it came as one or within the stream."""

    status: int
    headers: httpx.Headers
    text: str
    error: str | None
    raw: str


def request(api: Api, model: str, stream: bool, turns: str | Sequence[Json] = "Hi.", **fields: Any) -> Json:
    """The body of a request; `turns` is the conversation, or what the user says."""
    conversation = [{"role": "user", "content": turns}] if isinstance(turns, str) else list(turns)
    return {"model": model, "stream": stream, api.turns: conversation, **api.body, **fields}


def ask(proxy: Proxy, api: Api, model: str, stream: bool, turns: str | Sequence[Json] = "Hi.", **fields: Any) -> Answer:
    answer = httpx.post(proxy.url + api.path, json=request(api, model, stream, turns, **fields), timeout=30)
    return read(api, answer.status_code, answer.headers, answer.text)


def read(api: Api, status: int, headers: httpx.Headers, raw: str) -> Answer:
    """What a whole answer or the whole of a stream says."""
    if headers["content-type"].startswith("text/event-stream"):
        seen = events(raw)
        failures = [message for event in seen if (message := api.failure(event)) is not None]
        assert failures in ([], [api.failure(seen[-1])]), "nothing follows a failure"
        return Answer(status, headers, "".join(map(api.delta, seen)), failures[0] if failures else None, raw)
    body = json.loads(raw)
    if status == 200:
        return Answer(status, headers, api.text(body), None, raw)
    return Answer(status, headers, "", body["error"]["message"], raw)


def events(raw: str) -> list[Json]:
    """The events of a stream; comments and `[DONE]` are left out."""
    return [json.loads(line[6:]) for line in raw.split("\n") if line.startswith("data: {")]
