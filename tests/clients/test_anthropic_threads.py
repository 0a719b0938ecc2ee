"""Message threads as the `anthropic` package uses them: its tool runner keeps the conversation on the server."""

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic, beta_tool

from tests.servers import Proxy, running_proxy

MODEL = "claude-sonnet-4-6"
THREADS = "message-threads-2026-08-12"


@pytest.fixture(scope="module")
def proxy() -> Iterator[Proxy]:
    with running_proxy(store="memory") as running:
        yield running


@pytest.fixture(scope="module")
def client(proxy: Proxy) -> Iterator[Anthropic]:
    with Anthropic(
        base_url=proxy.url, api_key="any", max_retries=0, timeout=20, _strict_response_validation=True
    ) as made:
        yield made


@beta_tool
def get_weather(place: str) -> str:
    """The weather at a place.

    Args:
        place: where
    """
    return f"It snows in {place}."


def ask(prompt: str, **directive: Any) -> Any:
    text = f"{prompt} @@{json.dumps(directive)}@@" if directive else prompt
    return {"role": "user", "content": text}


def asked(proxy: Proxy) -> tuple[Any, ...]:
    body = json.loads(proxy.simulator.requests[-1].body)
    return body["message"], body["chat_history"], body.get("nodes"), body.get("tool_definitions")


def test_a_thread_goes_on_as_if_the_client_had_sent_it_all(client: Anthropic, proxy: Proxy) -> None:
    tools: Any = [{"name": "look", "description": "Look.", "input_schema": {"type": "object", "properties": {}}}]
    question = ask("What is there?", text="I look.", tool={"name": "look", "input": {}})
    settings: Any = {"model": MODEL, "max_tokens": 1000}
    first = client.beta.messages.create(
        **settings, system="Be brief.", tools=tools, messages=[question], thread={"type": "create"}, betas=[THREADS]
    )
    call = first.content[-1]
    assert call.type == "tool_use"
    result: Any = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "A tree."}]}
    second = client.beta.messages.create(
        **settings, messages=[result], thread={"type": "continue", "previous_message_id": first.id}, betas=[THREADS]
    )
    threaded = asked(proxy)
    answer: Any = {"role": "assistant", "content": [block.to_dict() for block in first.content]}
    client.beta.messages.create(**settings, system="Be brief.", tools=tools, messages=[question, answer, result])
    assert threaded == asked(proxy)
    counted = client.beta.messages.count_tokens(
        model=MODEL,
        messages=[ask("And?")],
        extra_body={"thread": {"type": "continue", "previous_message_id": second.id}},
    )
    assert (
        counted.input_tokens > client.beta.messages.count_tokens(model=MODEL, messages=[ask("And?")]).input_tokens + 10
    )


def test_the_tool_runner_sends_only_what_is_new(client: Anthropic, proxy: Proxy) -> None:
    seen = len(proxy.lines)
    runner = client.beta.messages.tool_runner(
        model=MODEL,
        max_tokens=1000,
        tools=[get_weather],
        messages=[ask("Weather?", tool={"name": "get_weather", "input": {"place": "Oslo"}}, then="Snow.")],
    )
    assert runner.until_done().content[0].to_dict()["text"] == "Snow."
    proxy.wait_for(lambda: len(proxy.lines) >= seen + 2)
    assert "It snows in Oslo." in proxy.simulator.requests[-1].body.decode()
    assert all(" 200 " in line for line in proxy.lines[seen:])


@pytest.mark.parametrize("id_", ["msg_1", "msg_00000000-0000-4000-8000-000000000001"])
def test_an_unknown_thread_has_the_code_on_which_clients_send_it_all(client: Anthropic, id_: str) -> None:
    with pytest.raises(anthropic.BadRequestError) as caught:
        client.beta.messages.create(
            model=MODEL,
            max_tokens=100,
            messages=[ask("Hi.")],
            thread={"type": "continue", "previous_message_id": id_},
            betas=[THREADS],
        )
    body: Any = caught.value.body
    assert body["error"]["details"]["error_code"] == "thread_unsupported_request"


def test_another_key_has_no_such_thread(client: Anthropic, proxy: Proxy) -> None:
    first = client.beta.messages.create(
        model=MODEL, max_tokens=100, messages=[ask("Hi.")], thread={"type": "create"}, betas=[THREADS]
    )
    with (
        Anthropic(base_url=proxy.url, api_key="other", max_retries=0) as other,
        pytest.raises(anthropic.BadRequestError),
    ):
        other.beta.messages.create(
            model=MODEL,
            max_tokens=100,
            messages=[ask("And?")],
            thread={"type": "continue", "previous_message_id": first.id},
            betas=[THREADS],
        )


def test_system_and_tools_stay_those_of_the_thread(client: Anthropic) -> None:
    first = client.beta.messages.create(
        model=MODEL, max_tokens=100, messages=[ask("Hi.")], thread={"type": "create"}, betas=[THREADS]
    )
    with pytest.raises(anthropic.BadRequestError, match="system"):
        client.beta.messages.create(
            model=MODEL,
            max_tokens=100,
            system="Be rude.",
            messages=[ask("And?")],
            thread={"type": "continue", "previous_message_id": first.id},
            betas=[THREADS],
        )


def test_a_runner_whose_thread_is_lost_sends_the_whole_conversation(tmp_path: Any) -> None:
    """As after a restart of a proxy that keeps its store in memory."""
    with running_proxy(store="memory") as first, running_proxy(store="memory") as second:
        with Anthropic(base_url=first.url, api_key="any", max_retries=0) as client:
            runner = client.beta.messages.tool_runner(
                model=MODEL,
                max_tokens=1000,
                tools=[get_weather],
                messages=[ask("Weather?", tool={"name": "get_weather", "input": {"place": "Oslo"}}, then="Snow.")],
            )
            said = []
            for turn in runner:
                said.append(turn)
                client.base_url = second.url
            assert said[-1].content[0].to_dict()["text"] == "Snow."
        assert len(second.simulator.requests) == 1
        body = second.simulator.requests[-1].body.decode()
        assert "Weather?" in body
        assert "It snows in Oslo." in body
