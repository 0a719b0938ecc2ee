"""What the `openai` package does with stored responses, over a restart of the proxy, and beside a second proxy."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import openai
import pytest
from openai import OpenAI

from tests.servers import Proxy, running_proxy

MODEL = "gpt-5.4"


@contextmanager
def client_of(proxy: Proxy, key: str = "any") -> Iterator[OpenAI]:
    with OpenAI(
        base_url=proxy.base_url, api_key=key, max_retries=0, timeout=20, _strict_response_validation=True
    ) as made:
        yield made


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'store.db'}"


def test_what_was_stored_before_a_restart_is_there_after_it(store: str) -> None:
    with running_proxy(store=store) as proxy, client_of(proxy) as client:
        first = client.responses.create(model=MODEL, input="My name is Ada.", metadata={"a": "b"})
        begun = client.responses.create(model="claude-sim-slow", input="Hi.", background=True)
        while client.responses.retrieve(begun.id).status != "completed":
            time.sleep(0.05)
    with running_proxy(store=store) as proxy, client_of(proxy) as client:
        assert client.responses.retrieve(first.id) == first
        second = client.responses.create(model=MODEL, input="What is my name?", previous_response_id=first.id)
        assert "My name is Ada." in proxy.simulator.requests[-1].body.decode()
        assert second.previous_response_id == first.id
        assert client.responses.retrieve(begun.id).status == "completed"
        items = [item.id for item in client.responses.input_items.list(second.id, order="asc", limit=2)]
        assert len(items) == 3
        client.responses.delete(first.id)
        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(first.id)


def test_a_response_in_the_background_is_polled_streamed_and_cancelled(store: str) -> None:
    with running_proxy(store=store) as proxy, client_of(proxy) as client:
        begun = client.responses.create(model="claude-sim-slow", input="Hi.", background=True)
        assert begun.status == "queued"
        seen = list(client.responses.retrieve(begun.id, stream=True))
        assert [event.sequence_number for event in seen] == list(range(len(seen)))
        again = list(client.responses.retrieve(begun.id, stream=True, starting_after=seen[4].sequence_number))
        assert again == seen[5:]
        endless = client.responses.create(model="claude-sim-stall", input="Hi.", background=True)
        assert client.responses.cancel(endless.id).status == "cancelled"
        assert client.responses.retrieve(endless.id).status == "cancelled"


def test_a_stream_in_the_background_is_left_and_taken_up(store: str) -> None:
    with running_proxy(store=store) as proxy, client_of(proxy) as client:
        seen = []
        with client.responses.create(model="claude-sim-slow", input="Hi.", background=True, stream=True) as stream:
            for event in stream:
                seen.append(event)
                if event.type == "response.output_text.delta":
                    break
        assert seen[0].type == "response.created"
        id_ = seen[0].response.id
        with client.responses.stream(response_id=id_, starting_after=seen[-1].sequence_number) as rest:
            last = list(rest)[-1]
        assert last.type == "response.completed"
        assert last.response.output_text == client.responses.retrieve(id_).output_text


def test_the_package_compacts_and_counts(store: str) -> None:
    with running_proxy(store=store) as proxy, client_of(proxy) as client:
        first = client.responses.create(model=MODEL, input="Plant a tree.")
        lines = [{"text": "A tree was planted."}, {"text": "", "stop_reason": 1}]
        proxy.simulator.script(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
        # Raw, since the package's own type for the answer knows no messages of users, which its docstring promises.
        compacted = client.responses.with_raw_response.compact(model=MODEL, previous_response_id=first.id)
        given = json.loads(compacted.text)["output"]
        assert [item["type"] for item in given] == ["message", "compaction"]
        client.responses.create(model=MODEL, input=[*given, {"role": "user", "content": "Where?"}])
        assert "A tree was planted." in proxy.simulator.requests[-1].body.decode()
        assert client.responses.input_tokens.count(model=MODEL, input="Hello there.").input_tokens > 0


def test_another_key_sees_nothing(store: str) -> None:
    with running_proxy(store=store) as proxy, client_of(proxy) as client, client_of(proxy, "other") as other:
        first = client.responses.create(model=MODEL, input="Hi.")
        with pytest.raises(openai.NotFoundError):
            other.responses.retrieve(first.id)
        with pytest.raises(openai.BadRequestError) as caught:
            other.responses.create(model=MODEL, input="And?", previous_response_id=first.id)
        assert caught.value.code == "previous_response_not_found"
