"""The server as any HTTP client sees it: status, routes, the guard, headers of replies and errors."""

import json
import socket
from collections.abc import Iterator
from typing import Any

import httpx2 as httpx
import pytest

from augment_open_proxy import __version__
from tests.servers import Proxy, running_proxy

CHAT = "/v1/chat/completions"


def chat(model: str = "claude-sonnet-4-5", prompt: str = "Hi.", **fields: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": prompt}], **fields}


@pytest.fixture(scope="module")
def client(proxy: Proxy) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=proxy.url, timeout=20) as made:
        yield made


def test_the_root_tells_that_the_proxy_is_up(client: httpx.Client) -> None:
    answer = client.get("/")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "service": "augment-open-proxy", "version": __version__}
    head = client.head("/")
    assert head.status_code == 200
    assert head.content == b""


def test_an_unknown_path_is_a_404_in_the_api_s_shape(client: httpx.Client) -> None:
    answer = client.post("/v1/nothing", json={})
    assert answer.status_code == 404
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert "POST /v1/nothing" in answer.json()["error"]["message"]
    assert answer.headers["x-request-id"]


def test_a_wrong_method_is_a_405_that_names_the_right_one(client: httpx.Client) -> None:
    answer = client.delete(CHAT)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST, GET"
    assert answer.json()["error"]["code"] == "method_not_allowed"


def test_the_model_list_is_openai_s_and_anthropic_s(client: httpx.Client) -> None:
    answer = client.get("/v1/models").json()
    assert answer["object"] == "list"
    assert answer["data"][0] == {
        "id": "claude-haiku-4-5",
        "object": "model",
        "created": 0,
        "owned_by": "augment",
        "type": "model",
        "display_name": "Claude Haiku 4.5",
        "created_at": "1970-01-01T00:00:00Z",
        "lifecycle": "active",
        "max_input_tokens": 200000,
        "max_tokens": 64000,
    }
    assert (answer["has_more"], answer["first_id"]) == (False, "claude-haiku-4-5")
    one = client.get("/v1/models/claude-haiku-4-5")
    assert one.json() == answer["data"][0]
    assert client.get("/v1/models/no-such-model").json()["error"]["code"] == "model_not_found"


def test_a_whole_reply_has_its_length_and_the_request_s_id(client: httpx.Client) -> None:
    answer = client.post(CHAT, json=chat())
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"] == answer.json()["id"]


def test_a_stream_is_not_to_be_cached_or_buffered(client: httpx.Client) -> None:
    answer = client.post(CHAT, json=chat(stream=True))
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-accel-buffering"] == "no"
    assert answer.text.endswith("data: [DONE]\n\n")


def test_the_stream_says_what_the_whole_reply_says(client: httpx.Client) -> None:
    directive = '@@{"thinking": ["Let me ", "see."], "text": ["One ", "two."]}@@'
    whole = client.post(CHAT, json=chat(prompt=directive)).json()["choices"][0]["message"]
    lines = client.post(CHAT, json=chat(prompt=directive, stream=True)).text.splitlines()
    chunks = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert "".join(delta.get("content") or "" for delta in deltas) == whole["content"] == "One two."
    assert "".join(delta.get("reasoning") or "" for delta in deltas) == whole["reasoning"] == "Let me see."


def test_the_model_that_was_asked_for_is_the_one_named(client: httpx.Client, proxy: Proxy) -> None:
    answer = client.post(CHAT, json=chat("opus4.7", reasoning_effort="high"))
    assert answer.json()["model"] == "opus4.7"
    asked = proxy.simulator.requests[-1].request
    assert asked is not None
    assert asked.model == "claude-opus-4-7-high"


def test_the_backend_gets_the_uuid_of_the_reply_s_id(client: httpx.Client, proxy: Proxy) -> None:
    answer = client.post(CHAT, json=chat())
    assert answer.json()["id"] == "chatcmpl-" + proxy.simulator.requests[-1].headers["x-request-id"]


def counted(client: httpx.Client, path: str, **fields: Any) -> int:
    answer = client.post(path, json={"model": "claude-sonnet-4-5", **fields})
    assert answer.status_code == 200, answer.text
    return int(answer.json()["input_tokens"])


