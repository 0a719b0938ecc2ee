"""The proxy's own limits: a turn waits for its place, in its order, and is refused in the API's shape after a while."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import httpx2 as httpx
import pytest

from augment_open_proxy.server import limits, relay
from augment_open_proxy.simulator import Hang, Pause, Send, Status, Step
from tests.asking import CHAT, RESPONSES, Answer, Api, ask, events, every_api, request, streamed_and_whole
from tests.servers import Proxy, running_proxy

DONE = Send(b'{"text":"Done."}\n{"stop_reason":1}\n')
HANG: Sequence[Step] = (Send(b'{"text":"Well,"}\n'), Hang())


class Occupied:
    """A turn that takes a place until the block ends."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._left = threading.Event()

    def __enter__(self) -> None:
        self._proxy.call(partial(self._proxy.simulator.script, HANG))
        calls = self._proxy.simulator.open_calls
        self._thread = threading.Thread(target=self._hold)
        self._thread.start()
        self._proxy.wait_for(lambda: self._proxy.simulator.open_calls > calls)

    def _hold(self) -> None:
        body = request(CHAT, "claude-sonnet-4-5", True)
        with httpx.stream("POST", self._proxy.url + CHAT.path, json=body, timeout=20) as answer:
            lines = answer.iter_lines()
            next(lines)
            self._left.wait(20)

    def __exit__(self, *_: object) -> None:
        self._left.set()
        self._thread.join(20)


@every_api
@streamed_and_whole
def test_a_turn_for_which_no_place_gets_free_is_a_429_that_says_when_to_come_back(api: Api, stream: bool) -> None:
    with running_proxy(max_concurrency=1, queue_timeout=0.1) as proxy, Occupied(proxy):
        answer = ask(proxy, api, "claude-sonnet-4-5", stream)
        assert answer.status == 429
        assert answer.headers["retry-after"] == "5"
        assert "AOP_MAX_CONCURRENCY" in (answer.error or "")
        assert len(proxy.simulator.requests) == 1, "the backend was not asked"
        proxy.wait_for(lambda: len(proxy.lines) == 1)
        assert " 429 " in proxy.lines[0]


@every_api
@streamed_and_whole
def test_a_turn_beyond_the_rate_is_a_429_that_says_when_it_is_not(api: Api, stream: bool) -> None:
    with running_proxy(rate_limit=2, queue_timeout=0.1) as proxy:
        for _ in range(2):
            assert ask(proxy, api, "claude-sonnet-4-5", stream).status == 200
        answer = ask(proxy, api, "claude-sonnet-4-5", stream)
        assert answer.status == 429
        assert 55 <= int(answer.headers["retry-after"]) <= 60
        assert "AOP_RATE_LIMIT" in (answer.error or "")
        assert len(proxy.simulator.requests) == 2


def test_the_others_wait_and_follow_in_their_order() -> None:
    with running_proxy(max_concurrency=1) as proxy, ThreadPoolExecutor(5) as pool:
        answers: list[Future[Answer]] = []
        with Occupied(proxy):
            for number in range(4):
                answers.append(pool.submit(ask, proxy, CHAT, "claude-sonnet-4-5", number % 2 == 0, f"number {number}"))
                proxy.wait_for(lambda: proxy.running == len(answers) + 1)
            assert len(proxy.simulator.requests) == 1
        assert all(answer.result(20).status == 200 for answer in answers)
        asked = [received.request.message for received in proxy.simulator.requests if received.request]
        assert asked == ["Hi.", "number 0", "number 1", "number 2", "number 3"]


def test_no_more_than_so_many_calls_are_open_at_once() -> None:
    with running_proxy(max_concurrency=2) as proxy, ThreadPoolExecutor(6) as pool:
        steps: list[Step] = [Send(b""), Pause(0.1), DONE]
        proxy.call(partial(proxy.simulator.script, steps, times=6))
        answers = [pool.submit(ask, proxy, CHAT, "claude-sonnet-4-5", False) for _ in range(6)]
        most = 0
        while not all(answer.done() for answer in answers):
            most = max(most, proxy.simulator.open_calls)
            time.sleep(0.005)
        assert all(answer.result().text == "Done." for answer in answers)
        assert most == 2


@pytest.mark.parametrize("fault", ["error-400", "cut", "empty-completion"])
def test_a_turn_that_fails_frees_its_place(fault: str) -> None:
    with running_proxy(max_concurrency=1, queue_timeout=0.5) as proxy:
        for _ in range(3):
            assert ask(proxy, CHAT, f"claude-sim-{fault}", False).status in (400, 502)
        assert ask(proxy, CHAT, "claude-sonnet-4-5", True).status == 200


