"""The models: what the account can use, under which names, at which levels of effort. `listing.py` asks the CLI.

A model's levels of effort are models of their own on the backend, `<id>-<level>`.
"""

import re
from collections.abc import Iterable

import msgspec
from msgspec import Struct

from augment_open_proxy.core.conversation import Effort
from augment_open_proxy.core.errors import ErrorKind, Problem, ProxyError
from augment_open_proxy.core.jsontext import UNREADABLE
from augment_open_proxy.upstream import wire

EFFORT_ORDER = ("low", "medium", "high", "max", "xhigh")
"""From little to much, as the original proxy orders them."""

FAMILIES = ("claude-", "gpt-", "gemini-", "code-")
"""How ids begin that are passed on though they are not listed."""

_SHORT_CLAUDE = re.compile(r"(haiku|sonnet|opus)-?(\d.*)")
_SHORT_GPT = re.compile(r"gpt(\d.*)")
_SHOWN_NAME = 100
_DATE = re.compile(r"[-@]\d{8}$")


class Model(Struct, frozen=True):
    """A base model. `efforts` are the levels that it has, in the listing's order."""

    id: str
    efforts: tuple[str, ...] = ()

    @property
    def ids(self) -> tuple[str, ...]:
        return (self.id, *(f"{self.id}-{effort}" for effort in self.efforts))


class Catalog:
    """The models, less the effort variants that the user has disabled."""

    def __init__(self, models: Iterable[Model], disabled: Iterable[str] = ()) -> None:
        """`disabled` names base ids, short names, or single levels such as `opus4.7-xhigh`."""
        hidden = {canonical_id(name) for name in disabled}
        self._all = {model.id: model for model in models}
        self.models = tuple(_without(model, hidden) for model in self._all.values())
        self.ids = tuple(id_ for model in self.models for id_ in model.ids)
        self._ids = frozenset(self.ids)

    def resolve(self, name: str, effort: Effort | None = None) -> str:
        """The backend's id for the model that a client calls `name`, at the effort it asks for.

        A name with a level of its own ignores `effort`; a model without levels, or whose level that would serve is
        disabled, has only itself.
        Raises `ProxyError` (model not found) for a name that is neither listed nor of a known family.
        """
        id_ = self.find(name)
        model = self._all.get(id_)
        if model is None or effort is None:
            return id_
        variant = f"{id_}-{nearest_effort(effort, model.efforts)}"
        return variant if variant in self._ids else id_

    def find(self, name: str) -> str:
        """The id that `name` means: listed, dated, short or dotted; or of a known family, and passed on."""
        if name in self._ids:
            return name  # as most clients spell it
        id_ = canonical_id(name)
        if id_ not in self._ids and not id_.startswith(FAMILIES):
            raise ProxyError(Problem(ErrorKind.MODEL_NOT_FOUND, self._not_found(name), "model"))
        return id_

    def base(self, id_: str) -> str | None:
        """The model of which `id_` is a level of effort, listed or not; `None` where it is none."""
        base, _, level = id_.rpartition("-")
        model = self._all.get(base)
        if model is None or id_ in self._all:
            return None
        return base if level in model.efforts or level in EFFORT_ORDER else None

    def has(self, name: str) -> bool:
        """Whether the listing holds this model."""
        return canonical_id(name) in self._ids

    def _not_found(self, name: str) -> str:
        from difflib import get_close_matches  # only a rare error needs it

        shown = name if len(name) <= _SHOWN_NAME else name[:_SHOWN_NAME] + "…"
        close = get_close_matches(canonical_id(shown), self.ids, n=3, cutoff=0.4) or [m.id for m in self.models[:3]]
        return f"The model {shown!r} does not exist. Did you mean {', '.join(close)}? GET /v1/models lists all models."


def canonical_id(name: str) -> str:
    """The backend's spelling of a name: short names written out, dates dropped, dots as dashes.

    >>> canonical_id("opus4.7-xhigh"), canonical_id("claude-haiku-4-5-20251001"), canonical_id("gpt-5.4")
    ('claude-opus-4-7-xhigh', 'claude-haiku-4-5', 'gpt-5-4')
    """
    id_ = _DATE.sub("", name.strip().lower())
    if match := _SHORT_CLAUDE.fullmatch(id_):
        id_ = f"claude-{match[1]}-{match[2]}"
    elif match := _SHORT_GPT.fullmatch(id_):
        id_ = f"gpt-{match[1]}"
    return id_.replace(".", "-")


def nearest_effort(effort: Effort, available: Iterable[str]) -> str | None:
    """The level that serves `effort`: the same, else the nearest, on a tie the higher; `None` for the base model."""
    levels = tuple(available)
    if effort in levels:
        return effort
    wanted = "low" if effort == "minimal" else effort
    known = [level for level in levels if level in EFFORT_ORDER]
    if wanted not in EFFORT_ORDER or not known:
        return None
    place = EFFORT_ORDER.index
    return min(known, key=lambda level: (abs(place(level) - place(wanted)), -place(level)))


def parse_listing(output: bytes) -> tuple[Model, ...]:
    """The models in the output of `auggie models list --json`. Raises `ValueError` where it is something else."""
    try:
        listing = msgspec.json.decode(output, type=wire.ModelListing)
    except UNREADABLE as error:
        raise ValueError(f"the model listing is not what it should be: {error}") from error
    models: dict[str, Model] = {}
    for listed in listing.models:
        efforts = tuple(dict.fromkeys(level.lower() for level in listed.effortLevels or ()))
        id_ = canonical_id(listed.shortName)
        if not id_:
            raise ValueError("the model listing has a model without a name")
        models.setdefault(id_, Model(id_, efforts))
    if not models:
        raise ValueError("the model listing is empty")
    return tuple(models.values())


def _without(model: Model, hidden: set[str]) -> Model:
    if model.id in hidden:
        return Model(model.id)
    return Model(model.id, tuple(level for level in model.efforts if f"{model.id}-{level}" not in hidden))


_OPUS_LEVELS = ("medium", "high", "xhigh")
BUILT_IN = (
    Model("claude-haiku-4-5"),
    Model("claude-sonnet-4"),
    Model("claude-sonnet-4-5"),
    Model("claude-sonnet-4-6"),
    Model("claude-sonnet-4-6-500k"),
    Model("claude-opus-4-5"),
    Model("claude-opus-4-6"),
    Model("claude-opus-4-6-500k"),
    Model("claude-opus-4-7", _OPUS_LEVELS),
    Model("claude-opus-4-7-500k"),
    Model("claude-opus-4-8", _OPUS_LEVELS),
    Model("gemini-3-1-pro-preview"),
    Model("gpt-5"),
    Model("gpt-5-1"),
    Model("gpt-5-2"),
    Model("gpt-5-4"),
    Model("code-review"),
)
"""What serves without the CLI (`WIRE.md`, "Models")."""
