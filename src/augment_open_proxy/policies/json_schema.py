"""Whether a value is valid by a client's JSON Schema, within a bound: `jsonschema` itself knows none.

Work is counted in the microseconds that it may take, and not timed, so that the same is refused wherever it runs.
Patterns run in `regex`, which can be stopped, and reads what ECMA-262 has beyond Python (`\\p{L}`, `(?<name>…)`).
Imported at the first schema, since it takes 100 ms.
"""

import json
from collections.abc import Callable, Iterable
from functools import cache, partial
from typing import Any

import regex
from jsonschema.exceptions import ValidationError
from jsonschema.validators import Draft202012Validator, extend, validator_for
from jsonschema_specifications import REGISTRY
from referencing import Resource
from referencing.jsonschema import DRAFT202012

from augment_open_proxy.core.conversation import OutputFormat
from augment_open_proxy.core.errors import invalid_request

WORK = 2_000_000
"""What a request's schema and answers may take together."""
LONGEST_PATTERN = 2000
"""The longer a pattern, the less often `regex` looks at its time."""
_TRIES = (50, 100_000)
"""A search is stopped soon, since most end sooner; one that needs more is begun anew with that."""
_DEEPEST = 140
"""Keywords within keywords: at six frames each they stay below Python's own limit, of which `rpds` makes a panic."""
_MOST_ERRORS = 5
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")

Errors = Iterable[ValidationError]
Keyword = Callable[[Any, Any, Any, Any], Errors]


class Schema:
    """A client's schema, and what may be done for it. Raises `ProxyError` for one that is none or refers to nowhere."""

    def __init__(self, wanted: OutputFormat) -> None:
        self._param = wanted.param
        try:
            self._validator = _validator(bytes(wanted.schema))
        except RecursionError:
            raise invalid_request(f"{wanted.param} is nested too deeply.", wanted.param) from None
        except Exception as error:
            raise invalid_request(
                f"{wanted.param} is no JSON Schema that can be checked: {error}"[:500], wanted.param
            ) from None

    def errors(self, value: Any) -> list[str]:
        """What is wrong with a value, at most five things. Raises `ProxyError` where that cannot be found out."""
        try:
            errors = sorted(self._validator.iter_errors(value), key=lambda error: list(map(str, error.absolute_path)))
        except Exception as error:
            message = f"The model's answer cannot be checked by {self._param}: {error}"
            raise invalid_request(message[:500], self._param) from None
        return [f"{error.json_path}: {error.message}"[:500] for error in errors[:_MOST_ERRORS]]


class _Work:
    """What may still be done. Validators hand it on as their format checker: they take along nothing else of ours."""

    def __init__(self) -> None:
        self.depth = 0
        self._left = WORK
        self._compiled: dict[str, Any] = {}

    def spend(self, microseconds: int) -> None:
        self._left -= microseconds
        if self._left < 0:
            raise ValueError("it takes too long")

    def compile(self, pattern: str) -> Any:
        if pattern not in self._compiled:
            if len(pattern) > LONGEST_PATTERN:
                raise ValueError(f"a pattern has more than {LONGEST_PATTERN} characters")
            self.spend(len(pattern) * 10)
            try:
                self._compiled[pattern] = regex.compile(pattern)
            except Exception as error:
                raise ValueError(f"the pattern {pattern!r} is not understood: {error}") from None
        return self._compiled[pattern]

    def finds(self, pattern: str, text: str) -> bool:
        """Whether a text has what a pattern describes."""
        for limit in _TRIES:
            self.spend(limit)
            try:
                return self.compile(pattern).search(text, timeout=limit / 1e6) is not None
            except TimeoutError:
                continue
        raise ValueError(f"the pattern {pattern!r} takes too long")


