"""The model listings: one object that OpenAI's clients and Anthropic's both read, in pages."""

import json
from datetime import datetime
from typing import Any

import pytest

from augment_open_proxy.core.errors import ErrorKind, Problem, ProxyError
from augment_open_proxy.server.models import describe, display_name, render_list, render_model
from augment_open_proxy.upstream.catalog import BUILT_IN, Catalog, Model

FIVE = Catalog(Model(f"claude-test-{i}") for i in range(5))
IDS = list(FIVE.ids)


def listed(catalog: Catalog = FIVE) -> Any:
    return json.loads(render_list(catalog, {}))


def page(**query: str) -> tuple[list[str], bool]:
    answer = json.loads(render_list(FIVE, query))
    ids = [model["id"] for model in answer["data"]]
    assert (answer["first_id"], answer["last_id"]) == ((ids[0], ids[-1]) if ids else (None, None))
    return ids, answer["has_more"]


def refusal(**query: str) -> Problem:
    with pytest.raises(ProxyError) as caught:
        render_list(FIVE, query)
    assert caught.value.problem.kind is ErrorKind.INVALID_REQUEST
    return caught.value.problem


# --- What each client reads ---


def test_the_list_is_what_openais_clients_read() -> None:
    answer = listed()
    assert answer["object"] == "list"
    for model in answer["data"]:
        assert isinstance(model["id"], str)
        assert isinstance(model["created"], int)
        assert isinstance(model["owned_by"], str)
        assert model["object"] == "model"


def test_the_list_is_what_anthropics_clients_read() -> None:
    """`ModelInfo` of Anthropic's SDK 2.12 wants `lifecycle` too, and fails under strict validation without it."""
    answer = listed(Catalog(BUILT_IN))
    assert set(answer) >= {"data", "has_more", "first_id", "last_id"}
    for model in answer["data"]:
        assert model["type"] == "model"
        assert model["display_name"]
        assert model["lifecycle"] == "active"
        assert datetime.fromisoformat(model["created_at"]).tzinfo is not None
        for name in ("max_input_tokens", "max_tokens"):
            assert model[name] is None or model[name] > 0


def test_a_model_is_shown_under_the_name_that_was_asked_for() -> None:
    catalog = Catalog(BUILT_IN)
    for name in ("claude-haiku-4-5", "claude-haiku-4-5-20251001", "haiku4.5", "claude-opus-9-9"):
        model = json.loads(render_model(catalog, name))
        assert (model["id"], model["object"], model["type"]) == (name, "model", "model")
    assert json.loads(render_model(catalog, "haiku4.5"))["display_name"] == "Claude Haiku 4.5"


def test_a_model_in_the_list_is_the_model_by_itself() -> None:
    catalog = Catalog(BUILT_IN)
    for model in listed(catalog)["data"]:
        assert json.loads(render_model(catalog, model["id"])) == model


def test_a_model_that_is_none_is_not_found() -> None:
    with pytest.raises(ProxyError) as caught:
        render_model(Catalog(BUILT_IN), "llama-3")
    assert caught.value.problem.kind is ErrorKind.MODEL_NOT_FOUND
    assert "llama-3" in caught.value.problem.message


# --- Pages ---


@pytest.mark.parametrize(
    ("query", "ids", "has_more"),
    [
        ({}, IDS, False),
        ({"limit": "1000"}, IDS, False),
        ({"limit": "5"}, IDS, False),
        ({"limit": "2"}, IDS[:2], True),
        ({"limit": "2", "after_id": IDS[1]}, IDS[2:4], True),
        ({"limit": "2", "after_id": IDS[2]}, IDS[3:], False),
        ({"after_id": IDS[4]}, [], False),
        ({"after_id": IDS[0]}, IDS[1:], False),
        ({"before_id": IDS[3]}, IDS[:3], False),
        ({"limit": "2", "before_id": IDS[3]}, IDS[1:3], True),
        ({"limit": "2", "before_id": IDS[2]}, IDS[:2], False),
        ({"before_id": IDS[0]}, [], False),
        ({"after_id": "", "before_id": "", "lifecycle": "active", "client_version": "1"}, IDS, False),
    ],
)
def test_pages(query: dict[str, str], ids: list[str], has_more: bool) -> None:
    assert page(**query) == (ids, has_more)


