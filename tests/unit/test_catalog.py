"""Names of models and levels of effort, as the issue and `WIRE.md` ("Models") state them."""

import json
import time
from typing import get_args

import pytest

from augment_open_proxy.core.conversation import Effort
from augment_open_proxy.core.errors import ErrorKind, Problem, ProxyError
from augment_open_proxy.upstream.catalog import BUILT_IN, Catalog, Model, parse_listing

CATALOG = Catalog(BUILT_IN)
OPUS = "claude-opus-4-7"


def not_found(catalog: Catalog, name: str) -> Problem:
    with pytest.raises(ProxyError) as caught:
        catalog.resolve(name)
    problem = caught.value.problem
    assert (problem.kind, problem.param) == (ErrorKind.MODEL_NOT_FOUND, "model")
    return problem


# --- Names ---


@pytest.mark.parametrize(
    ("name", "id_"),
    [
        *((id_, id_) for id_ in CATALOG.ids),
        ("haiku4.5", "claude-haiku-4-5"),
        ("sonnet4", "claude-sonnet-4"),
        ("sonnet4.6-500k", "claude-sonnet-4-6-500k"),
        ("opus4.7", "claude-opus-4-7"),
        ("opus-4.7", "claude-opus-4-7"),
        ("opus4.7-xhigh", "claude-opus-4-7-xhigh"),
        ("gpt5", "gpt-5"),
        ("gpt5.4", "gpt-5-4"),
        ("gpt-5.4", "gpt-5-4"),
        ("gemini-3.1-pro-preview", "gemini-3-1-pro-preview"),
        ("claude-haiku-4.5", "claude-haiku-4-5"),
        ("claude-haiku-4-5-20251001", "claude-haiku-4-5"),
        ("claude-haiku-4-5@20251001", "claude-haiku-4-5"),
        ("haiku4.5-20251001", "claude-haiku-4-5"),
        (" Claude-Opus-4-7 ", "claude-opus-4-7"),
    ],
)
def test_a_listed_model_answers_to_all_its_names(name: str, id_: str) -> None:
    assert CATALOG.resolve(name) == CATALOG.find(name) == id_
    assert CATALOG.has(name)


@pytest.mark.parametrize(
    ("name", "id_"),
    [
        ("claude-opus-5-5", "claude-opus-5-5"),
        ("claude-opus-5-5-20261101", "claude-opus-5-5"),
        ("opus5.5", "claude-opus-5-5"),
        ("gpt-5.5", "gpt-5-5"),
        ("gemini-4-pro", "gemini-4-pro"),
        ("code-review-2", "code-review-2"),
    ],
)
def test_an_unlisted_model_of_a_known_family_is_passed_on(name: str, id_: str) -> None:
    assert CATALOG.resolve(name) == CATALOG.resolve(name, "high") == id_
    assert not CATALOG.has(name)


@pytest.mark.parametrize(
    ("name", "closest"),
    [
        ("cluade-sonnet-4-5", "claude-sonnet-4-5"),
        ("sonet4.5", "claude-sonnet-4-5"),
        ("anthropic/claude-opus-4-7", "claude-opus-4-7"),
        ("llama-3", ""),
        ("sonnet", ""),
        ("", ""),
        ("\x1b[31m\nx", ""),
    ],
)
def test_any_other_model_is_not_found_and_the_closest_are_named(name: str, closest: str) -> None:
    problem = not_found(CATALOG, name)
    assert repr(name) in problem.message
    assert closest in problem.message
    assert any(id_ in problem.message for id_ in CATALOG.ids)


def test_a_very_long_name_is_refused_at_once_and_cut_in_the_message() -> None:
    start = time.process_time()
    problem = not_found(CATALOG, "x" * 2**25)
    assert len(problem.message) < 400
    assert time.process_time() - start < 5


# --- Effort ---

SOME = ("medium", "high", "xhigh")
ALL = ("low", "medium", "high", "max", "xhigh")
EFFORT_TABLE: dict[tuple[str, ...], tuple[str | None, ...]] = {
    # levels of the model: none, minimal, low, medium, high, max, xhigh → level (None: the base model)
    (): (None, None, None, None, None, None, None),
    SOME: (None, "medium", "medium", "medium", "high", "xhigh", "xhigh"),
    ALL: (None, "low", "low", "medium", "high", "max", "xhigh"),
    ("low", "high"): (None, "low", "low", "high", "high", "high", "high"),
    ("low", "max"): (None, "low", "low", "low", "max", "max", "max"),
    ("low", "medium", "high"): (None, "low", "low", "medium", "high", "high", "high"),
    ("high",): (None, "high", "high", "high", "high", "high", "high"),
    ("xhigh", "low"): (None, "low", "low", "low", "xhigh", "xhigh", "xhigh"),
    ("minimal", "high"): (None, "minimal", "high", "high", "high", "high", "high"),
    ("none", "high"): ("none", "high", "high", "high", "high", "high", "high"),
    ("turbo",): (None, None, None, None, None, None, None),
}