def test_a_client_that_leaves_the_queue_is_a_499_and_frees_its_place() -> None:
    with running_proxy(max_concurrency=1, queue_timeout=5.0) as proxy:
        with Occupied(proxy):
            with pytest.raises(httpx.ReadTimeout):
                httpx.post(proxy.url + CHAT.path, json=request(CHAT, "claude-sonnet-4-5", True), timeout=0.1)
            proxy.wait_for(lambda: len(proxy.lines) == 1, seconds=1)
            assert " 499 " in proxy.lines[0]
        assert ask(proxy, CHAT, "claude-sonnet-4-5", False).status == 200
        assert len(proxy.simulator.requests) == 2, "the one that left was never asked"


@every_api
def test_no_stream_begins_while_its_turn_waits(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a refusal has its true status however long the wait was."""
    monkeypatch.setattr(relay, "FIRST_HEARTBEAT", 0.05)
    monkeypatch.setattr(relay, "HEARTBEAT", 0.05)
    with running_proxy(max_concurrency=1, queue_timeout=0.4) as proxy, Occupied(proxy):
        assert ask(proxy, api, "claude-sonnet-4-5", True).status == 429


def test_a_retry_is_the_same_turn() -> None:
    with running_proxy(rate_limit=1, max_concurrency=1, queue_timeout=0.1) as proxy:
        proxy.call(partial(proxy.simulator.script, [Status(503)], times=2))
        assert ask(proxy, CHAT, "claude-sonnet-4-5", False).status == 200
        assert len(proxy.simulator.requests) == 3


def test_the_next_minute_has_room_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MINUTE", 0.3)
    with running_proxy(rate_limit=1) as proxy:
        started = time.monotonic()
        for _ in range(3):
            assert ask(proxy, CHAT, "claude-sonnet-4-5", False).status == 200
        assert 0.6 <= time.monotonic() - started < 3


def test_without_limits_none_waits() -> None:
    with running_proxy() as proxy, ThreadPoolExecutor(5) as pool:
        proxy.call(partial(proxy.simulator.script, [Send(b""), Pause(0.6), DONE], times=5))
        answers = [pool.submit(ask, proxy, CHAT, "claude-sonnet-4-5", False) for _ in range(5)]
        proxy.wait_for(lambda: proxy.simulator.open_calls == 5)
        assert all(answer.result(20).status == 200 for answer in answers)


@streamed_and_whole
def test_each_choice_is_a_turn(stream: bool) -> None:
    with running_proxy(max_concurrency=1) as proxy:
        answer = ask(proxy, CHAT, "claude-sonnet-4-5", stream, n=3)
        assert (answer.status, answer.error) == (200, None)
        assert len(proxy.simulator.requests) == 3
    with running_proxy(max_concurrency=1, queue_timeout=0.1) as proxy:
        steps: list[Step] = [Send(b'{"text":"Well,"}\n'), Pause(0.3), DONE]
        proxy.call(partial(proxy.simulator.script, steps))
        answer = ask(proxy, CHAT, "claude-sonnet-4-5", stream, n=2)
        assert answer.status == (200 if stream else 429)
        assert "AOP_MAX_CONCURRENCY" in (answer.error or "")


def in_the_background(proxy: Proxy, stream: bool = False) -> httpx.Response:
    body = {"model": "claude-sonnet-4-5", "input": "Hi.", "background": True, "stream": stream}
    return httpx.post(proxy.url + RESPONSES.path, json=body, timeout=20)


def test_a_background_response_that_waits_for_its_place_can_be_cancelled() -> None:
    with running_proxy(max_concurrency=1, store="memory") as proxy, Occupied(proxy):
        url = f"{proxy.url}{RESPONSES.path}/{in_the_background(proxy).json()['id']}"
        assert httpx.get(url, timeout=20).json()["status"] == "in_progress"
        assert httpx.post(f"{url}/cancel", json={}, timeout=20).json()["status"] == "cancelled"
        assert httpx.get(url, timeout=20).json()["status"] == "cancelled"


def test_a_background_response_that_gets_no_place_has_failed_for_that() -> None:
    with running_proxy(max_concurrency=1, queue_timeout=0.1, store="memory") as proxy, Occupied(proxy):
        assert (
            "AOP_MAX_CONCURRENCY"
            in events(in_the_background(proxy, stream=True).text)[-1]["response"]["error"]["message"]
        )
        answer = in_the_background(proxy).json()
        while answer["status"] in ("queued", "in_progress"):
            time.sleep(0.02)
            answer = httpx.get(f"{proxy.url}{RESPONSES.path}/{answer['id']}", timeout=20).json()
        assert answer["status"] == "failed"
        assert answer["error"]["code"] == "rate_limit_exceeded"
        assert "AOP_MAX_CONCURRENCY" in answer["error"]["message"]
