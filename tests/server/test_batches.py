"""Message batches over HTTP: every operation, page by page, and to whom. (How they are run: `test_batch_runs.py`.)"""

import json
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from augment_open_proxy.journal.store import batches as stored_batches
from augment_open_proxy.journal.store.opening import StoreUnavailable
from augment_open_proxy.server import batches
from tests.servers import Proxy, running_proxy

MODEL = "claude-sonnet-4-5"
BATCHES = "/v1/messages/batches"


@pytest.fixture(scope="module")
def proxy() -> Iterator[Proxy]:
    with running_proxy(store="memory") as running:
        yield running


def params(prompt: str = "Hi.", model: str = MODEL, **fields: Any) -> dict[str, Any]:
    return {"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": prompt}], **fields}


def directive(prompt: str = "Hi.", **said: Any) -> dict[str, Any]:
    """`params` that tell the simulator what to answer."""
    return params(f"{prompt} @@{json.dumps(said)}@@")


def call(proxy: Proxy, method: str, path: str = "", *, key: str = "k", status: int = 200, **more: Any) -> Any:
    headers = {"x-api-key": key, **more.pop("headers", {})}
    answer = httpx.request(method, proxy.url + BATCHES + path, headers=headers, timeout=20, **more)
    assert answer.status_code == status, answer.text
    if status != 200:
        assert answer.json()["request_id"] == answer.headers["request-id"]
    return answer.json()


def create(proxy: Proxy, *all_params: dict[str, Any], **more: Any) -> Any:
    requests = [{"custom_id": f"r{i}", "params": some} for i, some in enumerate(all_params)]
    return call(proxy, "POST", json={"requests": requests}, **more)


def eventually(look: Callable[[], Any], seconds: float = 20) -> Any:
    """What `look` gives, once it is true."""
    end = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
    return seen


def ended(proxy: Proxy, batch_id: str, key: str = "k", seconds: float = 20) -> Any:
    def look() -> Any:
        batch = call(proxy, "GET", f"/{batch_id}", key=key)
        return batch if batch["processing_status"] == "ended" else None

    return eventually(look, seconds)


def results(proxy: Proxy, batch_id: str, key: str = "k") -> list[tuple[str, dict[str, Any]]]:
    """`custom_id` and result, line by line."""
    answer = httpx.get(f"{proxy.url}{BATCHES}/{batch_id}/results", headers={"x-api-key": key}, timeout=20)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-jsonl"
    assert answer.text.endswith("\n")
    lines = [json.loads(line) for line in answer.content.splitlines()]
    assert all(set(line) == {"custom_id", "result"} for line in lines)
    return [(line["custom_id"], line["result"]) for line in lines]


# ------------------------------------------------------------------- operations


def test_a_batch_from_its_beginning_to_its_end(proxy: Proxy) -> None:
    batch = create(proxy, *(directive(text=f"This is {number}.") for number in range(6)))
    assert batch["id"].startswith("msgbatch_")
    assert batch["type"] == "message_batch"
    assert batch["processing_status"] == "in_progress"
    assert batch["request_counts"] == {"processing": 6, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}
    created, expires = (datetime.fromisoformat(batch[name]) for name in ("created_at", "expires_at"))
    assert (expires - created).total_seconds() == pytest.approx(86400)
    nothing = ("ended_at", "archived_at", "cancel_initiated_at", "results_url")
    assert [batch[name] for name in nothing] == [None] * 4

    over = ended(proxy, batch["id"])
    assert over["request_counts"] == {"processing": 0, "succeeded": 6, "errored": 0, "canceled": 0, "expired": 0}
    assert datetime.fromisoformat(over["ended_at"]) >= created
    assert over["results_url"] == f"{proxy.url}{BATCHES}/{batch['id']}/results"
    given = results(proxy, batch["id"])
    assert [custom_id for custom_id, _ in given] == [f"r{number}" for number in range(6)]
    for number, (_, result) in enumerate(given):
        assert result["type"] == "succeeded"
        assert result["message"]["content"] == [{"type": "text", "text": f"This is {number}.", "citations": None}]
    assert len({result["message"]["id"] for _, result in given}) == 6
    assert results(proxy, batch["id"]) == given, "they can be read again"


def test_a_message_of_a_batch_is_what_the_messages_api_gives(proxy: Proxy) -> None:
    body = params(model="claude-sim-thinking", thinking={"type": "adaptive"})
    alone = httpx.post(f"{proxy.url}/v1/messages", json=body).json()
    batch = create(proxy, body)
    ended(proxy, batch["id"])
    ((_, result),) = results(proxy, batch["id"])
    for message in (alone, result["message"]):
        del message["id"]
        message["content"][0].pop("signature")
    assert result["message"] == alone


