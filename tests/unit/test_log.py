"""One record for each request, in the issue's two forms; text that a client gave can't forge a line."""

import asyncio
import io
import json
import sys
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augment_open_proxy.core.conversation import Text
from augment_open_proxy.core.errors import ErrorKind, Problem
from augment_open_proxy.core.events import (
    BlockDelta,
    BlockStart,
    BlockStop,
    Cancelled,
    Event,
    Failure,
    Finish,
    Opening,
    Usage,
)
from augment_open_proxy.journal.log import LONGEST, Format, Log, Verbosity, as_json, as_text, without_base64
from augment_open_proxy.journal.record import Record, Recorder

TS = "2026-05-04T12:34:56.789Z"
SECONDS = 1777898096.789
REQUEST_ID = "chatcmpl-00000000-0000-4000-8000-000000000001"
PATH = "/v1/chat/completions"


def record(**fields: Any) -> Record:
    return Record("POST", PATH, 100.0, **{"status": 200, **fields})


def chat(**fields: Any) -> Record:
    known = {"request_id": REQUEST_ID, "model": "opus4.7", "effective_model": "claude-opus-4-7-high", "stream": True}
    return record(**{**known, "usage": Usage(2, 128, 40), **fields})


def text(entry: Record) -> str:
    return as_text(entry, TS, 842)


def parsed(entry: Record) -> dict[str, Any]:
    line = as_json(entry, TS, 842)
    assert line.endswith("}\n")
    assert len(line.splitlines()) == 1
    value = json.loads(line)
    assert isinstance(value, dict)
    return value


# --- The forms ---


def test_the_text_form() -> None:
    assert text(chat(error="It broke.")) == (
        f"[{TS}] WARN POST {PATH} 200 842ms model=opus4.7 effective=claude-opus-4-7-high stream=true "
        f'req={REQUEST_ID} tokens=42/128/170 error="It broke."\n'
    )


def test_the_json_form() -> None:
    assert parsed(chat(error="It broke.")) == {
        "ts": TS,
        "level": "warn",
        "method": "POST",
        "path": PATH,
        "status": 200,
        "durationMs": 842,
        "requestId": REQUEST_ID,
        "model": "opus4.7",
        "effectiveModel": "claude-opus-4-7-high",
        "stream": True,
        "usage": {"input_tokens": 42, "output_tokens": 128, "total_tokens": 170},
        "error": "It broke.",
    }


def test_what_does_not_apply_is_left_out() -> None:
    entry = Record("GET", "/v1/models", 100.0, status=200)
    assert text(entry) == f"[{TS}] INFO GET /v1/models 200 842ms\n"
    assert list(parsed(entry)) == ["ts", "level", "method", "path", "status", "durationMs"]


@pytest.mark.parametrize("effective", [None, "opus4.7"])
def test_the_effective_model_is_told_when_it_differs(effective: str | None) -> None:
    assert "effective" not in text(chat(effective_model=effective))
    assert "effectiveModel" not in parsed(chat(effective_model=effective))


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (None, "?/?/?"),
        (Usage(), "?/?/?"),
        (Usage(input=7), "7/?/?"),
        (Usage(output=3), "?/3/?"),
        (Usage(0, 0), "0/0/0"),
        (Usage(1, 2, 10, 100), "111/2/113"),
    ],
)
def test_unknown_tokens_are_question_marks(usage: Usage | None, expected: str) -> None:
    assert f" tokens={expected}\n" in text(chat(usage=usage))


def test_an_unknown_status_is_a_question_mark() -> None:
    assert text(record(status=None)) == f"[{TS}] ERROR POST {PATH} ? 842ms\n"
    assert parsed(record(status=None))["status"] is None


@pytest.mark.parametrize(
    ("status", "error", "level"),
    [
        (200, None, "INFO"),
        (404, None, "WARN"),
        (499, "left", "WARN"),
        (200, "broke in the stream", "WARN"),
        (500, None, "ERROR"),
        (502, "broke", "ERROR"),
        (None, None, "ERROR"),
    ],
)
def test_levels(status: int | None, error: str | None, level: str) -> None:
    assert record(status=status, error=error).level == level


def test_notices_are_told() -> None:
    assert text(chat(notices=("ignored: stop", "b"))).endswith(' notices="ignored: stop; b"\n')
    assert parsed(chat(notices=("ignored: stop", "b")))["notices"] == ["ignored: stop", "b"]


def test_bodies_are_on_indented_lines_of_their_own() -> None:
    entry = chat(request={"model": "m", "x": [1, "é\n"]}, response=msgspec.Raw(b'{"id":"a"}'))
    head, *lines = text(entry).splitlines()
    assert head == text(chat())[:-1]
    assert lines == ['  request: {"model":"m","x":[1,"é\\n"]}', '  response: {"id":"a"}']
    value = parsed(entry)
    assert (value["request"], value["response"]) == ({"model": "m", "x": [1, "é\n"]}, {"id": "a"})


