"""The objects of conversations and of stored chat completions, each as one golden file in `objects/`."""

import json
from typing import Any

import pytest

from augment_open_proxy.core.listing import Item, Page
from augment_open_proxy.dialects.dialect import NOTHING
from augment_open_proxy.dialects.openai_chat import OPENAI_CHAT
from augment_open_proxy.dialects.openai_chat import stored as completions
from augment_open_proxy.dialects.openai_lists import cut, render_list
from augment_open_proxy.dialects.openai_responses import conversations
from tests.cases import upstream_answer
from tests.golden.test_open_responses import DOCUMENT, check
from tests.golden.test_response_objects import shown
from tests.pipeline import CREATED, TURN_ID, whole_reply

CONVERSATION = "conv_" + TURN_ID
COMPLETION = "chatcmpl-" + TURN_ID
ITEMS: list[dict[str, Any]] = [
    {"role": "developer", "content": "Talk like a pirate."},
    {
        "role": "user",
        "content": [
            {"type": "input_text", "text": "What is in the file?"},
            {"type": "input_image", "image_url": "https://example.org/map.png"},
            {"type": "input_file", "file_url": "https://example.org/log.pdf"},
        ],
    },
    {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Read it."}], "encrypted_content": "gAAAA"},
    {"type": "function_call", "call_id": "call_1", "name": "read", "arguments": '{"path": "a.txt"}'},
    {"type": "function_call_output", "call_id": "call_1", "output": "Treasure."},
    {"role": "assistant", "content": "Treasure, arr.", "id": "msg_mine"},
]
OTHER_ITEMS: list[dict[str, Any]] = [
    {"type": "custom_tool_call", "call_id": "call_2", "name": "dig", "input": "here"},
    {"type": "custom_tool_call_output", "call_id": "call_2", "output": "Gold."},
    {"type": "local_shell_call", "call_id": "call_3", "action": {"command": ["ls"]}},
    {"type": "local_shell_call_output", "id": "lsh_3", "call_id": "call_3", "output": "chest"},
    {"type": "compaction", "encrypted_content": "gAAAA"},
]
"""Of kinds that the Open Responses document does not know, or not as input."""
REQUEST: dict[str, Any] = {
    "model": "gpt-5.4",
    "messages": [
        {"role": "system", "content": "Talk like a pirate."},
        {"role": "user", "name": "ada", "content": [{"type": "text", "text": "What is in the file?"}]},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "read", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "Treasure."},
    ],
    "tools": [{"type": "function", "function": {"name": "read", "parameters": {"type": "object"}}}],
    "temperature": 0.2,
    "user": "ada",
    "store": True,
}


def kept(items: list[dict[str, Any]]) -> tuple[Item, ...]:
    return tuple(conversations.read_added(json.dumps({"items": items}).encode(), "0" * 32))


def page(items: tuple[Item, ...], limit: int = 20) -> bytes:
    found, has_more = cut(items, Page(limit, "asc"))
    return render_list(found, has_more=has_more)


def completion(**metadata: str) -> bytes:
    body = json.dumps(REQUEST).encode()
    reply = whole_reply(OPENAI_CHAT, OPENAI_CHAT.parse(body, NOTHING), [upstream_answer("thinking")])
    return completions.render_completion(body, [reply, reply], metadata)


def test_a_conversation(request: pytest.FixtureRequest) -> None:
    data = conversations.render_conversation(CONVERSATION, CREATED, {"topic": "treasure"})
    shown(data, "conversation", request)


def test_a_deleted_conversation(request: pytest.FixtureRequest) -> None:
    shown(conversations.render_deleted(CONVERSATION), "conversation_deleted", request)


def test_the_items_of_a_conversation(request: pytest.FixtureRequest) -> None:
    items = kept(ITEMS)
    shown(page(items, limit=5), "conversation_items", request)
    for item in items:
        if DOCUMENT.exists():
            check("ItemField", json.loads(item.json))


def test_items_of_other_kinds(request: pytest.FixtureRequest) -> None:
    shown(page(kept(OTHER_ITEMS)), "conversation_items_of_other_kinds", request)


def test_an_item_of_a_conversation(request: pytest.FixtureRequest) -> None:
    shown(kept(ITEMS)[-1].json, "conversation_item", request)


def test_a_stored_completion(request: pytest.FixtureRequest) -> None:
    shown(completion(topic="treasure"), "completion_stored", request)


def test_a_list_of_stored_completions(request: pytest.FixtureRequest) -> None:
    shown(page((Item(COMPLETION, completion()),)), "completion_list", request)


def test_the_messages_of_a_stored_completion(request: pytest.FixtureRequest) -> None:
    shown(page(completions.messages(json.dumps(REQUEST).encode(), COMPLETION)), "completion_messages", request)


def test_a_deleted_completion(request: pytest.FixtureRequest) -> None:
    shown(completions.render_deleted(COMPLETION), "completion_deleted", request)
