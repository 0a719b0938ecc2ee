"""Agents made by `langchain.agents`: their loops of calls and results, plain and with a structured answer."""

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import tool
from pydantic import BaseModel

from conftest import THINKING, make

asked: list[str] = []


@tool
def get_weather(place: str) -> str:
    """The weather at a place."""
    asked.append(place)
    return f"sunny in {place}, 21 degrees"


@tool
def get_forecast(place: str) -> str:
    """The weather at a place tomorrow."""
    asked.append(place)
    return f"rain in {place}, 15 degrees"


class Report(BaseModel):
    """A weather report."""

    place: str
    degrees: int


SAID: dict[str, Any] = {"messages": [{"role": "user", "content": "Use get_weather for 'Bern'."}]}


@pytest.fixture(autouse=True)
def _nothing_asked() -> None:
    asked.clear()


def kinds(state: dict[str, Any]) -> list[str]:
    return [message.type for message in state["messages"]]


def test_an_agent_calls_its_tool_and_finishes(api: str) -> None:
    state = create_agent(make(api), [get_weather], system_prompt="Be brief.").invoke(SAID)
    assert asked == ["Bern"]
    assert kinds(state) == ["human", "ai", "tool", "ai"]
    assert state["messages"][-1].text == "sunny in Bern, 21 degrees"


async def test_an_agent_streams(api: str) -> None:
    agent = create_agent(make(api), [get_weather], system_prompt="Be brief.")
    chunks = [chunk async for chunk, _ in agent.astream(SAID, stream_mode="messages")]
    assert asked == ["Bern"]
    # Chunks of one message share its id; the last message is the answer.
    last = [chunk for chunk in chunks if isinstance(chunk, AIMessage) and chunk.id == chunks[-1].id]
    assert "".join(chunk.text for chunk in last) == "sunny in Bern, 21 degrees"
    assert [chunk.content for chunk in chunks if isinstance(chunk, ToolMessage)] == ["sunny in Bern, 21 degrees"]


def test_two_calls_at_once_and_a_second_turn(api: str) -> None:
    said = {"messages": [{"role": "user", "content": "Use get_weather and get_forecast for 'Bern'."}]}
    agent = create_agent(make(api), [get_weather, get_forecast])
    first = agent.invoke(said)
    assert kinds(first) == ["human", "ai", "tool", "tool", "ai"]
    assert first["messages"][-1].text == "sunny in Bern, 21 degrees\nrain in Bern, 15 degrees"
    second = agent.invoke({"messages": [*first["messages"], {"role": "user", "content": "Thanks."}]})
    assert second["messages"][-1].text == "Thanks."


def test_a_thought_goes_back_with_the_result() -> None:
    state = create_agent(make("messages", **THINKING), [get_weather]).invoke(SAID)
    assert kinds(state) == ["human", "ai", "tool", "ai"]
    blocks = state["messages"][1].content
    assert [block["type"] for block in blocks] == ["thinking", "text", "tool_use"]
    assert blocks[0]["signature"]


@pytest.mark.parametrize("strategy", [ToolStrategy, ProviderStrategy])
def test_an_agent_with_a_structured_answer(api: str, strategy: Any) -> None:
    state = create_agent(make(api), [get_weather], response_format=strategy(Report)).invoke(SAID)
    assert asked == ["Bern"]
    assert isinstance(state["structured_response"], Report)
    assert state["structured_response"].place == "Bern"
