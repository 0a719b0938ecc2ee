"""The model listings. One object serves OpenAI's clients and Anthropic's: each reads the fields that it knows."""

import re
from collections.abc import Mapping

import msgspec
from msgspec import Struct

from augment_open_proxy.core.errors import invalid_request
from augment_open_proxy.upstream.catalog import EFFORT_ORDER, Catalog

_encoder = msgspec.json.Encoder()
CREATED = 0
CREATED_AT = "1970-01-01T00:00:00Z"
"""When the models were made is not known; Anthropic's reference takes the epoch for that."""

LIMITS: tuple[tuple[str, int | None, int | None], ...] = (
    (r"claude-.*-500k(-.*)?", 500_000, 128_000),
    (r"claude-[a-z]+-(4-([6-9]|\d\d)|[5-9]|\d\d)(-.*)?", 200_000, 128_000),
    (r"claude-.*", 200_000, 64_000),
    (r"gpt-5.*", 272_000, 128_000),
    (r"gemini-.*", 1_048_576, 65_536),
    (r".*", None, None),
)
"""Input and output tokens, as their makers publish them (and `-500k` by its name); the backend tells none."""

_MOST = 1000
"""The largest page."""


class ModelObject(Struct, frozen=True):
    """A model, as OpenAI (`object`, `created`, `owned_by`) and Anthropic (the rest) describe one."""

    id: str
    object: str
    created: int
    owned_by: str
    type: str
    display_name: str
    created_at: str
    lifecycle: str
    max_input_tokens: int | None
    max_tokens: int | None


class ModelList(Struct, frozen=True):
    object: str
    data: list[ModelObject]
    has_more: bool
    first_id: str | None
    last_id: str | None


def render_list(catalog: Catalog, query: Mapping[str, str]) -> bytes:
    """The answer of `GET /v1/models`: all, or the page that `limit`, `after_id` and `before_id` ask for."""
    ids, has_more = _page(catalog.ids, query)
    return _encoder.encode(
        ModelList(
            object="list",
            data=[describe(id_) for id_ in ids],
            has_more=has_more,
            first_id=ids[0] if ids else None,
            last_id=ids[-1] if ids else None,
        )
    )


CODEX_LIST = b'{"models":[]}'
"""The answer of `GET /v1/models?client_version=…`. Codex replaces all that it knows of a model (prompt, tools) by an
entry here, and gives up on a list with an incomplete one; an empty list leaves it what it has."""


def render_model(catalog: Catalog, name: str) -> bytes:
    """The answer of `GET /v1/models/{id}`, under the name that was asked for. Raises `ProxyError` where it is none."""
    return _encoder.encode(msgspec.structs.replace(describe(catalog.find(name)), id=name))


def describe(id_: str) -> ModelObject:
    """What is known of a model."""
    limits = next((most_in, most_out) for pattern, most_in, most_out in LIMITS if re.fullmatch(pattern, id_))
    return ModelObject(id_, "model", CREATED, "augment", "model", display_name(id_), CREATED_AT, "active", *limits)


def display_name(id_: str) -> str:
    """The name for people.

    >>> display_name("claude-opus-4-7-500k-high"), display_name("gpt-5-4")
    ('Claude Opus 4.7 500K (high)', 'GPT 5.4')
    """
    words = id_.split("-")
    level = f" ({words.pop()})" if len(words) > 1 and words[-1] in EFFORT_ORDER else ""
    name = re.sub(r"(?<=\d) (?=\d+\b(?!K))", ".", " ".join(_capital(word) for word in words))
    return name + level


def _capital(word: str) -> str:
    return word.upper() if word == "gpt" or word[:1].isdigit() else word.capitalize()


def _page(ids: tuple[str, ...], query: Mapping[str, str]) -> tuple[tuple[str, ...], bool]:
    limit = query.get("limit")
    if limit is not None and (re.fullmatch(r"0{0,9}[1-9]\d{0,3}", limit) is None or int(limit) > _MOST):
        raise invalid_request(f"limit must be a number from 1 to {_MOST}.", "limit")
    size = len(ids) if limit is None else int(limit)
    if before := query.get("before_id"):
        end = _place(ids, before, "before_id")
        start = max(0, end - size)
        return ids[start:end], start > 0
    start = _place(ids, after, "after_id") + 1 if (after := query.get("after_id")) else 0
    return ids[start : start + size], start + size < len(ids)


def _place(ids: tuple[str, ...], id_: str, param: str) -> int:
    if id_ not in ids:
        raise invalid_request(f"{param} names no model of the list.", param)
    return ids.index(id_)
