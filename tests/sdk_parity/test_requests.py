"""What we send for a conversation is what `@augmentcode/auggie-sdk` sends for it, field for field."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest

from augment_open_proxy.core.conversation import ChatRequest
from augment_open_proxy.upstream.encode import encode, request_headers

from . import sdk
from .conversations import CONVERSATIONS, EVERY_ORDER, PICTURES, SONNET_5, Conversation, Json
from .core import chat_request, results_joined

ADDED_BY_FETCH = {
    "accept",
    "accept-encoding",
    "accept-language",
    "connection",
    "content-length",
    "host",
    "sec-fetch-mode",
}


@dataclass(frozen=True)
class Recording:
    """One request of the SDK, and the one that it makes where no stream is asked for."""

    streamed: Json
    generated: Json

    @property
    def body(self) -> Json:
        return _body(self.streamed)


def _body(request: Json) -> Json:
    body: Json = json.loads(request["body"])
    return body


Recordings = Mapping[str, Recording]


@pytest.fixture(scope="module")
def recordings() -> Recordings:
    conversations = [*CONVERSATIONS, *PICTURES, SONNET_5, *EVERY_ORDER]
    recorded = sdk.run("record.mjs", [conversation.as_json() for conversation in conversations])
    return {
        conversation.name: Recording(**requests) for conversation, requests in zip(conversations, recorded, strict=True)
    }


def each(conversations: list[Conversation]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("conversation", conversations, ids=[c.name for c in conversations])


def encoded(request: ChatRequest, theirs: Json) -> Json:
    """Our body for the request, in the same conversation as theirs."""
    body: Json = json.loads(encode(request, request.model, theirs["conversation_id"]))
    return body


# ---------------------------------------------------------------- comparison


def comparable(body: Json, conversation: Conversation) -> str:
    """The body as text, a field a line. JSON inside strings is opened where the conversation gave it as JSON."""
    json_inputs, json_outputs = _ids_of_json(conversation)
    for definition in body.get("tool_definitions", []):
        definition["input_schema_json"] = json.loads(definition["input_schema_json"])
    for entry in body["chat_history"]:
        for node in entry["response_nodes"]:
            use = node.get("tool_use")
            if use and use["tool_use_id"] in json_inputs:
                use["input_json"] = json.loads(use["input_json"])
    for nodes in request_nodes(body):
        for node in nodes:
            result = node.get("tool_result_node")
            if result and result["tool_use_id"] in json_outputs:
                result["content"] = json.loads(result["content"])
    return json.dumps(_plain_numbers(body), indent=1, sort_keys=True)


def _ids_of_json(conversation: Conversation) -> tuple[set[str], set[str]]:
    parts = [part for message in conversation.prompt if message["role"] != "system" for part in message["content"]]
    inputs = {
        part["toolCallId"] for part in parts if part["type"] == "tool-call" and not isinstance(part["input"], str)
    }
    outputs = {
        part["toolCallId"]
        for part in parts
        if part["type"] == "tool-result" and part["output"]["type"] in ("json", "error-json")
    }
    return inputs, outputs


def request_nodes(body: Json) -> list[list[Json]]:
    return [*(entry["request_nodes"] for entry in body["chat_history"]), body["nodes"]]


def _plain_numbers(value: Any) -> Any:
    """JSON has one kind of number: 1.0 is 1."""
    match value:
        case dict():
            return {key: _plain_numbers(item) for key, item in value.items()}
        case list():
            return [_plain_numbers(item) for item in value]
        case float() if value.is_integer():
            return int(value)
        case _:
            return value


# --------------------------------------------------------------------- bodies


@each(CONVERSATIONS)
def test_our_body_equals_theirs(conversation: Conversation, recordings: Recordings) -> None:
    theirs = recordings[conversation.name].body
    ours = encoded(chat_request(conversation), theirs)
    assert comparable(ours, conversation) == comparable(theirs, conversation)


def test_it_does_so_for_every_order_of_up_to_four_messages(recordings: Recordings) -> None:
    different = []
    for conversation in EVERY_ORDER:
        theirs = recordings[conversation.name].body
        ours = encoded(chat_request(conversation), theirs)
        if comparable(ours, conversation) != comparable(theirs, conversation):
            different.append(conversation.name)
    assert different == []


def test_results_may_stand_in_the_user_message_that_follows_them(recordings: Recordings) -> None:
    joined = 0
    for conversation in [*CONVERSATIONS, *EVERY_ORDER]:
        request = chat_request(conversation)
        if results_joined(request) != request:
            joined += 1
            theirs = recordings[conversation.name].body
            ours = encoded(results_joined(request), theirs)
            assert comparable(ours, conversation) == comparable(theirs, conversation), conversation.name
    assert joined > 100


@each(PICTURES)
def test_without_its_pictures_our_body_equals_theirs(conversation: Conversation, recordings: Recordings) -> None:
    theirs = recordings[conversation.name].body
    ours = encoded(chat_request(conversation), theirs)
    with_pictures = json.dumps(ours)
    for nodes in request_nodes(ours):
        nodes[:] = [node for node in nodes if "image_node" not in node]
        for id_, node in enumerate(nodes):
            node["id"] = id_
            node.get("tool_result_node", {}).pop("content_nodes", None)
    assert json.dumps(ours) != with_pictures
    assert comparable(ours, conversation) == comparable(theirs, conversation)


def test_for_claude_sonnet_5_our_body_differs_in_its_mode_alone(recordings: Recordings) -> None:
    theirs = recordings[SONNET_5.name].body
    ours = encoded(chat_request(SONNET_5), theirs)
    assert (ours.pop("mode"), theirs.pop("mode")) == ("CHAT", "CLI_AGENT")
    assert comparable(ours, SONNET_5) == comparable(theirs, SONNET_5)


def test_the_sdk_sends_one_body_whether_it_streams_or_not(recordings: Recordings) -> None:
    for recording in recordings.values():
        streamed, generated = _body(recording.streamed), _body(recording.generated)
        streamed["conversation_id"] = generated["conversation_id"] = ""
        assert streamed == generated


# -------------------------------------------------------------------- requests


def test_the_sdk_is_the_version_that_we_compare_with(recordings: Recordings) -> None:
    user_agents = {recording.streamed["headers"]["user-agent"] for recording in recordings.values()}
    assert user_agents == {"augment.sdk.ai/0.1.15 (typescript)"}


def test_the_sdk_posts_to_chat_stream(recordings: Recordings) -> None:
    for recording in recordings.values():
        for request in (recording.streamed, recording.generated):
            assert (request["method"], request["path"]) == ("POST", "/chat-stream")


def test_our_headers_equal_theirs_but_for_the_user_agent(recordings: Recordings) -> None:
    recording = recordings["one-user-message"]
    theirs = {name: value for name, value in recording.streamed["headers"].items() if name not in ADDED_BY_FETCH}
    request_id, conversation_id = theirs["x-request-id"], recording.body["conversation_id"]
    ours = {
        name.lower(): value for name, value in request_headers("recorded-token", request_id, conversation_id).items()
    }
    assert str(UUID(request_id)) == request_id != conversation_id == str(UUID(conversation_id))
    assert ours.pop("user-agent") != theirs.pop("user-agent")
    assert ours == theirs