def _validator(text: bytes) -> Any:
    """The validator of a schema, which fetches nothing."""
    schema = json.loads(text)
    kind = validator_for(schema, default=Draft202012Validator)
    bounded = _bounded(kind)
    work = _Work()
    for error in bounded(kind.META_SCHEMA, registry=REGISTRY, format_checker=work).iter_errors(schema):
        raise ValueError(error.message)
    if b'"unevaluatedProperties":' in text and b'"patternProperties":' in text:
        raise ValueError("unevaluatedProperties and patternProperties cannot be checked together")
    root = Resource.from_contents(schema, DRAFT202012)
    resolver = REGISTRY.with_resource("", root).crawl().resolver().in_subresource(root)
    places = [(resolver, root)]
    for within, place in places:
        if isinstance(place.contents, dict):
            for word in place.contents.keys() & _REFERENCES:
                _follow(within, place.contents[word])
            for pattern in (place.contents.get("pattern", ""), *place.contents.get("patternProperties", ())):
                work.compile(pattern)
        places += [(within.in_subresource(inner), inner) for inner in place.subresources()]
    return bounded(schema, format_checker=work, _resolver=resolver)


def _follow(resolver: Any, reference: str) -> None:
    try:
        found = resolver.lookup(reference).contents
    except Exception:
        found = None
    if not isinstance(found, dict | bool):
        raise ValueError(f"{reference!r} leads to no schema")


@cache
def _bounded(kind: Any) -> Any:
    """A draft's validator whose every step is counted."""
    keywords = dict(
        kind.VALIDATORS,
        additionalProperties=partial(_additional, kind.VALIDATORS["additionalProperties"]),
        format=lambda *_: (),
        pattern=_pattern,
        patternProperties=_pattern_properties,
        uniqueItems=_unique,
    )
    counted = {name: partial(_counted, name, keyword) for name, keyword in keywords.items()}
    made: Any = extend(kind, counted)  # type: ignore[no-untyped-call]  # jsonschema has no types for it
    made.evolve = _evolve
    return made


def _evolve(self: Any, *, schema: Any, _resolver: Any = None) -> Any:
    """The validator of a part: of the same kind, whatever its `$schema` says."""
    self.format_checker.spend(8)
    return type(self)(schema, format_checker=self.format_checker, _resolver=_resolver or self._resolver)


def _counted(name: str, keyword: Keyword, validator: Any, value: Any, instance: Any, schema: Any) -> Errors:
    """A keyword, for what it may take: found by trying."""
    work = validator.format_checker
    work.depth += 1
    try:
        if work.depth > _DEEPEST:
            raise RecursionError("it is nested too deeply")
        work.spend(_price(name, value, instance))
        for error in keyword(validator, value, instance, schema):
            work.spend(30 + len(error.message) // 20)
            yield error
    finally:
        work.depth -= 1


def _price(name: str, value: Any, instance: Any) -> int:
    size = len(instance) if isinstance(instance, list | dict) else 0
    price = 3 + size // 10 + (len(value) // 10 if isinstance(value, list | dict) else 0)
    if name in _REFERENCES:
        price += 20 + len(value)
    elif name.startswith("unevaluated"):
        price += size * size
    elif size and name in ("enum", "const", "uniqueItems"):
        price += len(repr((value, instance))) // 10
    return price


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Errors:
    if isinstance(instance, str) and not validator.format_checker.finds(pattern, instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _pattern_properties(validator: Any, patterns: dict[str, Any], instance: Any, schema: Any) -> Errors:
    for name, value in instance.items() if isinstance(instance, dict) else ():
        for pattern, inner in patterns.items():
            if validator.format_checker.finds(pattern, name):
                yield from validator.descend(value, inner, path=name, schema_path=pattern)


def _additional(keyword: Keyword, validator: Any, value: Any, instance: Any, schema: Any) -> Errors:
    """Gets no properties that patterns name: the keyword would look for them without a bound."""
    if isinstance(instance, dict):
        finds = validator.format_checker.finds
        patterns = schema.get("patternProperties", ())
        instance = {name: each for name, each in instance.items() if not any(finds(p, name) for p in patterns)}
    return keyword(validator, value, instance, {"properties": schema.get("properties", ())})


def _unique(validator: Any, wanted: Any, instance: Any, schema: Any) -> Errors:
    if wanted and isinstance(instance, list) and len(set(map(_key, instance))) < len(instance):
        yield ValidationError(f"{instance!r} has non-unique elements")


def _key(value: Any) -> Any:
    """The same for equal values: 1 and 1.0 are equal, 1 and `true` are not."""
    if isinstance(value, dict):
        return frozenset((name, _key(inner)) for name, inner in value.items())
    return tuple(map(_key, value)) if isinstance(value, list) else (isinstance(value, bool), value)
