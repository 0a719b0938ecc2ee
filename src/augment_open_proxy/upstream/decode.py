"""Backend → core: a machine from the answer's bytes to reply events. It owns the grammar of `core/events.py`.

Fed the same bytes cut anywhere, it gives the same events (deltas may be cut as the lines are). Rules:
1. In one line: thinking, then text, then calls. Neighbouring thinking is one block.
2. A call is whole in its TOOL_USE; its TOOL_USE_START opens nothing, but without the call the turn failed.
3. The terminal event comes from `close` or `fail`, since usage may come after the stop reason.
4. An end without a stop reason is a truncation; without content and tokens, the empty completion; both failed.
5. What calls itself something else than JSON, and has no line that can be read, is not the backend's.
"""

import msgspec

from augment_open_proxy.core.conversation import Text, Thinking, ToolCall
from augment_open_proxy.core.errors import ErrorKind, Problem
from augment_open_proxy.core.events import (
    Block,
    BlockDelta,
    BlockStart,
    BlockStop,
    Event,
    Failure,
    Finish,
    FinishReason,
    Usage,
)
from augment_open_proxy.core.jsontext import UNREADABLE, mended
from augment_open_proxy.upstream import problems
from augment_open_proxy.upstream.lines import DEFAULT_LIMIT, LineSplitter, LineTooLong
from augment_open_proxy.upstream.wire import Line, ResponseNode, ResponseNodeType, StopReason, TokenUsage, ToolUse

_decode_line = msgspec.json.Decoder(Line).decode
_THINKING = ResponseNodeType.THINKING.value
_TOOL_USE = ResponseNodeType.TOOL_USE.value
_TOOL_USE_START = ResponseNodeType.TOOL_USE_START.value
_TOKEN_USAGE = ResponseNodeType.TOKEN_USAGE.value

_FINISH_REASONS: dict[int, FinishReason] = {
    StopReason.UNSPECIFIED: "stop",
    StopReason.END_TURN: "stop",
    StopReason.MAX_TOKENS: "length",
    StopReason.TOOL_USE: "stop",  # without a call in the answer there is nothing for the client to run
    StopReason.SAFETY: "content_filter",
    StopReason.RECITATION: "content_filter",
}
_LINE_TOO_LONG = Problem(ErrorKind.BACKEND, "The Augment backend sent a line that is longer than can be kept.")
_ANSWER_TOO_LONG = Problem(ErrorKind.BACKEND, "The Augment backend sent an answer that is longer than can be kept.")
ANSWER_LIMIT = 4 * DEFAULT_LIMIT
"""Bytes of a whole answer: far more than a model can say, and a bound for what is kept of it until its end."""


