"""Stored responses over HTTP: what goes on from what, what is shown again, and to whom."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from augment_open_proxy.journal.log import Log
from augment_open_proxy.journal.store import turns
from augment_open_proxy.server.assembly import open_app
from augment_open_proxy.settings import Settings
from tests.servers import Proxy, running_proxy

MODEL = "claude-sonnet-4-5"
RESPONSES = "/v1/responses"


@pytest.fixture(scope="module")
def proxy() -> Iterator[Proxy]:
    with running_proxy(store="memory") as running:
        yield running


def ask(proxy: Proxy, given: Any, *, key: str = "k", status: int = 200, path: str = "", **fields: Any) -> Any:
    body = {"model": MODEL, "input": given, **fields}
    answer = httpx.post(proxy.url + RESPONSES + path, json=body, headers={"authorization": f"Bearer {key}"}, timeout=20)
    assert answer.status_code == status, answer.text
    return answer.json()


def call(proxy: Proxy, method: str, path: str, *, key: str = "k", status: int = 200) -> Any:
    answer = httpx.request(method, proxy.url + RESPONSES + path, headers={"authorization": f"Bearer {key}"}, timeout=20)
    assert answer.status_code == status, answer.text
    return answer.json()


def events(proxy: Proxy, response_id: str, query: str = "") -> list[dict[str, Any]]:
    path = f"{proxy.url}{RESPONSES}/{response_id}?stream=true{query}"
    answer = httpx.get(path, headers={"authorization": "Bearer k"}, timeout=20)
    assert answer.status_code == 200, answer.text
    return [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]


def eventually(look: Callable[[], Any], seconds: float = 15) -> Any:
    """What `look` gives, once it is true."""
    end = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
    return seen


def over(proxy: Proxy, response_id: str) -> Any:
    def look() -> Any:
        response = call(proxy, "GET", f"/{response_id}")
        return response if response["status"] not in ("queued", "in_progress") else None

    return eventually(look)


def asked(proxy: Proxy) -> tuple[Any, ...]:
    """What the backend was asked last, less what differs with every request."""
    body = json.loads(proxy.simulator.requests[-1].body)
    return body["message"], body["chat_history"], body.get("nodes"), body.get("tool_definitions")


# ------------------------------------------------------------------ going on


def test_a_response_goes_on_from_another_as_if_the_client_had_sent_it_all(proxy: Proxy) -> None:
    tool = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}}
    fields: dict[str, Any] = {
        "tools": [tool],
        "reasoning": {"summary": "auto"},
        "include": ["reasoning.encrypted_content"],
    }
    directive = {"thinking": "Hm.", "text": "I look.", "tool": {"name": "look", "input": {}}}
    question = {"role": "user", "content": f"What is there? @@{json.dumps(directive)}@@"}
    first = ask(proxy, [question], **fields)
    call_item = next(item for item in first["output"] if item["type"] == "function_call")
    result = {"type": "function_call_output", "call_id": call_item["call_id"], "output": "A tree."}

    second = ask(proxy, [result], previous_response_id=first["id"], **fields)
    chained = asked(proxy)
    ask(proxy, [question, *first["output"], result], store=False, **fields)
    assert chained == asked(proxy)

    ask(proxy, "And now?", previous_response_id=second["id"], **fields)
    chained = asked(proxy)
    everything = [question, *first["output"], result, *second["output"], {"role": "user", "content": "And now?"}]
    ask(proxy, everything, store=False, **fields)
    assert chained == asked(proxy)
    assert second["previous_response_id"] == first["id"]


def test_reasoning_that_was_not_shown_is_remembered(proxy: Proxy) -> None:
    first = ask(proxy, f"Hm? @@{json.dumps({'thinking': 'I think of trees.', 'text': 'Yes.'})}@@")
    assert [item["type"] for item in first["output"]] == ["reasoning", "message"]
    assert first["output"][0]["summary"] == []
    assert "encrypted_content" not in first["output"][0]
    ask(proxy, "Go on.", previous_response_id=first["id"])
    assert "I think of trees." in proxy.simulator.requests[-1].body.decode()


def test_two_responses_can_go_on_from_one(proxy: Proxy) -> None:
    first = ask(proxy, "One.")
    for word in ("Left.", "Right."):
        ask(proxy, word, previous_response_id=first["id"])
        body = proxy.simulator.requests[-1].body.decode()
        assert "One." in body
        assert word in body
        assert ("Left." in body) != ("Right." in body)


def test_instructions_are_not_carried_over(proxy: Proxy) -> None:
    first = ask(proxy, "One.", instructions="Talk like a pirate.")
    ask(proxy, "Two.", previous_response_id=first["id"])
    assert "pirate" not in proxy.simulator.requests[-1].body.decode()


def test_an_item_can_be_named_by_its_id(proxy: Proxy) -> None:
    question = {"role": "user", "content": "Remember this."}
    first = ask(proxy, [question])
    (given,) = call(proxy, "GET", f"/{first['id']}/input_items")["data"]
    references = [
        {"type": "item_reference", "id": given["id"]},
        {"type": "item_reference", "id": first["output"][0]["id"]},
    ]
    more = {"role": "user", "content": "And?"}
    ask(proxy, [*references, more], store=False)
    named = asked(proxy)
    ask(proxy, [question, *first["output"], more], store=False)
    assert named == asked(proxy)


def test_an_item_that_was_named_is_kept_with_the_input(proxy: Proxy) -> None:
    first = ask(proxy, "Remember the tree.")
    (given,) = call(proxy, "GET", f"/{first['id']}/input_items")["data"]
    second = ask(proxy, [{"type": "item_reference", "id": given["id"]}, {"role": "user", "content": "And?"}])
    call(proxy, "DELETE", f"/{first['id']}")
    assert call(proxy, "GET", f"/{second['id']}/input_items?order=asc")["data"][0] == given
    ask(proxy, "Well?", previous_response_id=second["id"])
    assert "Remember the tree." in proxy.simulator.requests[-1].body.decode()


def test_an_item_with_an_id_of_the_client_can_be_named_in_its_chain(proxy: Proxy) -> None:
    first = ask(proxy, [{"role": "user", "content": "Remember the tree.", "id": "m1"}])
    second = ask(proxy, "Hm.", previous_response_id=first["id"])
    reference = {"type": "item_reference", "id": "m1"}
    ask(proxy, [reference], previous_response_id=second["id"])
    assert asked(proxy)[0] == "Remember the tree."
    ask(proxy, [reference], status=404)


@pytest.mark.parametrize("id_", ["msg_1", "msg_" + "0" * 36, "x", "msg_\0", "msg_\ud800"])
def test_an_item_that_is_not_there_is_a_404_that_names_it(proxy: Proxy, id_: str) -> None:
    body = json.dumps({"model": MODEL, "input": [{"type": "item_reference", "id": id_}]})
    answer = httpx.post(proxy.url + RESPONSES, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 404
    assert answer.json()["error"]["param"] == "input"


@pytest.mark.parametrize("id_", ["resp_1", "resp_00000000-0000-4000-8000-000000000001", "\0", "\ud800", "x" * 5000])
def test_an_unknown_previous_response_has_the_code_that_clients_read(proxy: Proxy, id_: str) -> None:
    body = json.dumps({"model": MODEL, "input": "Hi.", "previous_response_id": id_})
    answer = httpx.post(proxy.url + RESPONSES, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == ("previous_response_not_found", "previous_response_id")


def test_what_has_not_ended_can_not_be_gone_on_from(proxy: Proxy) -> None:
    running = ask(proxy, "Hi.", background=True, model="claude-sim-stall")
    error = ask(proxy, "And?", previous_response_id=running["id"], status=400)["error"]
    assert "has not ended" in error["message"]
    call(proxy, "POST", f"/{running['id']}/cancel")
    error = ask(proxy, "And?", previous_response_id=running["id"], status=400)["error"]
    assert "did not come to its end" in error["message"]


# ----------------------------------------------------------------- shown again


@pytest.mark.parametrize("stream", [False, True])
def test_a_response_is_shown_as_it_was_given(proxy: Proxy, stream: bool) -> None:
    fields = {"metadata": {"a": "b"}, "instructions": "Be brief.", "user": "me", "stream": stream}
    body = {"model": "claude-sim-thinking", "input": "Hi.", "reasoning": {"summary": "auto"}, **fields}
    answer = httpx.post(proxy.url + RESPONSES, json=body, headers={"authorization": "Bearer k"})
    given = json.loads(answer.text.rstrip().rpartition("data: ")[2])["response"] if stream else answer.json()
    assert given["store"] is True
    assert call(proxy, "GET", f"/{given['id']}") == given


@pytest.mark.parametrize("goes_on", ["chain", "conversation"])
@pytest.mark.parametrize("name", ["ns__look", "local_shell"])
def test_calls_of_tools_that_came_before_are_shown_as_they_were_given(proxy: Proxy, goes_on: str, name: str) -> None:
    look = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}}
    tools = [{"type": "namespace", "name": "ns", "description": "", "tools": [look]}, {"type": "local_shell"}]
    added = {"type": "additional_tools", "role": "developer", "tools": tools}
    headers = {"authorization": "Bearer k"}
    made = httpx.post(f"{proxy.url}/v1/conversations", json={}, headers=headers).json()
    conversation = {"conversation": made["id"]} if goes_on == "conversation" else {}
    first = ask(proxy, [added, {"role": "user", "content": "Hi."}], **conversation)
    listed = call(proxy, "GET", f"/{first['id']}/input_items?order=asc")["data"][0]
    assert listed == {**added, "id": listed["id"]}

    directive = {"tool": {"name": name, "input": {"command": ["ls"]}}}
    body = {
        "model": MODEL,
        "input": [look_again := {"role": "user", "content": f"Look. @@{json.dumps(directive)}@@"}],
        "tools": [{"type": "custom", "name": "patch"}],
        "stream": True,
    }
    body |= conversation or {"previous_response_id": first["id"]}
    answer = httpx.post(proxy.url + RESPONSES, json=body, headers=headers)
    streamed = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]
    given = streamed[-1]["response"]
    assert given["output"][0]["type"] == ("local_shell_call" if name == "local_shell" else "function_call")
    assert [tool["type"] for tool in given["tools"]] == ["custom", "namespace", "local_shell"]
    assert call(proxy, "GET", f"/{given['id']}") == given
    assert events(proxy, given["id"]) == streamed
    whole = call(proxy, "GET", f"/{given['id']}/input_items?order=asc")["data"]
    assert whole[-1]["content"][0]["text"] == look_again["content"]
    reference = {"type": "item_reference", "id": given["output"][0]["id"]}
    output = {"type": "function_call_output", "call_id": given["output"][0]["call_id"], "output": "x"}
    ask(proxy, [reference, output], tools=tools)


@pytest.mark.parametrize("name", ["include", "include[]"])
def test_the_seals_of_reasoning_can_be_asked_for_later(proxy: Proxy, name: str) -> None:
    given = ask(proxy, f"Hm? @@{json.dumps({'thinking': 'Trees.', 'text': 'Yes.'})}@@")
    asks = f"{name}=reasoning.encrypted_content"
    (reasoning, _) = call(proxy, "GET", f"/{given['id']}?{asks}")["output"]
    assert reasoning["encrypted_content"]
    streamed = events(proxy, given["id"], f"&{asks}")
    done = [event["item"] for event in streamed if event["type"] == "response.output_item.done"]
    assert done[0] == reasoning
    assert streamed[-1]["response"]["output"][0] == reasoning


def test_a_response_that_is_not_stored_is_not_there(proxy: Proxy) -> None:
    given = ask(proxy, "Hi.", store=False)
    assert given["store"] is False
    call(proxy, "GET", f"/{given['id']}", status=404)
    assert (
        ask(proxy, "And?", previous_response_id=given["id"], status=400)["error"]["code"]
        == "previous_response_not_found"
    )


def test_a_response_that_failed_at_once_is_not_there_and_one_that_failed_later_is(proxy: Proxy) -> None:
    body = {"model": "claude-sim-reset", "input": "Hi.", "stream": True}
    answer = httpx.post(proxy.url + RESPONSES, json=body, headers={"authorization": "Bearer k"})
    failed = json.loads(answer.text.rstrip().rpartition("data: ")[2])["response"]
    assert failed["status"] == "failed"
    assert call(proxy, "GET", f"/{failed['id']}") == failed
    assert events(proxy, failed["id"])[-1]["type"] == "response.failed"


def test_deleted_is_gone(proxy: Proxy) -> None:
    first = ask(proxy, "Hi.")
    second = ask(proxy, "And?", previous_response_id=first["id"])
    assert call(proxy, "DELETE", f"/{first['id']}") == {"id": first["id"], "object": "response", "deleted": True}
    call(proxy, "GET", f"/{first['id']}", status=404)
    call(proxy, "DELETE", f"/{first['id']}", status=404)
    call(proxy, "GET", f"/{second['id']}")
    ask(proxy, "Then?", previous_response_id=second["id"], status=400)


def test_paging_walks_through_items_that_have_one_id(proxy: Proxy) -> None:
    first = ask(proxy, [{"role": "user", "content": "A", "id": "m1"}])
    again = [{"role": "user", "content": text, "id": "m1"} for text in "BC"]
    second = ask(proxy, [*again, *first["output"]], previous_response_id=first["id"])
    whole = call(proxy, "GET", f"/{second['id']}/input_items?order=asc")["data"]
    assert [item["content"][0]["text"] for item in whole if item["role"] == "user"] == ["A", "B", "C"]
    assert len({item["id"] for item in whole}) == len(whole) == 5
    after = ""
    for item in whole:
        page = call(proxy, "GET", f"/{second['id']}/input_items?order=asc&limit=1{after}")
        assert (page["data"], page["has_more"]) == ([item], item is not whole[-1])
        after = f"&after={item['id']}"


def test_input_items_are_those_of_the_whole_conversation(proxy: Proxy) -> None:
    first = ask(proxy, "One.")
    second = ask(
        proxy, [{"role": "user", "content": [{"type": "input_text", "text": "Two."}]}], previous_response_id=first["id"]
    )
    path = f"/{second['id']}/input_items"
    listed = call(proxy, "GET", f"{path}?order=asc")
    texts = [item["content"][0]["text"] for item in listed["data"]]
    assert texts == ["One.", first["output"][0]["content"][0]["text"], "Two."]
    assert call(proxy, "GET", path)["data"] == listed["data"][::-1]
    assert (listed["first_id"], listed["last_id"]) == (listed["data"][0]["id"], listed["data"][2]["id"])
    pages: list[str] = []
    after = ""
    while True:
        page = call(proxy, "GET", f"{path}?order=asc&limit=1{after}")
        pages += [item["id"] for item in page["data"]]
        after = f"&after={page['last_id']}"
        if not page["has_more"]:
            break
    assert pages == [item["id"] for item in listed["data"]]


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "order=up", "after=nothing"])
def test_a_list_says_what_is_wrong_with_its_query(proxy: Proxy, query: str) -> None:
    given = ask(proxy, "Hi.")
    error = call(proxy, "GET", f"/{given['id']}/input_items?{query}", status=400)["error"]
    assert error["param"] == query.partition("=")[0]


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("GET", "?stream=true"), ("DELETE", ""), ("POST", "/cancel"), ("GET", "/input_items")],
)
def test_another_key_sees_nothing(proxy: Proxy, method: str, path: str) -> None:
    given = ask(proxy, "Hi.", background=True)
    over(proxy, given["id"])
    assert "not found" in call(proxy, method, f"/{given['id']}{path}", key="other", status=404)["error"]["message"]
    call(proxy, "GET", f"/{given['id']}")


def test_another_key_goes_on_from_nothing(proxy: Proxy) -> None:
    given = ask(proxy, "Hi.")
    ask(proxy, "And?", previous_response_id=given["id"], key="other", status=400)
    reference = {"type": "item_reference", "id": given["output"][0]["id"]}
    ask(proxy, [reference], key="other", status=404)


# ------------------------------------------------------------------ background


def test_a_background_response_is_there_at_once_and_ends_by_itself(proxy: Proxy) -> None:
    begun = ask(proxy, "Hi.", background=True, model="claude-sim-slow")
    assert (begun["status"], begun["output"], begun["background"]) == ("queued", [], True)
    assert call(proxy, "GET", f"/{begun['id']}")["status"] == "in_progress"
    ended = over(proxy, begun["id"])
    assert ended["status"] == "completed"
    assert ended["usage"]["output_tokens"] > 0


def test_its_tokens_are_logged_once(proxy: Proxy) -> None:
    with running_proxy(store="memory") as own:
        begun = ask(own, "Hi.", background=True)
        over(own, begun["id"])
        own.wait_for(lambda: any(" RUN " in line for line in own.lines))
        with_tokens = [line for line in own.lines if begun["id"] in line and "tokens=" in line and "?/?/?" not in line]
        assert len(with_tokens) == 1


def test_a_stream_can_be_taken_up_after_any_of_its_events(proxy: Proxy) -> None:
    begun = ask(proxy, "Hi.", background=True, model="claude-sim-thinking", reasoning={"summary": "auto"})
    over(proxy, begun["id"])
    whole = events(proxy, begun["id"])
    assert [event["sequence_number"] for event in whole] == list(range(len(whole)))
    assert [event["type"] for event in whole[:3]] == ["response.created", "response.queued", "response.in_progress"]
    for number in range(len(whole)):
        assert events(proxy, begun["id"], f"&starting_after={number}") == whole[number + 1 :]


def test_a_stream_that_broke_off_is_taken_up_while_it_runs(proxy: Proxy) -> None:
    body = {"model": "claude-sim-slow", "input": "Hi.", "background": True, "stream": True}
    seen: list[dict[str, Any]] = []
    with httpx.stream("POST", proxy.url + RESPONSES, json=body, headers={"authorization": "Bearer k"}) as answer:
        for line in answer.iter_lines():
            if line.startswith("data: "):
                seen.append(json.loads(line[6:]))
            if len(seen) == 7:
                break
    response_id = seen[0]["response"]["id"]
    rest = events(proxy, response_id, f"&starting_after={seen[-1]['sequence_number']}")
    assert [event["sequence_number"] for event in seen + rest] == list(range(len(seen + rest)))
    assert rest[-1]["type"] == "response.completed"
    assert seen + rest == events(proxy, response_id)


def test_cancelling_ends_the_backend_s_call(proxy: Proxy) -> None:
    begun = ask(proxy, "Hi.", background=True, model="claude-sim-stall")
    proxy.wait_for(lambda: proxy.simulator.open_calls == 1)
    cancelled = call(proxy, "POST", f"/{begun['id']}/cancel")
    assert cancelled["status"] == "cancelled"
    proxy.wait_for(lambda: proxy.simulator.open_calls == 0)
    assert call(proxy, "GET", f"/{begun['id']}") == cancelled
    assert call(proxy, "POST", f"/{begun['id']}/cancel") == cancelled


def test_what_has_ended_stays_as_it_is_when_it_is_cancelled(proxy: Proxy) -> None:
    begun = ask(proxy, "Hi.", background=True)
    ended = over(proxy, begun["id"])
    assert call(proxy, "POST", f"/{begun['id']}/cancel") == ended


def test_only_background_responses_can_be_cancelled(proxy: Proxy) -> None:
    given = ask(proxy, "Hi.")
    assert "background" in call(proxy, "POST", f"/{given['id']}/cancel", status=400)["error"]["message"]


def test_deleting_a_running_response_ends_it(proxy: Proxy) -> None:
    begun = ask(proxy, "Hi.", background=True, model="claude-sim-stall")
    call(proxy, "DELETE", f"/{begun['id']}")
    proxy.wait_for(lambda: proxy.simulator.open_calls == 0)
    call(proxy, "GET", f"/{begun['id']}", status=404)


@pytest.mark.parametrize("model", ["claude-sim-error-503", "claude-sim-error-in-stream", "claude-sim-reset"])
def test_a_background_response_that_fails_says_so(proxy: Proxy, model: str) -> None:
    begun = ask(proxy, "Hi.", background=True, model=model)
    ended = over(proxy, begun["id"])
    assert ended["status"] == "failed"
    assert ended["error"]["code"] == "server_error"
    assert events(proxy, begun["id"])[-1]["type"] == "response.failed"


def test_background_needs_the_store(proxy: Proxy) -> None:
    assert ask(proxy, "Hi.", background=True, store=False, status=400)["error"]["param"] == "background"


def test_runs_of_a_proxy_that_stops_are_failed(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path / 'store.db'}"
    with running_proxy(store=store, shutdown_grace=0.1) as first:
        begun = ask(first, "Hi.", background=True, model="claude-sim-stall")
    with running_proxy(store=store) as second:
        ended = call(second, "GET", f"/{begun['id']}")
    assert ended["status"] == "failed"
    assert "stopped" in ended["error"]["message"]


# ------------------------------------------------------------------ compaction


def test_a_compaction_stands_for_the_conversation(proxy: Proxy) -> None:
    summary = "They planted a tree."
    talk = [{"role": "user", "content": "Plant a tree."}, {"role": "assistant", "content": "Done."}]
    proxy.simulator.script(chat_answer(summary))
    compacted = ask(proxy, talk, path="/compact")
    assert compacted["object"] == "response.compaction"
    assert [item["type"] for item in compacted["output"]] == ["message", "compaction"]
    assert summary not in json.dumps(compacted)
    assert "Plant a tree." in proxy.simulator.requests[-1].body.decode()
    ask(proxy, [*compacted["output"], {"role": "user", "content": "Where is it?"}])
    body = proxy.simulator.requests[-1].body.decode()
    assert summary in body
    assert "Done." not in body


def test_a_trigger_makes_the_response_a_compaction_which_the_next_goes_on_from(proxy: Proxy) -> None:
    first = ask(proxy, "Plant a tree.")
    proxy.simulator.script(chat_answer("A tree was planted."))
    second = ask(proxy, [{"type": "compaction_trigger"}], previous_response_id=first["id"])
    assert [item["type"] for item in second["output"]] == ["compaction"]
    ask(proxy, "Where?", previous_response_id=second["id"])
    body = proxy.simulator.requests[-1].body.decode()
    assert "A tree was planted." in body
    assert "Plant a tree." not in body


def test_a_compaction_of_another_server_is_refused(proxy: Proxy) -> None:
    error = ask(proxy, [{"type": "compaction", "encrypted_content": "gAAAAA"}], status=400)["error"]
    assert error["param"] == "input[0].encrypted_content"


@pytest.mark.parametrize("model", ["claude-sim-max-tokens", "claude-sim-empty-answer", "claude-sim-error-in-stream"])
def test_no_summary_is_a_failure(proxy: Proxy, model: str) -> None:
    ask(proxy, "Hi.", path="/compact", model=model, status=502)


def chat_answer(text: str) -> bytes:
    lines: list[dict[str, Any]] = [{"text": text}, {"text": "", "stop_reason": 1}]
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


# ------------------------------------------------------------ counting, trouble


def test_input_tokens_count_what_is_gone_on_from(proxy: Proxy) -> None:
    first = ask(proxy, "A rather long question, of many words, so that it counts.")
    alone = ask(proxy, "And?", path="/input_tokens")
    chained = ask(proxy, "And?", path="/input_tokens", previous_response_id=first["id"])
    assert alone["object"] == "response.input_tokens"
    assert chained["input_tokens"] > alone["input_tokens"] + 10


def test_a_reply_that_can_not_be_stored_goes_out_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(*_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(turns.Turns, "save", fails)
    with running_proxy(store="memory") as own:
        given = ask(own, "Hi.")
        assert given["status"] == "completed"
        assert given["store"] is False
        call(own, "GET", f"/{given['id']}", status=404)


@pytest.fixture
def no_store(tmp_path: Path) -> str:
    """The URL of a store that nobody can make, root included: it would be below a file."""
    (tmp_path / "file").write_text("no folder")
    return f"sqlite:///{tmp_path}/file/store.db"


BODIES: dict[str, dict[str, Any]] = {
    RESPONSES: {"input": "Hi."},
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "Hi."}], "store": True},
}


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("stream", [False, True])
def test_what_could_not_be_stored_is_a_notice(no_store: str, path: str, stream: bool) -> None:
    with running_proxy(store=no_store) as own:
        answer = httpx.post(own.url + path, json={"model": MODEL, "stream": stream, **BODIES[path]}, timeout=20)
        assert stream or answer.headers.get("x-aop-notice") == "the reply could not be stored"
        own.wait_for(lambda: 'notices="the reply could not be stored"' in "".join(own.lines))


def test_the_start_notes_a_store_whose_folder_cannot_be_made(no_store: str, tmp_path: Path) -> None:
    async def notices(store: str) -> tuple[str, ...]:
        settings = Settings(state_dir=tmp_path / "state", store=store)
        async with open_app(settings, Log("none", "text"), use_cli=False) as (_, ready):
            return ready.notices

    [notice] = asyncio.run(notices(no_store))
    assert notice.startswith(f"the store {no_store.removeprefix('sqlite:///')} cannot be written")
    for sound in (f"sqlite:///{tmp_path}/new/store.db", "sqlite:///store.db", "memory", "postgresql://host/db", ""):
        assert asyncio.run(notices(sound)) == ()


def test_a_store_that_can_not_be_had_is_told_where_it_is_needed(no_store: str) -> None:
    with running_proxy(store=no_store) as own:
        assert ask(own, "Hi.")["store"] is False
        error = ask(own, "And?", previous_response_id="resp_1", status=503)["error"]
        assert "store" in error["message"]
        assert error["type"] == "server_error"
