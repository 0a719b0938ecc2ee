"""An answer as a model would give it, and its lines as the backend sends them."""

import re
from collections.abc import Iterable, Sequence
from itertools import count

import msgspec
from msgspec import UNSET, Struct, UnsetType

from augment_open_proxy.simulator.steps import Pause, Send, Step
from augment_open_proxy.upstream.wire import ResponseNodeType, StopReason, ToolUse

_encode_lines = msgspec.json.Encoder().encode_lines


class TokenUsage(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """As in `upstream/wire.py`; figures that are `None` are left out."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None


class Thinking(Struct, frozen=True, omit_defaults=True):
    content: str | None = None
    summary: str | None = None


class Node(Struct, frozen=True):
    id: int
    type: int
    content: str | UnsetType = UNSET
    tool_use: ToolUse | UnsetType = UNSET
    thinking: Thinking | UnsetType = UNSET
    token_usage: TokenUsage | UnsetType = UNSET


class Line(Struct, frozen=True):
    text: str | UnsetType = UNSET
    nodes: tuple[Node, ...] | UnsetType = UNSET
    stop_reason: int | UnsetType = UNSET

    def has(self, *types: ResponseNodeType) -> bool:
        return any(node.type in types for node in self.nodes or ())


class Content(Struct, frozen=True):
    """What a model says: chunks of thinking, chunks of text, and calls."""

    text: tuple[str, ...] = ()
    thinking: tuple[str, ...] = ()
    calls: tuple[ToolUse, ...] = ()

    @property
    def tokens(self) -> int:
        calls = (call.tool_name + call.input_json for call in self.calls)
        return tokens(sum(map(len, (*self.text, *self.thinking, *calls))))


class Answer(Struct, frozen=True):
    content: Content
    stop_reason: int | None = None
    usage: TokenUsage | None = None


def tokens(characters: int) -> int:
    """About how many tokens so many characters are."""
    return (characters + 3) // 4


def words(text: str) -> tuple[str, ...]:
    """`text` in chunks of a word and the white space after it."""
    return tuple(re.findall(r"\S+\s*|\s+", text))


def lines(answer: Answer) -> list[Line]:
    """Thinking, text, the nodes that repeat the text, calls, usage, stop reason: the order that the backend keeps."""
    ids = count(1)
    content = answer.content
    made = [Line("", (_node(ids, ResponseNodeType.THINKING, thinking=Thinking(text)),)) for text in content.thinking]
    made += [Line(text, ()) for text in content.text]
    if whole := "".join(content.text):
        repeats = (ResponseNodeType.RAW_RESPONSE, ResponseNodeType.MAIN_TEXT_FINISHED)
        made.append(Line("", tuple(_node(ids, type_, content=whole) for type_ in repeats)))
    for call in content.calls:
        start = ToolUse(call.tool_use_id, call.tool_name)
        made.append(Line("", (_node(ids, ResponseNodeType.TOOL_USE_START, tool_use=start),)))
        made.append(Line("", (_node(ids, ResponseNodeType.TOOL_USE, tool_use=call),)))
    if answer.usage is not None:
        made.append(Line("", (_node(ids, ResponseNodeType.TOKEN_USAGE, token_usage=answer.usage),)))
    if answer.stop_reason is not None:
        made.append(Line("", (), answer.stop_reason))
    return made


def _node(
    ids: Iterable[int],
    type_: ResponseNodeType,
    content: str | UnsetType = UNSET,
    tool_use: ToolUse | UnsetType = UNSET,
    thinking: Thinking | UnsetType = UNSET,
    token_usage: TokenUsage | UnsetType = UNSET,
) -> Node:
    return Node(next(iter(ids)), type_.value, content, tool_use, thinking, token_usage)


def natural_stop(content: Content) -> StopReason:
    return StopReason.TOOL_USE if content.calls else StopReason.END_TURN


def encode(made: Sequence[Line]) -> bytes:
    """The lines, each with its newline."""
    return _encode_lines(made)


def play(made: Sequence[Line], delay: float = 0) -> list[Step]:
    """The lines in one write, or with `delay` seconds between them."""
    if not delay:
        return [Send(encode(made))]
    steps: list[Step] = []
    for line in made:
        steps += [Send(encode([line])), Pause(delay)]
    return steps[:-1]
