"""LiteLLM as a library: a call, its result, the answer. Arguments: the API, the proxy's URL, the model."""

import json
import sys

import litellm

api, url, name = sys.argv[1:]
given = {
    "Chat": {"model": f"openai/{name}", "api_base": f"{url}/v1"},
    "Messages": {"model": f"anthropic/{name}", "api_base": url},
    "Responses": {"model": f"openai/responses/{name}", "api_base": f"{url}/v1"},
}[api]
number = {"type": "integer"}
schema = {"type": "object", "properties": {"a": number, "b": number}, "required": ["a", "b"]}
tool = {"type": "function", "function": {"name": "multiply", "description": "Multiply.", "parameters": schema}}
messages = [{"role": "user", "content": "What is 6 times 7?"}]
input_tokens = output_tokens = 0
while True:
    reply = litellm.completion(messages=messages, tools=[tool], api_key="any", **given)
    input_tokens += reply.usage.prompt_tokens
    output_tokens += reply.usage.completion_tokens
    message = reply.choices[0].message
    messages.append(message.model_dump(exclude_none=True))
    if not message.tool_calls:
        break
    for call in message.tool_calls:
        arguments = json.loads(call.function.arguments)
        product = str(arguments["a"] * arguments["b"])
        messages.append({"role": "tool", "tool_call_id": call.id, "content": product})
print(json.dumps({"text": message.content, "input": input_tokens, "output": output_tokens}))
