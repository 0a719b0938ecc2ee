"""Records → lines on stdout, as text for people or as JSON. Text that a client gave can't forge a line."""

import asyncio
import contextlib
import datetime
import json
import logging
import re
import sys
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Literal

import msgspec

from augment_open_proxy.core.events import Usage
from augment_open_proxy.journal.masking import Secrets, masked, without
from augment_open_proxy.journal.record import Record

Verbosity = Literal["none", "info", "body"]
Format = Literal["text", "json"]
_encoder = msgspec.json.Encoder()
_BASE64_KEPT = 64
LONGEST = 1000
"""Characters of a model's name, an error or a notice that are shown: each may quote what a client sent."""
_PLAIN = re.compile(r"[!#-<>-~]+")
"""ASCII without blank, quotation mark and equals sign."""
_BASE64 = re.compile(r"[A-Za-z0-9+/=_\s-]+")


class Log:
    """Writes a line for each record; a reader that went away (a closed pipe) is no reason to fail."""

    def __init__(
        self,
        verbosity: Verbosity,
        format_: Format,
        *,
        body_limit: int = 0,
        write: Callable[[str], object] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`body_limit`: the bytes that are shown of each body, 0 for all."""
        self._verbosity = verbosity
        self._body_limit = body_limit
        self._secrets: Secrets = tuple
        self._format = as_text if format_ == "text" else as_json
        self._write = write or Stdout()
        self._monotonic = monotonic
        self._clock = clock

    @property
    def keeps_bodies(self) -> bool:
        return self._verbosity == "body"

    def hide(self, secrets: Secrets) -> None:
        """Show none of these from now on."""
        self._secrets = secrets

    def masked(self, text: str) -> str:
        """`text` without the secrets that are known by themselves."""
        return without(self._secrets(), text)

    def write(self, record: Record) -> None:
        if self._verbosity == "none":
            return
        if record.notices or len(record.model or "") > LONGEST or len(record.error or "") > LONGEST:
            record = msgspec.structs.replace(
                record,
                model=record.model and self._shortened(record.model),
                error=record.error and self._shortened(record.error),
                notices=tuple(map(self._shortened, record.notices)),
            )
        duration_ms = round((self._monotonic() - record.started) * 1000)
        secrets = [*self._secrets()]
        if record.request is not None or record.response is not None:
            record = msgspec.structs.replace(
                record, request=self._shown(record.request, secrets), response=self._shown(record.response, secrets)
            )
        self._write(without(secrets, self._format(record, _timestamp(self._clock()), duration_ms)))

    def _shortened(self, text: str) -> str:
        """A text that is cut where it is too long, without secrets: what is left of one there could not be told."""
        text = self.masked(text) if len(text) > LONGEST else text
        return f"{text[:LONGEST]}…" if len(text) > LONGEST else text

    def _shown(self, body: Any, secrets: Sequence[str]) -> Any:
        """A body without secrets, cut where it is too long."""
        if body is None:
            return None
        text = masked(without(secrets, _json(body)))
        if 0 < self._body_limit < len(text):
            return f"{text[: self._body_limit]}… ({len(text)} bytes)"
        return msgspec.Raw(text.encode())


class Formatter(logging.Formatter):
    """What Python's own log shows, such as the traceback of a crash: without secrets, too."""

    def __init__(self, log: Log) -> None:
        super().__init__("%(levelname)s %(name)s: %(message)s")
        self._log = log

    def format(self, record: logging.LogRecord) -> str:
        return self._log.masked(super().format(record))


def as_text(record: Record, timestamp: str, duration_ms: int) -> str:
    """One line for people; bodies follow on lines of their own, indented by two spaces."""
    status = "?" if record.status is None else record.status
    line = f"[{timestamp}] {record.level} {_word(record.method)} {_word(record.path)} {status} {duration_ms}ms"
    model, effective = record.model, record.effective_model
    if model is not None:
        line += f" model={_word(model)}"
    if effective is not None and effective != model:
        line += f" effective={_word(effective)}"
    if record.stream is not None:
        line += " stream=true" if record.stream else " stream=false"
    if record.request_id is not None:
        line += f" req={record.request_id}"
    if model is not None:
        line += f" tokens={_tokens(record.usage)}"
    if record.notices:
        line += f" notices={_json('; '.join(record.notices))}"
    if record.error is not None:
        line += f" error={_json(record.error)}"
    bodies = [f"  {name}: {_json(body)}\n" for name, body in _bodies(record)]
    return "".join([line, "\n", *bodies])


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
    try:
        return _without_base64(value)
    except RecursionError:
        return "<nested too deeply to be shown>"


def _without_base64(value: Any) -> Any:
    match value:
        case dict():
            return {
                key: _cut(item) if key in ("data", "file_data") and isinstance(item, str) else _without_base64(item)
                for key, item in value.items()
            }
        case list():
            return [_without_base64(item) for item in value]
        case str() if value[:5].lower() == "data:":
            head, comma, data = value.partition(",")
            return head + comma + _cut(data) if head.lower().endswith(";base64") else value
        case _:
            return value


def _cut(data: str) -> str:
    is_base64 = len(data) > _BASE64_KEPT and _BASE64.fullmatch(data) is not None
    return f"<{len(data)} characters of base64>" if is_base64 else data


def _bodies(record: Record) -> list[tuple[str, Any]]:
    bodies = (("request", record.request), ("response", record.response))
    return [(name, body) for name, body in bodies if body is not None]


def _usage(usage: Usage) -> dict[str, int | None]:
    return {"input_tokens": usage.prompt, "output_tokens": usage.output, "total_tokens": usage.total}


def _tokens(usage: Usage | None) -> str:
    if usage is None:
        return "?/?/?"
    prompt, output = usage.prompt, usage.output
    if prompt is not None and output is not None:
        return f"{prompt}/{output}/{prompt + output}"
    return f"{'?' if prompt is None else prompt}/{'?' if output is None else output}/?"


@lru_cache(maxsize=64)
def _word(text: str) -> str:
    """Text that a client gave, as one word: quoted where it is not one already."""
    return text if _PLAIN.fullmatch(text) else _json(text)


def _json(value: Any) -> str:
    """As JSON on one line; what a terminal or a reader of lines would obey, or not show, is escaped."""
    try:
        text = _encoder.encode(value).decode()
    except UnicodeEncodeError:  # a lone surrogate, as in the name of a file that is not UTF-8
        text = json.dumps(value)
    return text if text.isprintable() else "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    data = character.encode("utf-16-be")
    return "".join(f"\\u{int.from_bytes(data[i : i + 2]):04x}" for i in range(0, len(data), 2))


def _timestamp(seconds: float) -> str:
    whole, milliseconds = divmod(int(seconds * 1000), 1000)
    return f"{_second(whole)}.{milliseconds:03d}Z"


@lru_cache(maxsize=2)
def _second(seconds: int) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S")


class Stdout:
    """Writes lines. Those of one turn of the event loop go out as one, since each write is a system call."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def __call__(self, line: str) -> None:
        self._lines.append(line)
        if len(self._lines) > 1:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._flush()
        else:
            loop.call_soon(self._flush)

    def _flush(self) -> None:
        text = "".join(self._lines)
        self._lines.clear()
        _write_stdout(text)


def _write_stdout(line: str) -> None:
    """Write and flush. A reader that went away, or a full disk, must not end the requests."""
    if sys.stdout is None:  # as under pythonw
        return
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.write(line)
        sys.stdout.flush()
