"""The one table of scenarios: what the simulator can do to a client, by name.

A scenario is chosen by the model `claude-sim-<name>` (an effort suffix may follow), or by `@@{"scenario": "<name>"}@@`
in the last user message, which wins. The other keys of a directive (`directive.py`) fill it: what is said, how often,
how long. A silence without end becomes one of `seconds`, after which the connection is closed.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from augment_open_proxy.simulator import agent, obedient
from augment_open_proxy.simulator.answer import (
    Answer,
    Content,
    Line,
    Node,
    Thinking,
    TokenUsage,
    encode,
    lines,
    play,
    words,
)
from augment_open_proxy.simulator.request import ChatStreamRequest
from augment_open_proxy.simulator.steps import Cut, Hang, Pause, Reset, Send, Stall, Status, Step
from augment_open_proxy.simulator.turn import Turn
from augment_open_proxy.upstream.wire import ResponseNodeType, StopReason, ToolUse

Steps = Sequence[Step]
Speak = Callable[[ChatStreamRequest], Content]
MODEL_PREFIX = "claude-sim-"


class Scenario(NamedTuple):
    """One row of the table."""

    description: str
    steps: Callable[[Turn], Steps]


def table() -> str:
    """The scenarios as a Markdown table."""
    rows = [f"| `{name}` | {scenario.description} |" for name, scenario in SCENARIOS.items()]
    return "\n".join(["| scenario | what the backend does |", "|---|---|", *rows]) + "\n"


def default(turn: Turn) -> Steps:
    """What happens where no scenario is chosen: the agent answers."""
    return play(lines(turn.answer(agent.act if turn.directive.text is None else agent.talk)), turn.delay)


# ---------------------------------------------------- answers that are whole


def _said(turn: Turn, speak: Speak = agent.talk, stop_reason: int | None = None) -> Steps:
    """What the agent says, ended by `stop_reason` where the directive has none."""
    return play(lines(_answer(turn, speak, stop_reason)), turn.delay)


def _answer(turn: Turn, speak: Speak, stop_reason: int | None) -> Answer:
    answer = turn.answer(speak)
    if stop_reason is None or turn.directive.stop_reason is not None:
        return answer
    return replace(answer, stop_reason=stop_reason)


def _thinking(turn: Turn) -> Steps:
    return _said(turn, lambda request: agent.thinking_first(request, agent.talk(request)))


def _thinking_summary(turn: Turn) -> Steps:
    def summarised(node: Node) -> Node:
        return replace(node, thinking=Thinking(summary=node.thinking.content)) if node.thinking else node

    made = lines(turn.answer(lambda request: agent.thinking_first(request, agent.talk(request))))
    return play([replace(line, nodes=tuple(map(summarised, line.nodes or ()))) for line in made], turn.delay)


def _usage_after_stop(turn: Turn) -> Steps:
    made = lines(turn.answer(agent.talk))
    usage = [line for line in made if line.has(ResponseNodeType.TOKEN_USAGE)]
    return play([line for line in made if line not in usage] + usage, turn.delay)


def _no_usage(turn: Turn) -> Steps:
    return play(lines(replace(turn.answer(agent.talk), usage=None)), turn.delay)


def _raw_response_repeats(turn: Turn) -> Steps:
    made = [
        replace(line, nodes=(Node(index, ResponseNodeType.RAW_RESPONSE.value, content=line.text),))
        if line.text
        else line
        for index, line in enumerate(lines(turn.answer(agent.talk)))
    ]
    return play(made, turn.delay)


def _unicode(turn: Turn) -> Steps:
    """The last chunk is sent with JSON escapes, among them a surrogate pair."""
    escaped = rb'{"text":"\ud83d\ude80 \u00e9\u0301 \u2028\u0000 \u05e9\u05dc\u05d5\u05dd","nodes":[]}' + b"\n"
    made = lines(turn.answer(lambda _: Content(text=words(UNICODE_TEXT))))
    spoken = [line for line in made if line.text]
    rest = [line for line in made if not line.text and not line.has(ResponseNodeType.RAW_RESPONSE)]
    return [Send(encode(spoken) + escaped + encode(rest))]


UNICODE_TEXT = "Grüße, 世界! 👩‍👩‍👧‍👦 🇪🇺 e\u0301 مرحبا \ufeff\u200b𝒳 "  # noqa: RUF001 (look-alikes are the point)


def _long(turn: Turn) -> Steps:
    return _said(turn, lambda _: Content(text=tuple(f"word{number} " for number in range(turn.repeat(2000)))))


def _slow(turn: Turn) -> Steps:
    return play(lines(turn.answer(agent.talk)), turn.directive.delay or turn.seconds(0.2))


def _burst(turn: Turn) -> Steps:
    count = turn.repeat(500)
    usage = TokenUsage(input_tokens=turn.prompt_tokens, output_tokens=count)
    return [Send(_burst_lines(count) + encode(lines(Answer(Content(), StopReason.END_TURN.value, usage))))]


@lru_cache(maxsize=8)
def _burst_lines(count: int) -> bytes:
    return encode([Line(f"word{number} ") for number in range(count)])


def _big_line(turn: Turn) -> Steps:
    made = lines(turn.answer(lambda _: Content(text=("0123456789abcde " * 64 * turn.repeat(1024),))))
    return play([line for line in made if not line.has(ResponseNodeType.RAW_RESPONSE)], turn.delay)


# --------------------------------------------------------------- calls


def _parallel_tools(turn: Turn) -> Steps:
    return _said(turn, lambda request: agent.call(request, turn.repeat(2)))


def _tool_start_only(turn: Turn) -> Steps:
    made = lines(turn.answer(agent.call))
    return play([line for line in made if not line.has(ResponseNodeType.TOOL_USE)], turn.delay)


def _duplicate_call(turn: Turn) -> Steps:
    made = lines(turn.answer(agent.call))
    twice = [line for line in made for _ in range(2 if line.has(ResponseNodeType.TOOL_USE) else 1)]
    return play(twice, turn.delay)


def _empty_input(turn: Turn) -> Steps:
    answer = turn.answer(agent.call)
    calls = tuple(ToolUse(call.tool_use_id, call.tool_name) for call in answer.content.calls)
    return play(lines(replace(answer, content=replace(answer.content, calls=calls))), turn.delay)


# ------------------------------------------------- bytes that need care


def _unknown_nodes(turn: Turn) -> Steps:
    noise = b"""{"nodes":[{"id":1,"type":1,"content":"What next?"},{"id":2,"type":3,"chunks":[]}],"new":{"a":[1]}}
{"nodes":[{"id":3,"type":4},{"id":4,"type":6,"agent_memory":{"content":"x"}},{"id":5,"type":42,"future":true}]}
{"text":"","nodes":[{"id":6,"type":9,"billing_metadata":{"credits_consumed":1}}],"checkpoint_not_found":false}
{}
"""
    return _around(turn, noise)


def _garbage(turn: Turn) -> Steps:
    return _around(
        turn, b'not JSON\n\n[1,2]\n"text"\n17\nnull\n{"text":\n\xff\xfe\x00\n{"text":17}\n<html></html>\n   \n'
    )


def _around(turn: Turn, noise: bytes) -> Steps:
    """`noise` before, between and after the lines of an answer, but not after the last one."""
    made = [encode([line]) for line in lines(turn.answer(agent.talk))]
    return [Send(noise + noise.join(made))]


def _crlf(turn: Turn) -> Steps:
    return [Send(encode(lines(turn.answer(agent.talk))).replace(b"\n", b"\r\n"))]


def _no_final_newline(turn: Turn) -> Steps:
    return [Send(encode(lines(turn.answer(agent.talk))).removesuffix(b"\n"))]


def _split_utf8(turn: Turn) -> Steps:
    """A cut after the first byte of each character that has several, and a pause so that the cuts survive the way."""
    data = encode(lines(turn.answer(lambda _: Content(text=("Grüße ", "世界 ", "🚀")))))
    cuts = [index for index in range(1, len(data)) if data[index] & 0xC0 == 0x80 and data[index - 1] & 0xC0 == 0xC0]
    pieces = [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    steps: list[Step] = []
    for piece in pieces:
        steps += [Send(piece), Pause(turn.seconds(0.005))]
    return steps[:-1]


# ------------------------------------------------------------------ failures


def _status(
    code: int, message: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
) -> Callable[[Turn], Steps]:
    whole = msgspec.json.encode({"error": message}) if body is None else body
    return lambda _: [Status(code, whole, dict(headers or {}))]


_HTML = (
    b"<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1></center></body></html>"
)


def _begun(turn: Turn) -> list[Line]:
    """What an answer has before its text is finished."""
    made = lines(replace(turn.answer(agent.talk), usage=None, stop_reason=None))
    return [line for line in made if not line.has(ResponseNodeType.MAIN_TEXT_FINISHED)]


def _error_in_stream(turn: Turn) -> Steps:
    error = b'{"error":{"code":"internal","message":"The model failed in the middle of its answer"}}\n'
    return [*play(_begun(turn), turn.delay), Send(error)]


def _silence(turn: Turn) -> Step:
    return Hang() if turn.directive.seconds is None else Stall(turn.directive.seconds)


def _stop_then_silence(turn: Turn) -> Steps:
    return [*play(lines(turn.answer(agent.talk)), turn.delay), _silence(turn)]


def _empty(turn: Turn, input_tokens: int) -> Steps:
    usage = TokenUsage(input_tokens=input_tokens, output_tokens=0)
    node = Node(1, ResponseNodeType.TOKEN_USAGE.value, token_usage=usage)
    stop = turn.directive.stop_reason
    return [Send(encode([Line("", (node,), StopReason.END_TURN.value if stop is None else stop)]))]


def _silent_hang(turn: Turn) -> Steps:
    return [Send(b""), Pause(turn.seconds(0.2)), *_empty(turn, 0)]


def _at_first(failure: Callable[[Turn], Steps], turn: Turn) -> Steps:
    return failure(turn) if turn.attempt <= turn.repeat(1) else _said(turn)


_UNAVAILABLE = _status(503, "The service is temporarily unavailable")

SCENARIOS: Mapping[str, Scenario] = {
    "echo": Scenario("Says the user's last text, word for word", partial(_said, speak=agent.echo)),
    "obedient": Scenario(
        "Calls the tools that the text names, with its numbers and quoted words; gives the JSON that is demanded",
        partial(_said, speak=obedient.obey),
    ),
    "thinking": Scenario("Thinks (`thinking.content`), then talks", _thinking),
    "thinking-summary": Scenario("The same, as `thinking.summary`", _thinking_summary),
    "tool": Scenario("Calls one tool whatever was said; after its result it talks", partial(_said, speak=agent.call)),
    "parallel-tools": Scenario("The same with `repeat` (2) calls in one answer", _parallel_tools),
    "duplicate-call": Scenario("Sends its call twice, with the same id", _duplicate_call),
    "empty-input": Scenario("Calls with an empty `input_json`", _empty_input),
    "tool-start-only": Scenario("Sends TOOL_USE_START without the TOOL_USE", _tool_start_only),
    "usage-after-stop": Scenario("TOKEN_USAGE comes after the stop reason", _usage_after_stop),
    "no-usage": Scenario("No TOKEN_USAGE", _no_usage),
    "max-tokens": Scenario("Ends with stop reason 2", partial(_said, stop_reason=StopReason.MAX_TOKENS.value)),
    "safety": Scenario("Ends with stop reason 4", partial(_said, stop_reason=StopReason.SAFETY.value)),
    "recitation": Scenario("Ends with stop reason 5", partial(_said, stop_reason=StopReason.RECITATION.value)),
    "malformed-call": Scenario(
        "Ends with stop reason 6", partial(_said, stop_reason=StopReason.MALFORMED_FUNCTION_CALL.value)
    ),
    "unspecified": Scenario(
        "The last line has stop reason 0", partial(_said, stop_reason=StopReason.UNSPECIFIED.value)
    ),
    "raw-response-repeats": Scenario("Each text is repeated in a RAW_RESPONSE node of its line", _raw_response_repeats),
    "unknown-nodes": Scenario("Nodes and fields that are to be ignored stand between the lines", _unknown_nodes),
    "garbage": Scenario("Lines that are not JSON objects, or not UTF-8, stand between the lines", _garbage),
    "crlf": Scenario("Lines end in CRLF", _crlf),
    "no-final-newline": Scenario("The last line lacks its newline", _no_final_newline),
    "split-utf8": Scenario("Writes end inside of characters, `seconds` (0.005) apart", _split_utf8),
    "unicode": Scenario("Emoji, right-to-left, combining and invisible characters, and JSON escapes", _unicode),
    "long": Scenario("`repeat` (2000) words, a line each", _long),
    "slow": Scenario("`seconds` (0.2) between the lines", _slow),
    "burst": Scenario("`repeat` (500) lines in one write", _burst),
    "big-line": Scenario("One line of `repeat` (1024) KiB of text", _big_line),
    "error-400": Scenario("400", _status(400, "Invalid request")),
    "error-401": Scenario("401", _status(401, "Unauthorized")),
    "error-402": Scenario("402: out of credits", _status(402, "You are out of credits. Please upgrade your plan.")),
    "error-credits": Scenario(
        "403 whose text says that the credits are used up",
        _status(403, "Your credits are used up for this billing cycle. Please upgrade your plan."),
    ),
    "error-403": Scenario("403", _status(403, "Forbidden: this account may not use the requested model")),
    "error-404": Scenario("404", _status(404, "Model not found")),
    "error-408": Scenario("408", _status(408, "Request timeout")),
    "error-413": Scenario("413: the conversation is too large", _status(413, "augmentTooLarge")),
    "error-429": Scenario("429 with Retry-After: 1", _status(429, "Too many requests", {"Retry-After": "1"})),
    "error-499": Scenario("499", _status(499, "Request cancelled")),
    "error-500": Scenario("500", _status(500, "Internal server error")),
    "error-503": Scenario("503", _UNAVAILABLE),
    "error-529": Scenario("529", _status(529, "Overloaded")),
    "error-html-502": Scenario("502 with an HTML page", _status(502, "", {"Content-Type": "text/html"}, _HTML)),
    "redirect": Scenario(
        "307 to another origin", _status(307, "", {"Location": "https://elsewhere.invalid/chat-stream"}, b"")
    ),
    "flaky": Scenario(
        "503 for the first `repeat` (1) attempts of a request id, then it talks", partial(_at_first, _UNAVAILABLE)
    ),
    "flaky-empty": Scenario("The same with the empty completion", partial(_at_first, lambda turn: _empty(turn, 0))),
    "error-in-stream": Scenario("200 and text, then a line with an error", _error_in_stream),
    "empty-completion": Scenario("Ends without content and with zero tokens: a failure", lambda turn: _empty(turn, 0)),
    "empty-answer": Scenario(
        "Ends without content, but with input tokens: an answer", lambda turn: _empty(turn, turn.prompt_tokens)
    ),
    "silent-hang": Scenario("A head, `seconds` (0.2) of silence, then the empty completion", _silent_hang),
    "no-answer": Scenario("Accepts the request, and never sends a head", lambda turn: [_silence(turn)]),
    "hang": Scenario("A head, and never a byte", lambda turn: [Send(b""), _silence(turn)]),
    "stall": Scenario("Text, then silence", lambda turn: [*play(_begun(turn), turn.delay), _silence(turn)]),
    "stop-then-silence": Scenario("A whole answer on a connection that stays open", _stop_then_silence),
    "truncated": Scenario("Ends properly without a stop reason", lambda turn: play(_begun(turn), turn.delay)),
    "cut": Scenario("Text, then the connection is closed", lambda turn: [*play(_begun(turn), turn.delay), Cut()]),
    "reset": Scenario(
        "Text, then after `seconds` (0.05) a TCP reset",
        lambda turn: [*play(_begun(turn), turn.delay), Pause(turn.seconds(0.05)), Reset()],
    ),
    "reset-before": Scenario("A TCP reset instead of a head", lambda _: [Reset()]),
}
