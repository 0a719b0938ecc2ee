"""Stored chat completions over HTTP: what is shown, listed and changed, and to whom."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from tests.servers import Proxy, running_proxy

MODEL = "claude-sonnet-4-5"
CHAT = "/v1/chat/completions"
UNKNOWN = "chatcmpl-00000000-0000-4000-8000-000000000001"
OPERATIONS: list[tuple[str, str, Any]] = [
    ("GET", "", None),
    ("GET", "/messages", None),
    ("POST", "", {"metadata": {"a": "b"}}),
    ("DELETE", "", None),
]
each_operation = pytest.mark.parametrize(("method", "path", "body"), OPERATIONS)


@pytest.fixture(scope="module")
def proxy() -> Iterator[Proxy]:
    with running_proxy(store="memory") as running:
        yield running


def call(proxy: Proxy, method: str, path: str, body: Any = None, *, key: str = "k", status: int = 200) -> Any:
    """The answer to a request below `/v1/chat/completions`; a body of bytes is sent as it is."""
    content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"authorization": f"Bearer {key}"} | ({} if body is None else {"content-type": "application/json"})
    answer = httpx.request(method, proxy.url + CHAT + path, content=content, headers=headers, timeout=20)
    assert answer.status_code == status, answer.text
    return answer.json()


def chat(prompt: str = "Hi.", **fields: Any) -> dict[str, Any]:
    return {"model": MODEL, "messages": [{"role": "user", "content": prompt}], "store": True, **fields}


def complete(proxy: Proxy, prompt: str = "Hi.", *, key: str = "k", **fields: Any) -> Any:
    return call(proxy, "POST", "", chat(prompt, **fields), key=key)


def beyond(stored: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """What the stored object has, and the reply had not."""
    assert {name: stored[name] for name in given} == given
    return {name: value for name, value in stored.items() if name not in given}


# ------------------------------------------------------------------ the object


def test_a_stored_completion_is_the_reply_and_what_was_asked(proxy: Proxy) -> None:
    fields: dict[str, Any] = {
        "metadata": {"topic": "trees"},
        "temperature": 0.5,
        "seed": 7,
        "user": "ada",
        "tools": [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}],
        "tool_choice": "auto",
    }
    given = complete(proxy, **fields)
    stored = call(proxy, "GET", f"/{given['id']}")
    assert beyond(stored, given) == {
        "request_id": given["id"],
        "tool_choice": "auto",
        "seed": 7,
        "top_p": 1.0,
        "temperature": 0.5,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "system_fingerprint": None,
        "input_user": "ada",
        "service_tier": "default",
        "tools": fields["tools"],
        "metadata": {"topic": "trees"},
        "response_format": None,
    }
    assert httpx.get(proxy.url + CHAT.removeprefix("/v1") + f"/{given['id']}").status_code == 404, "no key"
    path = f"{proxy.url}/chat/completions/{given['id']}"
    assert httpx.get(path, headers={"authorization": "Bearer k"}).json() == stored


def test_it_is_the_same_when_it_was_streamed(proxy: Proxy) -> None:
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    directive = {"thinking": "Hm.", "text": ["I ", "look."], "tool": [{"name": "look", "input": {}, "id": "call_1"}]}
    body = chat(f"Look. @@{json.dumps(directive)}@@", tools=[tool], metadata={"a": "b"})
    whole = call(proxy, "GET", f"/{call(proxy, 'POST', '', body)['id']}")
    answer = httpx.post(proxy.url + CHAT, json=body | {"stream": True}, headers={"authorization": "Bearer k"})
    streamed = call(proxy, "GET", f"/{json.loads(answer.text.splitlines()[0][6:])['id']}")
    message = streamed["choices"][0]["message"]
    assert (message["content"], message["reasoning"], len(message["tool_calls"])) == ("I look.", "Hm.", 1)
    differing = {"id", "created", "request_id", "usage"}
    assert {name for name in whole if whole[name] != streamed[name]} <= differing


@pytest.mark.parametrize("stream", [False, True])
def test_all_choices_are_stored(proxy: Proxy, stream: bool) -> None:
    body = chat(f"@@{json.dumps({'text': 'Yes.'})}@@", n=3, stream=stream)
    answer = httpx.post(proxy.url + CHAT, json=body, headers={"authorization": "Bearer k"})
    id_ = json.loads(answer.text.splitlines()[0][6:])["id"] if stream else answer.json()["id"]
    choices = call(proxy, "GET", f"/{id_}")["choices"]
    assert [(choice["index"], choice["message"]["content"]) for choice in choices] == [(i, "Yes.") for i in range(3)]


def test_thinking_that_the_client_did_not_want_is_not_shown(proxy: Proxy) -> None:
    given = complete(proxy, f"@@{json.dumps({'thinking': 'Hm.', 'text': 'Yes.'})}@@", include_reasoning=False)
    assert call(proxy, "GET", f"/{given['id']}")["choices"] == given["choices"]


def test_metadata_is_replaced(proxy: Proxy) -> None:
    path = f"/{complete(proxy, metadata={'a': 'b', 'c': 'd'})['id']}"
    before = call(proxy, "GET", path)
    assert call(proxy, "POST", path, {"metadata": {"a": "x"}}) == before | {"metadata": {"a": "x"}}
    assert call(proxy, "GET", path)["metadata"] == {"a": "x"}
    assert call(proxy, "POST", path, {"metadata": None})["metadata"] == {}
    for body in ({}, {"metadata": {"a": 5}}, {"metadata": {"a": "x" * 513}}):
        assert call(proxy, "POST", path, body, status=400)["error"]["param"] == "metadata"


def test_deleted_is_gone(proxy: Proxy) -> None:
    id_ = complete(proxy)["id"]
    assert call(proxy, "DELETE", f"/{id_}") == {"id": id_, "object": "chat.completion.deleted", "deleted": True}
    for method, path, body in OPERATIONS:
        call(proxy, method, f"/{id_}{path}", body, status=404)


@pytest.mark.parametrize("store", [False, None])
def test_what_is_not_to_be_stored_is_not(proxy: Proxy, store: bool | None) -> None:
    call(proxy, "GET", f"/{complete(proxy, store=store)['id']}", status=404)


def test_a_body_of_another_api_is_not_stored(proxy: Proxy) -> None:
    given = call(proxy, "POST", "", {"model": MODEL, "input": "Hi.", "store": True})
    call(proxy, "GET", f"/{given['id']}", status=404)


# -------------------------------------------------------------------- messages


def test_messages_are_those_of_the_request(proxy: Proxy) -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA="}}
    parts = [{"type": "text", "text": "What is this?"}, picture]
    calls = [{"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}]
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": parts, "name": "ada"},
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": "call_1", "content": "A tree."},
    ]
    id_ = complete(proxy, messages=messages)["id"]
    listed = call(proxy, "GET", f"/{id_}/messages")
    plain = {"refusal": None, "name": None, "content_parts": None}
    assert listed["data"] == [
        {"id": f"{id_}-0", "role": "system", "content": "Be brief.", **plain},
        {"id": f"{id_}-1", "role": "user", "content": None, **plain, "name": "ada", "content_parts": parts},
        {"id": f"{id_}-2", "role": "assistant", "content": None, **plain, "tool_calls": calls},
        {"id": f"{id_}-3", "role": "tool", "content": "A tree.", **plain, "tool_call_id": "call_1"},
    ]
    assert (listed["first_id"], listed["last_id"], listed["has_more"]) == (f"{id_}-0", f"{id_}-3", False)


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("limit", [1, 4, 10, 100])
def test_paging_walks_through_all_messages(proxy: Proxy, order: str, limit: int) -> None:
    said = [{"role": ("user", "assistant")[i % 2], "content": f"{i}"} for i in range(9)]
    path = f"/{complete(proxy, messages=said)['id']}/messages"
    seen = [message["content"] for message in walk(proxy, path, order, limit)]
    assert seen == [str(i) for i in range(9)][:: 1 if order == "asc" else -1]


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "order=up", "after=x", "after=%00"])
def test_a_page_that_can_not_be_had_is_a_400(proxy: Proxy, query: str) -> None:
    for path in ("", f"/{complete(proxy)['id']}/messages"):
        error = call(proxy, "GET", f"{path}?{query}", status=400)["error"]
        assert error["param"] == query.partition("=")[0]


# --------------------------------------------------------------------- the list


def walk(proxy: Proxy, path: str, order: str, limit: int, key: str = "k") -> list[Any]:
    """All members of a list, page by page."""
    found: list[Any] = []
    after = ""
    while True:
        joint = "&" if "?" in path else "?"
        page = call(proxy, "GET", f"{path}{joint}order={order}&limit={limit}{after}", key=key)
        found += page["data"]
        if not page["has_more"]:
            return found
        assert len(page["data"]) == limit
        after = f"&after={page['last_id']}"


@pytest.fixture(scope="module")
def listed(proxy: Proxy) -> list[str]:
    """The ids of eight completions of the key `lister`, two of them of another model, with one that failed between."""
    made = []
    for i in range(8):
        if i == 5:
            fail(proxy, "lister")
        model = "gpt-5.4" if i in (2, 6) else MODEL
        made.append(complete(proxy, key="lister", model=model, metadata={"i": str(i), "half": str(i // 4)})["id"])
    return made


def fail(proxy: Proxy, key: str) -> str:
    """The id of a completion that failed after its first content."""
    body = chat(model="claude-sim-reset", stream=True)
    answer = httpx.post(proxy.url + CHAT, json=body, headers={"authorization": f"Bearer {key}"})
    assert '"error"' in answer.text
    return str(json.loads(answer.text.splitlines()[0][6:])["id"])


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("limit", [1, 2, 3, 5, 8, 100])
def test_paging_walks_through_all_completions(proxy: Proxy, listed: list[str], order: str, limit: int) -> None:
    seen = [completion["id"] for completion in walk(proxy, "", order, limit, "lister")]
    assert seen == (listed if order == "asc" else listed[::-1])


def test_the_list_has_what_each_is_shown_as_oldest_first(proxy: Proxy, listed: list[str]) -> None:
    page = call(proxy, "GET", "", key="lister")
    assert page == {
        "object": "list",
        "data": [call(proxy, "GET", f"/{id_}", key="lister") for id_ in listed],
        "first_id": listed[0],
        "last_id": listed[-1],
        "has_more": False,
    }


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("model=gpt-5.4", [2, 6]),
        ("model=gpt-5", []),
        ("metadata[half]=1", [4, 5, 6, 7]),
        ("metadata%5Bhalf%5D=0", [0, 1, 2, 3]),
        ("metadata[half]=1&metadata[i]=6", [6]),
        ("metadata[half]=1&metadata[i]=2", []),
        ("metadata[half]=", []),
        ("metadata[]=1", []),
        ("metadata[%00]=%00&metadata[%ED%A0%80]=x", []),
        ("model=gpt-5.4&metadata[half]=1", [6]),
        ("metadata[half]=1&limit=2&order=desc", [7, 6]),
        ("model=", [0, 1, 2, 3, 4, 5, 6, 7]),
        ("model=%00", []),
    ],
)
def test_the_list_is_of_a_model_and_with_metadata(
    proxy: Proxy, listed: list[str], query: str, numbers: list[int]
) -> None:
    page = call(proxy, "GET", f"?{query}", key="lister")
    assert [completion["id"] for completion in page["data"]] == [listed[i] for i in numbers]


def test_what_failed_is_no_completion(proxy: Proxy) -> None:
    id_ = fail(proxy, "failing")
    for method, path, body in OPERATIONS:
        call(proxy, method, f"/{id_}{path}", body, key="failing", status=404)
    page = call(proxy, "GET", "?limit=1", key="failing")
    assert (page["data"], page["has_more"]) == ([], False)


# ------------------------------------------------------- unknown, foreign, odd


@each_operation
@pytest.mark.parametrize("id_", [UNKNOWN, "x", "%00", "%ED%A0%80", "%F0%9F%8C%B3", "x" * 5000])
def test_an_unknown_completion_is_a_404(proxy: Proxy, method: str, path: str, body: Any, id_: str) -> None:
    assert call(proxy, method, f"/{id_}{path}", body, status=404)["error"]["type"] == "invalid_request_error"


@each_operation
def test_another_key_s_is_a_404_too(proxy: Proxy, method: str, path: str, body: Any) -> None:
    id_ = complete(proxy, metadata={"x": "y"})["id"]
    call(proxy, method, f"/{id_}{path}", body, key="other", status=404)
    assert call(proxy, "GET", f"/{id_}")["metadata"] == {"x": "y"}
    assert call(proxy, "GET", "", key="other")["data"] == []


def test_responses_are_no_completions(proxy: Proxy) -> None:
    answer = httpx.post(
        f"{proxy.url}/v1/responses", json={"model": MODEL, "input": "Hi."}, headers={"authorization": "Bearer both"}
    )
    call(proxy, "GET", f"/{answer.json()['id']}", key="both", status=404)
    assert call(proxy, "GET", "", key="both")["data"] == []


@pytest.mark.parametrize("odd", [r"\u0000", r"\ud800", r"\udc00x", "\ue000", "\U0001f333"])
def test_odd_characters_are_kept_or_replaced_and_never_a_500(proxy: Proxy, odd: str) -> None:
    body = (
        f'{{"model": "{MODEL}", "messages": [{{"role": "user", "content": "Hi {odd}", "name": "{odd}", "x": 1e999}}],'
        f'"store": true, "metadata": {{"{odd}": "{odd}"}}, "user": "{odd}"}}'
    )
    path = f"/{call(proxy, 'POST', '', body.encode())['id']}"
    read = json.loads(f'"{odd}"')
    kept = "".join("�" if "\ud800" <= character <= "\udfff" else character for character in read)
    stored = call(proxy, "GET", path)
    assert (stored["metadata"], stored["input_user"]) == ({kept: kept}, kept)
    (message,) = call(proxy, "GET", f"{path}/messages")["data"]
    assert (message["content"], message["name"]) == (f"Hi {kept}", kept)
    assert call(proxy, "POST", path, f'{{"metadata": {{"a": "{odd}"}}}}'.encode())["metadata"] == {"a": kept}
    assert call(proxy, "DELETE", path)["deleted"] is True


def test_completions_outlive_a_restart(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path / 'store.db'}"
    with running_proxy(store=store) as first:
        path = f"/{complete(first, metadata={'a': 'b'}, n=2)['id']}"
        stored, messages = call(first, "GET", path), call(first, "GET", f"{path}/messages")
    with running_proxy(store=store) as second:
        assert call(second, "GET", path) == stored
        assert call(second, "GET", f"{path}/messages") == messages
        assert call(second, "GET", "?metadata[a]=b")["data"] == [stored]
        call(second, "DELETE", path)
        assert call(second, "GET", "")["data"] == []
