"""Frameworks and the agent SDKs, in environments of their own: a turn with a tool each, in each API that they speak.

Each program in `suite/` asks what 6 times 7 is, offers a tool for it, and prints the answer and the usage it counted.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from augment_open_proxy.simulator.answer import Content
from augment_open_proxy.simulator.request import results
from augment_open_proxy.upstream.wire import ToolUse
from tests.clients.agents.programs import node
from tests.clients.claude_code import program as claude_code
from tests.clients.claude_code.program import LET_TOOLS_RUN, QUIET, trap
from tests.clients.spoken import OUTPUT_TOKENS, PROMPT_TOKENS, spoken
from tests.servers import Proxy, running_proxy

FOLDER = Path(__file__).parent
SECONDS = 60
"""What one program may take; most of it are imports."""
PATHS = {
    "Chat": "/v1/chat/completions",
    "Compatible": "/v1/chat/completions",
    "Messages": "/v1/messages",
    "Responses": "/v1/responses",
}
PROGRAMS = {
    "run_pydantic_ai.py": ("Chat", "Messages", "Responses"),
    "run_litellm.py": ("Chat", "Messages", "Responses"),
    "run_claude_agent.py": ("Messages",),
    "run_ai_sdk.mjs": ("Chat", "Compatible", "Messages", "Responses"),
    "run_agents.mjs": ("Chat", "Responses"),
}
TURNS = [(program, api) for program, apis in PROGRAMS.items() for api in apis]
QUIETLY = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_TELEMETRY": "False",
    "OPENAI_AGENTS_DISABLE_TRACING": "1",
    **QUIET,
    **LET_TOOLS_RUN,
}

pytestmark = pytest.mark.timeout(2 * SECONDS)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """One of its own for each test, whose log is JSON."""
    with running_proxy(log_format="json") as running:
        yield running


def command(program: str) -> list[str]:
    """What runs a program of the suite."""
    if program.endswith(".mjs"):
        return [str(node()), str(FOLDER / "suite" / program)]
    found = [path for path in (FOLDER / ".venv/bin/python", FOLDER / ".venv/Scripts/python.exe") if path.exists()]
    if not found:
        pytest.fail("The environment of the frameworks is missing: run `make setup-clients`.", False)
    return [str(found[0]), str(FOLDER / "suite" / program)]


@pytest.mark.parametrize(("program", "api"), TURNS, ids=[f"{program} by {api}" for program, api in TURNS])
def test_it_runs_the_tool_and_gives_the_answer(program: str, api: str, proxy: Proxy, tmp_path: Path) -> None:
    is_claude = program == "run_claude_agent.py"
    tool = "mcp__numbers__multiply" if is_claude else "multiply"
    proxy.simulator.script(spoken(Content(calls=(ToolUse("toolu_proof", tool, '{"a":6,"b":7}'),))))
    proxy.simulator.script(spoken(Content(("It is 42.",))))
    more = [str(claude_code.require())] if is_claude else []
    with trap() as trapped:
        done = subprocess.run(
            [*command(program), api, proxy.url, "claude-sonnet-4-5", *more],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            cwd=tmp_path,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "HTTP_PROXY": trapped.url,
                "HTTPS_PROXY": trapped.url,
                "NO_PROXY": "127.0.0.1,localhost",
                **QUIETLY,
            },
            check=False,
        )
    proxy.call(lambda: None)  # the server has written its lines by now
    logged = [json.loads(line) for line in proxy.lines]
    assert done.returncode == 0, (done.stdout, done.stderr, logged)
    said = json.loads(done.stdout.splitlines()[-1])
    assert said == {"text": "It is 42.", "input": 2 * PROMPT_TOKENS, "output": 2 * OUTPUT_TOKENS}
    assert [(line["path"], line["status"]) for line in logged if line["method"] == "POST"] == [(PATHS[api], 200)] * 2
    first, second = [received.request for received in proxy.simulator.requests]
    assert first is not None
    assert second is not None
    if not is_claude:  # it offers its own tools first, and others when they are searched for
        assert [offered.name for offered in first.tool_definitions or ()] == [tool]
    (result,) = results(second.nodes)
    assert result.content.split()[:1] == ["42"]  # Claude Code adds a reminder
    assert trapped.called == [], "it called somebody else than the proxy"
