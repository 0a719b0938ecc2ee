"""The Claude Agent SDK: a query with a tool of our own. Arguments: the API, the proxy's URL, the model, Claude Code."""

import asyncio
import json
import sys
from typing import Any

from claude_agent_sdk import ClaudeAgentOptions, ResultMessage, create_sdk_mcp_server, query, tool

_, url, name, program = sys.argv[1:]


@tool("multiply", "Multiply two numbers.", {"a": int, "b": int})
async def multiply(given: dict[str, Any]) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": str(given["a"] * given["b"])}]}


async def main() -> None:
    options = ClaudeAgentOptions(
        cli_path=program,
        model=name,
        mcp_servers={"numbers": create_sdk_mcp_server("numbers", tools=[multiply])},
        allowed_tools=["mcp__numbers__multiply"],
        env={"ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": "any"},
    )
    async for message in query(prompt="What is 6 times 7?", options=options):
        if isinstance(message, ResultMessage):
            usage = message.usage or {}
            said = {"text": message.result, "input": usage.get("input_tokens"), "output": usage.get("output_tokens")}
            print(json.dumps(said))


asyncio.run(main())
