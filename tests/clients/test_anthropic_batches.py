"""Message batches as the official `anthropic` package uses them, with strict response validation."""

import asyncio
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic, AsyncAnthropic
from anthropic.types.beta.messages import BetaMessageBatchIndividualResponse
from anthropic.types.messages import MessageBatchIndividualResponse

from tests.clients.test_anthropic_python import MODEL, WEATHER, ask
from tests.servers import Proxy, running_proxy


@pytest.fixture(scope="module")
def proxy() -> Iterator[Proxy]:
    with running_proxy(store="memory") as running:
        yield running


@pytest.fixture
def client(proxy: Proxy, request: pytest.FixtureRequest) -> Iterator[Anthropic]:
    """Each test has a key of its own, and so batches of its own."""
    name = request.node.name
    with Anthropic(
        base_url=proxy.url, api_key=name, max_retries=0, timeout=20, _strict_response_validation=True
    ) as made:
        yield made


@pytest.fixture(params=["messages", "beta"])
def api(client: Anthropic, request: pytest.FixtureRequest) -> Any:
    """`client.messages.batches`, and the beta one."""
    return client.messages.batches if request.param == "messages" else client.beta.messages.batches


def entry(custom_id: str, messages: Any = None, model: str = MODEL, **fields: Any) -> Any:
    params = {"model": model, "max_tokens": 100, "messages": messages or ask("Hi."), **fields}
    return {"custom_id": custom_id, "params": params}


def over(api: Any, batch_id: str) -> Any:
    end = time.monotonic() + 20
    while (batch := api.retrieve(batch_id)).processing_status != "ended":
        assert time.monotonic() < end, "it did not end in time"
        time.sleep(0.02)
    return batch


def results(api: Any, batch_id: str) -> dict[str, Any]:
    """The results by `custom_id`. The package does not validate these lines itself."""
    given = list(api.results(batch_id))
    for line in given:
        assert isinstance(line, MessageBatchIndividualResponse | BetaMessageBatchIndividualResponse)
        type(line).model_validate_json(line.model_dump_json(exclude_unset=True), strict=True)
    by_id = {line.custom_id: line.result for line in given}
    assert len(by_id) == len(given)
    return by_id


def test_a_batch_is_made_waited_for_and_read(api: Any) -> None:
    batch = api.create(
        requests=[
            entry("text", ask("Hi.", text=["It is ", "sunny."])),
            entry("thinking", ask("Hi.", thinking=["Hm."], text="Yes."), thinking={"type": "adaptive"}),
            entry("call", ask("Hi.", tool=[{"name": "get_weather", "input": {"place": "Bern"}}]), tools=[WEATHER]),
            entry("wrong", model="no-such-model"),
        ]
    )
    assert batch.processing_status == "in_progress"
    assert batch.request_counts.processing == 4
    assert batch.expires_at - batch.created_at == timedelta(hours=24)
    ended = over(api, batch.id)
    assert (ended.request_counts.succeeded, ended.request_counts.errored) == (3, 1)
    given = results(api, batch.id)
    assert list(given) == ["text", "thinking", "call", "wrong"]
    assert given["text"].message.content[0].text == "It is sunny."
    assert [block.type for block in given["thinking"].message.content] == ["thinking", "text"]
    assert given["call"].message.content[0].input == {"place": "Bern"}
    assert given["call"].message.stop_reason == "tool_use"
    assert given["wrong"].type == "errored"
    assert given["wrong"].error.error.type == "not_found_error"


def test_batches_are_listed_over_all_pages(api: Any) -> None:
    ids = [api.create(requests=[entry("a")]).id for _ in range(5)][::-1]
    assert [batch.id for batch in api.list(limit=2)] == ids
    assert [batch.id for batch in api.list(limit=2, before_id=ids[3])] == [ids[1], ids[2], ids[0]]
    assert [batch.id for batch in api.list(limit=1000, after_id=ids[2])] == ids[3:]


def test_a_batch_is_cancelled_and_deleted(api: Any) -> None:
    batch = api.create(requests=[entry("a", model="claude-sim-stall"), entry("b", model="claude-sim-stall")])
    with pytest.raises(anthropic.BadRequestError, match="In progress"):
        api.delete(batch.id)
    with pytest.raises(anthropic.AnthropicError, match="No `results_url`"):
        api.results(batch.id)
    cancelled = api.cancel(batch.id)
    assert cancelled.processing_status in ("canceling", "ended")
    assert cancelled.cancel_initiated_at >= batch.created_at
    assert over(api, batch.id).request_counts.canceled == 2
    assert [result.type for result in results(api, batch.id).values()] == ["canceled"] * 2
    assert api.delete(batch.id).id == batch.id
    with pytest.raises(anthropic.NotFoundError) as raised:
        api.retrieve(batch.id)
    assert raised.value.request_id


@pytest.mark.parametrize(
    ("requests", "message"),
    [
        ([], "requests must hold"),
        ([entry("a"), entry("a")], r"requests\[1\].custom_id"),
        ([entry("a b")], r"requests\[0\].custom_id"),
        ([entry("a"), entry("b", max_tokens=0)], r"requests\[1\].params.max_tokens"),
        ([entry("a", stream=True)], r"requests\[0\].params.stream"),
    ],
)
def test_a_bad_batch_is_refused(api: Any, requests: Any, message: str) -> None:
    with pytest.raises(anthropic.BadRequestError, match=message):
        api.create(requests=requests)
    assert not list(api.list())


def test_the_asynchronous_client_reads_the_results_as_they_come(proxy: Proxy) -> None:
    async def main() -> list[str]:
        async with AsyncAnthropic(
            base_url=proxy.url, api_key="async", max_retries=0, timeout=20, _strict_response_validation=True
        ) as client:
            batch = await client.messages.batches.create(requests=[entry(f"r{number}") for number in range(20)])
            while batch.processing_status != "ended":
                await asyncio.sleep(0.02)
                batch = await client.messages.batches.retrieve(batch.id)
            return [line.custom_id async for line in await client.messages.batches.results(batch.id)]

    assert asyncio.run(asyncio.wait_for(main(), 20)) == [f"r{number}" for number in range(20)]
