"""Pydantic AI: an agent with a tool. Arguments: the API, the proxy's URL, the model."""

import json
import sys

from pydantic_ai import Agent
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

api, url, name = sys.argv[1:]
openai = OpenAIProvider(base_url=f"{url}/v1", api_key="any")
models = {
    "Chat": lambda: OpenAIChatModel(name, provider=openai),
    "Responses": lambda: OpenAIResponsesModel(name, provider=openai),
    "Messages": lambda: AnthropicModel(name, provider=AnthropicProvider(base_url=url, api_key="any")),
}
agent = Agent(models[api]())


@agent.tool_plain
def multiply(a: int, b: int) -> int:
    """Multiply two numbers."""
    return a * b


result = agent.run_sync("What is 6 times 7?")
usage = result.usage
usage = usage() if callable(usage) else usage
print(json.dumps({"text": result.output, "input": usage.input_tokens, "output": usage.output_tokens}))
