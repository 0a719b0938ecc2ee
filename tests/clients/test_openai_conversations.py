"""Conversations and stored chat completions with `openai`, strictly validated, and with `openai-agents`."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from agents import Agent, OpenAIConversationsSession, OpenAIResponsesModel, RunConfig, Runner, function_tool
from openai import AsyncOpenAI, OpenAI

from tests.servers import Proxy, running_proxy

MODEL = "gpt-5.4"
ITEMS: Any = [
    {"role": "user", "content": "What is in the file?"},
    {
        "type": "message",
        "role": "user",
        "content": [
            {"type": "input_text", "text": "And on the map?"},
            {"type": "input_image", "image_url": "https://example.org/map.png"},
            {"type": "input_file", "file_url": "https://example.org/log.pdf"},
        ],
    },
    {"role": "assistant", "content": "I look."},
    {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Read it."}]},
    {"type": "function_call", "call_id": "call_1", "name": "read", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "call_1", "output": "Treasure."},
    {"type": "function_call_output", "call_id": "call_2", "output": [{"type": "input_text", "text": "Gold."}]},
    {"type": "custom_tool_call", "call_id": "call_3", "name": "dig", "input": "here"},
    {"type": "custom_tool_call_output", "call_id": "call_3", "output": "Gold."},
    {"type": "local_shell_call", "id": "lsh_1", "call_id": "call_4", "action": {"type": "exec", "command": ["ls"]}},
    {"type": "local_shell_call_output", "id": "lsh_2", "output": "chest"},
    {"type": "compaction", "encrypted_content": "gAAAA"},
    {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "gold"}},
]


@pytest.fixture(scope="module")
def proxy() -> Iterator[Proxy]:
    with running_proxy(store="memory") as running:
        yield running


@pytest.fixture(scope="module")
def client(proxy: Proxy) -> Iterator[OpenAI]:
    with OpenAI(
        base_url=proxy.base_url, api_key="any", max_retries=0, timeout=20, _strict_response_validation=True
    ) as made:
        yield made


def ask(prompt: str, /, **directive: Any) -> Any:
    return [{"role": "user", "content": f"{prompt} @@{json.dumps(directive)}@@" if directive else prompt}]


# --------------------------------------------------------------- conversations


def test_a_conversation_is_made_shown_changed_and_deleted(client: OpenAI) -> None:
    made = client.conversations.create(items=ITEMS[:1], metadata={"topic": "treasure"})
    assert made.metadata == {"topic": "treasure"}
    assert client.conversations.retrieve(made.id) == made
    assert client.conversations.update(made.id, metadata={"a": "b"}).metadata == {"a": "b"}
    deleted = client.conversations.delete(made.id)
    assert (deleted.id, deleted.deleted) == (made.id, True)
    with pytest.raises(openai.NotFoundError):
        client.conversations.retrieve(made.id)
    assert client.conversations.create().metadata == {}


def test_every_kind_of_item_is_of_the_package_s_type(client: OpenAI) -> None:
    id_ = client.conversations.create().id
    added = client.conversations.items.create(id_, items=ITEMS)
    assert [item.type for item in added.data] == [item.get("type", "message") for item in ITEMS]
    assert list(client.conversations.items.list(id_, order="asc")) == added.data
    for item in added.data:
        assert item.id is not None
        assert client.conversations.items.retrieve(item.id, conversation_id=id_) == item
    assert client.conversations.items.delete("rs_1", conversation_id=id_).id == id_
    assert [item.id for item in client.conversations.items.list(id_, order="asc")] == [
        item.id for item in added.data if item.id != "rs_1"
    ]
    with pytest.raises(openai.NotFoundError):
        client.conversations.items.retrieve("rs_1", conversation_id=id_)


def test_the_package_walks_through_all_pages(client: OpenAI) -> None:
    id_ = client.conversations.create(items=[ask(str(i))[0] for i in range(11)]).id
    newest_first = [item.id for item in client.conversations.items.list(id_, limit=3)]
    oldest_first = [item.id for item in client.conversations.items.list(id_, limit=4, order="asc")]
    assert len(set(newest_first)) == 11
    assert newest_first == oldest_first[::-1]


@pytest.mark.parametrize(
    "item", [{"type": "item_reference", "id": "msg_1"}, {"type": "nothing"}, {"role": "user", "content": 5}]
)
def test_what_can_not_be_kept_is_refused(client: OpenAI, item: Any) -> None:
    with pytest.raises(openai.BadRequestError):
        client.conversations.create(items=[item])


def test_a_conversation_goes_on(client: OpenAI, proxy: Proxy) -> None:
    conversation = client.conversations.create()
    tool: Any = {
        "type": "function",
        "name": "look",
        "parameters": {"type": "object", "properties": {}},
        "strict": False,
    }
    call = [{"name": "look", "input": {}}]
    first = client.responses.create(
        model=MODEL,
        conversation=conversation.id,
        input=ask("Look.", thinking="Hm.", text="I look.", tool=call),
        tools=[tool],
    )
    assert first.conversation is not None
    assert first.conversation.id == conversation.id
    result: Any = {"type": "function_call_output", "call_id": call_id(first), "output": "A tree."}
    with client.responses.stream(model=MODEL, conversation=conversation.id, input=[result], tools=[tool]) as stream:
        second = list(stream)[-1]
    assert second.type == "response.completed"
    items = list(client.conversations.items.list(conversation.id, order="asc"))
    assert [item.type for item in items] == [
        "message",
        "reasoning",
        "message",
        "function_call",
        "function_call_output",
        "message",
    ]
    assert "A tree." in proxy.simulator.requests[-1].body.decode()


def call_id(response: Any) -> str:
    return str(next(item.call_id for item in response.output if item.type == "function_call"))


# ---------------------------------------------------------- chat completions


def test_a_completion_is_stored_shown_changed_and_deleted(client: OpenAI) -> None:
    made = client.chat.completions.create(
        model=MODEL, messages=ask("Hi.", text="Hello."), store=True, metadata={"topic": "treasure"}, n=2
    )
    stored = client.chat.completions.retrieve(made.id)
    assert stored.choices == made.choices
    assert (stored.id, stored.created, stored.usage) == (made.id, made.created, made.usage)
    assert stored.metadata == {"topic": "treasure"}
    changed = client.chat.completions.update(made.id, metadata={"a": "b"})
    assert changed == stored.model_copy(update={"metadata": {"a": "b"}})
    assert client.chat.completions.retrieve(made.id) == changed
    deleted = client.chat.completions.delete(made.id)
    assert (deleted.id, deleted.deleted) == (made.id, True)
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.retrieve(made.id)


def test_a_streamed_completion_is_what_the_package_made_of_the_stream(client: OpenAI) -> None:
    tool: Any = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    messages = ask("Look.", text=["I ", "look."], tool=[{"name": "look", "input": {"at": "it"}}])
    with client.chat.completions.stream(model=MODEL, messages=messages, tools=[tool], store=True) as stream:
        for _ in stream:
            pass
        seen = stream.get_final_completion()
    message = client.chat.completions.retrieve(seen.id).choices[0].message
    assert message.content == seen.choices[0].message.content == "I look."
    assert message.tool_calls is not None
    assert [call.id for call in message.tool_calls] == [call.id for call in seen.choices[0].message.tool_calls or []]


def test_completions_are_listed_by_model_and_metadata(client: OpenAI) -> None:
    made = [
        client.chat.completions.create(
            model=MODEL if i % 2 else "gpt-5.1", messages=ask(str(i)), store=True, metadata={"run": "list", "i": str(i)}
        ).id
        for i in range(5)
    ]
    completions = client.chat.completions
    assert [found.id for found in completions.list(metadata={"run": "list"}, limit=2)] == made
    assert [found.id for found in completions.list(metadata={"run": "list"}, limit=2, order="desc")] == made[::-1]
    assert [found.id for found in completions.list(metadata={"run": "list"}, model=MODEL)] == made[1::2]
    assert [found.id for found in completions.list(metadata={"run": "list", "i": "3"})] == [made[3]]


def test_the_messages_of_a_completion(proxy: Proxy, client: OpenAI) -> None:
    """Not strictly: the package's type knows messages of assistants alone, the reference shows one of a user."""
    parts = [{"type": "text", "text": "Hi."}]
    messages: Any = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": parts}, *ask("Well?")]
    made = client.chat.completions.create(model=MODEL, messages=messages, store=True)
    with OpenAI(base_url=proxy.base_url, api_key="any", max_retries=0, timeout=20) as lenient:
        listed = list(lenient.chat.completions.messages.list(made.id, limit=2))
        backwards = list(lenient.chat.completions.messages.list(made.id, order="desc"))
    assert [message.content for message in listed] == ["Be brief.", None, "Well?"]
    assert [part.to_dict() for part in listed[1].content_parts or []] == parts
    assert [message.id for message in backwards] == [message.id for message in listed][::-1]


