"""`@augmentcode/auggie-sdk`, pointed at our simulator, understands it as it understands the backend."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest

from augment_open_proxy.simulator import DEFAULT_TOKEN, Simulator

from . import sdk
from .answers import CASES, Case
from .conversations import CONVERSATIONS, PATH_SCHEMA, READ_FILE, Conversation, Json, function, user

Answers = Mapping[str, Json]


def asked_of(scenario: str, tools: list[Json] | None = None) -> Conversation:
    return Conversation(scenario, [user("What is up?")], tools, f"claude-sim-{scenario}")


SCENARIOS = [
    asked_of("thinking"),
    asked_of("unicode"),
    asked_of("split-utf8"),
    asked_of("long"),
    asked_of("tool", [READ_FILE]),
    asked_of("parallel-tools", [READ_FILE, function("list", PATH_SCHEMA)]),
]
ERRORS = {
    "error-400": "Augment API error: 400 Bad Request",
    "error-401": "Augment API error: 401 Unauthorized",
    "error-402": "Augment API error: 402 Payment Required",
    "error-413": "augmentTooLarge",
    "error-429": "Augment API error: 429 Too Many Requests",
    "error-503": "Augment API error: 503 Service Unavailable",
    "error-html-502": "<html>",
    "cut": "terminated",
    "reset": "terminated",
    "reset-before": "fetch failed",
}


@pytest.fixture(scope="module")
def answers() -> Answers:
    return answers_to([*(case.conversation for case in CASES), *SCENARIOS, *map(asked_of, ERRORS)])


def answers_to(conversations: list[Conversation]) -> Answers:
    """What the SDK gets for each conversation, streamed and generated, by name."""

    async def hold() -> Any:
        async with Simulator() as simulator:
            given = {
                "url": simulator.url,
                "token": DEFAULT_TOKEN,
                "conversations": [conversation.as_json() for conversation in conversations],
            }
            return await asyncio.to_thread(sdk.run, "converse.mjs", given)

    sdk.require()
    return {conversation.name: answer for conversation, answer in zip(conversations, asyncio.run(hold()), strict=True)}


def bare(part: Json) -> tuple[str, ...]:
    """A part of the stream without the ids that the SDK makes up."""
    names = {
        "reasoning-delta": ("delta",),
        "text-delta": ("delta",),
        "tool-input-start": ("toolName",),
        "tool-input-delta": ("delta",),
        "tool-call": ("toolCallId", "toolName", "input"),
        "finish": ("finishReason",),
    }
    return (part["type"], *(part[name] for name in names.get(part["type"], ())))


def text_of(answer: Json) -> str:
    """The text of an answer, which is the same in both ways."""
    text = "".join(part["delta"] for part in answer["streamed"]["parts"] if part["type"] == "text-delta")
    assert [part["text"] for part in answer["generated"]["content"] if part["type"] == "text"] == [text]
    return text


# ------------------------------------------------------ answers told in advance


@pytest.mark.parametrize("case", CASES, ids=[case.conversation.name for case in CASES])
def test_it_streams_what_the_case_says(case: Case, answers: Answers) -> None:
    parts = answers[case.conversation.name]["streamed"]["parts"]
    assert [bare(part) for part in parts] == case.answer.parts()
    assert parts[-1]["usage"] == case.answer.usage_json()


@pytest.mark.parametrize("case", CASES, ids=[case.conversation.name for case in CASES])
def test_it_generates_what_the_case_says(case: Case, answers: Answers) -> None:
    generated = answers[case.conversation.name]["generated"]
    assert generated["content"] == case.answer.content()
    assert generated["finishReason"] == case.answer.finish
    assert generated["usage"] == case.answer.usage_json()


# ------------------------------------------------ answers in the simulator's words


def test_the_thinking_scenario_thinks_before_it_talks(answers: Answers) -> None:
    kinds = [part["type"].partition("-")[0] for part in answers["thinking"]["streamed"]["parts"]]
    assert list(dict.fromkeys(kinds)) == ["reasoning", "text", "finish"]
    assert "What is up?" in text_of(answers["thinking"])


def test_characters_survive_escapes_and_writes_that_end_inside_of_them(answers: Answers) -> None:
    assert text_of(answers["split-utf8"]) == "Grüße 世界 🚀"
    assert text_of(answers["unicode"]).endswith("\U0001f680 \u00e9\u0301 \u2028\0 \u05e9\u05dc\u05d5\u05dd")


def test_a_long_answer_comes_whole_and_in_order(answers: Answers) -> None:
    assert text_of(answers["long"]).split() == [f"word{number}" for number in range(2000)]


@pytest.mark.parametrize(("scenario", "number"), [("tool", 1), ("parallel-tools", 2)])
def test_the_tool_scenarios_call_tools_that_were_offered(scenario: str, number: int, answers: Answers) -> None:
    streamed, generated = answers[scenario]["streamed"]["parts"], answers[scenario]["generated"]
    calls = [part for part in streamed if part["type"] == "tool-call"]
    assert len({call["toolCallId"] for call in calls}) == len(calls) == number
    for call in calls:
        assert call["toolName"] == "read_file"
        assert json.loads(call["input"]).keys() == {"path"}
    assert (streamed[-1]["finishReason"], generated["finishReason"]) == ("tool-calls", "tool-calls")
    assert len([part for part in generated["content"] if part["type"] == "tool-call"]) == number


def test_usage_adds_up_where_the_simulator_counts_it(answers: Answers) -> None:
    for scenario in SCENARIOS:
        usage = answers[scenario.name]["streamed"]["parts"][-1]["usage"]
        assert usage["inputTokens"] > 0 < usage["outputTokens"]
        assert usage["totalTokens"] == usage["inputTokens"] + usage["outputTokens"]


@pytest.mark.parametrize(("scenario", "message"), ERRORS.items(), ids=ERRORS)
def test_a_failure_reaches_it_as_an_error(scenario: str, message: str, answers: Answers) -> None:
    streamed, generated = answers[scenario]["streamed"], answers[scenario]["generated"]
    assert message in streamed["error"]
    assert message in generated["error"]
    assert "finish" not in [part["type"] for part in streamed["parts"]]


# ------------------------------------------------------------------- requests


def test_the_simulator_refuses_of_its_requests_only_what_the_backend_refuses() -> None:
    refused = {
        name: answer["generated"]["error"].partition(" - ")[2]
        for name, answer in answers_to(CONVERSATIONS).items()
        if "error" in answer["generated"]
    }
    nothing_to_answer = '{"error":"Unidentified internal error"}'
    assert refused == {
        "nothing-at-all": nothing_to_answer,
        "tools-without-messages": nothing_to_answer,
        "assistant-last": nothing_to_answer,
        "call-without-result": '{"error":"turn 1: tool_use 1 has no tool_result in the turn after it"}',
        "result-without-call": '{"error":"turn 0: tool_result lost has no tool_use in the turn before it"}',
    }
