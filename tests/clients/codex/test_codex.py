"""Codex itself, headless, through the proxy on the simulator."""

import base64
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from augment_open_proxy.simulator import ChatStreamRequest, Cut, Status
from augment_open_proxy.simulator.request import Image, ToolResult, results
from augment_open_proxy.upstream import problems
from augment_open_proxy.upstream.wire import ImageFormat
from tests.clients.claude_code.program import trap
from tests.clients.codex.program import KEY_BY_COMMAND, MODEL, SECONDS, VERSION, Codex, Run, require
from tests.clients.test_openai_python import png
from tests.servers import Proxy, running_proxy

pytestmark = pytest.mark.timeout(4 * SECONDS)
KNOWN = "gpt-5.5"
"""A model that this version of Codex has in its own list. It has not `gpt-5.4`, which it treats by general rules."""
AT_ONCE = "stream_max_retries = 0\nrequest_max_retries = 0"


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """One of its own for each test, whose log has the bodies, as JSON."""
    require()
    with running_proxy(log_format="json", logging="body") as running:
        yield running


class Install(Protocol):
    def __call__(self, **how: Any) -> Codex: ...


@pytest.fixture
def install(proxy: Proxy, tmp_path: Path) -> Iterator[Install]:
    """Makes installations; what they say is in `Codex`."""
    with contextlib.ExitStack() as stack:
        count = iter(range(10))

        def installed(**how: Any) -> Codex:
            folder = tmp_path / str(next(count))
            folder.mkdir()
            return Codex(proxy, folder, stack.enter_context(trap()), **how)

        yield installed


@pytest.fixture
def codex(install: Install) -> Codex:
    return install()


def prompt(words: str, **directive: Any) -> str:
    """A user's words; `directive` tells the simulator what to answer."""
    return f"{words} @@{json.dumps(directive)}@@"


def call(name: str, **arguments: Any) -> dict[str, Any]:
    return {"name": name, "input": arguments}


def result_of(request: ChatStreamRequest) -> ToolResult:
    (result,) = results(request.nodes)
    return result


# ------------------------------------------------------------------- turns


def test_it_runs_a_command_reads_the_result_and_finishes(codex: Codex) -> None:
    shell = call("exec_command", cmd="echo proof-4711 > proof.txt && cat proof.txt")
    run = codex.ask(prompt("Write the proof.", text="I write.", tool=shell, then="It is written."))
    run.must_succeed()
    assert (codex.work / "proof.txt").read_text() == "proof-4711\n"
    assert [item["text"] for item in run.items("agent_message")] == ["I write.", "It is written."]
    (command,) = run.items("command_execution")
    assert (command["exit_code"], command["aggregated_output"]) == (0, "proof-4711\n")
    asked, answered = run.requests
    assert {request.model for request in run.requests} == {"gpt-5-4"}
    assert "exec_command" in {tool.name for tool in asked.tools}
    result = result_of(answered)
    assert "proof-4711" in result.content
    assert not result.is_error


def test_it_is_the_version_that_is_pinned(codex: Codex) -> None:
    _, out, _ = codex.run(["--version"])
    assert out.split() == ["codex-cli", VERSION]


def test_two_calls_in_one_answer_are_both_run(codex: Codex) -> None:
    calls = [call("exec_command", cmd=f"echo {name} > {name}") for name in ("one", "two")]
    run = codex.ask(prompt("Write both.", tool=calls, then="Written."))
    run.must_succeed()
    assert [(codex.work / name).read_text() for name in ("one", "two")] == ["one\n", "two\n"]
    assert len(results(run.requests[-1].nodes)) == 2


@pytest.mark.parametrize("by_id", [False, True])
def test_a_resumed_turn_has_the_history_and_the_conversation_of_the_first(codex: Codex, by_id: bool) -> None:
    first = codex.ask(prompt("My name is Ada.", tool=call("exec_command", cmd="echo x"), then="Hello, Ada."))
    second = codex.resume("What is my name?", thread=first.thread if by_id else None)
    second.must_succeed()
    assert second.thread == first.thread
    (request,) = second.requests
    assert {r.headers["conversation-id"] for r in first.received + second.received} == {request.conversation_id}
    said = [entry.response_text for entry in request.chat_history]
    assert said[-1] == "Hello, Ada."
    assert "My name is Ada." in str(request.chat_history[0].request_nodes)
    assert second.usage["input_tokens"] > first.usage["input_tokens"]