@pytest.mark.parametrize(("forwarded", "scheme"), [("https", "https"), ("http", "http"), ("javascript", "http")])
def test_behind_tls_the_results_are_there_too(proxy: Proxy, forwarded: str, scheme: str) -> None:
    """The SDKs ask for the results, with their key, at the address that the batch names."""
    batch = create(proxy, params())
    ended(proxy, batch["id"])
    headers = {"X-Forwarded-Proto": forwarded, "Host": "localhost"}
    over = call(proxy, "GET", f"/{batch['id']}", headers=headers)
    assert over["results_url"] == f"{scheme}://localhost{BATCHES}/{batch['id']}/results"


def test_each_request_has_a_result_of_its_own(proxy: Proxy) -> None:
    batch = create(
        proxy,
        params(),
        params(model="no-such-model"),
        params(model="claude-sim-error-402"),
        params(
            messages=[{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "file:///"}}]}]
        ),
    )
    assert ended(proxy, batch["id"])["request_counts"]["errored"] == 3
    given = results(proxy, batch["id"])
    assert given[0][1]["type"] == "succeeded"
    errors = [result["error"] for _, result in given[1:]]
    assert all(error["type"] == "error" for error in errors)
    assert all(error["request_id"].startswith("msg_") for error in errors)
    kinds = [error["error"]["type"] for error in errors]
    assert kinds == ["not_found_error", "billing_error", "invalid_request_error"]


def test_a_deleted_batch_is_gone_and_an_unended_one_is_not_deleted(proxy: Proxy) -> None:
    batch = create(proxy, params(model="claude-sim-stall"))
    path = f"/{batch['id']}"
    error = call(proxy, "DELETE", path, status=400)["error"]
    assert (error["type"], "In progress" in error["message"]) == ("invalid_request_error", True)
    error = call(proxy, "GET", f"{path}/results", status=404)["error"]
    assert (error["type"], "no available results" in error["message"]) == ("not_found_error", True)
    call(proxy, "POST", f"{path}/cancel")
    ended(proxy, batch["id"])
    assert call(proxy, "DELETE", path) == {"id": batch["id"], "type": "message_batch_deleted"}
    for method, end in (("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("GET", "/results")):
        assert (
            call(proxy, method, path + end, status=404)["error"]["message"] == f"Message Batch {batch['id']} not found."
        )
    assert batch["id"] not in [listed["id"] for listed in call(proxy, "GET")["data"]]


def test_an_ended_batch_is_not_cancelled(proxy: Proxy) -> None:
    batch = create(proxy, params())
    over = ended(proxy, batch["id"])
    assert call(proxy, "POST", f"/{batch['id']}/cancel") == over


def test_a_bad_body_names_the_field_and_makes_no_batch(proxy: Proxy) -> None:
    before = call(proxy, "GET")
    requests = [{"custom_id": "a", "params": params()}, {"custom_id": "b", "params": params(stream=True)}]
    for body, name in (({}, "requests"), ({"requests": requests}, "requests[1].params.stream")):
        error = call(proxy, "POST", json=body, status=400)["error"]
        assert error["type"] == "invalid_request_error"
        assert error["message"].startswith(name)
    assert call(proxy, "GET") == before


def test_paths_without_the_version_and_with_any_query_are_served_too(proxy: Proxy) -> None:
    body = {"requests": [{"custom_id": "a", "params": params()}]}
    batch = httpx.post(f"{proxy.url}/messages/batches?beta=true", json=body).json()
    assert httpx.get(f"{proxy.url}/messages/batches/{batch['id']}?beta=true").json()["id"] == batch["id"]
    assert httpx.put(f"{proxy.url}{BATCHES}/{batch['id']}", json={}).status_code == 405


# ------------------------------------------------------------------------ lists


def test_batches_are_listed_page_by_page_the_newest_first(proxy: Proxy) -> None:
    ids = [create(proxy, params(), key="pages")["id"] for _ in range(5)][::-1]

    def page(query: str) -> tuple[list[str], bool]:
        listed = call(proxy, "GET", f"?{query}", key="pages")
        found = [batch["id"] for batch in listed["data"]]
        assert (listed["first_id"], listed["last_id"]) == ((found[0], found[-1]) if found else (None, None))
        return found, listed["has_more"]

    assert page("") == (ids, False)
    assert page("limit=2") == (ids[:2], True)
    assert page(f"limit=2&after_id={ids[1]}") == (ids[2:4], True)
    assert page(f"limit=2&after_id={ids[3]}") == (ids[4:], False)
    assert page(f"after_id={ids[4]}") == ([], False)
    assert page(f"limit=2&before_id={ids[4]}") == (ids[2:4], True)
    assert page(f"limit=2&before_id={ids[2]}") == (ids[:2], False)
    ended(proxy, ids[0], key="pages")
    assert call(proxy, "GET", "?limit=1", key="pages")["data"] == [call(proxy, "GET", f"/{ids[0]}", key="pages")]


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "after_id=nothing", "before_id=nothing"])
def test_a_list_says_what_is_wrong_with_its_query(proxy: Proxy, query: str) -> None:
    error = call(proxy, "GET", f"?{query}", status=400)["error"]
    assert error["message"].startswith(query.partition("=")[0])


