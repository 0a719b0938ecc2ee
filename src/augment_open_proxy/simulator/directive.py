"""`@@{json}@@` in a user message: what the simulator shall answer to it, for one turn or for a loop of tool calls.

A directive counts on the turn that it stands in, and on the turns of tool results that follow. Where it makes a call,
the turn with the result is answered by `then`, which can be a directive again. Text between the marks that is not JSON
is left alone; a directive with an unknown key or a wrong type is refused, so that a typing error shows.
"""

import json
import re
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from augment_open_proxy.simulator import request as requests
from augment_open_proxy.simulator.answer import TokenUsage
from augment_open_proxy.simulator.request import ChatStreamRequest, Refused, RequestNode

_MARK = re.compile(r"@@(?=\{)")
_scan = json.JSONDecoder().raw_decode
_AMBIENT = re.compile(
    r"<(system-reminder|environment_details|environment_context|user_instructions|current_datetime)\b.*?</\1>", re.S
)


class ToolRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A call to make. A string as `input` is sent as it is, so that it need not be JSON."""

    name: str
    input: Any = {}
    id: str | None = None


class Directive(Struct, frozen=True, forbid_unknown_fields=True):
    """`text` (or the scenario's own) comes `repeat` times; `delay` is the seconds between lines, `seconds` those of a
    scenario's fault; `usage` null sends none."""

    scenario: str | None = None
    thinking: list[str] | str | None = None
    text: list[str] | str | None = None
    tool: ToolRequest | list[ToolRequest] | None = None
    then: "Directive | list[str] | str | None" = None
    stop_reason: int | None = None
    usage: TokenUsage | UnsetType | None = UNSET
    delay: float | None = None
    repeat: int | None = None
    seconds: float | None = None


NONE = Directive()


def find(request: ChatStreamRequest) -> Directive:
    """The directive that counts for the current turn. Raises `Refused`."""
    turns = requests.turns(request)
    steps = 0
    for index in range(len(turns) - 1, -1, -1):
        own = index == len(turns) - 1
        has_results = carries_results(request, index)
        directive = _last_in(texts(turns[index]))
        if directive is not None:
            if has_results and directive.tool is not None:
                steps += 1
            return _after(directive, steps)
        if own and not turns[index]:
            return _last_in([request.message]) or NONE
        if not has_results:
            break
        steps += 1
    return NONE


def carries_results(request: ChatStreamRequest, index: int) -> bool:
    """Whether turn `index` (of `request.turns`) brings what tools gave back.

    For Gemini the proxy may write a call and its result as text; the answer before then still names the tool.
    """
    if requests.results(requests.turns(request)[index]):
        return True
    if not request.model.startswith("gemini-") or index == 0:
        return False
    before = request.chat_history[index - 1].response_text
    return requests.GEMINI_CALL in before or any(tool.name in before for tool in request.tools)


def texts(nodes: tuple[RequestNode, ...]) -> list[str]:
    """The user's texts of one turn, not the system's."""
    found = [node.text_node.content for node in nodes if node.text_node is not None]
    return [text for text in found if not text.startswith("System: ")]


def user_text(request: ChatStreamRequest) -> str:
    """The user's last text of the current turn, without directives and what clients add; empty where there is none."""
    candidates = texts(request.nodes) if request.nodes else [request.message]
    bare = [_without_directives(text) for text in candidates]
    spoken = [text for text in (_AMBIENT.sub("", text).strip() for text in bare) if text]
    return spoken[-1] if spoken else "".join(bare[-1:])


def _scanned(text: str) -> list[tuple[int, int, Any]]:
    """Where `text` has JSON objects between marks: start, end, object."""
    found = []
    position = 0
    while (mark := _MARK.search(text, position)) is not None:
        position = mark.end()
        try:
            value, end = _scan(text, mark.end())
        except ValueError:
            continue
        if text.startswith("@@", end):
            position = end + 2
            found.append((mark.start(), position, value))
    return found


def _last_in(candidates: list[str]) -> Directive | None:
    for text in reversed(candidates):
        if found := _scanned(text):
            try:
                return msgspec.convert(found[-1][2], Directive)
            except msgspec.ValidationError as error:
                raise Refused(400, f"simulator: the directive is not valid: {error}") from None
    return None


def _without_directives(text: str) -> str:
    for start, end, _ in reversed(_scanned(text)):
        text = text[:start] + text[end:]
    return text


def _after(directive: Directive, steps: int) -> Directive:
    """What is left of a directive after `steps` turns of tool results."""
    for _ in range(steps):
        if isinstance(directive.then, Directive):
            directive = directive.then
        else:
            text = directive.then
            directive = replace(directive, thinking=None, text=text, tool=None, stop_reason=None, repeat=None)
    return directive
