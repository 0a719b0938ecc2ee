"""JSON body → struct, with errors that name the field as the client spells it."""

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, Generic, TypeVar, get_args

import msgspec
from msgspec import Raw, Struct

from augment_open_proxy.core.conversation import Effort, OutputFormat, ToolChoice
from augment_open_proxy.core.errors import ProxyError, invalid_request
from augment_open_proxy.core.jsontext import UNREADABLE, check_utf8, mended
from augment_open_proxy.core.remembered import LARGEST, ByText
from augment_open_proxy.core.steps import Steps, whole

T = TypeVar("T")
LOCAL_SHELL = "local_shell"
MOST_METADATA, LONGEST_KEY, LONGEST_VALUE = 16, 64, 512
LARGEST_LIMIT = 2**53
LARGE = 2 * 2**20
"""Bytes of a body past which its messages are decoded one by one: 4 ms are spent on so many."""
MOST_CHOICES = 16
"""Each choice is a turn of its own, which the account pays."""
_TOOLS = b'"tools":'
_WORTH = 4
"""How many times longer than known tools a body may be where they are cut out of it, which copies the rest."""
_MARK = b'"the tools that were read before"'
"""JSON that stands for them while the rest of a body is read."""
_ASKS_NOTHING = {
    "verbosity": "medium",
    "text.verbosity": "medium",
    "reasoning.context": "auto",
    "reasoning.mode": "standard",
    "speed": "standard",
    "truncation": "disabled",
}
"""Values of parameters that are the APIs' defaults."""
_EFFORTS: dict[str, Effort] = {effort: effort for effort in get_args(Effort)}


