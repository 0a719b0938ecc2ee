"""The benchmark's answers, as its backend sends them, and how they are read in each form."""

import pytest
from benchmarks.answers import Answer
from benchmarks.backend import rendered
from benchmarks.conversation import Call
from benchmarks.model import DIALECTS, Form, Script, Seen
from benchmarks.reading import fault, read
from benchmarks.scenarios import SCENARIOS

per_scenario = pytest.mark.parametrize("name", SCENARIOS)

CHAT_STREAM = (
    b'data: {"choices":[{"delta":{"role":"assistant","content":""},"finish_reason":null}]}\n\n'
    b'data: {"choices":[{"delta":{"content":"a"},"finish_reason":null}]}\n\n'
    b'data: {"choices":[{"delta":{"content":"b"},"finish_reason":null}]}\n\n'
    b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
    b'data: {"choices":[],"usage":{}}\n\n'
    b"data: [DONE]\n\n"
)
MESSAGES_STREAM = (
    b'event: message_start\ndata: {"type":"message_start","message":{}}\n\n'
    b'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"type":"text_delta","text":"a"}}\n\n'
    b'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"type":"text_delta","text":"b"}}\n\n'
    b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"}}\n\n'
    b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
)
RESPONSES_STREAM = (
    b'event: response.created\ndata: {"type":"response.created","response":{"status":"in_progress","output":[]}}\n\n'
    b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","delta":"a"}\n\n'
    b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","delta":"b"}\n\n'
    b'event: response.completed\ndata: {"type":"response.completed","response":{"status":"completed","output":[]}}\n\n'
)
CHAT_REPLY = b'{"choices":[{"message":{"content":"ab"},"finish_reason":"stop"}]}'
MESSAGES_REPLY = b'{"content":[{"type":"text","text":"ab"}],"stop_reason":"end_turn"}'
RESPONSES_REPLY = b'{"status":"completed","output":[{"type":"message","content":[{"type":"output_text","text":"ab"}]}]}'
NDJSON = b'{"text":"a"}\n{"text":"b"}\n{"text":"","stop_reason":1}\n'
ONE, TWO = Seen(1, "ab", ended=True), Seen(2, "ab", ended=True)


@pytest.mark.parametrize(
    ("form", "body", "seen"),
    [
        ("ndjson", NDJSON, TWO),
        ("chat_stream", CHAT_STREAM, TWO),
        ("messages_stream", MESSAGES_STREAM, TWO),
        ("responses_stream", RESPONSES_STREAM, TWO),
        ("chat_reply", CHAT_REPLY, ONE),
        ("messages_reply", MESSAGES_REPLY, ONE),
        ("responses_reply", RESPONSES_REPLY, ONE),
    ],
)
def test_good_answers_pass(form: Form, body: bytes, seen: Seen) -> None:
    assert read(form, body) == seen
    assert fault(form, 200, body, seen) is None
    assert "the status is 502" in (fault(form, 502, body, seen) or "")


@pytest.mark.parametrize(
    ("form", "body", "wrong"),
    [
        ("chat_stream", CHAT_STREAM.removesuffix(b"data: [DONE]\n\n"), "the end"),
        ("chat_stream", CHAT_STREAM + b"data: more", "the end"),
        ("chat_stream", CHAT_STREAM.replace(b'"stop"', b'"length"'), "the end"),
        ("chat_stream", CHAT_STREAM.replace(b'"b"', b'"c"'), "another text"),
        ("chat_stream", CHAT_STREAM.replace(b'"b"', b'""'), "1 pieces"),
        ("chat_stream", CHAT_STREAM.replace(b"data: {", b"event: {", 1), "not a chat_stream"),
        ("chat_stream", CHAT_STREAM.replace(b'"choices"', b'"error"', 1), "not a chat_stream"),
        ("chat_stream", b"", "not a chat_stream"),
        ("messages_stream", MESSAGES_STREAM[: MESSAGES_STREAM.index(b"event: message_stop")], "the end"),
        ("messages_stream", MESSAGES_STREAM.replace(b"end_turn", b"max_tokens"), "the end"),
        ("messages_stream", MESSAGES_STREAM.replace(b'"b"', b'"c"'), "another text"),
        ("messages_stream", MESSAGES_STREAM.replace(b'"text":"b"', b'"thinking":"b"'), "another text"),
        ("messages_stream", MESSAGES_STREAM.replace(b'"text":"b"', b'"partial_json":"b"'), "not a messages_stream"),
        ("messages_stream", MESSAGES_STREAM + b"event: e", "not a messages_stream"),
        ("messages_stream", b"data: {}\n\n", "not a messages_stream"),
        ("responses_stream", RESPONSES_STREAM[: RESPONSES_STREAM.index(b"event: response.completed")], "the end"),
        ("responses_stream", RESPONSES_STREAM.replace(b'"status":"completed"', b'"status":"failed"'), "the end"),
        ("responses_stream", RESPONSES_STREAM.replace(b'"b"', b'"c"'), "another text"),
        ("responses_stream", b"", "0 pieces"),
    ],
)
def test_spoiled_streams_fail(form: Form, body: bytes, wrong: str) -> None:
    assert wrong in (fault(form, 200, body, TWO) or "")


