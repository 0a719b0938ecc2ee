"""A bare client of the backend's protocol for the simulator's tests: no code of ours between the test and the wire."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import uuid4

import aiohttp

from augment_open_proxy.simulator import Simulator

Json = dict[str, Any]
Result = TypeVar("Result")

SHELL: Json = {
    "name": "bash",
    "description": "Runs a shell command.",
    "input_schema_json": json.dumps(
        {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]}
    ),
}


def tool(name: str, description: str = "", **properties: Json) -> Json:
    """A tool definition all of whose properties are required."""
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {"name": name, "description": description, "input_schema_json": json.dumps(schema)}


def text_node(text: str, id_: int = 0) -> Json:
    return {"id": id_, "type": 0, "text_node": {"content": text}}


def image_node(data: str, format_: int, id_: int = 0) -> Json:
    return {"id": id_, "type": 2, "image_node": {"image_data": data, "format": format_}}


def result_node(call: str, content: str = "done", id_: int = 0, **more: Any) -> Json:
    result = {"tool_use_id": call, "content": content, "is_error": False, **more}
    return {"id": id_, "type": 1, "tool_result_node": result}


def entry(text: str, answer: str = "", calls: Sequence[tuple[str, str]] = (), nodes: list[Json] | None = None) -> Json:
    """One past turn: the user's `text` (or `nodes`), the `answer`, and `calls` as (id, tool name)."""
    response: list[Json] = [{"id": 0, "type": 0, "content": answer}] if answer else []
    for id_, name in calls:
        use = {"tool_use_id": id_, "tool_name": name, "input_json": "{}"}
        response.append({"id": len(response), "type": 5, "tool_use": use})
    return {
        "request_message": text,
        "request_nodes": [text_node(text)] if nodes is None else nodes,
        "response_text": answer,
        "response_nodes": response,
    }


def request(text: str = "hello", model: str = "claude-opus-4-7", tools: Sequence[Json] = (), **changes: Any) -> Json:
    """A request that asks `text`; `changes` replace fields of the body."""
    body: Json = {
        "mode": "CLI_AGENT",
        "model": model,
        "message": text,
        "nodes": [text_node(text)] if text else [],
        "chat_history": [],
        "conversation_id": str(uuid4()),
    }
    if tools:
        body["tool_definitions"] = list(tools)
    return {**body, **changes}


def directive(**keys: Any) -> str:
    return f"Please do this: @@{json.dumps(keys)}@@"


@dataclass(frozen=True)
class Reply:
    """An answer: its bytes, and what broke off their reading, if anything did."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    broken: Exception | None = None

    @property
    def lines(self) -> list[Json]:
        return [json.loads(line) for line in self.body.split(b"\n") if line]

    @property
    def text(self) -> str:
        return "".join(line.get("text", "") for line in self.lines)

    @property
    def stop_reasons(self) -> list[int]:
        return [line["stop_reason"] for line in self.lines if "stop_reason" in line]

    @property
    def usage(self) -> Json:
        (node,) = self.nodes(10)
        found: Json = node["token_usage"]
        return found

    @property
    def calls(self) -> list[Json]:
        return [node["tool_use"] for node in self.nodes(5)]

    @property
    def thinking(self) -> str:
        thoughts = [node["thinking"] for node in self.nodes(8)]
        return "".join(thought.get("content") or thought["summary"] for thought in thoughts)

    @property
    def error(self) -> str:
        found: str = json.loads(self.body)["error"]
        return found

    def nodes(self, type_: int) -> list[Json]:
        return [node for line in self.lines for node in line.get("nodes", ()) if node["type"] == type_]


class Client:
    """Posts requests to one simulator."""

    def __init__(self, sim: Simulator, http: aiohttp.ClientSession) -> None:
        self.sim = sim
        self.http = http

    def call(self, body: Json | str | bytes, **headers: str | None) -> Any:
        """The open exchange, for use with `async with`; in `headers` `_` stands for `-`, and `None` removes one."""
        body = request(body) if isinstance(body, str) else body
        session = body["conversation_id"] if isinstance(body, dict) and "conversation_id" in body else str(uuid4())
        sent = {
            "content-type": "application/json",
            "authorization": f"Bearer {self.sim.token}",
            "x-request-session-id": session,
            "conversation-id": session,
            "x-request-id": str(uuid4()),
            "x-mode": "sdk",
            "user-agent": "tests/1.0",
        }
        for name, value in headers.items():
            sent.pop(name.replace("_", "-"), None)
            if value is not None:
                sent[name.replace("_", "-")] = value
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        skipped = ["user-agent", "content-type"]
        return self.http.post(
            f"{self.sim.url}/chat-stream", data=data, headers=sent, allow_redirects=False, skip_auto_headers=skipped
        )

    async def ask(self, body: Json | str | bytes, **headers: str | None) -> Reply:
        """The answer as far as it came."""
        received = b""
        async with self.call(body, **headers) as response:
            try:
                async for chunk in response.content.iter_any():
                    received += chunk
            except aiohttp.ClientError as error:
                return Reply(response.status, response.headers, received, error)
        return Reply(response.status, response.headers, received)


def play(story: Callable[[Client], Awaitable[Result]], **options: Any) -> Result:
    """Runs a story against a simulator of its own, for 10 s at most."""

    async def whole() -> Result:
        async with asyncio.timeout(10), Simulator(**options) as sim, aiohttp.ClientSession() as http:
            return await story(Client(sim, http))

    return asyncio.run(whole())


def ask(body: Json | str | bytes, **headers: str | None) -> Reply:
    """The answer to one request."""
    return play(lambda client: client.ask(body, **headers))