def test_many_results_come_whole_and_in_order(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "SENT_AT_ONCE", 1000)
    batch = create(proxy, *(directive(text="x" * number) for number in range(1, 101)))
    ended(proxy, batch["id"])
    given = results(proxy, batch["id"])
    assert [custom_id for custom_id, _ in given] == [f"r{number}" for number in range(100)]
    assert [len(result["message"]["content"][0]["text"]) for _, result in given] == list(range(1, 101))


# ------------------------------------------------------------------------ owners


def test_results_that_the_store_breaks_off_end_with_their_connection(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def break_off(*_: object) -> AsyncIterator[tuple[str, str, bytes]]:
        yield "r0", "succeeded", b"{}"
        raise StoreUnavailable("it is away")

    batch = ended(proxy, create(proxy, params())["id"])
    monkeypatch.setattr(batches, "SENT_AT_ONCE", 1)
    monkeypatch.setattr(stored_batches.Batches, "results", break_off)
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(batch["results_url"], headers={"x-api-key": "k"}, timeout=20)
    proxy.wait_for(lambda: "it is away" in proxy.lines[-1])
    assert not [record.getMessage() for record in caplog.records if record.exc_info]


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("GET", "/results")])
def test_another_key_sees_nothing(proxy: Proxy, method: str, path: str) -> None:
    batch = create(proxy, params())
    over = ended(proxy, batch["id"])
    error = call(proxy, method, f"/{batch['id']}{path}", key="other", status=404)["error"]
    assert error == {"type": "not_found_error", "message": f"Message Batch {batch['id']} not found."}
    assert call(proxy, "GET", key="other")["data"] == []
    call(proxy, "GET", f"?after_id={batch['id']}", key="other", status=400)
    assert call(proxy, "GET", f"/{batch['id']}") == over


def test_no_key_is_ever_stored(tmp_path: Path) -> None:
    secret = "sk-ant-4711-secret"
    with running_proxy(store=f"sqlite:///{tmp_path / 'store.db'}") as proxy:
        headers = {"authorization": f"Bearer {secret}", "api-key": secret, "x-claude-code-session-id": "session-1"}
        batch = create(proxy, params(), key=secret, headers=headers)
        ended_batch = eventually(lambda: call(proxy, "GET", f"/{batch['id']}", headers=headers)["ended_at"])
        assert ended_batch
        stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
        assert b"session-1" in stored
        assert secret.encode() not in stored
    with sqlite3.connect(tmp_path / "store.db") as connection:
        assert connection.execute("SELECT count(*) FROM aop_requests").fetchone() == (1,)


def test_requests_of_one_session_are_one_conversation_of_their_key(proxy: Proxy) -> None:
    def conversation(key: str, session: str | None) -> str:
        headers = {"session_id": session} if session else {}
        seen = len(proxy.simulator.requests)
        batch = create(proxy, params(f"{key} {session} {seen}"), key=key, headers=headers)
        ended(proxy, batch["id"], key=key)
        return str(json.loads(proxy.simulator.requests[-1].body)["conversation_id"])

    first = conversation("a", "s")
    assert conversation("a", "s") == first
    assert len({first, conversation("b", "s"), conversation("a", "t"), conversation("a", None)}) == 4


def test_a_batch_goes_on_from_a_thread_of_its_key_and_begins_one(proxy: Proxy) -> None:
    def ask(thread: dict[str, str], prompt: str, key: str = "k") -> dict[str, Any]:
        batch = create(proxy, params(prompt, thread=thread), key=key)
        ended(proxy, batch["id"], key=key)
        return results(proxy, batch["id"], key=key)[0][1]

    first = ask({"type": "create"}, "Plant a tree.")
    going_on = {"type": "continue", "previous_message_id": first["message"]["id"]}
    assert ask(going_on, "Where is it?")["type"] == "succeeded"
    assert "Plant a tree." in proxy.simulator.requests[-1].body.decode()
    assert ask(going_on, "Where is it?", key="other")["type"] == "errored"
