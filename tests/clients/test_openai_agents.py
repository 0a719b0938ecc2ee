"""The `openai-agents` package: a whole agent's run on the Responses API, and on Chat Completions, through the proxy."""

import asyncio
import json
from collections.abc import Coroutine
from typing import Any

import pytest
from agents import Agent, Model, OpenAIChatCompletionsModel, OpenAIResponsesModel, RunConfig, Runner, function_tool
from openai import AsyncOpenAI

from tests.servers import Proxy

asked: list[str] = []


@function_tool
def get_weather(place: str) -> str:
    """Show the weather at a place."""
    asked.append(place)
    return f"sunny in {place}, 21 degrees"


def prompt(**directive: Any) -> str:
    return f"Show the weather. @@{json.dumps(directive)}@@"


CALL = {"tool": [{"name": "get_weather", "input": {"place": "Bern"}}], "then": "It is sunny."}


def model(api: str, client: AsyncOpenAI) -> Model:
    if api == "responses":
        return OpenAIResponsesModel(model="gpt-5.4", openai_client=client)
    return OpenAIChatCompletionsModel(model="gpt-5.4", openai_client=client)


def bounded(run: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(run, 30))


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("api", ["responses", "chat"])
def test_an_agent_runs_its_tool_and_finishes(proxy: Proxy, api: str, streamed: bool) -> None:
    asked.clear()

    async def run() -> Any:
        async with AsyncOpenAI(base_url=proxy.base_url, api_key="any", max_retries=0, timeout=20) as client:
            agent = Agent(name="Weather", instructions="Be brief.", tools=[get_weather], model=model(api, client))
            config = RunConfig(tracing_disabled=True)
            if not streamed:
                return await Runner.run(agent, prompt(**CALL), run_config=config)
            result = Runner.run_streamed(agent, prompt(**CALL), run_config=config)
            async for _ in result.stream_events():
                pass
            return result

    result = bounded(run())
    assert asked == ["Bern"]
    assert result.final_output == "It is sunny."
    usage = result.context_wrapper.usage
    assert usage.requests == 2
    # On Chat Completions, the package asks for usage in streams only where its settings say so.
    if api == "responses" or not streamed:
        assert usage.input_tokens > 0
        assert usage.output_tokens > 0
