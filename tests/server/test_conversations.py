"""Conversations over HTTP: their items, what responses add to them, and who sees them."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from tests.servers import Proxy, running_proxy

MODEL = "claude-sonnet-4-5"
CONVERSATIONS = "/v1/conversations"
UNKNOWN = "conv_00000000-0000-4000-8000-000000000001"
OPERATIONS: list[tuple[str, str, Any]] = [
    ("GET", "", None),
    ("POST", "", {"metadata": {"a": "b"}}),
    ("GET", "/items", None),
    ("POST", "/items", {"items": [{"role": "user", "content": "Hi."}]}),
    ("GET", "/items/{item}", None),
    ("DELETE", "/items/{item}", None),
    ("DELETE", "", None),
]
each_operation = pytest.mark.parametrize(("method", "path", "body"), OPERATIONS)


@pytest.fixture(scope="module")
def proxy() -> Iterator[Proxy]:
    with running_proxy(store="memory") as running:
        yield running


def call(proxy: Proxy, method: str, path: str, body: Any = None, *, key: str = "k", status: int = 200) -> Any:
    """The answer to a request below `/v1/conversations`; a body of bytes is sent as it is."""
    content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"authorization": f"Bearer {key}"} | ({} if body is None else {"content-type": "application/json"})
    answer = httpx.request(method, proxy.url + CONVERSATIONS + path, content=content, headers=headers, timeout=20)
    assert answer.status_code == status, answer.text
    return answer.json()


def create(proxy: Proxy, *texts: str, **fields: Any) -> str:
    made = call(proxy, "POST", "", {"items": [said(text) for text in texts], **fields})
    return str(made["id"])


def said(text: str, **fields: Any) -> dict[str, Any]:
    return {"role": "user", "content": text, **fields}


def ask(proxy: Proxy, given: Any, *, status: int = 200, key: str = "k", **fields: Any) -> Any:
    body = {"model": MODEL, "input": given, **fields}
    headers = {"authorization": f"Bearer {key}"}
    answer = httpx.post(f"{proxy.url}/v1/responses", json=body, headers=headers, timeout=20)
    assert answer.status_code == status, answer.text
    return answer.text if body.get("stream") else answer.json()


def texts(proxy: Proxy, conversation: str) -> list[str]:
    """The text of each message, oldest first."""
    listed = call(proxy, "GET", f"/{conversation}/items?order=asc&limit=100")
    return [part["text"] for item in listed["data"] for part in item.get("content", [])]


def asked(proxy: Proxy) -> tuple[Any, ...]:
    """What the backend was asked last, less what differs with every request."""
    body = json.loads(proxy.simulator.requests[-1].body)
    return body["message"], body["chat_history"], body.get("nodes"), body.get("tool_definitions")


# ------------------------------------------------------------------ the object


def test_a_conversation_is_made_shown_changed_and_deleted(proxy: Proxy) -> None:
    made = call(proxy, "POST", "", {"metadata": {"topic": "trees"}})
    assert made == {
        "id": made["id"],
        "object": "conversation",
        "created_at": made["created_at"],
        "metadata": {"topic": "trees"},
    }
    assert made["id"].startswith("conv_")
    assert abs(made["created_at"] - time.time()) < 60
    path = f"/{made['id']}"
    assert call(proxy, "GET", path) == made
    assert call(proxy, "POST", path, {"metadata": {"a": "b"}}) == made | {"metadata": {"a": "b"}}
    assert call(proxy, "GET", path)["metadata"] == {"a": "b"}
    assert call(proxy, "POST", path, {"metadata": None})["metadata"] == {}
    assert call(proxy, "DELETE", path) == {"id": made["id"], "object": "conversation.deleted", "deleted": True}
    call(proxy, "GET", path, status=404)
    call(proxy, "DELETE", path, status=404)


@pytest.mark.parametrize("body", [None, b"{}", b'{"items": null, "metadata": null}'])
def test_a_conversation_may_begin_with_nothing(proxy: Proxy, body: bytes | None) -> None:
    made = call(proxy, "POST", "", body)
    listed = call(proxy, "GET", f"/{made['id']}/items")
    assert listed == {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}


def test_it_is_there_without_the_prefix_too(proxy: Proxy) -> None:
    id_ = create(proxy)
    assert httpx.get(f"{proxy.url}/conversations/{id_}", headers={"authorization": "Bearer k"}).status_code == 200


# ----------------------------------------------------------------------- items


def test_items_are_added_shown_and_deleted(proxy: Proxy) -> None:
    id_ = create(proxy, "One.")
    added = call(proxy, "POST", f"/{id_}/items", {"items": [said("Two."), said("Three.", id="msg_mine")]})
    assert (added["object"], added["has_more"]) == ("list", False)
    assert (added["first_id"], added["last_id"]) == (added["data"][0]["id"], "msg_mine")
    assert added["data"][0] == {
        "type": "message",
        "id": added["first_id"],
        "status": "completed",
        "role": "user",
        "content": [{"type": "input_text", "text": "Two."}],
    }
    assert texts(proxy, id_) == ["One.", "Two.", "Three."]
    assert call(proxy, "GET", f"/{id_}/items/msg_mine?include=message.input_image.image_url") == added["data"][1]
    conversation = call(proxy, "GET", f"/{id_}")
    assert call(proxy, "DELETE", f"/{id_}/items/{added['first_id']}") == conversation
    call(proxy, "DELETE", f"/{id_}/items/{added['first_id']}", status=404)
    call(proxy, "GET", f"/{id_}/items/{added['first_id']}", status=404)
    assert texts(proxy, id_) == ["One.", "Three."]


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("limit", [1, 7, 20, 27, 100])
def test_paging_walks_through_all_items(proxy: Proxy, order: str, limit: int) -> None:
    id_ = create(proxy, *(f"{i}" for i in range(20)))
    call(proxy, "POST", f"/{id_}/items", {"items": [said(f"{i}") for i in range(20, 27)]})
    walked: list[str] = []
    after = ""
    while True:
        page = call(proxy, "GET", f"/{id_}/items?order={order}&limit={limit}{after}")
        walked += [item["content"][0]["text"] for item in page["data"]]
        assert page["last_id"] == page["data"][-1]["id"]
        after = f"&after={page['last_id']}"
        if not page["has_more"]:
            break
        assert len(page["data"]) == limit
    numbers = [str(i) for i in range(27)]
    assert walked == (numbers if order == "asc" else numbers[::-1])


def test_the_newest_twenty_come_first_unless_asked_otherwise(proxy: Proxy) -> None:
    id_ = create(proxy, *(f"{i}" for i in range(20)))
    call(proxy, "POST", f"/{id_}/items", {"items": [said("20")]})
    page = call(proxy, "GET", f"/{id_}/items")
    assert [item["content"][0]["text"] for item in page["data"]] == [str(i) for i in range(20, 0, -1)]
    assert page["has_more"] is True


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "order=up", "after=msg_unknown", "after=%00"])
def test_a_page_that_can_not_be_had_is_a_400(proxy: Proxy, query: str) -> None:
    error = call(proxy, "GET", f"/{create(proxy, 'Hi.')}/items?{query}", status=400)["error"]
    assert error["param"] == query.partition("=")[0]


@pytest.mark.parametrize(
    ("item", "param"),
    [
        ({"type": "item_reference", "id": "msg_1"}, "items[1].type"),
        ({"id": "msg_1"}, "items[1].type"),
        ({"type": "compaction_trigger"}, "items[1].type"),
        ({"type": "additional_tools", "tools": []}, "items[1].type"),
        ({"type": "nothing"}, "items[1].type"),
        ({"role": "pirate", "content": "Arr."}, "items[1].role"),
        ({"role": "user", "content": [{"type": "input_file", "file_id": "file_1"}]}, "items[1].content[0].file_id"),
        ({"type": "function_call", "call_id": "call_1"}, "items[1].name"),
        ({"role": "user", "content": "Hi.", "id": "x" * 257}, "items[1].id"),
        ({"role": "user", "content": "Hi.", "id": "msg_1"}, "items"),
        (5, "items[1]"),
    ],
)
def test_what_can_not_be_kept_is_refused_and_nothing_added(proxy: Proxy, item: Any, param: str) -> None:
    id_ = create(proxy, "One.")
    body = {"items": [said("Two.", id="msg_1"), item]}
    assert call(proxy, "POST", f"/{id_}/items", body, status=400)["error"]["param"] == param
    assert call(proxy, "POST", "", body, status=400)["error"]["param"] == param
    assert texts(proxy, id_) == ["One."]


def test_an_item_never_replaces_another(proxy: Proxy) -> None:
    id_ = call(proxy, "POST", "", {"items": [said("One.", id="msg_1")]})["id"]
    body = {"items": [said("Two.", id="msg_2"), said("Three.", id="msg_1")]}
    assert "msg_1" in call(proxy, "POST", f"/{id_}/items", body, status=400)["error"]["message"]
    assert texts(proxy, id_) == ["One."]
    call(proxy, "POST", "", {"items": [said("In another.", id="msg_1")]})
    assert texts(proxy, id_) == ["One."]


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("", {"items": [said("Hi.")] * 21}, "items"),
        ("/items", {"items": [said("Hi.")] * 21}, "items"),
        ("/items", {}, "items"),
        ("/items", {"items": "Hi."}, "items"),
        ("", {"metadata": {"a": 5}}, "metadata"),
        ("/", {}, "metadata"),
        ("/", {"metadata": {"a" * 65: "b"}}, "metadata"),
        ("/", {"metadata": {str(i): "" for i in range(17)}}, "metadata"),
    ],
)
def test_a_malformed_body_names_the_field(proxy: Proxy, path: str, body: Any, param: str) -> None:
    where = f"/{create(proxy)}{path.rstrip('/')}" if path else ""
    assert call(proxy, "POST", where, body, status=400)["error"]["param"] == param


# --------------------------------------------------------------- with responses


def test_responses_add_their_input_and_output(proxy: Proxy) -> None:
    id_ = create(proxy, "My name is Ada.")
    first = ask(proxy, "What is my name?", conversation=id_)
    assert first["conversation"] == {"id": id_}
    first_said = first["output"][0]["content"][0]["text"]
    assert texts(proxy, id_) == ["My name is Ada.", "What is my name?", first_said]
    listed = call(proxy, "GET", f"/{id_}/items?limit=1")
    assert listed["data"] == first["output"]

    second = ask(proxy, [said("And yours?")], conversation={"id": id_})
    chained = asked(proxy)
    everything = [said("My name is Ada."), said("What is my name?"), *first["output"], said("And yours?")]
    ask(proxy, everything, store=False)
    assert chained == asked(proxy)
    assert texts(proxy, id_)[3:] == ["And yours?", second["output"][0]["content"][0]["text"]]


@pytest.mark.parametrize("fields", [{"stream": True}, {"background": True}, {"background": True, "stream": True}])
def test_so_do_streams_and_runs_in_the_background(proxy: Proxy, fields: dict[str, Any]) -> None:
    id_ = create(proxy)
    ask(proxy, f"Hi. @@{json.dumps({'text': 'Hello.'})}@@", conversation=id_, **fields)
    eventually(lambda: len(texts(proxy, id_)) == 2)
    assert texts(proxy, id_)[1] == "Hello."


def test_calls_and_their_results_are_remembered_with_the_reasoning(proxy: Proxy) -> None:
    tool = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}}
    directive = {"thinking": "A tree, surely.", "tool": {"name": "look", "input": {}}}
    id_ = create(proxy)
    first = ask(proxy, f"Look. @@{json.dumps(directive)}@@", conversation=id_, tools=[tool])
    result = {"type": "function_call_output", "call_id": first["output"][-1]["call_id"], "output": "A bush."}
    ask(proxy, [result], conversation=id_, tools=[tool])
    body = proxy.simulator.requests[-1].body.decode()
    assert "A tree, surely." in body
    assert "A bush." in body
    kinds = [item["type"] for item in call(proxy, "GET", f"/{id_}/items?order=asc")["data"]]
    assert kinds == ["message", "reasoning", "function_call", "function_call_output", "message"]


def test_an_item_that_was_named_is_added(proxy: Proxy) -> None:
    id_ = create(proxy)
    (answer,) = ask(proxy, f"Hi. @@{json.dumps({'text': 'From elsewhere.'})}@@")["output"]
    ask(proxy, [{"type": "item_reference", "id": answer["id"]}, said("Two.")], conversation=id_)
    assert texts(proxy, id_)[:2] == ["From elsewhere.", "Two."]


def test_a_compaction_stands_for_what_came_before_it(proxy: Proxy) -> None:
    id_ = create(proxy, "Plant a tree.")
    lines: list[Any] = [{"text": "A tree was planted."}, {"text": "", "stop_reason": 1}]
    proxy.simulator.script(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
    ask(proxy, [{"type": "compaction_trigger"}], conversation=id_)
    ask(proxy, "Where?", conversation=id_)
    body = proxy.simulator.requests[-1].body.decode()
    assert "A tree was planted." in body
    assert "Plant a tree." not in body


def test_a_deleted_item_is_forgotten(proxy: Proxy) -> None:
    id_ = create(proxy, "I like tea.", "I like coffee.")
    (newest,) = call(proxy, "GET", f"/{id_}/items?limit=1")["data"]
    call(proxy, "DELETE", f"/{id_}/items/{newest['id']}")
    ask(proxy, "What do I like?", conversation=id_)
    body = proxy.simulator.requests[-1].body.decode()
    assert "tea" in body
    assert "coffee" not in body


def test_an_item_of_the_conversation_can_be_named(proxy: Proxy) -> None:
    id_ = call(proxy, "POST", "", {"items": [said("Remember the tree.", id="msg_tree")]})["id"]
    ask(proxy, [{"type": "item_reference", "id": "msg_tree"}, said("Well?")], conversation=id_)
    assert asked(proxy)[0].count("Remember the tree.") == 2
    assert texts(proxy, id_)[:2] == ["Remember the tree.", "Well?"]
    ask(proxy, [{"type": "item_reference", "id": "msg_tree"}, said("Well?")], status=404)


@pytest.mark.parametrize("given", [[said("Two.", id="msg_1")], [said("Two.", id="msg_2"), said("Three.", id="msg_2")]])
def test_an_input_never_replaces_an_item(proxy: Proxy, given: list[Any]) -> None:
    """OpenAI's API says the same: clients know it, and take out what they sent again."""
    id_ = call(proxy, "POST", "", {"items": [said("One.", id="msg_1")]})["id"]
    error = ask(proxy, given, conversation=id_, status=400)["error"]
    assert error["message"].startswith(f"Duplicate item found with id {given[-1]['id']}.")
    assert error["param"] == "input"
    assert texts(proxy, id_) == ["One."]


