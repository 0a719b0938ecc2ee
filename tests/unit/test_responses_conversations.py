"""What clients post about conversations: which items are kept, as what, and what is refused."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from augment_open_proxy.core.errors import ProxyError
from augment_open_proxy.dialects.openai_responses.conversations import (
    MOST_ITEMS,
    read_added,
    read_change,
    read_new,
    render_conversation,
    render_deleted,
)
from augment_open_proxy.dialects.openai_responses.items import parse_item
from augment_open_proxy.dialects.openai_responses.stored import LONGEST_ID
from augment_open_proxy.journal.store.records import Item

DIGITS = "0" * 32


def added(*items: Any) -> list[Item]:
    return read_added(json.dumps({"items": items}).encode(), DIGITS)


def listed(item: dict[str, Any]) -> dict[str, Any]:
    """The one item as it is kept."""
    (kept,) = added(item)
    shown: dict[str, Any] = json.loads(kept.json)
    assert shown["id"] == kept.id
    return shown


def refusal(item: Any) -> ProxyError:
    with pytest.raises(ProxyError) as caught:
        added(item)
    return caught.value


def test_a_text_becomes_a_part() -> None:
    assert listed({"role": "user", "content": "Hi."}) == {
        "type": "message",
        "id": f"msg_{DIGITS}0000",
        "status": "completed",
        "role": "user",
        "content": [{"type": "input_text", "text": "Hi."}],
    }
    assert listed({"role": "assistant", "content": "Hi."})["content"] == [
        {"type": "output_text", "text": "Hi.", "annotations": [], "logprobs": []}
    ]
    assert listed({"role": "user", "content": None})["content"] == [{"type": "input_text", "text": ""}]


def test_parts_get_what_the_api_shows() -> None:
    content = [
        {"type": "text", "text": "One."},
        {"type": "input_image", "image_url": "https://example.org/a.png", "detail": None},
        {"type": "input_image", "image_url": "https://example.org/a.png", "detail": "low"},
        {"type": "input_file", "file_url": "https://example.org/a.pdf"},
    ]
    assert listed({"role": "user", "content": content})["content"] == [
        {"type": "input_text", "text": "One."},
        {"type": "input_image", "image_url": "https://example.org/a.png", "detail": "auto", "file_id": None},
        {"type": "input_image", "image_url": "https://example.org/a.png", "detail": "low", "file_id": None},
        {"type": "input_file", "file_url": "https://example.org/a.pdf"},
    ]
    answer = [{"type": "output_text", "text": "Two.", "annotations": None}]
    assert listed({"role": "assistant", "content": answer})["content"] == [
        {"type": "output_text", "text": "Two.", "annotations": [], "logprobs": []}
    ]


@pytest.mark.parametrize(
    ("item", "prefix", "shown"),
    [
        ({"type": "function_call", "call_id": "c", "name": "f"}, "fc", {"arguments": "{}", "status": "completed"}),
        (
            {"type": "function_call", "call_id": "c", "name": "f", "status": "incomplete"},
            "fc",
            {"status": "incomplete"},
        ),
        ({"type": "function_call_output", "call_id": "c", "output": None}, "fco", {"output": []}),
        (
            {"type": "function_call_output", "call_id": "c", "output": [{"type": "text", "text": "A."}]},
            "fco",
            {"output": [{"type": "input_text", "text": "A."}]},
        ),
        ({"type": "custom_tool_call", "call_id": "c", "name": "f"}, "ctc", {"input": ""}),
        ({"type": "custom_tool_call_output", "call_id": "c"}, "ctco", {"output": []}),
        (
            {"type": "local_shell_call", "call_id": "c", "action": {"command": ["ls"], "timeout_ms": 5}},
            "lsh",
            {"action": {"type": "exec", "command": ["ls"], "env": {}, "timeout_ms": 5}},
        ),
        ({"type": "local_shell_call_output", "call_id": "c"}, "lsho", {"output": ""}),
        ({"type": "reasoning", "encrypted_content": "gAAAA"}, "rs", {"summary": [], "encrypted_content": "gAAAA"}),
        ({"type": "compaction"}, "cmp", {"encrypted_content": ""}),
        ({"type": "compaction_summary", "encrypted_content": "gAAAA"}, "cmp", {"type": "compaction"}),
        ({"type": "web_search_call", "action": {"type": "search", "query": "q"}}, "item", {"status": "completed"}),
    ],
)
def test_each_kind_of_item_gets_its_id_and_what_the_api_shows(
    item: dict[str, Any], prefix: str, shown: dict[str, Any]
) -> None:
    kept = listed(item)
    assert kept["id"] == f"{prefix}_{DIGITS}0000"
    assert {name: kept[name] for name in shown} == shown
    assert kept.keys() >= item.keys()


def test_reasoning_and_compactions_have_no_status() -> None:
    assert "status" not in listed({"type": "reasoning", "summary": []})
    assert "status" not in listed({"type": "compaction", "encrypted_content": ""})


def test_ids_that_clients_give_are_kept() -> None:
    posted = added({"role": "user", "content": "A.", "id": "mine"}, {"role": "user", "content": "B.", "id": ""})
    assert [item.id for item in posted] == ["mine", f"msg_{DIGITS}0001"]


def test_two_items_can_not_have_one_id() -> None:
    item = {"role": "user", "content": "A.", "id": "mine"}
    with pytest.raises(ProxyError, match="'mine'"):
        added(item, item)


@pytest.mark.parametrize(
    ("item", "param"),
    [
        ({"type": "item_reference", "id": "msg_1"}, "items[0].type"),
        ({"id": "msg_1"}, "items[0].type"),
        ({"type": "compaction_trigger"}, "items[0].type"),
        ({"type": "additional_tools"}, "items[0].type"),
        ({"type": "video"}, "items[0].type"),
        ({"role": "user", "content": "A.", "id": "x" * (LONGEST_ID + 1)}, "items[0].id"),
        ({}, "items[0].role"),
        ([], "items[0]"),
        (None, "items[0]"),
    ],
)
def test_what_is_no_content_is_refused(item: Any, param: str) -> None:
    assert refusal(item).problem.param == param


def test_a_reference_s_refusal_says_what_to_send() -> None:
    assert "send the item itself" in str(refusal({"type": "item_reference", "id": "msg_1"}))


def test_there_is_a_limit_to_what_is_added_at_once() -> None:
    item = {"role": "user", "content": "A."}
    assert len(added(*[item] * MOST_ITEMS)) == MOST_ITEMS
    with pytest.raises(ProxyError, match="20"):
        added(*[item] * (MOST_ITEMS + 1))


def test_a_number_that_can_not_be_read_in_words_is_refused() -> None:
    with pytest.raises(ProxyError, match="out of range"):
        read_added(b'{"items": [{"type": "web_search_call", "action": 1e999}]}', DIGITS)


def test_a_new_conversation_may_be_empty() -> None:
    for body in (b"", b"{}", b'{"items": null, "metadata": null}', b'{"items": [], "metadata": {}}'):
        assert read_new(body, DIGITS) == ([], {})
    posted, metadata = read_new(b'{"items": [{"role": "user", "content": "Hi."}], "metadata": {"a": "b"}}', DIGITS)
    assert (len(posted), metadata) == (1, {"a": "b"})


def test_the_metadata_must_be_there_to_be_changed() -> None:
    assert read_change(b'{"metadata": {"a": "b"}}') == {"a": "b"}
    assert read_change(b'{"metadata": null}') == {}
    with pytest.raises(ProxyError, match="metadata is missing"):
        read_change(b"{}")


def test_the_objects() -> None:
    assert json.loads(render_conversation("conv_1", 5, {"a": "b"})) == {
        "id": "conv_1",
        "object": "conversation",
        "created_at": 5,
        "metadata": {"a": "b"},
    }
    assert json.loads(render_deleted("conv_1")) == {"id": "conv_1", "object": "conversation.deleted", "deleted": True}


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
TEXTS = st.none() | st.text(max_size=5)
PARTS = st.fixed_dictionaries(
    {"type": st.sampled_from(["input_text", "output_text", "text", "refusal", "summary_text"])},
    optional={"text": st.text(max_size=5), "refusal": st.text(max_size=5), "annotations": st.none(), "x": VALUES},
)
CONTENT = TEXTS | st.lists(PARTS, max_size=3)
KINDS = ["message", "function_call", "function_call_output", "custom_tool_call", "reasoning", "compaction"]
ITEMS = st.fixed_dictionaries(
    {"type": st.sampled_from(KINDS), "call_id": st.text(max_size=5), "name": st.text(max_size=5)},
    optional={
        "id": TEXTS,
        "role": st.sampled_from(["user", "assistant", "system", "developer"]),
        "status": TEXTS,
        "content": CONTENT,
        "output": CONTENT,
        "arguments": TEXTS,
        "input": TEXTS,
        "summary": st.none() | st.lists(PARTS, max_size=2),
        "encrypted_content": TEXTS,
        "x": VALUES,
    },
)


@given(items=st.lists(ITEMS | VALUES, max_size=4))
def test_anything_is_kept_so_that_it_means_the_same_or_refused(items: list[Any]) -> None:
    body = json.dumps({"items": items}).encode()
    try:
        posted = read_added(body, DIGITS)
    except ProxyError:
        return
    assert len({item.id for item in posted}) == len(items)
    for item, kept in zip(items, posted, strict=True):
        assert parse_item(kept.json, "x") == parse_item(json.dumps(item).encode(), "x")
