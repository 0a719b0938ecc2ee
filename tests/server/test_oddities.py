"""What the backend sends beside the protocol: read past, refused within bounds, or given on as it is; never dropped."""

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

import httpx2 as httpx
import pytest

from augment_open_proxy.simulator import Send, Status, Step
from augment_open_proxy.upstream.lines import DEFAULT_LIMIT
from tests.asking import CHAT, MESSAGES, RESPONSES, Answer, Api, ask, events, every_api, request, streamed_and_whole
from tests.servers import Proxy, running_proxy

SAID = "This is the augment-open-proxy simulation, no model. You said: Hi."
END = b'{"nodes":[{"id":1,"type":10,"token_usage":{"input_tokens":5,"output_tokens":5}}],"stop_reason":1}\n'
MIB = 2**20


def scripted(proxy: Proxy, api: Api, stream: bool, *steps: Step | bytes) -> Answer:
    proxy.call(partial(proxy.simulator.script, steps))
    return ask(proxy, api, "claude-sonnet-4-5", stream)


@every_api
@streamed_and_whole
@pytest.mark.parametrize("oddity", ["crlf", "no-final-newline", "unknown-nodes", "raw-response-repeats"])
def test_the_answer_is_the_same(proxy: Proxy, api: Api, stream: bool, oddity: str) -> None:
    answer = ask(proxy, api, f"claude-sim-{oddity}", stream)
    assert (answer.status, answer.text, answer.error) == (200, SAID, None)


@every_api
@streamed_and_whole
def test_characters_that_are_cut_are_put_together(proxy: Proxy, api: Api, stream: bool) -> None:
    assert ask(proxy, api, "claude-sim-split-utf8", stream).text == "Grüße 世界 🚀"


@every_api
@streamed_and_whole
def test_a_byte_order_mark_is_read_past(proxy: Proxy, api: Api, stream: bool) -> None:
    bom = b"\xef\xbb\xbf"
    assert scripted(proxy, api, stream, bom + b'{"text":"Well."}\r\n', END).text == "Well."


@every_api
@streamed_and_whole
def test_garbage_is_passed_over_counted_and_logged(api: Api, stream: bool) -> None:
    with running_proxy() as proxy:
        assert ask(proxy, api, "claude-sim-garbage", stream).text == SAID
        proxy.wait_for(lambda: len(proxy.lines) == 1)
        assert "lines of the backend's answer were not readable" in proxy.lines[0]
        answer = scripted(proxy, api, stream, b'not JSON\n{"text":"Well."}\n', END)
        proxy.wait_for(lambda: len(proxy.lines) == 2)
        assert answer.text == "Well."
        assert "1 line of the backend's answer was not readable" in proxy.lines[1]
        assert ask(proxy, api, "claude-sonnet-4-5", stream).text == SAID
        proxy.wait_for(lambda: len(proxy.lines) == 3)
        assert "notices=" not in proxy.lines[2]


# --- Lines without end ---


