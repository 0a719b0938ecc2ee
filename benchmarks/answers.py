"""Answers as data: the backend's lines for them, OpenAI's chat stream for peers, and what each client must see."""

import itertools
from typing import Any

import msgspec
from msgspec import Struct

from benchmarks.conversation import MODEL, Call
from benchmarks.model import Form, Script, Seen

_PIECES = (
    "The answer is ",
    "in the file ",
    '"main.py",\n',
    "line forty-two: ",
    "the trains of ",
    "Zürich leave ",
    "on time. ",
)
_INPUT_TOKENS, _OUTPUT_TOKENS = 42, 7


class Answer(Struct, frozen=True):
    """What the model says, in the pieces in which it comes: thinking, then text, then a call."""

    text: tuple[str, ...]
    thinking: tuple[str, ...] = ()
    call: Call | None = None

    def script(self, pause: float = 0.0) -> Script:
        """What the backend sends: a line for each piece and for the call, and one for the end."""
        return Script(tuple(map(_json, self._lines())), tuple(map(_json, self._events())), _json(self._reply()), pause)

    def seen(self, form: Form) -> Seen:
        """What a client must see of it."""
        pieces = len(self.thinking) + len(self.text)
        if form.endswith("_reply"):
            pieces = bool(self.thinking) + bool(self.text)
        calls = ((self.call.name, self.call.arguments),) if self.call else ()
        return Seen(pieces, "".join(self.text), ended=True, thinking="".join(self.thinking), calls=calls)

    def _lines(self) -> list[dict[str, Any]]:
        lines: list[dict[str, Any]] = [
            {"text": "", "nodes": [{"id": 1, "type": 8, "thinking": {"content": piece}}]} for piece in self.thinking
        ]
        lines += ({"text": piece, "nodes": []} for piece in self.text)
        if self.call is not None:
            use = {"tool_use_id": self.call.id, "tool_name": self.call.name, "input_json": self.call.arguments}
            lines.append({"text": "", "nodes": [{"id": 2, "type": 5, "tool_use": use}]})
        usage = {"input_tokens": _INPUT_TOKENS, "output_tokens": _OUTPUT_TOKENS}
        end = {"text": "", "nodes": [{"id": 3, "type": 10, "token_usage": usage}]}
        return [*lines, {**end, "stop_reason": 3 if self.call else 1}]

    def _events(self) -> list[dict[str, Any]]:
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
        deltas += ({"reasoning_content": piece} for piece in self.thinking)
        deltas += ({"content": piece} for piece in self.text)
        if self.call is not None:
            deltas.append({"tool_calls": [{"index": 0, **_tool_call(self.call)}]})
        events = [_chunk([{"index": 0, "delta": delta, "finish_reason": None}]) for delta in deltas]
        end = _chunk([{"index": 0, "delta": {}, "finish_reason": self._finish_reason()}])
        return [*events, end, {**_chunk([]), "usage": _USAGE}]

    def _reply(self) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": "".join(self.text)}
        if self.thinking:
            message["reasoning_content"] = "".join(self.thinking)
        if self.call is not None:
            message["tool_calls"] = [_tool_call(self.call)]
        choice = {"index": 0, "message": message, "finish_reason": self._finish_reason()}
        return {**_chunk([choice]), "object": "chat.completion", "usage": _USAGE}

    def _finish_reason(self) -> str:
        return "tool_calls" if self.call else "stop"


_USAGE = {
    "prompt_tokens": _INPUT_TOKENS,
    "completion_tokens": _OUTPUT_TOKENS,
    "total_tokens": _INPUT_TOKENS + _OUTPUT_TOKENS,
}


def text_pieces(count: int) -> tuple[str, ...]:
    """So many pieces of text, of about a token or three each."""
    return tuple(itertools.islice(itertools.cycle(_PIECES), count))


def _chunk(choices: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_750_000_000,
        "model": MODEL,
        "choices": choices,
    }


def _tool_call(call: Call) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
