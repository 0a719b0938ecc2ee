"""What happens when the backend, the network or the client fails in the middle."""

import json
import socket
import time
from typing import Any

import httpx2 as httpx
import pytest

from augment_open_proxy.server import relay
from augment_open_proxy.simulator import Hang, Pause, Send, Step
from augment_open_proxy.upstream import attempts
from tests import raw
from tests.asking import Api, every_api, request, streamed_and_whole
from tests.server.test_http import CHAT, chat
from tests.servers import Proxy, running_proxy


def post(proxy: Proxy, model: str, stream: bool, **directive: Any) -> httpx.Response:
    return httpx.post(proxy.url + CHAT, json=chat(f"claude-sim-{model}", stream=stream, **directive), timeout=20)


@every_api
@streamed_and_whole
@pytest.mark.parametrize("silence", ["hang", "no-answer"])
def test_a_client_that_leaves_cancels_the_backend_s_call(api: Api, stream: bool, silence: str) -> None:
    with running_proxy() as proxy:
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(proxy.url + api.path, json=request(api, f"claude-sim-{silence}", stream), timeout=0.3)
        proxy.wait_for(lambda: proxy.simulator.closed_early == 1, seconds=1)
        proxy.wait_for(lambda: len(proxy.lines) == 1)
        assert " 499 " in proxy.lines[0]
        assert "the client left" in proxy.lines[0]


@every_api
def test_a_client_that_leaves_in_the_middle_of_a_stream_cancels_the_backend_s_call(api: Api) -> None:
    with running_proxy() as proxy:
        with httpx.stream("POST", proxy.url + api.path, json=request(api, "claude-sim-stall", True)) as answer:
            lines = answer.iter_lines()
            assert next(lines)
        proxy.wait_for(lambda: proxy.simulator.closed_early == 1, seconds=1)
        proxy.wait_for(lambda: len(proxy.lines) == 1)
        assert " 200 " in proxy.lines[0]
        assert "the client left" in proxy.lines[0]
        proxy.wait_for(lambda: proxy.simulator.open_calls == 0)


@streamed_and_whole
@pytest.mark.parametrize("model", ["hang", "no-answer", "stall"])
def test_a_client_that_leaves_with_another_request_behind_cancels_the_backend_s_call(stream: bool, model: str) -> None:
    asked = raw.post(CHAT, json.dumps(chat(f"claude-sim-{model}", stream=stream)).encode())
    with running_proxy() as proxy:
        with raw.connected(proxy) as connection:
            connection.send(asked * 2)
            proxy.wait_for(lambda: proxy.simulator.open_calls == 1)
            if model == "stall" and stream:
                assert connection.begins()
        proxy.wait_for(lambda: proxy.simulator.closed_early == 1, seconds=1)
        proxy.wait_for(lambda: len(proxy.lines) == 1)
        assert "the client left" in proxy.lines[0]
        assert len(proxy.simulator.requests) == 1, "the other one is dropped"


@pytest.mark.parametrize("stream", [False, True])
def test_a_backend_that_does_not_answer_is_a_504_that_names_the_setting(stream: bool) -> None:
    with running_proxy(headers_timeout=0.3) as proxy:
        answer = post(proxy, "no-answer", stream)
        assert answer.status_code == 504
        assert "AOP_HEADERS_TIMEOUT_MS" in answer.json()["error"]["message"]
        proxy.wait_for(lambda: proxy.simulator.open_calls == 0)


@pytest.mark.parametrize("stream", [False, True])
def test_a_backend_that_sends_no_byte_after_its_head_is_a_504(stream: bool) -> None:
    with running_proxy(body_timeout=0.3) as proxy:
        answer = post(proxy, "hang", stream)
        assert answer.status_code == 504
        assert "AOP_BODY_TIMEOUT_MS" in answer.json()["error"]["message"]


def test_a_backend_that_stalls_after_content_is_an_error_in_the_stream() -> None:
    with running_proxy(body_timeout=0.3) as proxy:
        answer = post(proxy, "stall", stream=True)
        assert answer.status_code == 200
        last = answer.text.strip().splitlines()[-1]
        assert "AOP_BODY_TIMEOUT_MS" in last
        assert "[DONE]" not in answer.text
        assert '"finish_reason":"' not in answer.text


def test_the_body_timeout_is_between_two_chunks_and_never_for_the_whole() -> None:
    with running_proxy(body_timeout=0.4) as proxy:
        lines: list[Step] = [Pause(0.2), Send(b'{"text":"more "}\n')] * 5
        proxy.call(lambda: proxy.simulator.script([*lines, Send(b'{"stop_reason":1}\n')]))
        answer = post(proxy, "echo", stream=False)
        assert answer.status_code == 200
        assert answer.json()["choices"][0]["message"]["content"] == "more " * 5


