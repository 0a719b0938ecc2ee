"""Claude Code itself, headless, through the proxy on the simulator."""

import base64
import contextlib
import json
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from augment_open_proxy.simulator import Cut
from augment_open_proxy.upstream.wire import ImageFormat
from tests.clients.claude_code.program import SECONDS, VERSION, ClaudeCode, Run, require, trap
from tests.servers import Proxy, running_proxy

pytestmark = pytest.mark.timeout(4 * SECONDS)
UNASKED = ("--permission-mode", "bypassPermissions")
SEARCH = {"type": "web_search_20250305", "name": "web_search", "max_uses": 8}
NO_SEARCH = "The tool web_search_20250305 is Anthropic's"


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """One of its own for each test, whose log has the bodies, as JSON."""
    require()
    with running_proxy(log_format="json", logging="body") as running:
        yield running


@pytest.fixture
def install(tmp_path: Path) -> Iterator[Callable[[Proxy], ClaudeCode]]:
    with contextlib.ExitStack() as stack:
        count = iter(range(10))

        def installed(proxy: Proxy) -> ClaudeCode:
            folder = tmp_path / str(next(count))
            folder.mkdir()
            return ClaudeCode(proxy, folder, stack.enter_context(trap()))

        yield installed


@pytest.fixture
def claude(proxy: Proxy, install: Callable[[Proxy], ClaudeCode]) -> ClaudeCode:
    return install(proxy)


def prompt(words: str, **directive: Any) -> str:
    """A user's words; `directive` tells the simulator what to answer."""
    return f"{words} @@{json.dumps(directive)}@@"


def call(name: str, **arguments: Any) -> dict[str, Any]:
    return {"name": name, "input": arguments}


def bash(command: str) -> dict[str, Any]:
    return call("Bash", command=command, description="Do what the test asks for")


# ------------------------------------------------------------------- turns


def test_it_runs_a_tool_reads_the_result_and_finishes(claude: ClaudeCode) -> None:
    task = prompt("Write the proof.", tool=bash("echo proof-4711 > proof.txt && cat proof.txt"), then="It is written.")
    run = claude.ask(task, *UNASKED)
    run.must_succeed()
    assert run.beginning["claude_code_version"] == VERSION
    assert (claude.work / "proof.txt").read_text() == "proof-4711\n"
    assert run.text == "It is written."
    assert [block["content"] for block in run.blocks("user", "tool_result")] == ["proof-4711"]
    asked, answered = run.requests
    assert "Bash" in {tool.name for tool in asked.tools}
    results = [node.tool_result_node for node in answered.nodes if node.tool_result_node is not None]
    assert [(result.content, result.is_error) for result in results] == [("proof-4711", False)]


def test_its_default_model_and_the_system_messages_amid_its_conversation(claude: ClaudeCode) -> None:
    run = claude.ask(prompt("Hi.", text="Hello."))
    run.must_succeed()
    assert run.text == "Hello."
    (request,) = run.requests
    assert request.model == run.beginning["model"]
    (line,) = run.lines
    texts = [text for message in line["request"]["messages"] if message["role"] == "system" for text in spoken(message)]
    assert texts, "the default model of this version has no system messages amid the conversation"
    received = [node.text_node.content for node in request.nodes if node.text_node is not None]
    for text in texts:
        assert any(content.startswith("System: ") and text in content for content in received)


def spoken(message: dict[str, Any]) -> list[str]:
    content = message["content"]
    return [content] if isinstance(content, str) else [block["text"] for block in content]


@pytest.mark.parametrize("model", ["haiku", "sonnet", "opus", "claude-sonnet-4-5"])
def test_models_by_name(claude: ClaudeCode, model: str) -> None:
    run = claude.ask(prompt("Hi.", text="Hello."), "--model", model)
    run.must_succeed()
    (request,) = run.requests
    assert request.model == run.beginning["model"]
    assert model in request.model


def test_a_token_serves_as_well_as_a_key(claude: ClaudeCode) -> None:
    run = claude.ask(prompt("Hi.", text="Hello."), ANTHROPIC_API_KEY="", ANTHROPIC_AUTH_TOKEN="any")
    run.must_succeed()
    assert run.text == "Hello."


def test_it_discovers_the_models(claude: ClaudeCode) -> None:
    run = claude.ask(prompt("Hi.", text="Hello."), CLAUDE_CODE_ENABLE_GATEWAY_MODEL_DISCOVERY="1")
    run.must_succeed()
    assert ("GET", "/v1/models", 200) in {(line["method"], line["path"], line["status"]) for line in run.lines}