def test_spoiled_replies_and_lines_fail() -> None:
    assert "the end" in (fault("chat_reply", 200, CHAT_REPLY.replace(b"stop", b"length"), ONE) or "")
    assert "not a chat_reply" in (fault("chat_reply", 200, b'{"choices":[]}', ONE) or "")
    assert "the end" in (fault("messages_reply", 200, MESSAGES_REPLY.replace(b"end_turn", b"tool_use"), ONE) or "")
    assert "the end" in (fault("responses_reply", 200, RESPONSES_REPLY.replace(b"completed", b"failed"), ONE) or "")
    assert "the end" in (fault("ndjson", 200, NDJSON[:-1], TWO) or "")
    assert "the end" in (fault("ndjson", 200, NDJSON[:26], TWO) or "")


@per_scenario
def test_a_scenario_expects_what_its_backend_answers(name: str) -> None:
    scenario = SCENARIOS[name]
    body = "".join(f"{line}\n" for line in scenario.script.lines).encode()
    seen = read("ndjson", body)
    assert seen == scenario.exchanges["backend"].expected
    for exchange in scenario.exchanges.values():
        assert (exchange.expected.text, exchange.expected.calls) == (seen.text, seen.calls)
        assert scenario.marker.encode() in exchange.body


def test_scenarios_have_the_sizes_that_they_are_known_for() -> None:
    for dialect in DIALECTS:
        assert 1.0e6 < len(SCENARIOS["bigreq"].exchanges[dialect].body) < 1.2e6
        assert 145e3 < len(SCENARIOS["agent"].exchanges[dialect].body) < 170e3
    lines = {name: len(scenario.script.lines) for name, scenario in SCENARIOS.items()}
    assert lines == {"unary": 4, "burst": 500, "paced": 100, "bigreq": 4, "agent": 50}


def test_answers_are_the_same_in_openais_shape() -> None:
    answer = Answer(("a", "b"), ("think", "ing"), Call("toolu_1", "look", '{"at":"ü"}'))
    script = answer.script()
    stream = "".join(f"data: {event}\n\n" for event in (*script.events, "[DONE]")).encode()
    assert read("chat_stream", stream) == answer.seen("chat_stream")
    assert read("chat_reply", script.reply.encode()) == answer.seen("chat_reply")


# --- The stand-in for the backend ------------------------------------------------------------------------------------


def test_the_backend_sends_a_chunk_for_each_line() -> None:
    (whole,) = rendered(Script(("{}", "ü"))).augment.writes
    assert whole.endswith(b"\r\n\r\n3\r\n{}\n\r\n3\r\n\xc3\xbc\n\r\n0\r\n\r\n")


def test_with_a_pause_each_line_is_a_write_of_its_own() -> None:
    first, second = rendered(Script(("{}", "ü"), pause=0.1)).augment.writes
    assert first.endswith(b"\r\n\r\n3\r\n{}\n\r\n")
    assert second == b"3\r\n\xc3\xbc\n\r\n0\r\n\r\n"
