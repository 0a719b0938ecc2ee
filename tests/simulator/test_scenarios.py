"""Each scenario does on the wire what its row says."""

import asyncio
import json
from collections.abc import Callable
from uuid import uuid4

import aiohttp
import pytest

from augment_open_proxy.simulator import SCENARIOS, table
from tests.simulator.client import SHELL, Client, Reply, ask, directive, entry, play, request, result_node

SAID = "This is the augment-open-proxy simulation, no model. You said: hello"


def is_whole(reply: Reply) -> bool:
    return reply.text == SAID and reply.stop_reasons == [1] and reply.usage["output_tokens"] > 0


def good_lines(reply: Reply) -> list[object]:
    found: list[object] = []
    for line in reply.body.split(b"\n"):
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict) and isinstance(value.get("text"), str):
            found.append(value)
    return found


def ends_with(reason: int) -> Callable[[Reply], bool]:
    return lambda reply: reply.text == SAID and reply.stop_reasons == [reason] and "stop_reason" in reply.lines[-1]


ANSWERS: dict[str, Callable[[Reply], bool]] = {
    "obedient": lambda reply: reply.text == "hello" and not reply.calls and reply.stop_reasons == [1],
    "echo": lambda reply: reply.text == "hello" and reply.stop_reasons == [1],
    "thinking": lambda reply: is_whole(reply) and "content" in reply.nodes(8)[0]["thinking"],
    "thinking-summary": lambda reply: is_whole(reply) and all("summary" in n["thinking"] for n in reply.nodes(8)),
    "tool": lambda reply: len(reply.calls) == 1 and len(reply.nodes(7)) == 1 and reply.stop_reasons == [3],
    "parallel-tools": lambda reply: len({call["tool_use_id"] for call in reply.calls}) == 2,
    "duplicate-call": lambda reply: len(reply.calls) == 2 and reply.calls[0] == reply.calls[1],
    "empty-input": lambda reply: [call["input_json"] for call in reply.calls] == [""],
    "tool-start-only": lambda reply: len(reply.nodes(7)) == 1 and not reply.calls and reply.stop_reasons == [3],
    "usage-after-stop": lambda reply: is_whole(reply) and "stop_reason" in reply.lines[-2],
    "no-usage": lambda reply: reply.text == SAID and not reply.nodes(10) and reply.stop_reasons == [1],
    "max-tokens": ends_with(2),
    "safety": ends_with(4),
    "recitation": ends_with(5),
    "malformed-call": ends_with(6),
    "unspecified": ends_with(0),
    "raw-response-repeats": lambda reply: (
        is_whole(reply) and all(line["nodes"][0]["content"] == line["text"] for line in reply.lines if line.get("text"))
    ),
    "unknown-nodes": lambda reply: is_whole(reply) and bool(reply.nodes(42)) and bool(reply.nodes(9)),
    "garbage": lambda reply: b"\xff\xfe" in reply.body and len(good_lines(reply)) > 10,
    "crlf": lambda reply: is_whole(reply) and reply.body.count(b"\r\n") == reply.body.count(b"\n"),
    "no-final-newline": lambda reply: is_whole(reply) and not reply.body.endswith(b"\n"),
    "split-utf8": lambda reply: reply.text == "Grüße 世界 🚀",
    "unicode": lambda reply: "🚀" in reply.text and "مرحبا" in reply.text and rb"\ud83d\ude80" in reply.body,
    "long": lambda reply: len(reply.text.split()) == 2000 and reply.stop_reasons == [1],
    "burst": lambda reply: len(reply.lines) == 502 and len(reply.text.split()) == 500,
    "big-line": lambda reply: len(max(reply.body.split(b"\n"), key=len)) > 2**20 and len(reply.lines) == 3,
    "flaky-empty": lambda reply: reply.lines == ask(request(model="claude-sim-empty-completion")).lines,
    "error-in-stream": lambda reply: "error" in reply.lines[-1] and not reply.stop_reasons,
    "empty-completion": lambda reply: reply.text == "" and reply.usage == {"input_tokens": 0, "output_tokens": 0},
    "empty-answer": lambda reply: reply.text == "" and reply.usage["input_tokens"] > 0 and reply.stop_reasons == [1],
    "silent-hang": lambda reply: len(reply.lines) == 1 and reply.usage["input_tokens"] == 0,
    "truncated": lambda reply: reply.text == SAID and not reply.stop_reasons,
}
STATUSES = {
    **{f"error-{status}": status for status in (400, 401, 402, 403, 404, 408, 413, 429, 499, 500, 503, 529)},
    "error-credits": 403,
    "error-html-502": 502,
    "redirect": 307,
    "flaky": 503,
}
BREAKS = {"cut", "reset"}
SILENCES = {"hang", "stall", "stop-then-silence"}
OTHERS = {"slow", "no-answer", "reset-before"}


def test_every_scenario_has_its_test_here() -> None:
    assert {*ANSWERS, *STATUSES, *BREAKS, *SILENCES, *OTHERS} == set(SCENARIOS)


def test_the_table_has_a_row_for_each_scenario() -> None:
    rows = table().splitlines()
    assert rows[:2] == ["| scenario | what the backend does |", "|---|---|"]
    assert [row.split("`")[1] for row in rows[2:]] == list(SCENARIOS)
    assert all(row.count("|") == 3 for row in rows)


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer(name: str) -> None:
    reply = ask(request(model=f"claude-sim-{name}", tools=[SHELL]))
    assert reply.status == 200
    assert reply.broken is None
    assert ANSWERS[name](reply), reply.body[-2000:]