def test_nor_does_an_output_that_is_sent_back(proxy: Proxy) -> None:
    id_ = create(proxy)
    (first,) = ask(proxy, "One.", conversation=id_)["output"]
    ask(proxy, [first, said("Two.")], conversation=id_, status=400)
    ask(proxy, [said("Two.")], conversation=id_)
    assert len(texts(proxy, id_)) == 4


@pytest.mark.parametrize("model", ["claude-sim-error-503", "claude-sim-reset"])
def test_a_response_that_fails_adds_nothing(proxy: Proxy, model: str) -> None:
    id_ = create(proxy, "One.")
    ask(proxy, "Two.", conversation=id_, model=model, stream=True, status=503 if "503" in model else 200)
    assert texts(proxy, id_) == ["One."]


def test_deleting_a_conversation_leaves_its_responses(proxy: Proxy) -> None:
    id_ = create(proxy)
    response = ask(proxy, "Hi.", conversation=id_)
    call(proxy, "DELETE", f"/{id_}")
    headers = {"authorization": "Bearer k"}
    assert httpx.get(f"{proxy.url}/v1/responses/{response['id']}", headers=headers).json() == response
    ask(proxy, "And?", conversation=id_, status=404)


def test_deleting_it_while_a_response_runs_leaves_the_response(proxy: Proxy) -> None:
    id_ = create(proxy)
    begun = ask(proxy, "Hi.", conversation=id_, background=True, model="claude-sim-slow")
    call(proxy, "DELETE", f"/{id_}")
    path, headers = f"{proxy.url}/v1/responses/{begun['id']}", {"authorization": "Bearer k"}
    eventually(lambda: httpx.get(path, headers=headers).json()["status"] == "completed")
    call(proxy, "GET", f"/{id_}", status=404)