def test_two_threads_are_two_conversations(codex: Codex) -> None:
    runs = [codex.ask("Hi."), codex.ask("Hi.")]
    assert len({request.conversation_id for run in runs for request in run.requests}) == 2


def test_its_thoughts_come_back_to_the_model(codex: Codex) -> None:
    shell = call("exec_command", cmd="echo x")
    run = codex.ask(
        prompt("Think.", thinking="I need a shell.", tool=shell, then={"thinking": "It ran.", "text": "Done."})
    )
    run.must_succeed()
    assert [item["text"] for item in run.items("reasoning")] == ["I need a shell.", "It ran."]
    assert thoughts(run.requests[-1]) == ["I need a shell."]
    resumed = codex.resume("And now?")
    resumed.must_succeed()
    assert thoughts(resumed.requests[-1]) == ["I need a shell.", "It ran."]


def thoughts(request: ChatStreamRequest) -> list[str]:
    nodes = [node for entry in request.chat_history for node in entry.response_nodes]
    return [node.thinking.content for node in nodes if node.thinking is not None]


def test_its_effort_reaches_the_backend(install: Install) -> None:
    codex = install(model="claude-opus-4-7", settings='model_reasoning_effort = "high"')
    run = codex.ask("Say hello.")
    run.must_succeed()
    assert [request.model for request in run.requests] == ["claude-opus-4-7-high"]


def test_it_counts_the_tokens(codex: Codex) -> None:
    run = codex.ask(prompt("Hi.", thinking="Well, well.", text="Hello there, Ada."))
    usage, (line,) = run.usage, run.lines
    assert usage["input_tokens"] == line["usage"]["input_tokens"] > 0
    assert usage["output_tokens"] == line["usage"]["output_tokens"] > 0
    assert usage["cache_write_input_tokens"] > 0
    assert usage["reasoning_output_tokens"] > 0
    assert codex.resume("And?").usage["cached_input_tokens"] > 0


def test_it_sums_up_a_conversation_that_grows_too_long(codex: Codex) -> None:
    """By the tokens that the proxy counts."""
    codex.ask("My name is Ada.").must_succeed()
    run = codex.resume("What is my name?", "-c", "model_auto_compact_token_limit=14000")
    run.must_succeed()
    summary, asked = run.requests
    assert summary.tools == ()
    assert asked.tools
    assert summary.conversation_id == asked.conversation_id
    assert "What is my name?" in str(asked.nodes)


# ---------------------------------------------------------------- its tools

PATCH = """*** Begin Patch
*** Add File: new/proof.txt
+proof "4711" \\n é
*** Update File: old.txt
@@
 one
-two
+deux
*** End Patch
"""


@pytest.fixture
def patched(request: pytest.FixtureRequest, install: Install, tmp_path: Path) -> Codex:
    """An installation that knows the model by Codex's own list, or that has it described there as a known one."""
    if request.param == KNOWN:
        return install(model=KNOWN)
    described = next(model for model in install().models("--bundled") if model["slug"] == KNOWN)
    catalog = tmp_path / "models.json"
    catalog.write_text(json.dumps({"models": [{**described, "slug": request.param}]}))
    return install(model=request.param, settings=f"model_catalog_json = {json.dumps(str(catalog))}")