@pytest.mark.parametrize("name", STATUSES)
def test_a_status(name: str) -> None:
    reply = ask(request(model=f"claude-sim-{name}"))
    assert reply.status == STATUSES[name]
    if name not in ("error-html-502", "redirect"):
        assert reply.error


def test_what_comes_with_a_status() -> None:
    assert ask(request(model="claude-sim-error-429")).headers["Retry-After"] == "1"
    assert "augmentTooLarge" in ask(request(model="claude-sim-error-413")).error
    assert "out of credits" in ask(request(model="claude-sim-error-402")).error
    assert "credits are used up" in ask(request(model="claude-sim-error-credits")).error
    page = ask(request(model="claude-sim-error-html-502"))
    assert page.headers["content-type"] == "text/html"
    assert page.body.startswith(b"<html>")
    assert ask(request(model="claude-sim-redirect")).headers["location"].startswith("https://elsewhere.invalid/")


@pytest.mark.parametrize("name", sorted(BREAKS))
def test_a_broken_answer(name: str) -> None:
    reply = ask(request(model=f"claude-sim-{name}"))
    assert reply.text == SAID
    assert not reply.stop_reasons
    assert isinstance(reply.broken, aiohttp.ClientPayloadError)
    assert ("reset by peer" in str(reply.broken)) == (name == "reset")


def test_reset_before_gives_no_head() -> None:
    with pytest.raises(aiohttp.ClientOSError, match="reset by peer"):
        ask(request(model="claude-sim-reset-before"))


def test_no_answer_gives_no_head() -> None:
    async def story(client: Client) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await client.ask(request(model="claude-sim-no-answer"))

    play(story)


@pytest.mark.parametrize(("name", "text"), [("hang", ""), ("stall", SAID), ("stop-then-silence", SAID)])
def test_a_silence_stays_open(name: str, text: str) -> None:
    async def story(client: Client) -> None:
        async with client.call(request(model=f"claude-sim-{name}")) as response:
            received = b""
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    async for chunk in response.content.iter_any():
                        received += chunk
            reply = Reply(response.status, response.headers, received)
            assert reply.status == 200
            assert reply.text == text
            assert reply.stop_reasons == ([1] if name == "stop-then-silence" else [])

    play(story)


@pytest.mark.parametrize("name", [*sorted(SILENCES), "no-answer"])
def test_a_silence_ends_after_the_seconds_of_a_directive(name: str) -> None:
    ask_it = request(directive(scenario=name, seconds=0.05))
    if name == "no-answer":
        with pytest.raises(aiohttp.ServerDisconnectedError):
            ask(ask_it)
    else:
        assert isinstance(ask(ask_it).broken, aiohttp.ClientPayloadError)


def test_slow_has_time_between_its_lines() -> None:
    async def story(client: Client) -> float:
        started = asyncio.get_running_loop().time()
        reply = await client.ask(directive(scenario="slow", seconds=0.02, text=["a", "b", "c"]))
        assert reply.text == "abc"
        return asyncio.get_running_loop().time() - started

    assert play(story) >= 0.08


def test_silent_hang_is_silent_for_the_seconds_of_a_directive() -> None:
    async def story(client: Client) -> float:
        started = asyncio.get_running_loop().time()
        await client.ask(directive(scenario="silent-hang", seconds=0.4))
        return asyncio.get_running_loop().time() - started

    assert play(story) >= 0.4


def test_split_utf8_writes_end_inside_of_characters() -> None:
    async def story(client: Client) -> list[bytes]:
        async with client.call(directive(scenario="split-utf8", seconds=0.02)) as response:
            return [chunk async for chunk in response.content.iter_any()]

    def is_whole_text(chunk: bytes) -> bool:
        try:
            chunk.decode()
        except UnicodeDecodeError:
            return False
        return True

    assert not all(map(is_whole_text, play(story)))


@pytest.mark.parametrize("name", ["flaky", "flaky-empty"])
def test_flaky_fails_until_the_request_is_tried_again(name: str) -> None:
    async def story(client: Client) -> list[bool]:
        same = str(uuid4())
        body = request(model=f"claude-sim-{name}")
        replies = [await client.ask(body, x_request_id=same) for _ in range(3)]
        return [reply.status == 200 and is_whole(reply) for reply in replies]

    assert play(story) == [False, True, True]


def test_burst_has_as_many_lines_as_asked() -> None:
    assert len(ask(request(directive(scenario="burst", repeat=3))).text.split()) == 3


def test_a_scenario_that_does_not_exist_is_named() -> None:
    for body in (request(model="claude-sim-nonesuch"), request(directive(scenario="nonesuch"))):
        reply = ask(body)
        assert reply.status == 404
        assert "'nonesuch'" in reply.error


def test_an_effort_can_follow_the_scenario() -> None:
    reply = ask(request(model="claude-sim-echo-high"))
    assert reply.text == "hello"
    assert reply.thinking


def test_the_directive_wins_over_the_model() -> None:
    assert ask(request(directive(scenario="error-503"), model="claude-sim-echo")).status == 503


@pytest.mark.parametrize("name", ["tool", "parallel-tools", "duplicate-call", "empty-input", "tool-start-only"])
def test_a_tool_scenario_finishes_when_the_result_comes(name: str) -> None:
    body = request("", f"claude-sim-{name}", [SHELL], nodes=[result_node("t1", "42")])
    body["chat_history"] = [entry("go", calls=[("t1", "bash")])]
    reply = ask(body)
    assert not reply.calls
    assert "“42”" in reply.text
    assert reply.stop_reasons == [1]


def test_a_tool_scenario_without_tools_calls_one_that_is_not_there() -> None:
    assert ask(request(model="claude-sim-tool")).calls[0]["tool_name"] == "lookup"
