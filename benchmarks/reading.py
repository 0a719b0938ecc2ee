"""What a body says, by its form. Raises `ValueError` where it is not of that form."""

from collections.abc import Callable

import msgspec
from msgspec import Struct

from benchmarks.model import Form, Seen


class _Line(Struct):
    text: str = ""
    stop_reason: int | None = None


class _Delta(Struct):
    content: str | None = None


class _Choice(Struct):
    delta: _Delta = msgspec.field(default_factory=_Delta)
    message: _Delta = msgspec.field(default_factory=_Delta)
    finish_reason: str | None = None


class _Completion(Struct):
    choices: list[_Choice]


_decode_line = msgspec.json.Decoder(_Line).decode
_decode_completion = msgspec.json.Decoder(_Completion).decode


def _ndjson(body: bytes) -> Seen:
    lines = [_decode_line(line) for line in body.splitlines()]
    texts = [line.text for line in lines if line.text]
    return Seen(len(texts), "".join(texts), ended=bool(lines) and lines[-1].stop_reason == 1 and body.endswith(b"\n"))


def _chat_reply(body: bytes) -> Seen:
    (choice,) = _decode_completion(body).choices
    return Seen(1, choice.message.content or "", choice.finish_reason == "stop")


def _chat_stream(body: bytes) -> Seen:
    *events, end, rest = body.split(b"\n\n")
    texts: list[str] = []
    finished = False
    for event in events:
        if not event.startswith(b"data: "):
            raise ValueError(f"an event begins with {event[:20]!r}")
        for choice in _decode_completion(event[6:]).choices:
            if choice.delta.content:
                texts.append(choice.delta.content)
            finished = finished or choice.finish_reason == "stop"
    return Seen(len(texts), "".join(texts), finished and end == b"data: [DONE]" and not rest)


_READERS: dict[Form, Callable[[bytes], Seen]] = {
    "ndjson": _ndjson,
    "chat_reply": _chat_reply,
    "chat_stream": _chat_stream,
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
    except ValueError as error:  # msgspec's are such
        return f"the body is not a {form} ({error}): {body[:200]!r}"
    if seen.pieces != expected.pieces:
        return f"{seen.pieces} pieces of text instead of {expected.pieces}"
    if seen.text != expected.text:
        return f"another text, of {len(seen.text)} characters: {seen.text[:80]!r}"
    return None if seen.ended else f"the end is missing: {body[-200:]!r}"