def test_thinking_counts_where_the_backend_gets_it_shown_or_not_and_that_of_others_does_not(
    client: httpx.Client,
) -> None:
    prompt = "@@" + json.dumps({"thinking": "One thing after the other. " * 200, "text": "Yes."}) + "@@"

    def tokens(display: str | None) -> int:
        thinking = {"type": "adaptive", **({"display": display} if display else {})}
        content = client.post("/v1/messages", json=chat(prompt=prompt, max_tokens=9999, thinking=thinking)).json()[
            "content"
        ]
        assert [block["type"] for block in content] == ["thinking", "text"]
        if display == "foreign":
            content[0] = {"type": "thinking", "thinking": content[0]["thinking"], "signature": "Zm9yZWlnbg=="}
        return counted(client, "/v1/messages/count_tokens", messages=[{"role": "assistant", "content": content}])

    assert tokens("summarized") == tokens("omitted") > 500
    assert tokens("foreign") < 50


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/v1/messages/count_tokens", {"messages": [{"role": "user", "content": "x"}], "output_config": "format"}),
        ("/v1/responses/input_tokens", {"input": "x", "text": "format"}),
    ],
)
def test_the_schema_of_an_answer_counts_since_the_model_is_told_it(
    client: httpx.Client, path: str, fields: dict[str, Any]
) -> None:
    schema = {"type": "object", "description": "One thing after the other. " * 200}
    (name,) = (name for name, value in fields.items() if value == "format")
    with_format = {**fields, name: {"format": {"type": "json_schema", "name": "n", "schema": schema}}}
    assert counted(client, path, **with_format) > counted(client, path, **{**fields, name: {}}) + 500


def test_ignored_parameters_are_named(client: httpx.Client) -> None:
    answer = client.post(CHAT, json=chat(temperature=0.2, seed=5, user="me"))
    assert answer.headers["x-aop-ignored-parameters"] == "temperature, seed"
    assert "x-aop-ignored-parameters" not in client.post(CHAT, json=chat(user="me")).headers


def test_a_malformed_request_names_the_field(client: httpx.Client) -> None:
    answer = client.post(CHAT, json={"model": "claude-sonnet-4-5", "messages": [{"role": "user", "content": 5}]})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "messages[0].content"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 403),
        ({"Host": "evil.example:7888"}, 403),
        ({"Host": "localhost:1"}, 200),
        ({"Host": "LOCALHOST"}, 200),
        ({"Host": "[::1]:7888"}, 200),
        ({"Host": "host.docker.internal:7888"}, 200),
        ({"Host": "localhost.evil.example"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": "application/json; charset=utf-8"}, 200),
    ],
)
def test_the_guard(client: httpx.Client, headers: dict[str, str], status: int) -> None:
    body = json.dumps(chat())
    answer = client.post(CHAT, content=body, headers={"Content-Type": "application/json", **headers})
    assert answer.status_code == status
    if status != 200:
        assert answer.json()["error"]["message"]
    assert "access-control-allow-origin" not in answer.headers


def test_the_guard_refuses_before_the_backend_is_asked(client: httpx.Client, proxy: Proxy) -> None:
    before = len(proxy.simulator.requests)
    client.post(CHAT, json=chat(), headers={"Origin": "https://evil.example"})
    client.post(CHAT, json=chat(), headers={"Host": "evil.example"})
    assert len(proxy.simulator.requests) == before


def test_a_doubled_host_header_is_refused(proxy: Proxy) -> None:
    assert b" 400 " in raw(proxy, b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n")
    assert b" 400 " in raw(proxy, b"GET / HTTP/1.1\r\n\r\n")


def raw(proxy: Proxy, data: bytes) -> bytes:
    """The first line of the answer to raw bytes."""
    host, _, port = proxy.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(data)
        return connection.recv(4096).partition(b"\r\n")[0]


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_beyond_the_limit_is_a_413(chunked: bool) -> None:
    with running_proxy(body_limit=1000) as proxy, httpx.Client(base_url=proxy.url) as client:
        body = json.dumps(chat(prompt="x" * 2000)).encode()
        pieces = (body[i : i + 100] for i in range(0, len(body), 100))
        content: Any = pieces if chunked else body
        answer = client.post(CHAT, content=content, headers={"Content-Type": "application/json"})
        assert answer.status_code == 413
        assert answer.json()["error"]["code"] == "request_too_large"
        assert client.post(CHAT, json=chat()).status_code == 200
        assert len(proxy.simulator.requests) == 1


def test_without_credentials_each_request_is_a_401_with_advice(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with (
        running_proxy(augment_api_token=None, augment_api_url=None) as proxy,
        httpx.Client(base_url=proxy.url) as client,
    ):
        answer = client.post(CHAT, json=chat())
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "invalid_api_key"
        assert "auggie login" in answer.json()["error"]["message"]
        assert client.get("/").status_code == 200
        assert client.get("/v1/models").status_code == 200

        session = tmp_path / ".augment" / "session.json"
        session.parent.mkdir()
        session.write_text(
            json.dumps({"accessToken": proxy.simulator.token, "tenantURL": proxy.simulator.url + "/", "scopes": []})
        )
        assert client.post(CHAT, json=chat()).status_code == 200, "a login is seen without a restart"
