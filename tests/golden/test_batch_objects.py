"""The objects of message batches, each as one golden file in `objects/`, valid by the `anthropic` package's types."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anthropic.types.beta.messages as beta_types
import anthropic.types.messages as types
import msgspec
import pytest
from pydantic import TypeAdapter

from augment_open_proxy.core.errors import ErrorKind, Problem
from augment_open_proxy.dialects.anthropic_messages import ANTHROPIC_MESSAGES
from augment_open_proxy.dialects.anthropic_messages import batches as objects
from augment_open_proxy.dialects.anthropic_messages.batches import State, Times, describe
from augment_open_proxy.dialects.anthropic_messages.wire import MessageBatch
from augment_open_proxy.dialects.dialect import NOTHING
from tests.cases import upstream_answer
from tests.golden.test_cases import expect, pretty
from tests.pipeline import TURN_ID, whole

FOLDER = Path(__file__).parent / "objects"
CREATED, EXPIRES = "2026-11-24T10:00:00.000000Z", "2026-11-25T10:00:00.000000Z"
CANCELLED, ENDED = "2026-11-24T10:05:00.250000Z", "2026-11-24T10:06:00.500000Z"
COUNTS = {"succeeded": 50, "errored": 30, "canceled": 10, "expired": 10}
ID = "msgbatch_00000000000040008000000000000001"


def batch(cancelled: str | None = None, ended: str | None = None, counts: Mapping[str, int] = COUNTS) -> MessageBatch:
    url = f"http://localhost:7888/v1/messages/batches/{ID}/results"
    return describe(ID, Times(CREATED, EXPIRES, cancelled, ended), counts, url)


def shown(data: bytes, name: str, request: pytest.FixtureRequest, *models: Any) -> None:
    """The golden file says the same, and the package's models take it."""
    expect(FOLDER / f"{name}.json", pretty(json.loads(data)), request)
    for model in models:
        TypeAdapter(model).validate_json(data, strict=True)


@pytest.mark.parametrize(
    ("name", "shown_batch"),
    [
        ("batch_in_progress", batch(counts={"waiting": 90, "running": 4, "succeeded": 6})),
        ("batch_canceling", batch(CANCELLED, counts={"running": 4, "succeeded": 6, "canceled": 90})),
        ("batch_ended", batch(CANCELLED, ENDED)),
    ],
)
def test_a_batch(name: str, shown_batch: MessageBatch, request: pytest.FixtureRequest) -> None:
    data = objects.render_batch(shown_batch)
    shown(data, name, request, types.MessageBatch, beta_types.BetaMessageBatch)


def test_a_list_of_batches(request: pytest.FixtureRequest) -> None:
    newest = msgspec.structs.replace(batch(counts={"waiting": 1}), id=ID[:-1] + "2")
    shown(objects.render_batches([newest, batch(ended=ENDED)], has_more=True), "batch_list", request)


def test_a_list_of_no_batches(request: pytest.FixtureRequest) -> None:
    shown(objects.render_batches([], has_more=False), "batch_list_empty", request)


def test_a_deleted_batch(request: pytest.FixtureRequest) -> None:
    data = objects.render_deleted_batch(ID)
    shown(data, "batch_deleted", request, types.DeletedMessageBatch, beta_types.BetaDeletedMessageBatch)


def message() -> bytes:
    body = {"model": "claude-opus-4-7", "max_tokens": 100, "messages": [{"role": "user", "content": "Hi."}]}
    parsed = ANTHROPIC_MESSAGES.parse(msgspec.json.encode(body), NOTHING)
    return msgspec.json.encode(whole(ANTHROPIC_MESSAGES, parsed, [upstream_answer("text")])["body"])


def error() -> bytes:
    problem = Problem(ErrorKind.OVERLOADED, "The Augment backend is overloaded (status 529): Overloaded.")
    return ANTHROPIC_MESSAGES.render_error(problem, "msg_" + TURN_ID)


@pytest.mark.parametrize(
    ("state", "result"), [("succeeded", message()), ("errored", error()), ("canceled", None), ("expired", None)]
)
def test_a_result(state: State, result: bytes | None, request: pytest.FixtureRequest) -> None:
    data = objects.render_result("first-1", state, result)
    shown(
        data,
        f"batch_result_{state}",
        request,
        types.MessageBatchIndividualResponse,
        beta_types.BetaMessageBatchIndividualResponse,
    )


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("batch_not_found", objects.batch_not_found(ID).problem),
        ("batch_no_results_yet", objects.no_results_yet(ID).problem),
        ("batch_still_in_progress", objects.still_in_progress().problem),
    ],
)
def test_a_refusal(name: str, problem: Problem, request: pytest.FixtureRequest) -> None:
    shown(ANTHROPIC_MESSAGES.render_error(problem, "req-" + TURN_ID), name, request)