@pytest.mark.parametrize("patched", [MODEL, KNOWN], indirect=True)
def test_it_applies_a_patch_by_its_custom_tool(patched: Codex) -> None:
    (patched.work / "old.txt").write_text("one\ntwo\n")
    run = patched.ask(prompt("Patch.", tool=call("apply_patch", input=PATCH), then="Patched."))
    run.must_succeed()
    assert (patched.work / "new" / "proof.txt").read_text() == 'proof "4711" \\n é\n'
    assert (patched.work / "old.txt").read_text() == "one\ndeux\n"
    (change,) = run.items("file_change")
    assert change["status"] == "completed"
    asked, answered = run.requests
    (tool,) = [tool for tool in asked.tools if tool.name == "apply_patch"]
    assert list(tool.schema()["properties"]) == ["input"]
    (use,) = [node.tool_use for node in answered.chat_history[-1].response_nodes if node.tool_use is not None]
    assert (use.tool_name, json.loads(use.input_json)) == ("apply_patch", {"input": PATCH})
    assert "Success" in result_of(answered).content
    sent = [item for item in run.lines[-1]["request"]["input"] if item["type"] == "custom_tool_call"]
    assert [item["input"] for item in sent] == [PATCH]


def test_it_applies_a_patch_in_its_shell(codex: Codex) -> None:
    """All that Codex offers for a model that it does not know."""
    (codex.work / "old.txt").write_text("one\ntwo\n")
    run = codex.ask(prompt("Patch.", tool=call("exec_command", cmd=f"apply_patch <<'EOF'\n{PATCH}EOF\n"), then="Done."))
    run.must_succeed()
    assert (codex.work / "old.txt").read_text() == "one\ndeux\n"
    assert "apply_patch" not in {tool.name for tool in run.requests[0].tools}


def test_a_tool_in_a_namespace_is_called(codex: Codex) -> None:
    run = codex.ask(prompt("Wait.", tool=call("multi_agent_v1__wait_agent", targets=["none"]), then="Done."))
    run.must_succeed()
    asked, answered = run.requests
    assert "multi_agent_v1__wait_agent" in {tool.name for tool in asked.tools}
    (called,) = [item for item in run.lines[-1]["request"]["input"] if item["type"] == "function_call"]
    assert (called["namespace"], called["name"]) == ("multi_agent_v1", "wait_agent")
    assert "unsupported call" not in result_of(answered).content
    (use,) = [node.tool_use for node in answered.chat_history[-1].response_nodes if node.tool_use is not None]
    assert use.tool_name == "multi_agent_v1__wait_agent"


def test_its_web_search_is_left_out(codex: Codex) -> None:
    run = codex.ask("Hi.")
    (line,), (request,) = run.lines, run.requests
    assert "web_search" in {tool["type"] for tool in line["request"]["tools"]}
    assert "web_search" in str(line["notices"])
    assert "web_search" not in {tool.name for tool in request.tools}


# ------------------------------------------------------------------- pictures


@pytest.fixture
def picture(codex: Codex) -> bytes:
    data = base64.b64decode(png(40, 30))
    (codex.work / "picture.png").write_bytes(data)
    return data


def test_a_picture_with_the_prompt_reaches_the_model(codex: Codex, picture: bytes) -> None:
    run = codex.ask("What is it?", "--image", "picture.png")
    run.must_succeed()
    (request,) = run.requests
    must_show([node.image_node for node in request.nodes], picture)
    assert "1 image: image/png" in run.text


def test_a_picture_that_it_looks_at_reaches_the_model(codex: Codex, picture: bytes) -> None:
    run = codex.ask(prompt("Look.", tool=call("view_image", path="picture.png")))
    run.must_succeed()
    must_show([node.image_content for node in result_of(run.requests[-1]).content_nodes], picture)
    assert "1 image: image/png" in run.text


def must_show(images: list[Image | None], picture: bytes) -> None:
    shown = [(image.format, base64.b64decode(image.image_data)) for image in images if image is not None]
    assert shown == [(ImageFormat.PNG, picture)]


# --------------------------------------------------------------------- models


def test_it_asks_for_no_models_with_a_plain_key(codex: Codex) -> None:
    run = codex.ask("Hi.")
    assert [(line["method"], line["path"]) for line in run.lines] == [("POST", "/v1/responses")]


def test_it_reads_the_list_of_models_and_keeps_what_it_knows(install: Install) -> None:
    codex = install(key=KEY_BY_COMMAND)
    run = codex.ask("Hi.")
    run.must_succeed()
    assert ("GET", "/v1/models", 200) in {(line["method"], line["path"], line["status"]) for line in run.lines}
    assert "failed to" not in run.err
    known, models = codex.models("--bundled"), {model["slug"]: model for model in codex.models()}
    assert [models[model["slug"]] for model in known] == known