# --- Forging ---

NASTY = [
    f"x\n[{TS}] INFO GET / 200 1ms",
    "x\r\ny",
    "\x1b[2J\x1b[31mred",
    "\x9b31m",
    "a\u2028b\u2029c\x85d",
    "a\x0bb\x0cc\x1cd\x1ee",
    "\u202egnirts",
    'x" error="forged',
    "x stream=false",
    "x\\",
    "\ud800",
    "\0\x7f",
    "",
]


def sound(value: str) -> str:
    """As JSON can carry it."""
    return value.encode(errors="replace").decode()


FIELDS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(("method", "path", "model", "effective_model", "error"), str),
    "notices": lambda value: (value,),
    "request": lambda value: {sound(value): sound(value)},
    "response": lambda value: msgspec.Raw(json.dumps(sound(value), ensure_ascii=False).encode()),
}


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("value", NASTY, ids=ascii)
def test_text_that_a_client_gave_cannot_forge_a_line(field: str, value: str) -> None:
    entry = chat()
    setattr(entry, field, FIELDS[field](value))
    lines = text(entry).splitlines()
    assert len(lines) == (2 if field in ("request", "response") else 1)
    assert all(line.isprintable() for line in lines)
    assert lines[0].startswith(f"[{TS}] INFO ") or field == "error"
    parsed(entry)


@pytest.mark.parametrize("form", ["text", "json"])
def test_what_a_client_gave_is_cut_where_it_is_long(form: Format) -> None:
    """A model's name may be as long as a body, and an error quotes it."""
    lines: list[str] = []
    log = Log("info", form, write=lines.append)
    most = "m" * LONGEST
    for name in (most, most + "m"):
        log.write(chat(model=name, error=name, notices=(name,)))
    assert most in lines[0]
    assert f"{most}…" not in lines[0]
    assert lines[1].count(f"{most}…") == 3


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_secret_where_a_text_is_cut_is_not_shown_in_part(form: Format) -> None:
    lines: list[str] = []
    log = Log("info", form, write=lines.append)
    log.hide(lambda: ["aop-secret-token"])
    quoting = "m" * (LONGEST - 10) + "aop-secret-token"
    log.write(chat(model=quoting, error=quoting, notices=(quoting,)))
    assert "aop-secret" not in lines[0]
    assert lines[0].count("mmm***") == 3


def test_fields_of_a_client_stay_one_word_each() -> None:
    line = text(chat(model='m" error="x', effective_model="a b=c"))
    assert ' model="m\\" error=\\"x" effective="a b=c" stream=true ' in line


@given(st.text(st.characters(exclude_categories=[])))
@settings(deadline=None)
def test_no_text_at_all_can_forge_a_line(value: str) -> None:
    line = text(chat(model=value, error=value))
    assert len(line.splitlines()) == 1
    assert line[:-1].isprintable()


def test_printable_text_of_any_language_stays_readable() -> None:
    assert 'error="Größe: 大きい 😀"' in text(chat(error="Größe: 大きい 😀"))


# --- Base64 ---

DATA = "iVBORw0KGgo" * 100
CUT = f"<{len(DATA)} characters of base64>"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (f"data:image/png;base64,{DATA}", f"data:image/png;base64,{CUT}"),
        (f"DATA:image/png;x=1;BASE64,{DATA}", f"DATA:image/png;x=1;BASE64,{CUT}"),
        ({"url": [f"data:image/png;base64,{DATA}"]}, {"url": [f"data:image/png;base64,{CUT}"]}),
        ({"source": {"type": "base64", "data": DATA}}, {"source": {"type": "base64", "data": CUT}}),
        ({"file": {"file_data": DATA}}, {"file": {"file_data": CUT}}),
        ({"data": "iVBORw0KGgo="}, {"data": "iVBORw0KGgo="}),
        ({"data": {"x": 1}, "n": None, "f": 1.5}, {"data": {"x": 1}, "n": None, "f": 1.5}),
        ({"data": "No base64 but words, " * 20}, {"data": "No base64 but words, " * 20}),
        ("data: and then " + "words " * 50, "data: and then " + "words " * 50),
        ("text " * 1000, "text " * 1000),
    ],
)
def test_bodies_are_whole_but_for_base64(value: Any, expected: Any) -> None:
    assert without_base64(value) == expected


@pytest.mark.parametrize(("start", "end"), [("[", "]"), ('{"a":', "}")])
def test_a_body_as_deep_as_it_can_be_parsed_is_no_trouble(start: str, end: str) -> None:
    value = msgspec.json.decode(start * 700 + "1" + end * 700)
    assert len(text(chat(request=without_base64(value))).splitlines()) == 2