class Decoder:
    """`feed` the answer's bytes, then `close` at its end or `fail` where it broke; after that it gives nothing."""

    __slots__ = (
        "_bytes_left",
        "_calls",
        "_index",
        "_last_said",
        "_lines",
        "_open",
        "_started_calls",
        "_unspecified",
        "_usage",
        "content_type",
        "ended",
        "skipped_lines",
        "stop_reason",
    )

    def __init__(self, line_limit: int = DEFAULT_LIMIT, answer_limit: int = ANSWER_LIMIT) -> None:
        self._lines = LineSplitter(line_limit)
        self._bytes_left = answer_limit
        self.ended = False
        """Whether the terminal event is out."""
        self._index = -1
        self._open: type[Text] | type[Thinking] | None = None
        self._calls: set[str] = set()
        self._started_calls: set[str] = set()
        self.stop_reason: int | None = None
        """Why the turn ended, where the backend has said so; only usage is to be expected after that."""
        self._unspecified = 0  # how many lines have said UNSPECIFIED
        self._usage = Usage()
        self._last_said: int | None = None  # the stop reason of the last line
        self.skipped_lines = 0
        """How many lines were not what the protocol says, and were passed over."""
        self.content_type = b""
        """What the answer calls itself, where it does."""

    def feed(self, data: bytes) -> list[Event]:
        if self.ended:
            return []
        events: list[Event] = []
        self._bytes_left -= len(data)
        if self._bytes_left < 0:
            return self.fail(_ANSWER_TOO_LONG)
        try:
            self._feed_lines(self._lines.feed(data), events)
        except LineTooLong:
            self._fail(_LINE_TOO_LONG, events)
        return events

    def close(self) -> list[Event]:
        """The answer's bytes are at their end."""
        if self.ended:
            return []
        events: list[Event] = []
        try:
            self._feed_lines(self._lines.close(), events)
        except LineTooLong:
            self._fail(_LINE_TOO_LONG, events)
        self._end(events)
        return events

    def fail(self, problem: Problem) -> list[Event]:
        """The answer broke for a reason that its bytes do not tell."""
        if self.ended:
            return []
        events: list[Event] = []
        self._fail(problem, events)
        return events

    # ---------------------------------------------------------------- lines

    def _feed_lines(self, lines: list[bytes], events: list[Event]) -> None:
        for data in lines:
            try:
                line = _decode_line(data)
            except UNREADABLE:
                if not data or data.isspace():
                    continue
                mended_line = _read_mended(data)
                if mended_line is None:
                    self.skipped_lines += 1
                    continue
                line = mended_line
            self._last_said = line.stop_reason
            if line.text and self._open is Text and not line.nodes and line.stop_reason is None and line.error is None:
                events.append(BlockDelta(self._index, line.text))  # as most lines are; without a call, for speed
                continue
            self._feed_line(line, events)
            if self.ended:
                return

    def _feed_line(self, line: Line, events: list[Event]) -> None:
        if line.nodes:
            self._feed_thinking(line.nodes, events)
        if line.text:
            self._feed_delta(Text, line.text, events)
        if line.nodes:
            self._feed_calls_and_usage(line.nodes, events)
        if line.stop_reason is not None:
            self._feed_stop_reason(line.stop_reason)
        if line.error is not None:
            self._fail(problems.from_line(line.error), events)

    def _feed_thinking(self, nodes: list[ResponseNode], events: list[Event]) -> None:
        for node in nodes:
            if node.type == _THINKING and node.thinking is not None:
                text = node.thinking.content or node.thinking.summary
                if text:
                    self._feed_delta(Thinking, text, events)

    def _feed_delta(self, kind: type[Text] | type[Thinking], text: str, events: list[Event]) -> None:
        if self._open is not kind:
            self._start(kind(""), events)
            self._open = kind
        events.append(BlockDelta(self._index, text))

    def _feed_calls_and_usage(self, nodes: list[ResponseNode], events: list[Event]) -> None:
        for node in nodes:
            if node.type == _TOOL_USE and node.tool_use is not None:
                self._feed_call(node.tool_use, events)
            elif node.type == _TOOL_USE_START and node.tool_use is not None:
                self._started_calls.add(node.tool_use.tool_use_id)
            elif node.type == _TOKEN_USAGE and node.token_usage is not None:
                self._usage = _merge(self._usage, node.token_usage)

    def _feed_call(self, call: ToolUse, events: list[Event]) -> None:
        if call.tool_use_id in self._calls:
            return
        self._calls.add(call.tool_use_id)
        self._start(ToolCall(call.tool_use_id, call.tool_name, ""), events)
        arguments = call.input_json if call.input_json.strip() else "{}"
        events.append(BlockDelta(self._index, arguments))
        events.append(BlockStop(self._index))

    def _feed_stop_reason(self, reason: int) -> None:
        if reason == StopReason.UNSPECIFIED:
            self._unspecified += 1
        else:
            self.stop_reason = reason

    # --------------------------------------------------------------- blocks

    def _start(self, block: Block, events: list[Event]) -> None:
        self._stop_open(events)
        self._index += 1
        events.append(BlockStart(self._index, block))

    def _stop_open(self, events: list[Event], *, is_cut: bool = False) -> None:
        if self._open is not None:
            events.append(BlockStop(self._index, is_cut=is_cut))
            self._open = None

    # ------------------------------------------------------------------ end

    def _end(self, events: list[Event]) -> None:
        if self.ended:
            return
        problem = self._problem_at_end()
        if problem is not None:
            self._fail(problem, events)
            return
        reason = self._final_reason()
        self._stop_open(events)
        self.ended = True
        finish = "tool_use" if self._calls else _FINISH_REASONS.get(reason or 0, "stop")
        events.append(Finish(finish, reason, self._usage))

    def _problem_at_end(self) -> Problem | None:
        reason = self._final_reason()
        if reason == StopReason.MALFORMED_FUNCTION_CALL:
            return Problem(ErrorKind.BACKEND, "The model made a malformed tool call; ask again.")
        if self._index < 0 and not any(msgspec.structs.astuple(self._usage)):
            if self.skipped_lines and reason is None and self.content_type and b"json" not in self.content_type.lower():
                return problems.from_another(self.content_type)
            return Problem(
                ErrorKind.BACKEND,
                "The Augment backend ended its answer without content and without tokens. Some prompts do this to "
                "some models: ask again, reword the prompt, or use another model (for claude-sonnet-4-6: "
                "claude-sonnet-4-5; AOP_FALLBACK_MODELS lets the proxy do so by itself).",
                remedy="again_or_other_model",
            )
        if reason is None:
            return Problem(
                ErrorKind.BACKEND, "The Augment backend's answer was cut off before its end.", remedy="again"
            )
        if self._started_calls - self._calls:
            return Problem(ErrorKind.BACKEND, "The Augment backend began a tool call and did not finish it.")
        return None

    def _final_reason(self) -> int | None:
        """The stop reason. UNSPECIFIED ends a turn only where the last line, and no other, says it."""
        if self.stop_reason is None and self._unspecified == 1 and self._last_said == StopReason.UNSPECIFIED:
            return StopReason.UNSPECIFIED.value
        return self.stop_reason

    def _fail(self, problem: Problem, events: list[Event]) -> None:
        self._stop_open(events, is_cut=True)
        self.ended = True
        events.append(Failure(problem, self._usage))


def _read_mended(data: bytes) -> Line | None:
    """The line without what is no UTF-8, or `None` where the protocol knows none like it."""
    try:
        return _decode_line(mended(data))
    except UNREADABLE:
        return None


def _merge(usage: Usage, node: TokenUsage) -> Usage:
    """Later figures win over earlier ones; a figure that is left out stays as it was."""
    return Usage(
        input=usage.input if node.input_tokens is None else node.input_tokens,
        output=usage.output if node.output_tokens is None else node.output_tokens,
        cache_read=usage.cache_read if node.cache_read_input_tokens is None else node.cache_read_input_tokens,
        cache_creation=(
            usage.cache_creation if node.cache_creation_input_tokens is None else node.cache_creation_input_tokens
        ),
    )