# ------------------------------------------------------------------- failures


@pytest.mark.parametrize(
    ("scenario", "status", "words"),
    [
        ("error-400", 400, "The Augment backend answered with status 400: Invalid request"),
        ("error-402", 429, "Quota exceeded. Check your plan and billing details."),
        ("error-credits", 429, "Quota exceeded. Check your plan and billing details."),
        ("error-404", 404, "The Augment backend does not know this model or address"),
        ("error-413", 400, "Codex ran out of room in the model's context window."),
    ],
)
def test_what_cannot_be_mended_is_told_at_once(codex: Codex, scenario: str, status: int, words: str) -> None:
    """The words on quota and context are its own, which it has for the codes that the proxy gives."""
    must_fail(codex.ask(prompt("Hi.", scenario=scenario), refused=(status,)), words)


@pytest.mark.parametrize(
    ("scenario", "status", "words", "tries"),
    [
        ("error-401", 401, "The Augment backend refused the credentials", 1),
        ("error-403", 403, "The Augment account may not do this", 1),
        ("error-429", 429, "exceeded retry limit, last status: 429 Too Many Requests", 3),
        ("error-500", 502, "The Augment backend answered with status 500: Internal server error", 3),
        ("error-529", 503, "The Augment backend is overloaded", 3),
        ("error-in-stream", 502, "The Augment backend failed in the middle of its answer", 1),
    ],
)
def test_what_it_tries_again_is_told_at_the_end(
    install: Install, scenario: str, status: int, words: str, tries: int
) -> None:
    """It tries these five times more, and 5xx up to 30 times, unless its provider's settings say otherwise.

    The proxy has tried some of them `tries` times by then.
    """
    codex = install(key=f'env_key = "ANY_KEY"\n{AT_ONCE}')
    must_fail(codex.ask(prompt("Hi.", scenario=scenario), refused=(status,)), words, tries)


def must_fail(run: Run, words: str, tries: int = 1) -> None:
    assert run.code == 1
    assert words in run.failure
    assert len(run.received) == tries


def test_a_failure_that_passes_is_survived(codex: Codex, proxy: Proxy) -> None:
    proxy.simulator.script([Status(500, b'{"error":"Internal server error"}')], times=3)
    run = codex.ask(prompt("Hi.", text="Hello."), refused=(502,))
    run.must_succeed()
    assert run.text == "Hello."


def test_a_limited_rate_without_a_time_is_waited_for(
    codex: Codex, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without one it would end its turn at once."""
    monkeypatch.setattr(problems, "LIMITED_RETRY_AFTER", 2.5)
    proxy.simulator.script([Status(429, b'{"error":"Too many requests"}')])
    run = codex.ask(prompt("Hi.", text="Hello."), refused=(429,))
    run.must_succeed()
    assert run.text == "Hello."


THOUGHT = b'{"text":"","nodes":[{"id":1,"type":8,"thinking":{"content":"Let me see."}}]}\n'
TEXT = b'{"text":"The answer is ","nodes":[]}\n'


@pytest.mark.parametrize("begun", [[TEXT], [THOUGHT], [THOUGHT, TEXT]], ids=["text", "thought", "thought-text"])
def test_an_answer_that_breaks_off_is_taken_up_again(codex: Codex, proxy: Proxy, begun: list[bytes]) -> None:
    """Codex keeps the items that had ended, and sends them in the next attempt."""
    proxy.simulator.script([*begun, Cut()])
    proxy.simulator.script(b'{"text":"42."}\n{"text":"","nodes":[],"stop_reason":1}\n')
    run = codex.ask("What is it?")
    run.must_succeed()
    assert run.text == "42."
    assert len(run.requests) == 2


def test_an_answer_at_the_limit_is_said_to_be_incomplete(codex: Codex) -> None:
    run = codex.ask(prompt("Hi.", scenario="max-tokens"))
    assert "max_output_tokens" in run.failure
    assert len(run.requests) == 1