# ------------------------------------------------------- unknown, foreign, odd


@each_operation
@pytest.mark.parametrize("id_", [UNKNOWN, "x", "%00", "%ED%A0%80", "%F0%9F%8C%B3", "x" * 5000])
def test_an_unknown_conversation_is_a_404(proxy: Proxy, method: str, path: str, body: Any, id_: str) -> None:
    error = call(proxy, method, f"/{id_}{path.format(item='msg_1')}", body, status=404)["error"]
    assert error["type"] == "invalid_request_error"


@each_operation
def test_another_key_s_is_a_404_too(proxy: Proxy, method: str, path: str, body: Any) -> None:
    id_ = call(proxy, "POST", "", {"items": [said("Secret.", id="msg_1")], "metadata": {"x": "y"}})["id"]
    call(proxy, method, f"/{id_}{path.format(item='msg_1')}", body, key="other", status=404)
    ask(proxy, "And?", conversation=id_, key="other", status=404)
    assert call(proxy, "GET", f"/{id_}")["metadata"] == {"x": "y"}
    assert texts(proxy, id_) == ["Secret."]


@pytest.mark.parametrize("item_id", ["msg_1", "%00", "%ED%A0%80", "x" * 5000])
def test_an_unknown_item_is_a_404(proxy: Proxy, item_id: str) -> None:
    id_ = create(proxy, "Hi.")
    for method in ("GET", "DELETE"):
        call(proxy, method, f"/{id_}/items/{item_id}", status=404)