def test_another_key_sees_nothing(proxy: Proxy, client: OpenAI) -> None:
    conversation = client.conversations.create(items=ITEMS[:1])
    completion = client.chat.completions.create(model=MODEL, messages=ask("Hi."), store=True)
    with OpenAI(base_url=proxy.base_url, api_key="other", max_retries=0, timeout=20) as other:
        with pytest.raises(openai.NotFoundError):
            other.conversations.items.list(conversation.id)
        with pytest.raises(openai.NotFoundError):
            other.responses.create(model=MODEL, input="And?", conversation=conversation.id)
        with pytest.raises(openai.NotFoundError):
            other.chat.completions.retrieve(completion.id)
        assert list(other.chat.completions.list()) == []


# ------------------------------------------------------------------------ agents


@function_tool
def get_weather(place: str) -> str:
    """Show the weather at a place."""
    return f"sunny in {place}, 21 degrees"


def test_an_agent_s_session_is_a_conversation(proxy: Proxy) -> None:
    call = {"thinking": "Hm.", "tool": [{"name": "get_weather", "input": {"place": "Bern"}}], "then": "It is sunny."}

    async def run() -> list[Any]:
        async with AsyncOpenAI(base_url=proxy.base_url, api_key="any", max_retries=0, timeout=20) as client:
            model = OpenAIResponsesModel(model=MODEL, openai_client=client)
            agent = Agent(name="Weather", instructions="Be brief.", tools=[get_weather], model=model)
            session = OpenAIConversationsSession(openai_client=client)
            config = RunConfig(tracing_disabled=True)
            for prompt in (f"The weather? @@{json.dumps(call)}@@", "Thank you."):
                await Runner.run(agent, prompt, session=session, run_config=config)
            items = await session.get_items()
            newest = await session.pop_item()
            assert newest == items[-1]
            assert await session.get_items() == items[:-1]
            assert await session.get_items(limit=2) == items[-3:-1]
            await session.add_items([{"role": "user", "content": str(i)} for i in range(45)])
            assert len(await session.get_items()) == len(items) - 1 + 45
            await session.clear_session()
            assert await session.get_items() == []
            return list(items)

    items = asyncio.run(asyncio.wait_for(run(), 30))
    kinds = [item["type"] for item in items]
    assert kinds == [
        "message",
        "reasoning",
        "function_call",
        "function_call_output",
        "message",
        "message",
        "message",
    ]
    body = proxy.simulator.requests[-1].body.decode()
    assert all(words in body for words in ("sunny in Bern, 21 degrees", "It is sunny.", "Thank you."))


def test_an_agent_s_runs_in_a_conversation_that_the_server_keeps(proxy: Proxy) -> None:
    call = {"tool": [{"name": "get_weather", "input": {"place": "Bern"}}], "then": "It is sunny."}

    async def run() -> list[str]:
        async with AsyncOpenAI(base_url=proxy.base_url, api_key="any", max_retries=0, timeout=20) as client:
            model = OpenAIResponsesModel(model=MODEL, openai_client=client)
            agent = Agent(name="Weather", instructions="Be brief.", tools=[get_weather], model=model)
            conversation = await client.conversations.create()
            config = RunConfig(tracing_disabled=True)
            for prompt in (f"The weather? @@{json.dumps(call)}@@", "Thank you."):
                await Runner.run(agent, prompt, conversation_id=conversation.id, run_config=config)
            return [item.type async for item in client.conversations.items.list(conversation.id, order="asc")]

    kinds = asyncio.run(asyncio.wait_for(run(), 30))
    assert kinds == ["message", "function_call", "function_call_output", "message", "message", "message"]