@pytest.mark.parametrize(
    ("levels", "effort", "level"),
    [
        (levels, effort, level)
        for levels, row in EFFORT_TABLE.items()
        for effort, level in zip(get_args(Effort), row, strict=True)
    ],
)
def test_the_effort_asked_for_becomes_the_nearest_level(
    levels: tuple[str, ...], effort: Effort, level: str | None
) -> None:
    """An exact match wins, `none` is the base model, `minimal` is low, else the nearest, on a tie the higher."""
    expected = OPUS if level is None else f"{OPUS}-{level}"
    assert Catalog([Model(OPUS, levels)]).resolve(OPUS, effort) == expected


@pytest.mark.parametrize("name", ["opus4.7", "claude-opus-4.7", "claude-opus-4-7-20260101", "OPUS4.7"])
def test_the_name_is_resolved_before_the_effort(name: str) -> None:
    assert CATALOG.resolve(name, "high") == "claude-opus-4-7-high"


@pytest.mark.parametrize("effort", get_args(Effort))
def test_a_suffixed_id_ignores_the_effort(effort: Effort) -> None:
    assert CATALOG.resolve("claude-opus-4-7-medium", effort) == "claude-opus-4-7-medium"


# --- What is disabled ---


@pytest.mark.parametrize(
    "name", ["claude-opus-4-7", "opus4.7", "opus-4.7", "Opus4.7", "claude-opus-4.7", "claude-opus-4-7-20260101"]
)
def test_a_disabled_model_loses_its_levels_and_stays(name: str) -> None:
    catalog = Catalog(BUILT_IN, [name])
    assert [id_ for id_ in catalog.ids if id_.startswith(OPUS)] == [OPUS, "claude-opus-4-7-500k"]
    assert catalog.resolve("opus4.7", "high") == OPUS
    assert catalog.resolve("opus4.8", "high") == "claude-opus-4-8-high"


@pytest.mark.parametrize("name", ["opus4.7-xhigh", "claude-opus-4-7-xhigh", "claude-opus-4.7-XHIGH"])
def test_a_single_level_can_be_disabled(name: str) -> None:
    catalog = Catalog(BUILT_IN, [name])
    assert "claude-opus-4-7-xhigh" not in catalog.ids
    assert "claude-opus-4-8-xhigh" in catalog.ids
    assert catalog.resolve("opus4.7", "high") == "claude-opus-4-7-high"


@pytest.mark.parametrize("effort", ["xhigh", "max"])
def test_an_effort_whose_level_is_disabled_leaves_the_base_model(effort: Effort) -> None:
    assert Catalog(BUILT_IN, ["opus4.7-xhigh"]).resolve("opus4.7", effort) == OPUS


def test_unknown_names_among_the_disabled_do_nothing() -> None:
    assert Catalog(BUILT_IN, ["llama", "opus9", ""]).ids == CATALOG.ids


# --- Listings ---


def test_each_base_model_is_followed_at_once_by_its_variants_in_the_listings_order() -> None:
    catalog = Catalog([Model("b", ("xhigh", "low")), Model("a"), Model("c", ("high",))])
    assert catalog.ids == ("b", "b-xhigh", "b-low", "a", "c", "c-high")


def test_the_built_in_list() -> None:
    claude = ["haiku-4-5", "sonnet-4", "sonnet-4-5", "sonnet-4-6", "sonnet-4-6-500k", "opus-4-5", "opus-4-6"]
    claude += ["opus-4-6-500k", "opus-4-7", "opus-4-7-500k", "opus-4-8"]
    others = ["gemini-3-1-pro-preview", "gpt-5", "gpt-5-1", "gpt-5-2", "gpt-5-4", "code-review"]
    assert [model.id for model in BUILT_IN] == [*(f"claude-{name}" for name in claude), *others]
    assert {model.id: model.efforts for model in BUILT_IN if model.efforts} == {
        "claude-opus-4-7": SOME,
        "claude-opus-4-8": SOME,
    }


def test_the_listing_of_the_cli() -> None:
    models = [
        {"shortName": "opus4.7", "effortLevels": ["Medium", "High", "xHigh"], "displayName": "Opus"},
        {"shortName": "sonnet4.6-500k", "effortLevels": []},
        {"shortName": "gpt5.4", "effortLevels": None},
        {"shortName": "gemini-3.1-pro-preview"},
        {"shortName": "prism-1.0"},
        {"shortName": "opus4.7", "effortLevels": ["Low"]},
    ]
    assert parse_listing(json.dumps({"registryAvailable": True, "models": models}).encode()) == (
        Model("claude-opus-4-7", SOME),
        Model("claude-sonnet-4-6-500k"),
        Model("gpt-5-4"),
        Model("gemini-3-1-pro-preview"),
        Model("prism-1-0"),
    )


@pytest.mark.parametrize(
    "output",
    [
        b"",
        b"Please log in.",
        b"null",
        b"[]",
        b"{}",
        b'{"models":null}',
        b'{"models":[]}',
        b'{"registryAvailable":false,"models":[]}',
        b'{"models":[{}]}',
        b'{"models":["opus4.7"]}',
        b'{"models":[{"shortName":5}]}',
        b'{"models":[{"shortName":" "}]}',
        b'{"models":[{"shortName":"a","effortLevels":"High"}]}',
        b'{"models":[{"shortName":"\xff"}]}',
        pytest.param(b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b',"models":[{"shortName":"a"}]}', id="deep"),
    ],
)
def test_other_output_is_no_listing(output: bytes) -> None:
    with pytest.raises(ValueError, match="model listing"):
        parse_listing(output)