@pytest.mark.parametrize("odd", [r"\u0000", r"\ud800", r"\udc00x", "\ue000", "\U0001f333"])
def test_odd_characters_are_kept_or_replaced_and_never_a_500(proxy: Proxy, odd: str) -> None:
    body = f'{{"items": [{{"role": "user", "content": "{odd}", "id": "msg_{odd}"}}], "metadata": {{"{odd}": "{odd}"}}}}'
    made = call(proxy, "POST", "", body.encode())
    read = json.loads(f'"{odd}"')
    kept = "".join("�" if "\ud800" <= character <= "\udfff" else character for character in read)
    assert made["metadata"] == {kept: kept}
    assert call(proxy, "GET", f"/{made['id']}") == made
    assert texts(proxy, made["id"]) == [kept]
    (item,) = call(proxy, "GET", f"/{made['id']}/items")["data"]
    assert item["id"] == "msg_" + kept
    assert call(proxy, "POST", f"/{made['id']}", f'{{"metadata": {{"a": "{odd}"}}}}'.encode())["metadata"] == {
        "a": kept
    }
    ask(proxy, "And?", conversation=made["id"])


@pytest.mark.parametrize("value", ["[" * 100_000 + "]" * 100_000, '"\\q"', "01"])
def test_what_is_no_json_is_a_400(proxy: Proxy, value: str) -> None:
    body = f'{{"items": [{{"role": "user", "content": "Hi.", "extra": {value}}}]}}'
    call(proxy, "POST", "", body.encode(), status=400)