def test_its_effort_reaches_the_backend(claude: ClaudeCode) -> None:
    run = claude.ask("Say hello.", "--model", "claude-opus-4-7", "--effort", "high")
    run.must_succeed()
    assert [request.model for request in run.requests] == ["claude-opus-4-7-high"]


@pytest.mark.parametrize("flag", ["--resume", "--continue"])
def test_a_resumed_turn_has_the_history_and_the_conversation_of_the_first(claude: ClaudeCode, flag: str) -> None:
    first = claude.ask(prompt("Note it.", thinking="A note.", tool=bash("echo proof-4711"), then="Noted."), *UNASKED)
    first.must_succeed()
    second = claude.ask(
        prompt("What was it?", text="proof-4711"), flag, *([first.session] if flag == "--resume" else [])
    )
    second.must_succeed()
    assert second.text == "proof-4711"
    assert second.session == first.session
    (request,) = second.requests
    history = request.chat_history
    assert [tool.tool_use.tool_name for entry in history for tool in entry.response_nodes if tool.tool_use] == ["Bash"]
    assert [entry.response_text for entry in history] == ["", "Noted."]
    ids = {received.headers["conversation-id"] for received in [*first.received, *second.received]}
    assert len(ids) == 1
    other = claude.ask(prompt("Hi.", text="Hello."))
    assert other.received[0].headers["conversation-id"] not in ids


def test_its_thinking_comes_back_into_the_history(claude: ClaudeCode) -> None:
    run = claude.ask(prompt("Think.", thinking="Let me see.", tool=bash("true"), then="Seen."), *UNASKED)
    run.must_succeed()
    (block,) = run.blocks("assistant", "thinking")
    assert block["thinking"] == "Let me see."
    assert block["signature"]
    nodes = [node for entry in run.requests[1].chat_history for node in entry.response_nodes]
    assert [node.thinking.content for node in nodes if node.thinking is not None] == ["Let me see."]


def test_a_picture_that_its_own_tool_reads_reaches_the_model(claude: ClaudeCode) -> None:
    data = png(30, 20)
    picture = claude.work / "picture.png"
    picture.write_bytes(data)
    run = claude.ask(prompt("Look at it.", tool=call("Read", file_path=str(picture))), *UNASKED)
    run.must_succeed()
    assert f"image/png of {len(data)} bytes" in run.text
    results = [node.tool_result_node for node in run.requests[1].nodes if node.tool_result_node is not None]
    images = [
        node.image_content for result in results for node in result.content_nodes if node.image_content is not None
    ]
    assert [(image.format, base64.b64decode(image.image_data)) for image in images] == [(ImageFormat.PNG, data)]


def png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + b"\x10\x20\x30" * width for _ in range(height)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def test_a_subagent_works_and_its_end_is_told(claude: ClaudeCode) -> None:
    agent = call(
        "Task", description="greet", prompt=prompt("Greet.", text="Greetings."), subagent_type="general-purpose"
    )
    run = claude.ask(prompt("Delegate.", tool=agent, then="Delegated."), *UNASKED)
    run.must_succeed()
    said = [(block["text"]) for block in run.blocks("assistant", "text")]
    assert "Greetings." in said
    assert "Delegated." in said


# ----------------------------------------------------------- the context meter


def test_usage_is_counted_in_its_messages_and_its_result(claude: ClaudeCode) -> None:
    run = claude.ask(prompt("Count.", tool=bash("true"), then="Counted."), *UNASKED, "--include-partial-messages")
    run.must_succeed()
    events = [message["event"] for message in run.messages if message["type"] == "stream_event"]
    starts = [event["message"]["usage"] for event in events if event["type"] == "message_start"]
    deltas = [event["usage"] for event in events if event["type"] == "message_delta"]
    assert len(starts) == len(deltas) == 2
    assert all(usage["input_tokens"] > 1000 for usage in starts)
    assert all(context(usage) > 1000 and usage["output_tokens"] > 0 for usage in deltas)
    assert context(deltas[1]) > context(deltas[0])
    usages = [message["message"]["usage"] for message in run.messages if message["type"] == "assistant"]
    assert all(usage["input_tokens"] > 1000 for usage in usages)
    assert context(run.result["usage"]) == sum(map(context, deltas))
    assert run.result["usage"]["output_tokens"] == sum(usage["output_tokens"] for usage in deltas)
    (model,) = run.result["modelUsage"].values()
    assert model["inputTokens"] > 0
    assert model["outputTokens"] > 0


