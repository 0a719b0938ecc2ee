"""What the official SDK shall make of the simulator's answers: each case is a conversation and its answer.

A directive (`@@{…}@@`) in the last user message, or the model's id, says what the simulator answers.
"""

import json
from dataclasses import dataclass
from typing import Any

from .conversations import ODD, READ_FILE, Conversation, Json, assistant, call, result, tool, user


@dataclass(frozen=True)
class Call:
    id: str
    name: str
    input: str


@dataclass(frozen=True)
class Answer:
    """What the SDK shall make of one answer. Text and thinking are in the chunks that were sent."""

    finish: str
    text: tuple[str, ...] = ()
    thinking: tuple[str, ...] = ()
    calls: tuple[Call, ...] = ()
    usage: tuple[int, int] | None = (12, 3)

    def parts(self) -> list[tuple[str, ...]]:
        """The parts of a stream without their ids."""
        parts: list[tuple[str, ...]] = []
        for thought in self.thinking:
            parts += [("reasoning-start",), ("reasoning-delta", thought), ("reasoning-end",)]
        parts += [("text-start",)] if self.text else []
        parts += [("text-delta", chunk) for chunk in self.text]
        for call_ in self.calls:
            parts += [("tool-input-start", call_.name), ("tool-input-delta", call_.input), ("tool-input-end",)]
            parts += [("tool-call", call_.id, call_.name, call_.input)]
        parts += [("text-end",)] if self.text else []
        return [*parts, ("finish", self.finish)]

    def content(self) -> list[Json]:
        """The content of an answer that is not streamed: the SDK puts the text first."""
        text = [{"type": "text", "text": "".join(self.text)}] if self.text else []
        thinking = [{"type": "reasoning", "text": thought} for thought in self.thinking]
        calls = [
            {"type": "tool-call", "toolCallId": call_.id, "toolName": call_.name, "input": call_.input}
            for call_ in self.calls
        ]
        return [*text, *thinking, *calls]

    def usage_json(self) -> Json:
        if self.usage is None:
            return {}
        given, made = self.usage
        return {"inputTokens": given, "outputTokens": made, "totalTokens": given + made}


@dataclass(frozen=True)
class Case:
    conversation: Conversation
    answer: Answer


USAGE = {"input_tokens": 12, "output_tokens": 3}


def directed(name: str, answer: Answer, *, model: str = "claude-sonnet-4-5", **directive: Any) -> Case:
    """The last user message says what the simulator shall answer."""
    text = f"@@{json.dumps({'usage': USAGE} | directive)}@@"
    return Case(Conversation(name, [user(text)], [READ_FILE], model), answer)


def scenario(name: str, finish: str, **directive: Any) -> Case:
    """The model's id says how the simulator shall answer; the words are ours."""
    answer = Answer(finish, ("b ", "c"), usage=None if name in ("no-usage", "truncated") else (12, 3))
    return directed(name, answer, model=f"claude-sim-{name}", text=["b ", "c"], **directive)


READ = Call("call_1", "read_file", '{"path":"a.py"}')
LIST = Call("call_2", "list", "{}")
READ_JSON = {"id": "call_1", "name": "read_file", "input": {"path": "a.py"}}
LIST_JSON = {"id": "call_2", "name": "list"}

CASES = [
    directed("text", Answer("stop", ("b", "c")), text=["b", "c"]),
    directed("thinking-and-text", Answer("stop", ("b",), ("x", "y")), thinking=["x", "y"], text=["b"]),
    directed("unicode-text", Answer("stop", (ODD,), (ODD,)), thinking=[ODD], text=[ODD]),
    directed("call", Answer("tool-calls", calls=(READ,)), tool=READ_JSON),
    directed("parallel-calls", Answer("tool-calls", calls=(READ, LIST)), tool=[READ_JSON, LIST_JSON]),
    directed(
        "everything",
        Answer("tool-calls", ("b", "c"), ("x",), (READ, LIST)),
        thinking=["x"],
        text=["b", "c"],
        tool=[READ_JSON, LIST_JSON],
    ),
    directed(
        "usage", Answer("stop", ("b",), usage=(1234, 56)), text=["b"], usage={"input_tokens": 1234, "output_tokens": 56}
    ),
    directed("without-usage", Answer("stop", ("b",), usage=None), text=["b"], usage=None),
    *(
        directed(f"stop-reason-{number}", Answer(finish, ("b",)), text=["b"], stop_reason=number)
        for number, finish in enumerate(
            ["unknown", "stop", "length", "tool-calls", "content-filter", "content-filter", "error"]
        )
    ),
    scenario("max-tokens", "length"),
    scenario("safety", "content-filter"),
    scenario("recitation", "content-filter"),
    scenario("malformed-call", "error"),
    scenario("unspecified", "unknown"),
    scenario("truncated", "unknown"),
    scenario("no-usage", "stop"),
    scenario("usage-after-stop", "stop"),
    scenario("raw-response-repeats", "stop"),
    scenario("unknown-nodes", "stop"),
    scenario("crlf", "stop"),
    directed("duplicate-call", Answer("tool-calls", calls=(READ,)), model="claude-sim-duplicate-call", tool=READ_JSON),
    directed(
        "empty-input",
        Answer("tool-calls", calls=(Call("call_1", "read_file", "{}"),)),
        model="claude-sim-empty-input",
        tool=READ_JSON,
    ),
    directed(
        "thinking-summary",
        Answer("stop", ("b",), ("x",)),
        model="claude-sim-thinking-summary",
        thinking=["x"],
        text="b",
    ),
    Case(
        Conversation("echo", [user(f"Hello! @@{json.dumps({'usage': USAGE})}@@")], model="claude-sim-echo"),
        Answer("stop", ("Hello!",)),
    ),
    Case(
        Conversation(
            "after-the-result",
            [
                user(f"@@{json.dumps({'usage': USAGE, 'tool': READ_JSON, 'then': 'all done'})}@@"),
                assistant(call("call_1")),
                tool(result("call_1")),
            ],
            [READ_FILE],
        ),
        Answer("stop", ("all ", "done")),
    ),
]