@pytest.mark.parametrize("stream", [False, True])
def test_a_backend_that_cannot_be_reached_is_a_502_that_says_why(stream: bool) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with running_proxy(augment_api_url=url) as proxy:
            answer = post(proxy, "echo", stream)
            assert answer.status_code == 502
            assert "cannot be reached" in answer.json()["error"]["message"]


def test_a_connection_that_is_not_accepted_is_a_504_that_names_the_setting() -> None:
    """A full backlog leaves the connection's handshake unanswered."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        with (
            socket.create_connection(address),
            running_proxy(
                augment_api_url=f"http://127.0.0.1:{address[1]}", connect_timeout=0.3, headers_timeout=2.0
            ) as proxy,
        ):
            blockers = [socket.socket() for _ in range(4)]
            for blocker in blockers:
                blocker.setblocking(False)
                blocker.connect_ex(address)
            try:
                answer = post(proxy, "echo", stream=False)
            finally:
                for blocker in blockers:
                    blocker.close()
            assert answer.status_code == 504, answer.text
            assert "AOP_CONNECT_TIMEOUT_MS" in answer.json()["error"]["message"]


def test_silence_after_a_stop_reason_ends_the_turn_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "SILENCE_AFTER_STOP", 0.2)
    with running_proxy() as proxy:
        started = time.monotonic()
        answer = post(proxy, "stop-then-silence", stream=True)
        assert time.monotonic() - started < 5
        assert answer.text.endswith("data: [DONE]\n\n")
        proxy.wait_for(lambda: proxy.simulator.open_calls == 0)


def test_a_silent_backend_has_the_stream_begun_and_heartbeats_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "FIRST_HEARTBEAT", 0.1)
    monkeypatch.setattr(relay, "HEARTBEAT", 0.1)
    with running_proxy() as proxy:
        proxy.call(
            lambda: proxy.simulator.script(
                [Send(b""), Pause(0.55), Send(b'{"text":"There."}\n'), Send(b'{"stop_reason":1}\n')]
            )
        )
        answer = post(proxy, "echo", stream=True)
        lines = answer.text.splitlines()
        assert '"role":"assistant"' in lines[0]
        assert 2 <= lines.count(": keep-alive") <= 6
        assert answer.text.endswith("data: [DONE]\n\n")


def test_a_whole_reply_is_never_begun_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "FIRST_HEARTBEAT", 0.1)
    monkeypatch.setattr(relay, "HEARTBEAT", 0.1)
    with running_proxy() as proxy:
        proxy.call(lambda: proxy.simulator.script([Send(b""), Pause(0.4), Send(b'{"error":"overloaded"}\n')]))
        assert post(proxy, "echo", stream=False).status_code == 502


def test_an_error_after_heartbeats_is_told_in_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "FIRST_HEARTBEAT", 0.1)
    monkeypatch.setattr(relay, "HEARTBEAT", 0.1)
    with running_proxy() as proxy:
        proxy.call(lambda: proxy.simulator.script([Send(b""), Pause(0.3), Send(b'{"error":"broken"}\n')]))
        answer = post(proxy, "echo", stream=True)
        assert answer.status_code == 200
        assert '"error":{"message":"The Augment backend failed' in answer.text.splitlines()[-2]
        assert "[DONE]" not in answer.text


def test_a_slow_reader_does_not_make_the_backend_time_out() -> None:
    with running_proxy(body_timeout=0.3) as proxy:
        line = b'{"text":"' + b"x" * 60_000 + b'"}\n'
        proxy.call(lambda: proxy.simulator.script([Send(line)] * 200 + [Send(b'{"stop_reason":1}\n')]))
        with httpx.stream("POST", proxy.url + CHAT, json=chat(stream=True), timeout=20) as answer:
            pieces = answer.iter_raw(65536)
            next(pieces)
            time.sleep(1.0)
            body = b"".join(pieces)
        assert body.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("stream", [False, True])
def test_open_calls_end_with_the_server(stream: bool) -> None:
    """A server that stops does not wait for a hanging backend for ever: its client is cut off, not left hanging."""
    with running_proxy() as proxy:
        proxy.call(lambda: proxy.simulator.script([Send(b""), Hang()]))
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(proxy.url + CHAT, json=chat(stream=stream), timeout=0.2)