@pytest.mark.parametrize("limit", [1, 2, 3, 5])
def test_the_pages_forward_and_backward_are_the_whole_list(limit: int) -> None:
    forward, more = page(limit=str(limit))
    while more:
        ids, more = page(limit=str(limit), after_id=forward[-1])
        forward += ids
    assert forward == IDS
    backward = [IDS[-1]]
    more = True
    while more:
        ids, more = page(limit=str(limit), before_id=backward[0])
        backward = ids + backward
    assert backward == IDS


@pytest.mark.parametrize("limit", ["0", "-1", "1001", "many", "1.5", " 1", "", "9" * 5000, "000000001" + "0" * 5000])
def test_a_limit_is_a_number_from_1_to_1000(limit: str) -> None:
    problem = refusal(limit=limit)
    assert problem.param == "limit"
    assert "1000" in problem.message


@pytest.mark.parametrize("name", ["after_id", "before_id"])
def test_a_cursor_must_be_in_the_list(name: str) -> None:
    assert refusal(**{name: "claude-test-9"}).param == name


def test_an_empty_catalog_is_an_empty_list() -> None:
    answer = listed(Catalog(()))
    assert (answer["data"], answer["has_more"], answer["first_id"], answer["last_id"]) == ([], False, None, None)


# --- Names and limits ---


@pytest.mark.parametrize(
    ("id_", "name"),
    [
        ("claude-haiku-4-5", "Claude Haiku 4.5"),
        ("claude-sonnet-4", "Claude Sonnet 4"),
        ("claude-opus-4-7-xhigh", "Claude Opus 4.7 (xhigh)"),
        ("claude-opus-4-6-500k", "Claude Opus 4.6 500K"),
        ("claude-opus-4-7-500k-high", "Claude Opus 4.7 500K (high)"),
        ("gpt-5", "GPT 5"),
        ("gpt-5-4", "GPT 5.4"),
        ("gpt-5-4-high", "GPT 5.4 (high)"),
        ("gemini-3-1-pro-preview", "Gemini 3.1 Pro Preview"),
        ("code-review", "Code Review"),
        ("max", "Max"),
    ],
)
def test_display_names(id_: str, name: str) -> None:
    assert display_name(id_) == name


@pytest.mark.parametrize(
    ("id_", "most_in", "most_out"),
    [
        ("claude-haiku-4-5", 200_000, 64_000),
        ("claude-sonnet-4-5", 200_000, 64_000),
        ("claude-opus-4-5", 200_000, 64_000),
        ("claude-sonnet-4-6", 200_000, 128_000),
        ("claude-opus-4-6", 200_000, 128_000),
        ("claude-opus-4-7-xhigh", 200_000, 128_000),
        ("claude-sonnet-4-6-500k", 500_000, 128_000),
        ("claude-opus-4-7-500k-high", 500_000, 128_000),
        ("gpt-5-4", 272_000, 128_000),
        ("gpt-5-4-high", 272_000, 128_000),
        ("gemini-3-1-pro-preview", 1_048_576, 65_536),
    ],
)
def test_limits(id_: str, most_in: int, most_out: int) -> None:
    """Outputs as platform.claude.com's model pages have them: 64K up to 4.5, 128K from 4.6 on."""
    model = describe(id_)
    assert (model.max_input_tokens, model.max_tokens) == (most_in, most_out)


def test_what_is_not_known_is_null() -> None:
    model = describe("code-review")
    assert (model.max_input_tokens, model.max_tokens) == (None, None)


def test_every_built_in_model_has_a_name_and_the_effort_in_it() -> None:
    for model in BUILT_IN:
        names = [display_name(id_) for id_ in model.ids]
        assert names[1:] == [f"{names[0]} ({effort})" for effort in model.efforts]