@pytest.mark.parametrize("number", ["1e999", "1" + "0" * 5000])
def test_a_number_out_of_range_is_null(proxy: Proxy, number: str) -> None:
    item = f'{{"role": "user", "content": "Hi.", "extra": [{number}]}}'
    made = call(proxy, "POST", "", f'{{"items": [{item}]}}'.encode())
    (kept,) = call(proxy, "GET", f"/{made['id']}/items")["data"]
    assert kept["extra"] == [None]
    ask(proxy, "And?", conversation=made["id"])


def test_conversations_outlive_a_restart(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path / 'store.db'}"
    with running_proxy(store=store) as first:
        id_ = create(first, "One.", metadata={"a": "b"})
        ask(first, "Two.", conversation=id_)
        made, items = call(first, "GET", f"/{id_}"), call(first, "GET", f"/{id_}/items")
    with running_proxy(store=store) as second:
        assert call(second, "GET", f"/{id_}") == made
        assert call(second, "GET", f"/{id_}/items") == items
        ask(second, "Three.", conversation=id_)
        body = second.simulator.requests[-1].body.decode()
        assert all(word in body for word in ("One.", "Two.", "Three."))
        call(second, "DELETE", f"/{id_}")
        call(second, "GET", f"/{id_}", status=404)


def eventually(look: Callable[[], bool], seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
