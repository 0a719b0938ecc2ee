"""Records → lines on stdout, as text for people or as JSON. Text that a client gave can't forge a line."""

import contextlib
import datetime
import sys
import time
from collections.abc import Callable
from typing import Any, Literal

import msgspec

from augment_open_proxy.core.events import Usage
from augment_open_proxy.journal.record import Record

Verbosity = Literal["none", "info", "body"]
Format = Literal["text", "json"]
_encoder = msgspec.json.Encoder()
_BASE64_KEPT = 64


class Log:
    """Writes a line for each record; a reader that went away (a closed pipe) is no reason to fail."""

    def __init__(
        self,
        verbosity: Verbosity,
        format_: Format,
        *,
        write: Callable[[str], object] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._verbosity = verbosity
        self._format = as_text if format_ == "text" else as_json
        self._write = write or _write_stdout
        self._monotonic = monotonic
        self._clock = clock

    @property
    def keeps_bodies(self) -> bool:
        return self._verbosity == "body"

    def write(self, record: Record) -> None:
        if self._verbosity != "none":
            duration_ms = round((self._monotonic() - record.started) * 1000)
            self._write(self._format(record, _timestamp(self._clock()), duration_ms))


def as_text(record: Record, timestamp: str, duration_ms: int) -> str:
    """One line for people; bodies follow on lines of their own, indented by two spaces."""
    status = "-" if record.status is None else record.status
    words = [f"[{timestamp}] {record.level} {record.method} {_word(record.path)} {status} {duration_ms}ms"]
    if record.model is not None:
        words.append(f"model={_word(record.model)}")
    if record.effective_model not in (None, record.model):
        words.append(f"effective={_word(record.effective_model or '')}")
    if record.stream is not None:
        words.append(f"stream={'true' if record.stream else 'false'}")
    if record.request_id is not None:
        words.append(f"req={record.request_id}")
    if record.model is not None:
        words.append(f"tokens={_tokens(record.usage)}")
    if record.notices:
        words.append(f"notices={_quoted('; '.join(record.notices))}")
    if record.error is not None:
        words.append(f"error={_quoted(record.error)}")
    lines = [" ".join(words)]
    lines += [f"  {name}: {_json(body)}" for name, body in _bodies(record)]
    return "\n".join(lines) + "\n"


def as_json(record: Record, timestamp: str, duration_ms: int) -> str:
    """One JSON object on one line."""
    fields: dict[str, Any] = {
        "ts": timestamp,
        "level": record.level.lower(),
        "method": record.method,
        "path": record.path,
        "status": record.status,
        "durationMs": duration_ms,
    }
    optional = {
        "requestId": record.request_id,
        "model": record.model,
        "effectiveModel": None if record.effective_model == record.model else record.effective_model,
        "stream": record.stream,
        "usage": None if record.usage is None else _usage(record.usage),
        "notices": record.notices or None,
        "error": record.error,
        **dict(_bodies(record)),
    }
    fields |= {name: value for name, value in optional.items() if value is not None}
    return _json(fields) + "\n"


def without_base64(value: Any) -> Any:
    """A copy of a parsed body in which long base64 data (of pictures and files) is named instead of shown."""
    match value:
        case dict():
            return {
                key: _cut(item) if key in ("data", "file_data") and isinstance(item, str) else without_base64(item)
                for key, item in value.items()
            }
        case list():
            return [without_base64(item) for item in value]
        case str() if value[:5].lower() == "data:" and ";base64," in value[:256]:
            head, comma, data = value.partition(",")
            return head + comma + _cut(data)
        case _:
            return value


def _cut(data: str) -> str:
    return data if len(data) <= _BASE64_KEPT else f"<{len(data)} characters of base64>"


def _bodies(record: Record) -> list[tuple[str, Any]]:
    bodies = (("request", record.request), ("response", record.response))
    return [(name, body) for name, body in bodies if body is not None]


def _usage(usage: Usage) -> dict[str, int | None]:
    return {"input_tokens": usage.prompt, "output_tokens": usage.output, "total_tokens": usage.total}


def _tokens(usage: Usage | None) -> str:
    counts = (None, None, None) if usage is None else (usage.prompt, usage.output, usage.total)
    return "/".join("?" if count is None else str(count) for count in counts)


def _word(text: str) -> str:
    """Text that a client gave, as one word: quoted where it is not one already."""
    plain = text.isascii() and text.isprintable() and not any(c in text for c in ' "=')
    return text if plain and text else _quoted(text)


def _quoted(text: str) -> str:
    """As a JSON string; what a terminal would obey or not show is escaped."""
    quoted = _json(text)
    return "".join(c if c.isprintable() else "".join(f"\\u{unit:04x}" for unit in _utf16(c)) for c in quoted)


def _utf16(character: str) -> list[int]:
    data = character.encode("utf-16-be", "surrogatepass")
    return [int.from_bytes(data[i : i + 2]) for i in range(0, len(data), 2)]


def _json(value: Any) -> str:
    return _encoder.encode(value).decode()


def _timestamp(seconds: float) -> str:
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _write_stdout(line: str) -> None:
    with contextlib.suppress(BrokenPipeError, ValueError):
        sys.stdout.write(line)
        sys.stdout.flush()
