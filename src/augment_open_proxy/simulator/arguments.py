"""Arguments for a call, made from the JSON Schema of the tool's input: valid by it, harmless when run.

Covers what tools use: types, enum, const, defaults, references, combinations, bounds, formats, and patterns as far as
one of a few common strings fits. Only required properties are given. Malformed keywords are passed over.
"""

import re
from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]

COMMAND = "echo hello from the simulator"
PATH = "README.md"
_DEPTH = 8
_LONGEST = 10_000

# The first row with a word of the property's name decides.
_BY_NAME: tuple[tuple[frozenset[str], str], ...] = (
    (frozenset({"command", "commands", "cmd", "script"}), COMMAND),
    (frozenset({"code"}), 'print("hello from the simulator")'),
    (frozenset({"path", "file", "filename", "filepath", "paths", "files"}), PATH),
    (frozenset({"dir", "dirpath", "directory", "folder", "cwd", "workdir"}), "."),
    (frozenset({"pattern", "glob", "regex"}), "*.md"),
    (frozenset({"url", "uri", "link"}), "https://example.com/"),
    (frozenset({"email", "mail"}), "user@example.com"),
    (frozenset({"query", "search", "question", "q"}), "hello"),
    (frozenset({"city", "location", "place"}), "Paris"),
    (frozenset({"timezone", "tz"}), "UTC"),
    (frozenset({"date", "day"}), "2026-01-31"),
    (frozenset({"name", "title", "subject"}), "simulator"),
)
_BY_FORMAT = {
    "date-time": "2026-01-31T12:00:00Z",
    "date": "2026-01-31",
    "time": "12:00:00Z",
    "duration": "PT1M",
    "email": "user@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "url": "https://example.com/",
    "uri-reference": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
_DEFAULT_TEXT = "hello from the simulator"
_FOR_PATTERNS = (
    *("a", "A", "0", "1", "aa", "AA", "10", "a1", "A1", "abc", "ABC", "123", "1234", "abcdef", "ABCDEF", "12345"),
    *("ab-cd", "ab_cd", "a.b", "a/b", "/a", "./a", "/README.md", "1.0.0", "v1.0.0", "#ffffff", "+15555550100"),
    *("en", "en-US", "12:00", "USD", "main", "true", "id_1", "ID-1", "ABC-123", "0x0", "0" * 40, "a" * 32),
)


def arguments(schema: Schema) -> dict[str, Any]:
    """The arguments of one call. `schema` is the tool's whole input schema."""
    sampler = _Sampler(schema)
    return sampler.object(sampler.flat(schema), 0)


class _Sampler:
    """Samples values; `root` resolves references within the schema."""

    def __init__(self, root: Schema) -> None:
        self._root = root

    def sample(self, schema: object, name: str, depth: int) -> Any:
        """A value that `schema` allows; `name` is the property's. Past the depth limit, the simplest of its type."""
        flat = self.flat(schema)
        if "const" in flat:
            return flat["const"]
        if options := _listed(flat, "enum"):
            return options[0]
        kind = _type_of(flat)
        for value in (*_listed(flat, "examples"), flat.get("default")):
            if _is_plain(value, kind):
                return value
        match kind:
            case "object":
                return self.object(flat, depth)
            case "array":
                return self._array(flat, name, depth)
            case "integer" | "number":
                return _number(flat, kind)
            case "boolean":
                return False
            case "null":
                return None
            case _:
                return _string(flat, name)

    def flat(self, schema: object, seen: int = 0) -> dict[str, Any]:
        """`schema` with its references and combinations merged in; of a choice, the first that is not null."""
        if not isinstance(schema, Mapping) or seen > _DEPTH:
            return {}
        flat = {key: value for key, value in schema.items() if key not in ("$ref", "allOf", "anyOf", "oneOf")}
        parts: list[object] = [self._resolve(schema["$ref"])] if "$ref" in schema else []
        parts += _listed(schema, "allOf")
        for key in ("anyOf", "oneOf"):
            options = _listed(schema, key)
            parts += [option for option in options if option != {"type": "null"}][:1] or options[:1]
        for part in parts:
            flat = _merged(flat, self.flat(part, seen + 1))
        return flat

    def _resolve(self, reference: object) -> object:
        """What a local reference (`#/$defs/name`) points to; anything goes where it points elsewhere."""
        found: object = self._root
        for key in str(reference).removeprefix("#").split("/")[1:]:
            key = key.replace("~1", "/").replace("~0", "~")
            if isinstance(found, Mapping):
                found = found.get(key)
            elif isinstance(found, list) and key.isdigit() and int(key) < len(found):
                found = found[int(key)]
            else:
                return {}
        return found

    def object(self, schema: Schema, depth: int) -> dict[str, Any]:
        """An object with the required properties of a flat schema."""
        if depth > _DEPTH:
            return {}
        given = schema.get("properties")
        properties: Schema = given if isinstance(given, Mapping) else {}
        names = [name for name in dict.fromkeys(_listed(schema, "required")) if isinstance(name, str)]
        least = _count(schema, "minProperties") or 0
        names += [name for name in properties if name not in names][: max(0, least - len(names))]
        names += [f"key{number}" for number in range(len(names) + 1, least + 1)]
        other = schema.get("additionalProperties", {})
        return {name: self.sample(properties.get(name, other), name, depth + 1) for name in names}

    def _array(self, schema: Schema, name: str, depth: int) -> list[Any]:
        first = _listed(schema, "prefixItems")
        least = max(_count(schema, "minItems") or 0, len(first))
        if depth > _DEPTH:
            return []
        if _by_name(name) != _DEFAULT_TEXT and _count(schema, "maxItems") != 0:
            least = max(least, 1)  # an empty list of files or commands is valid and helps nobody
        kinds = [*first, *[schema.get("items", {})] * (least - len(first))]
        items = [self.sample(kind, name, depth + 1) for kind in kinds]
        if items == [COMMAND] and "commands" not in split_words(name) and "maxItems" not in schema:
            return COMMAND.split()  # one command as a list is its words
        return self._distinct(items, kinds) if schema.get("uniqueItems") else items

    def _distinct(self, items: list[Any], kinds: list[Any]) -> list[Any]:
        made: list[Any] = []
        for number, (item, kind) in enumerate(zip(items, kinds, strict=True)):
            options = _listed(self.flat(kind), "enum") or [item, *_variants(item, number, self.flat(kind))]
            made.append(next((option for option in options if option not in made), item))
        return made


# ------------------------------------------------------------------ keywords


def _listed(schema: Schema, key: str) -> list[Any]:
    value = schema.get(key)
    return value if isinstance(value, list) else []


def _figure(schema: Schema, key: str) -> int | float | None:
    value = schema.get(key)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _count(schema: Schema, key: str) -> int | None:
    value = _figure(schema, key)
    return None if value is None else min(int(value), _LONGEST)


def _merged(one: Schema, other: Schema) -> dict[str, Any]:
    """Both schemas at once, as far as their keywords can be joined."""
    merged = {**other, **one}
    for key in one.keys() & other.keys():
        match one[key], other[key]:
            case (dict() as mine, dict() as theirs):
                merged[key] = {**theirs, **mine}
            case (list() as mine, list() as theirs) if key == "required":
                merged[key] = [*mine, *theirs]
            case (int() | float() as mine, int() | float() as theirs) if key in _STRICTER:
                merged[key] = _STRICTER[key](mine, theirs)
    return merged


_STRICTER = {
    **dict.fromkeys(("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"), max),
    **dict.fromkeys(("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"), min),
}


def _type_of(schema: Schema) -> str:
    match schema.get("type"):
        case str() as kind:
            return kind
        case list() as kinds:
            return next((kind for kind in kinds if kind != "null"), "null")
        case _:
            return next((kind for kind, keys in _TYPE_BY_KEYWORD if not keys.isdisjoint(schema)), "string")


_TYPE_BY_KEYWORD = (
    ("object", frozenset({"properties", "required", "minProperties"})),
    ("array", frozenset({"items", "prefixItems", "minItems"})),
    ("number", frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"})),
)


def _is_plain(value: object, kind: str) -> bool:
    """Whether an example or default is a plain value of the schema's type."""
    match value:
        case bool():
            return kind == "boolean"
        case str():
            return kind == "string" and value != ""
        case int():
            return kind in ("integer", "number")
        case float():
            return kind == "number"
        case _:
            return False


# -------------------------------------------------------------------- values


def _number(schema: Schema, kind: str) -> int | float:
    step = _figure(schema, "multipleOf") or (1 if kind == "integer" else 0)
    low, high = _bounds(schema, step)
    value: int | float = 1
    if step:
        value = step if kind == "number" or step != int(step) else int(step)
        if low is not None and value < low:
            value = -(-low // step) * step
    elif low is not None:
        value = max(value, low)
    if high is not None and value > high:
        value = high // step * step if step else high
    return int(value) if kind == "integer" else value


def _bounds(schema: Schema, step: float) -> tuple[float | None, float | None]:
    """The least and the greatest value, inclusive."""
    low, high = _figure(schema, "minimum"), _figure(schema, "maximum")
    above, below = _figure(schema, "exclusiveMinimum"), _figure(schema, "exclusiveMaximum")
    ends = [end for end in (high, below) if end is not None], [end for end in (low, above) if end is not None]
    gap = 1 if not ends[0] or not ends[1] else min(1, (min(ends[0]) - max(ends[1])) / 4)
    if above is not None and (low is None or above >= low):
        low = (above // step + 1) * step if step else above + gap
    if below is not None and (high is None or below <= high):
        high = (-(-below // step) - 1) * step if step else below - gap
    return low, high


def _string(schema: Schema, name: str) -> str:
    least, most = _count(schema, "minLength") or 0, _count(schema, "maxLength")
    own = _BY_FORMAT.get(str(schema.get("format"))) or _by_name(name)
    pattern = schema.get("pattern")
    if not isinstance(pattern, str):
        return own.ljust(least, own[-1])[:most]
    candidates = (own, _DEFAULT_TEXT, *_BY_FORMAT.values(), *_FOR_PATTERNS)
    fitted = (text.ljust(least, text[-1])[:most] for text in candidates)
    return next((text for text in fitted if _matches(pattern, text)), own)


def _matches(pattern: str, text: str) -> bool:
    try:
        return re.search(pattern, text) is not None
    except re.error:
        return True


def _variants(item: object, number: int, schema: Schema) -> list[object]:
    match item:
        case bool():
            return [not item]
        case str():
            return [f"{item}{number}"]
        case int() | float():
            return [item + number * (_figure(schema, "multipleOf") or 1)]
        case _:
            return []


def split_words(name: str) -> list[str]:
    """The lower-case words of an identifier (`readFile`, `read_file`) or of a text."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+", name)]


def _by_name(name: str) -> str:
    name_words = set(split_words(name))
    return next((text for known, text in _BY_NAME if known & name_words), _DEFAULT_TEXT)