def context(usage: dict[str, int]) -> int:
    """Tokens of the whole prompt."""
    return usage["input_tokens"] + usage["cache_read_input_tokens"] + usage["cache_creation_input_tokens"]


def test_the_context_command_shows_what_the_proxy_counts(
    claude: ClaudeCode, install: Callable[[Proxy], ClaudeCode]
) -> None:
    counted = counts(claude.ask("/context"))
    assert {"System prompt", "System tools"} <= counted.keys()
    assert all(counted.values())
    with running_proxy(log_format="json", claude_token_factor=3.6) as generous:
        tripled = counts(install(generous).ask("/context"))
    for name in ("Tokens", "System prompt", "System tools"):
        assert tripled[name] > 2 * counted[name], "Claude Code estimates by itself"


def counts(run: Run) -> dict[str, float]:
    """What `/context` says, in tokens, by name."""
    run.must_succeed()
    assert {line["path"] for line in run.lines} == {"/v1/messages/count_tokens"}
    whole = re.search(r"\*\*Tokens:\*\* (\S+) /", run.text)
    assert whole is not None, run.text
    table = run.text.partition("| Category |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| ([A-Z][^|]*) \| ([\d.]+[km]?) \|", table, re.MULTILINE)
    return {name: tokens(text) for name, text in [("Tokens", whole[1]), *rows]}


def tokens(text: str) -> float:
    return float(text.rstrip("km")) * {"k": 1e3, "m": 1e6}.get(text[-1], 1)


# --------------------------------------------------------------------- failures


def test_its_web_search_is_refused_and_never_made_up(claude: ClaudeCode) -> None:
    run = claude.ask(prompt("Search.", tool=call("WebSearch", query="weather in Bern")), *UNASKED, refused=(400,))
    run.must_succeed()
    (result,) = run.blocks("user", "tool_result")
    assert result["is_error"] is True
    assert NO_SEARCH in result["content"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_for_a_search_alone_is_refused(proxy: Proxy, stream: bool) -> None:
    body = {
        "model": "claude-sonnet-4-5",
        "max_tokens": 100,
        "stream": stream,
        "system": [{"type": "text", "text": "You search the web."}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Search for: weather in Bern"}]}],
        "tools": [SEARCH],
        "tool_choice": {"type": "tool", "name": "web_search"},
    }
    headers = {"x-api-key": "any", "anthropic-version": "2023-06-01"}
    answer = httpx2.post(f"{proxy.url}/v1/messages?beta=true", json=body, headers=headers, trust_env=False)
    assert answer.status_code == 400
    error = answer.json()
    assert error["type"] == "error"
    assert error["error"]["type"] == "invalid_request_error"
    assert NO_SEARCH in error["error"]["message"]
    assert not proxy.simulator.requests


@pytest.mark.parametrize(
    ("scenario", "status", "words"),
    [
        ("error-400", 400, "Invalid request"),
        ("error-401", 401, "The Augment backend refused the credentials"),
        ("error-402", 402, "The Augment account has no credits left"),
        ("error-credits", 402, "The Augment account has no credits left"),
        ("error-413", 400, "Prompt is too long"),
        ("error-429", 429, "The Augment backend limits the rate of requests"),
        ("error-500", 502, "Internal server error"),
        ("error-529", 529, "Overloaded"),
    ],
)
def test_an_error_of_the_backend_is_told_in_our_words(
    claude: ClaudeCode, scenario: str, status: int, words: str
) -> None:
    run = claude.ask(prompt("Hi.", scenario=scenario), refused=(status,), CLAUDE_CODE_MAX_RETRIES="1")
    if status == 401:
        assert len(run.requests) == 1, "a 401 is not tried again"
    assert run.code == 1
    assert run.result["is_error"] is True
    assert run.result["api_error_status"] == status
    assert words in run.text


def test_an_answer_that_breaks_off_is_taken_up_again(claude: ClaudeCode, proxy: Proxy) -> None:
    proxy.simulator.script([b'{"text":"The answer is "}\n', Cut()])
    proxy.simulator.script(b'{"text":"42."}\n{"text":"","nodes":[],"stop_reason":1}\n')
    run = claude.ask("What is it?")
    run.must_succeed()
    assert run.text.endswith("42.")
    assert len(run.requests) == 2
