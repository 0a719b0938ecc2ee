"""`/v1/responses` over a WebSocket with the official `openai` package for Python, and with `openai-agents`."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from agents import Agent, OpenAIResponsesWSModel, RunConfig, Runner, function_tool
from openai import AsyncOpenAI, OpenAI
from openai.resources.responses.responses import ResponsesConnection
from openai.types.responses.responses_server_event import ResponsesServerEvent
from pydantic import TypeAdapter

from tests.clients.test_openai_responses import MODEL, WEATHER, ask
from tests.servers import Proxy, running_proxy

ADAPTER: TypeAdapter[Any] = TypeAdapter(ResponsesServerEvent)
"""What the package knows as events; reading them from a connection, it takes anything."""


@pytest.fixture(scope="module")
def proxy() -> Iterator[Proxy]:
    with running_proxy(store="memory") as running:
        yield running


@pytest.fixture
def connection(proxy: Proxy) -> Iterator[ResponsesConnection]:
    with (
        OpenAI(base_url=proxy.base_url, api_key="any", max_retries=0, timeout=20) as client,
        client.responses.connect() as opened,
    ):
        yield opened


def received(connection: ResponsesConnection) -> Any:
    """The next event, held to its type."""
    return ADAPTER.validate_json(connection.recv_bytes(), strict=True)


def response(connection: ResponsesConnection, **request: Any) -> Any:
    connection.response.create(model=MODEL, store=False, **request)
    while True:
        event = received(connection)
        if event.type in ("response.completed", "response.failed", "error"):
            assert event.type == "response.completed", event
            return event.response


def test_a_tool_is_called_and_its_result_sent_alone(connection: ResponsesConnection, proxy: Proxy) -> None:
    directive = {"text": "I look.", "tool": {"name": "get_weather", "input": {"place": "Bern"}}, "then": "Sunny."}
    first = response(connection, input=ask("Hi.", **directive), tools=[WEATHER])
    (call,) = [item for item in first.output if item.type == "function_call"]
    assert json.loads(call.arguments) == {"place": "Bern"}
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "21 degrees"}
    second = response(connection, input=[result], tools=[WEATHER], previous_response_id=first.id)
    assert second.output_text == "Sunny."
    assert second.previous_response_id == first.id
    asked = proxy.simulator.requests[-1].request
    assert asked is not None
    assert "21 degrees" in str(asked.nodes)
    assert asked.chat_history[-1].response_text == "I look."


def test_thoughts_are_kept_on_the_connection(connection: ResponsesConnection, proxy: Proxy) -> None:
    reasoning: Any = {"reasoning": {"summary": "auto"}, "include": ["reasoning.encrypted_content"]}
    first = response(connection, input=ask("Hi.", thinking="I think of trees.", text="Yes."), **reasoning)
    assert first.output[0].summary[0].text == "I think of trees."
    response(connection, input="Go on.", previous_response_id=first.id, **reasoning)
    assert "I think of trees." in proxy.simulator.requests[-1].body.decode()


def test_a_warm_up_is_gone_on_from(connection: ResponsesConnection) -> None:
    warm = response(connection, input="My name is Ada.", generate=False)
    assert warm.output == []
    assert response(connection, input=ask("And?", text="Ada."), previous_response_id=warm.id).output_text == "Ada."


def test_lanes_are_told_apart(connection: ResponsesConnection) -> None:
    for lane in ("planner", "research"):
        connection.response.create(model=MODEL, store=False, stream_id=lane, input=ask("Hi.", text=f"I am {lane}."))
    said: dict[str, str] = {}
    while len(said) < 2:
        event = received(connection)
        if event.type == "response.completed":
            said[event.stream_id] = event.response.output_text
    assert said == {"planner": "I am planner.", "research": "I am research."}


def test_what_is_refused_is_an_error_of_its_type(connection: ResponsesConnection) -> None:
    connection.response.create(model=MODEL, input="Hi.", previous_response_id="resp_none", stream_id="a")
    event = received(connection)
    assert (event.type, event.status, event.stream_id) == ("error", 400, "a")
    assert event.error.code == "previous_response_not_found"
    connection.response.steer(input="Faster.", previous_response_id="resp_none")
    event = received(connection)
    assert (event.type, event.error.code) == ("error", "unsupported_event")
    assert response(connection, input=ask("Hi.", text="Hello.")).output_text == "Hello."


def test_the_asynchronous_client(proxy: Proxy) -> None:
    async def run() -> str:
        async with (
            AsyncOpenAI(base_url=proxy.base_url, api_key="any", max_retries=0, timeout=20) as client,
            client.responses.connect() as connection,
        ):
            await connection.response.create(model=MODEL, input=ask("Hi.", text=["It is ", "sunny."]))
            pieces: list[str] = []
            async for event in connection:
                if event.type == "response.output_text.delta":
                    pieces.append(event.delta)
                if event.type == "response.completed":
                    break
            return "".join(pieces)

    assert asyncio.run(asyncio.wait_for(run(), 20)) == "It is sunny."


def test_an_agent_runs_its_tool_over_the_socket(proxy: Proxy) -> None:
    asked: list[str] = []

    @function_tool
    def get_weather(place: str) -> str:
        """Show the weather at a place."""
        asked.append(place)
        return f"sunny in {place}"

    async def run() -> Any:
        async with AsyncOpenAI(base_url=proxy.base_url, api_key="any", max_retries=0, timeout=20) as client:
            model = OpenAIResponsesWSModel(model=MODEL, openai_client=client)
            agent = Agent(name="Weather", instructions="Be brief.", tools=[get_weather], model=model)
            call = {"tool": [{"name": "get_weather", "input": {"place": "Bern"}}], "then": "It is sunny."}
            try:
                return await Runner.run(agent, ask("Hi.", **call), run_config=RunConfig(tracing_disabled=True))
            finally:
                await model.close()

    lines = len(proxy.lines)
    result = asyncio.run(asyncio.wait_for(run(), 30))
    assert (asked, result.final_output) == (["Bern"], "It is sunny.")
    assert result.context_wrapper.usage.output_tokens > 0
    proxy.wait_for(lambda: len(proxy.lines) == lines + 2)
    assert all(" WS /v1/responses 200 " in line for line in proxy.lines[lines:])
