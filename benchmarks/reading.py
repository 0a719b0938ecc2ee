"""What a body says, by its form. Raises `ValueError` where it is not of that form."""

from collections.abc import Callable, Iterator

import msgspec

from benchmarks import wire
from benchmarks.model import Form, Seen

_decode_line = msgspec.json.Decoder(wire.Line).decode
_decode_completion = msgspec.json.Decoder(wire.Completion).decode
_decode_message = msgspec.json.Decoder(wire.Message).decode
_decode_message_event = msgspec.json.Decoder(wire.MessageEvent).decode
_decode_response = msgspec.json.Decoder(wire.Response).decode
_decode_response_event = msgspec.json.Decoder(wire.ResponseEvent).decode


class _Notes:
    """What has been seen so far."""

    def __init__(self) -> None:
        self.pieces = 0
        self._text: list[str] = []
        self._thinking: list[str] = []
        self._calls: list[tuple[str, list[str]]] = []
        self.reason: str | int | None = None
        """Why it ended, in the words of the API."""

    def text(self, piece: str | None) -> None:
        if piece:
            self.pieces += 1
            self._text.append(piece)

    def thinking(self, piece: str | None) -> None:
        if piece:
            self.pieces += 1
            self._thinking.append(piece)

    def call(self, name: str, arguments: str = "") -> None:
        self._calls.append((name, [arguments]))

    def arguments(self, piece: str) -> None:
        self._calls[-1][1].append(piece)

    def seen(self, reasons: tuple[str | int, str | int], *, ended: bool) -> Seen:
        """`reasons` are that of a good end, and that of one with calls."""
        calls = tuple((name, "".join(arguments)) for name, arguments in self._calls)
        ended = ended and self.reason == reasons[bool(calls)]
        return Seen(self.pieces, "".join(self._text), ended, "".join(self._thinking), calls)


def _ndjson(body: bytes) -> Seen:
    notes = _Notes()
    for line in map(_decode_line, body.splitlines()):
        for node in line.nodes:
            if node.thinking is not None:
                notes.thinking(node.thinking.content)
            if node.tool_use is not None:
                notes.call(node.tool_use.tool_name, node.tool_use.input_json)
        notes.text(line.text)
        notes.reason = line.stop_reason
    return notes.seen((1, 3), ended=body.endswith(b"\n"))


_CHAT_REASONS = ("stop", "tool_calls")


def _note_chat(said: wire.Said, notes: _Notes) -> None:
    notes.thinking(said.reasoning_content)
    notes.text(said.content)
    for call in said.tool_calls or ():
        if call.function.name:
            notes.call(call.function.name)
        notes.arguments(call.function.arguments)


def _chat_reply(body: bytes) -> Seen:
    notes = _Notes()
    (choice,) = _decode_completion(body).choices
    _note_chat(choice.message, notes)
    notes.reason = choice.finish_reason
    return notes.seen(_CHAT_REASONS, ended=True)


def _chat_stream(body: bytes) -> Seen:
    notes = _Notes()
    *events, end, rest = body.split(b"\n\n")
    for event in events:
        for choice in _decode_completion(_data(event, b"data: ")).choices:
            _note_chat(choice.delta, notes)
            notes.reason = choice.finish_reason or notes.reason
    return notes.seen(_CHAT_REASONS, ended=end == b"data: [DONE]" and not rest)


_MESSAGES_REASONS = ("end_turn", "tool_use")


def _messages_reply(body: bytes) -> Seen:
    notes = _Notes()
    message = _decode_message(body)
    for block in message.content:
        notes.thinking(block.thinking)
        notes.text(block.text)
        if block.type == "tool_use":
            notes.call(block.name, bytes(block.input).decode())
    notes.reason = message.stop_reason
    return notes.seen(_MESSAGES_REASONS, ended=True)


def _messages_stream(body: bytes) -> Seen:
    notes = _Notes()
    kind = ""
    for data in _named_events(body):
        event = _decode_message_event(data)
        kind = event.type
        if event.content_block.type == "tool_use":
            notes.call(event.content_block.name)
        notes.thinking(event.delta.thinking)
        notes.text(event.delta.text)
        if event.delta.partial_json:
            notes.arguments(event.delta.partial_json)
        notes.reason = event.delta.stop_reason or notes.reason
    return notes.seen(_MESSAGES_REASONS, ended=kind == "message_stop")


_RESPONSES_REASONS = ("completed", "completed")


def _responses_reply(body: bytes) -> Seen:
    notes = _Notes()
    response = _decode_response(body)
    for item in response.output:
        notes.thinking("".join(part.text for part in item.summary))
        notes.text("".join(part.text for part in item.content))
        if item.type == "function_call":
            notes.call(item.name, item.arguments)
    notes.reason = response.status
    return notes.seen(_RESPONSES_REASONS, ended=True)


def _responses_stream(body: bytes) -> Seen:
    """The calls are read from the response at the end, for the deltas do not name them."""
    notes = _Notes()
    last = wire.ResponseEvent("")
    for data in _named_events(body):
        last = _decode_response_event(data)
        if last.type == "response.reasoning_summary_text.delta":
            notes.thinking(last.delta)
        elif last.type == "response.output_text.delta":
            notes.text(last.delta)
    if last.response is not None:
        for item in last.response.output:
            if item.type == "function_call":
                notes.call(item.name, item.arguments)
        notes.reason = last.response.status
    return notes.seen(_RESPONSES_REASONS, ended=last.type == "response.completed")


def _named_events(body: bytes) -> Iterator[bytes]:
    *events, rest = body.split(b"\n\n")
    for event in events:
        name, _, data = event.partition(b"\n")
        _data(name, b"event: ")
        yield _data(data, b"data: ")
    if rest:
        raise ValueError(f"it ends with {rest[-20:]!r}")


def _data(line: bytes, start: bytes) -> bytes:
    if not line.startswith(start):
        raise ValueError(f"an event begins with {line[:20]!r}")
    return line[len(start) :]


_READERS: dict[Form, Callable[[bytes], Seen]] = {
    "ndjson": _ndjson,
    "chat_reply": _chat_reply,
    "chat_stream": _chat_stream,
    "messages_reply": _messages_reply,
    "messages_stream": _messages_stream,
    "responses_reply": _responses_reply,
    "responses_stream": _responses_stream,
}


def read(form: Form, body: bytes) -> Seen:
    """What `body` says."""
    return _READERS[form](body)


def fault(form: Form, status: int, body: bytes, expected: Seen) -> str | None:
    """What is wrong with an answer, in a few words; `None` if nothing is."""
    if status != 200:
        return f"the status is {status}: {body[:200]!r}"
    try:
        seen = read(form, body)
    except (ValueError, IndexError) as error:  # msgspec's are `ValueError`; arguments without a call the other
        return f"the body is not a {form} ({error}): {body[:200]!r}"
    if seen.pieces != expected.pieces:
        return f"{seen.pieces} pieces of text instead of {expected.pieces}"
    if seen.text != expected.text:
        return f"another text, of {len(seen.text)} characters: {seen.text[:80]!r}"
    if seen.thinking != expected.thinking:
        return f"another thinking, of {len(seen.thinking)} characters: {seen.thinking[:80]!r}"
    if seen.calls != expected.calls:
        return f"other calls: {seen.calls!r}"
    return None if seen.ended else f"the end is missing: {body[-200:]!r}"