def read(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """Decode a body. Raises `ProxyError` that names the field by its path, such as `messages[0].content`."""
    return whole(read_in_steps(decoder, body))


def read_in_steps(decoder: msgspec.json.Decoder[T], body: bytes) -> Steps[T]:
    """The same for bodies that may be large."""
    try:
        yield from check_utf8(body)  # msgspec checks only what it makes a string of
    except UnicodeDecodeError as error:
        raise _no_json(error) from None
    return read_value(decoder, body)


def read_value(decoder: msgspec.json.Decoder[T], value: bytes | Raw, at: str = "") -> T:
    """Decode a value that stands `at` a path of a body that was read. Raises `ProxyError`."""
    try:
        return decoder.decode(value)
    except msgspec.ValidationError as error:
        raise _invalid(str(error), at) from None
    except UNREADABLE:
        return _read_mended(decoder, mended(bytes(value)), at)


def _read_mended(decoder: msgspec.json.Decoder[T], value: bytes, at: str) -> T:
    try:
        return decoder.decode(value)
    except msgspec.ValidationError as error:
        raise _invalid(str(error), at) from None
    except UNREADABLE as error:
        raise _no_json(error) from None


class ToolsReader(Generic[T]):
    """Reads bodies with a list of `tools`. Those that were read before are the same object, not only equal."""

    def __init__(self, request: type[T], tool: type[Any], *fields: tuple[str, Any] | tuple[str, Any, Any]) -> None:
        """`request` is the struct of the body, and `tool` that of its tools; `fields` (name, type, and default) are
        other than there.
        """
        replaced = [("tools", Raw, None), *fields]
        self._request: msgspec.json.Decoder[Any] = msgspec.json.Decoder(
            msgspec.defstruct(request.__name__, replaced, bases=(request,), frozen=True)
        )
        tools: msgspec.json.Decoder[Any] = msgspec.json.Decoder(list[tool] | None)  # type: ignore[valid-type]  # given as a value
        self._tools = ByText(lambda text: read_value(tools, text, "tools"))
        self._tail = 0
        """Bytes from the tools to the end of the last body: the next one mostly has them at the same place."""

    def read(self, body: bytes) -> Steps[T]:
        """Raises `ProxyError`."""
        at = len(body) - self._tail
        if len(body) > _WORTH * LARGEST:
            at = 0
        elif not body.startswith(_TOOLS, at):
            at = body.rfind(_TOOLS)
        if at > 0:
            self._tail = len(body) - at
            known = yield from self._read_around(body, at + len(_TOOLS))
            if known is not None:
                return known
        given = yield from read_in_steps(self._request, body)
        if given.tools is not None:
            given = msgspec.structs.replace(given, tools=self._tools(bytes(given.tools)))
        read: T = given
        return read

    def _read_around(self, body: bytes, at: int) -> Steps[T | None]:
        """The body, where the value at this place is tools that were read before; else `None`."""
        at += body.startswith(b" ", at)
        known = self._tools.standing(body, at)
        if known is None or len(body) > _WORTH * known[0]:
            return None
        (size, tools), view = known, memoryview(body)
        try:
            given = yield from read_in_steps(self._request, b"".join((view[:at], _MARK, view[at + size :])))
        except ProxyError:
            return None  # the places that the error names are those of the whole body
        if given.tools is None or bytes(given.tools) != _MARK:
            return None  # they are the value of another field
        read: T = msgspec.structs.replace(given, tools=tools)
        return read


class ConversationReader(Generic[T]):
    """Reads the bodies of an API that has its conversation in `messages`; a large one's message by message."""

    def __init__(self, request: type[T], message: type[Struct], tool: type[Struct]) -> None:
        """`request` is the struct of the body, `message` that of its messages, and `tool` that of its tools."""
        self._whole = ToolsReader(request, tool)
        self._in_pieces = ToolsReader(request, tool, ("messages", list[Raw]))
        self._message = msgspec.json.Decoder(message)

    def read(self, body: bytes) -> Steps[T]:
        """Raises `ProxyError`."""
        if len(body) <= LARGE:
            return (yield from self._whole.read(body))
        given: Any = yield from self._in_pieces.read(body)
        messages: list[Struct] = []
        for i, message in enumerate(given.messages):
            messages.append(read_value(self._message, message, f"messages[{i}]"))
            yield
        read: T = msgspec.structs.replace(given, messages=messages)
        return read


def _no_json(error: Exception) -> ProxyError:
    return invalid_request(f"The body is not valid JSON: {error}.")


def _invalid(message: str, at: str) -> ProxyError:
    """msgspec says `Expected `str`, got `int` - at `$.messages[0].content``."""
    what, _, place = message.partition(" - at `")
    path = (at + place.rstrip("`").removeprefix("$")).removeprefix(".")
    if missing := what.partition("missing required field `")[2].rstrip("`"):
        path = f"{path}.{missing}" if path else missing
        return invalid_request(f"{path} is missing.", path)
    if not path:
        return invalid_request(f"The body must be a JSON object: {what}.")
    return invalid_request(f"{path}: {what[:1].lower()}{what[1:]}.", path)


def read_effort(effort: str | None, param: str) -> Effort | None:
    """The level of reasoning effort that a client names in `param`."""
    if not effort:
        return None
    known = _EFFORTS.get(effort.lower())
    if known is None:
        raise invalid_request(f"{param} must be one of {', '.join(_EFFORTS)}; it is {effort!r}.", param)
    return known


def ignored_reader(names: Sequence[str]) -> Callable[[object], tuple[str, ...]]:
    """What gives those of the parameters `names` that ask a request for something, as no penalty of 0 does.

    `text.verbosity` is a field of `text`.
    """
    fields = dict.fromkeys(name.partition(".")[0] for name in names)
    values, nothing = attrgetter(*fields), (None,) * len(fields)

    def read_ignored(given: object) -> tuple[str, ...]:
        return () if values(given) == nothing else tuple(name for name in names if _asks(name, _value(given, name)))

    return read_ignored


def _value(given: Any, path: str) -> object:
    name, _, rest = path.partition(".")
    value = given.get(name) if isinstance(given, dict) else getattr(given, name)
    return _value(value, rest) if rest and value is not None else value


def _asks(name: str, value: object) -> bool:
    if value or name == "web_search_options":  # `{}` is a search
        return value is not None and value != _ASKS_NOTHING.get(name)
    return isinstance(value, int | float) and value is not False and not name.endswith("_penalty")


def read_limit(limit: object, param: str) -> int | None:
    """A limit that a client gives in `param`: a whole number, at least one."""
    if limit is None:
        return None
    if not isinstance(limit, int) or isinstance(limit, bool) or not 1 <= limit <= LARGEST_LIMIT:
        raise invalid_request(f"{param} must be a whole number, at least 1.", param)
    return limit


def read_stop(stop: object, param: str) -> tuple[str, ...]:
    """Stop sequences: a text, or a list of them; empty ones are refused."""
    if stop is None:
        return ()
    sequences = [stop] if isinstance(stop, str) else stop
    if not isinstance(sequences, list) or not all(isinstance(sequence, str) and sequence for sequence in sequences):
        raise invalid_request(f"{param} must be a text or a list of texts, none of them empty.", param)
    return tuple(dict.fromkeys(sequences))


def read_tool_choice(choice: object, *kinds: str) -> ToolChoice:
    """`tool_choice` of OpenAI's APIs; `kinds` are the types of tools that can be named, in this form or that."""
    match choice:
        case None | "auto":
            return ToolChoice()
        case "none":
            return ToolChoice("none")
        case "required":
            return ToolChoice("required")
        case {"type": "allowed_tools", "allowed_tools": {"tools": tools, **rest}}:
            return _allowed(tools, rest.get("mode", "auto"))
        case {"type": "allowed_tools", "tools": tools, **rest}:
            return _allowed(tools, rest.get("mode", "auto"))
        case {"type": kind} if kind in kinds and (name := _tool_name(choice)):
            return ToolChoice("required", (name,))
    raise invalid_request(
        "tool_choice must be auto, none, required, one tool, or allowed_tools with a mode and tools.", "tool_choice"
    )


def _allowed(tools: object, mode: object) -> ToolChoice:
    names = tuple(name for tool in tools if (name := _tool_name(tool))) if isinstance(tools, list) else ()
    if not names or mode not in ("auto", "required"):
        raise invalid_request("tool_choice allowed_tools needs a mode, auto or required, and tools.", "tool_choice")
    return ToolChoice("required" if mode == "required" else "auto", names)


def _tool_name(tool: object) -> str | None:
    """The name in `{"name"}`, or in `{"function": {"name"}}`, with its namespace where it has one; a local shell needs
    none.
    """
    if not isinstance(tool, dict):
        return None
    kind = tool.get("type")
    inner = tool.get(kind) if isinstance(kind, str) else None
    match inner if isinstance(inner, dict) else tool:
        case {"name": str(name), "namespace": str(namespace)} if name:
            return flat_name(namespace, name)
        case {"name": str(name)} if name:
            return name
        case {"type": "local_shell"}:
            return LOCAL_SHELL
    return None


def flat_name(namespace: str | None, name: str) -> str:
    """The name of a function for the model."""
    return name if namespace is None else f"{namespace}__{name}"


def read_output_format(given: object, param: str) -> OutputFormat | None:
    """The format of the answer, in the forms of all APIs: `text`, `json_object`, `json_schema` with a schema."""
    match given:
        case None | {"type": "text"}:
            return None
        case {"type": "json_object"}:
            return OutputFormat(param)
        case {"type": "json_schema", "schema": dict(schema), **rest}:
            if rest.get("description"):  # the model is told the schema, and nothing else
                schema = {"description": rest["description"], **schema}
            return OutputFormat(f"{param}.schema", Raw(msgspec.json.encode(schema)))
        case {"type": "json_schema", "json_schema": {"schema": dict()} as inner}:
            return read_output_format(inner | {"type": "json_schema"}, f"{param}.json_schema")
    raise invalid_request(f"{param} must be of type text, json_object, or json_schema with a schema.", param)


def read_metadata(given: object, param: str = "metadata") -> dict[str, str]:
    """`metadata` of OpenAI's APIs: up to 16 texts of up to 512 characters, by keys of up to 64."""
    if given is None:
        return {}
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        raise invalid_request(f"{param} must be an object of texts.", param)
    if len(given) > MOST_METADATA:
        raise invalid_request(f"{param} may have {MOST_METADATA} entries at most.", param)
    for key, value in given.items():
        if len(key) > LONGEST_KEY or len(value) > LONGEST_VALUE:
            raise invalid_request(
                f"{param}.{key[:LONGEST_KEY]}: keys may have {LONGEST_KEY} characters, values {LONGEST_VALUE}.", param
            )
    return given


def read_choices(n: int | None) -> int:
    """`n`: so many turns side by side."""
    if n is not None and not 1 <= n <= MOST_CHOICES:
        raise invalid_request(f"n must be a number from 1 to {MOST_CHOICES}.", "n")
    return n or 1
