"""`n` of Chat Completions: turns side by side, interleaved by their index, usage summed."""

import json
from collections import defaultdict
from functools import partial
from typing import Any

import httpx2 as httpx

from augment_open_proxy.simulator import Hang, Pause, Send
from tests.server.test_http import CHAT, chat
from tests.servers import running_proxy

USAGE = b'{"nodes":[{"id":9,"type":10,"token_usage":{"input_tokens":10,"output_tokens":3}}],"stop_reason":1}\n'


def answers(proxy: Any, *texts: str) -> None:
    for text in texts:
        line = json.dumps({"text": text}).encode() + b"\n"
        proxy.call(partial(proxy.simulator.script, [line, Pause(0.05), Send(USAGE)]))


def test_each_choice_is_a_turn_of_its_own() -> None:
    with running_proxy() as proxy:
        answers(proxy, "One.", "Two.", "Three.")
        body = httpx.post(proxy.url + CHAT, json=chat(n=3), timeout=20).json()
        assert [choice["index"] for choice in body["choices"]] == [0, 1, 2]
        assert sorted(choice["message"]["content"] for choice in body["choices"]) == ["One.", "Three.", "Two."]
        assert body["usage"]["prompt_tokens"] == 30
        assert body["usage"]["completion_tokens"] == 9
        assert len({received.headers["x-request-id"] for received in proxy.simulator.requests}) == 3
        proxy.wait_for(lambda: len(proxy.lines) == 1)  # the record comes after the last byte
        assert "tokens=30/9/39" in proxy.lines[0]


def test_a_stream_interleaves_the_choices() -> None:
    with running_proxy() as proxy:
        answers(proxy, "One.", "Two.")
        request = chat(n=2, stream=True, stream_options={"include_usage": True})
        text = httpx.post(proxy.url + CHAT, json=request, timeout=20).text
        assert text.endswith("data: [DONE]\n\n")
        assert text.count("[DONE]") == 1
        chunks = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
        said: dict[int, str] = defaultdict(str)
        ends: dict[int, str] = {}
        for chunk in chunks[:-1]:
            (choice,) = chunk["choices"]
            said[choice["index"]] += choice["delta"].get("content", "")
            if choice["finish_reason"]:
                ends[choice["index"]] = choice["finish_reason"]
        assert sorted(said.values()) == ["One.", "Two."]
        assert ends == {0: "stop", 1: "stop"}
        assert chunks[-1]["choices"] == []
        assert chunks[-1]["usage"]["total_tokens"] == 26


def test_one_that_fails_fails_all_and_the_others_are_cancelled() -> None:
    with running_proxy() as proxy:
        proxy.call(lambda: proxy.simulator.script([Send(b""), Hang()]))
        proxy.call(lambda: proxy.simulator.script(b'{"error":"broken"}\n'))
        answer = httpx.post(proxy.url + CHAT, json=chat(n=2), timeout=20)
        assert answer.status_code == 502
        proxy.wait_for(lambda: proxy.simulator.open_calls == 0, seconds=2)


def test_a_client_that_leaves_cancels_all() -> None:
    with running_proxy() as proxy:
        proxy.call(lambda: proxy.simulator.script([Send(b'{"text":"Hi"}\n'), Hang()], times=3))
        with httpx.stream("POST", proxy.url + CHAT, json=chat(n=3, stream=True), timeout=20) as answer:
            next(answer.iter_lines())
        proxy.wait_for(lambda: proxy.simulator.open_calls == 0, seconds=2)
        proxy.wait_for(lambda: len(proxy.lines) == 1)


def test_more_than_sixteen_are_refused() -> None:
    with running_proxy() as proxy:
        answer = httpx.post(proxy.url + CHAT, json=chat(n=17), timeout=20)
        assert answer.status_code == 400
        assert answer.json()["error"]["param"] == "n"