def line_of(size: int) -> Sequence[Step]:
    """One line of `size` bytes of text, in writes of a MiB."""
    return [Send(b'{"text":"'), *[Send(b"x" * MIB)] * (size // MIB), Send(b'"}\n'), Send(END)]


@every_api
@streamed_and_whole
def test_a_line_of_50_mib_is_a_line(proxy: Proxy, api: Api, stream: bool) -> None:
    answer = scripted(proxy, api, stream, *line_of(50 * MIB))
    assert (answer.status, answer.error) == (200, None)
    assert len(answer.text) == 50 * MIB


@every_api
@streamed_and_whole
def test_a_longer_one_is_refused_at_the_limit(proxy: Proxy, api: Api, stream: bool) -> None:
    answer = scripted(proxy, api, stream, *line_of(DEFAULT_LIMIT + 2 * MIB))
    assert answer.status == 502
    assert "longer than can be kept" in (answer.error or "")
    proxy.wait_for(lambda: proxy.simulator.open_calls == 0)


# --- Errors in other forms ---


@every_api
@streamed_and_whole
def test_an_error_in_a_200_is_an_error(proxy: Proxy, api: Api, stream: bool) -> None:
    answer = scripted(proxy, api, stream, b'{"error":{"message":"prompt is too long: 210000 tokens > 200000"}}\n')
    assert answer.status == 400
    assert "too long" in (answer.error or "")


@every_api
@streamed_and_whole
def test_a_page_of_html_is_told_as_its_words(proxy: Proxy, api: Api, stream: bool) -> None:
    page = b"<html><head><style>b {}</style></head><body><h1>Blocked</h1> by the <b>firewall</b></body></html>"
    answer = scripted(proxy, api, stream, Status(403, page, {"Content-Type": "text/html"}))
    assert answer.status == 403
    assert (answer.error or "").endswith("Blocked by the firewall")


@every_api
@streamed_and_whole
def test_a_200_that_is_no_answer_of_the_backend_is_told_as_what_it_is(proxy: Proxy, api: Api, stream: bool) -> None:
    before = list(proxy.simulator.requests)[-1:]
    page = b"<html>\n<body>Sign in</body>\n</html>\n"
    answer = scripted(proxy, api, stream, Status(200, page, {"Content-Type": "text/html; charset=utf-8"}))
    assert answer.status == 502
    for word in ("not the Augment backend", "text/html; charset=utf-8", "AUGMENT_API_URL"):
        assert word in (answer.error or "")
    assert list(proxy.simulator.requests)[:-1][-1:] == before, "it is not tried again"


def test_an_answer_whose_lines_can_be_read_is_one_whatever_it_is_called(proxy: Proxy) -> None:
    lines = b'<html>\n{"text":"Hi."}\n{"stop_reason":1}\n'
    answer = scripted(proxy, CHAT, False, Status(200, lines, {"Content-Type": "text/html"}))
    assert (answer.status, answer.text) == (200, "Hi.")


@every_api
@streamed_and_whole
def test_a_redirect_is_never_followed(proxy: Proxy, api: Api, stream: bool) -> None:
    """Neither to another origin nor to the same one: a prompt is posted where the user said."""
    with running_proxy() as elsewhere:
        for target in (elsewhere.simulator.url, proxy.simulator.url):
            answer = scripted(proxy, api, stream, Status(307, headers={"Location": f"{target}/chat-stream"}))
            assert answer.status == 502
            assert "redirects" in (answer.error or "")
        assert not elsewhere.simulator.requests


# --- Calls whose arguments are no JSON ---

MALFORMED = '{"command": "ls'
CALL = json.dumps(
    {"nodes": [{"id": 1, "type": 5, "tool_use": {"tool_use_id": "t1", "tool_name": "bash", "input_json": MALFORMED}}]}
).encode()
SCHEMA = {"type": "object", "properties": {"command": {"type": "string"}}}
TOOLS: dict[str, list[Any]] = {
    "chat": [{"type": "function", "function": {"name": "bash", "parameters": SCHEMA}}],
    "messages": [{"name": "bash", "input_schema": SCHEMA}],
    "responses": [{"type": "function", "name": "bash", "parameters": SCHEMA}],
}


def called(proxy: Proxy, api: Api, stream: bool) -> httpx.Response:
    proxy.call(partial(proxy.simulator.script, [CALL + b'\n{"stop_reason":3}\n']))
    body = request(api, "claude-sonnet-4-5", stream, tools=TOOLS[api.name])
    return httpx.post(proxy.url + api.path, json=body, timeout=20)


def arguments_in(api: Api, stream: bool, raw: str) -> str:
    """The arguments of the call in a reply of OpenAI's APIs."""
    if api is CHAT and stream:
        deltas = [choice["delta"] for event in events(raw) for choice in event["choices"]]
        calls = [call for delta in deltas for call in delta.get("tool_calls", ())]
        return "".join(call["function"].get("arguments", "") for call in calls)
    if api is CHAT:
        return str(json.loads(raw)["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"])
    if stream:
        return "".join(e["delta"] for e in events(raw) if e["type"] == "response.function_call_arguments.delta")
    return str(json.loads(raw)["output"][0]["arguments"])


@pytest.mark.parametrize("api", [CHAT, RESPONSES], ids=lambda api: api.name)
@streamed_and_whole
def test_malformed_arguments_are_given_on_where_arguments_are_text(proxy: Proxy, api: Api, stream: bool) -> None:
    answer = called(proxy, api, stream)
    assert answer.status_code == 200
    assert arguments_in(api, stream, answer.text) == MALFORMED


@streamed_and_whole
def test_they_are_an_error_where_arguments_are_an_object(proxy: Proxy, stream: bool) -> None:
    answer = called(proxy, MESSAGES, stream)
    assert answer.status_code == 502
    message = answer.json()["error"]["message"]
    assert "bash" in message
    assert MALFORMED in message