# --- Writing ---


def written(verbosity: Verbosity, format_: Format) -> list[str]:
    lines: list[str] = []
    log = Log(verbosity, format_, write=lines.append, monotonic=lambda: 100.8424, clock=lambda: SECONDS)
    log.write(chat())
    return lines


def test_each_record_is_written_at_once_with_its_time_and_duration() -> None:
    assert written("info", "text") == [text(chat())]
    assert written("body", "text") == [text(chat())]
    assert written("info", "json") == [as_json(chat(), TS, 842)]
    assert written("none", "text") == written("none", "json") == []


@pytest.mark.parametrize(("verbosity", "keeps"), [("none", False), ("info", False), ("body", True)])
def test_bodies_are_kept_only_where_they_are_logged(verbosity: Verbosity, keeps: bool) -> None:
    assert Log(verbosity, "text").keeps_bodies is keeps


def test_the_log_goes_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    Log("info", "text", monotonic=lambda: 100.842, clock=lambda: SECONDS).write(chat())
    assert capsys.readouterr().out == text(chat())


class Broken(io.StringIO):
    def __init__(self, error: OSError) -> None:
        super().__init__()
        self._error = error

    def write(self, text: str) -> int:
        raise self._error


CLOSED = io.StringIO()
CLOSED.close()


@pytest.mark.parametrize(
    "stdout",
    [
        Broken(BrokenPipeError()),
        Broken(OSError(5, "Input/output error")),  # a terminal that went away
        Broken(OSError(28, "No space left on device")),
        CLOSED,
        None,  # as under pythonw on Windows
    ],
)
def test_a_stdout_that_takes_nothing_is_no_reason_to_fail(stdout: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", stdout)
    Log("info", "text").write(chat())


# --- What the recorder sees ---

OPENING = Opening("chatcmpl-1", 1, "m", 10)
BLOCK: list[Event] = [BlockStart(0, Text("")), BlockDelta(0, "Hi."), BlockStop(0)]


@pytest.mark.parametrize(
    ("end", "usage", "error"),
    [
        (Finish("stop", 1, Usage(1, 2)), Usage(1, 2), None),
        (Failure(Problem(ErrorKind.BACKEND, "It broke.")), None, "It broke."),
        (Failure(Problem(ErrorKind.BACKEND, "It broke."), Usage(1, 2)), Usage(1, 2), "It broke."),
        (Cancelled(), None, "the client left before the end"),
    ],
)
@pytest.mark.parametrize("keep_body", [True, False])
def test_the_recorder_fills_in_the_record(end: Event, usage: Usage | None, error: str | None, keep_body: bool) -> None:
    entry = record()
    recorder = Recorder(entry, keep_body=keep_body)
    batches: list[list[Event]] = [[OPENING], BLOCK[:2], [*BLOCK[2:], end]]
    for batch in batches:
        recorder.feed(batch)
    assert (entry.usage, entry.error) == (usage, error)
    kept = keep_body and isinstance(end, Finish)
    assert [reply.blocks for reply in recorder.replies] == [(Text("Hi."),)] * kept


@pytest.mark.parametrize(
    ("counts", "batches", "spent"),
    [(True, [[OPENING]], 70), (True, [[OPENING], BLOCK], 70), (True, [], 0), (False, [[OPENING]], 0)],
    ids=["begun", "with content", "not begun", "of another exchange"],
)
def test_what_a_client_broke_off_is_taken_to_cost_its_prompt(
    counts: bool, batches: list[list[Event]], spent: int
) -> None:
    entry = record()
    entry.estimate_input = lambda: 70
    recorder = Recorder(entry, keep_body=False, counts=counts)
    for batch in batches:
        recorder.feed(batch)
    recorder.feed([Cancelled()])
    assert entry.spent == spent


def test_the_tokens_of_a_stored_reply_were_another_exchange_s() -> None:
    entry = record()
    Recorder(entry, keep_body=False, counts=False).feed([OPENING, *BLOCK, Finish("stop", 1, Usage(1, 2))])
    assert (entry.usage, entry.error) == (None, None)


def test_lines_of_one_turn_of_the_loop_are_one_write(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []

    class Stdout(io.StringIO):
        def write(self, text: str) -> int:
            written.append(text)
            return len(text)

    monkeypatch.setattr(sys, "stdout", Stdout())
    log = Log("info", "text")

    async def story() -> None:
        log.write(Record("GET", "/one", 0.0))
        log.write(Record("GET", "/two", 0.0))
        assert written == []
        await asyncio.sleep(0)
        assert [text.count("\n") for text in written] == [2]
        log.write(Record("GET", "/three", 0.0))

    asyncio.run(story())
    assert "/three" in written[1]
    log.write(Record("GET", "/four", 0.0))
    assert "/four" in written[2]
