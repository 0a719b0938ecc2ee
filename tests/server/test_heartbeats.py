"""While the backend thinks, a stream's client is told that it is waited for: first after 5 s, then every 10 s."""

import json
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import httpx2 as httpx
import pytest

from augment_open_proxy.server import relay
from augment_open_proxy.simulator import Pause, Send, Status, Step
from tests.asking import APIS, MESSAGES, RESPONSES, Api, ask, every_api, request
from tests.servers import Proxy, running_proxy

HEAD = Send(b"")
TEXT = Send(b'{"text":"There."}\n')
END = Send(b'{"stop_reason":1}\n')
BEATS = {"chat": ": keep-alive", "messages": "event: ping", "responses": "event: keepalive"}
CONTENT = {"chat": '"content":"There."', "messages": "text_delta", "responses": "response.output_text.delta"}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A twentieth of the real times."""
    monkeypatch.setattr(relay, "FIRST_HEARTBEAT", 0.25)
    monkeypatch.setattr(relay, "HEARTBEAT", 0.5)


class Heard:
    """A stream as its client heard it: the times of its heartbeats and of its content, in seconds from the request."""

    def __init__(self, proxy: Proxy, api: Api, steps: Sequence[Step], **fields: Any) -> None:
        proxy.call(partial(proxy.simulator.script, steps))
        self.beats: list[float] = []
        self.content: list[float] = []
        self.lines: list[str] = []
        body = request(api, "claude-sonnet-4-5", True, **fields)
        with httpx.Client(base_url=proxy.url, timeout=20) as client:
            started = time.monotonic()
            with client.stream("POST", api.path, json=body) as answer:
                assert answer.status_code == 200
                for line in answer.iter_lines():
                    self.lines.append(line)
                    now = time.monotonic() - started
                    self.beats += [now] if line == BEATS[api.name] else []
                    self.content += [now] if CONTENT[api.name] in line else []


def test_the_times_are_those_that_are_promised() -> None:
    assert (relay.FIRST_HEARTBEAT, relay.HEARTBEAT) == (5.0, 10.0)


@every_api
@pytest.mark.usefixtures("quick")
def test_the_first_comes_soon_and_the_others_more_slowly(proxy: Proxy, api: Api) -> None:
    heard = Heard(proxy, api, [HEAD, Pause(1.0), TEXT, END])
    own = 1 if api is MESSAGES else 0  # Anthropic's streams begin with a ping
    first, second, *more = heard.beats[own:]
    assert first >= 0.2
    assert second - first >= 0.45
    assert more == []
    assert all(beat < heard.content[0] for beat in heard.beats)


@pytest.mark.usefixtures("quick")
def test_a_response_that_fails_after_one_is_shown_as_failed(proxy: Proxy) -> None:
    heard = Heard(proxy, RESPONSES, [HEAD, Pause(0.6), Send(b'{"stop_reason":6}\n')], store=True)
    failed = json.loads(heard.lines[-2].removeprefix("data: "))["response"]
    assert (failed["status"], failed["store"]) == ("failed", True)
    assert httpx.get(f"{proxy.url}/v1/responses/{failed['id']}").json() == failed


@every_api
@pytest.mark.usefixtures("quick")
def test_content_begins_the_count_anew(proxy: Proxy, api: Api) -> None:
    heard = Heard(proxy, api, [TEXT, Pause(0.4), TEXT, Pause(0.4), TEXT, Pause(0.1), END])
    assert len(heard.beats) - (api is MESSAGES) == 2
    assert len([line for line in heard.lines if CONTENT[api.name] in line]) >= 3


@every_api
@pytest.mark.usefixtures("quick")
def test_none_comes_where_content_does(proxy: Proxy, api: Api) -> None:
    steps: list[Step] = [TEXT, Pause(0.05)] * 10
    heard = Heard(proxy, api, [*steps, END])
    assert len(heard.beats) == (api is MESSAGES)


@pytest.mark.usefixtures("quick")
def test_what_they_look_like(proxy: Proxy) -> None:
    chat, messages, responses = (Heard(proxy, api, [HEAD, Pause(0.4), TEXT, END]).lines for api in APIS)
    assert '"role":"assistant"' in chat[0]
    assert chat[2:4] == [": keep-alive", ""]
    assert messages[0] == "event: message_start", "no ping comes before it"
    assert messages[3:8] == ["event: ping", 'data: {"type":"ping"}', "", "event: ping", 'data: {"type":"ping"}']
    numbers = [json.loads(line[6:])["sequence_number"] for line in responses if line.startswith("data: ")]
    types = [line[7:] for line in responses if line.startswith("event: ")]
    assert types[:4] == ["response.created", "response.in_progress", "keepalive", "response.output_item.added"]
    assert numbers[:4] == [0, 1, 1, 2], "it has the number of the event before it"


@every_api
@pytest.mark.usefixtures("quick")
def test_a_whole_reply_gets_none_and_keeps_its_true_status(proxy: Proxy, api: Api) -> None:
    steps: list[Step] = [Pause(0.6), Status(402, b'{"error":"out of credits"}')]
    proxy.call(partial(proxy.simulator.script, steps))
    answer = ask(proxy, api, "claude-sonnet-4-5", False)
    assert answer.status == (402 if api is MESSAGES else 429)
    proxy.call(partial(proxy.simulator.script, [HEAD, Pause(0.6), TEXT, END]))
    assert ask(proxy, api, "claude-sonnet-4-5", False).raw[0] == "{"


@every_api
@pytest.mark.usefixtures("quick")
def test_an_error_after_them_is_told_in_the_stream(proxy: Proxy, api: Api) -> None:
    steps: list[Step] = [Pause(0.4), Status(402, b'{"error":"out of credits"}')]
    proxy.call(partial(proxy.simulator.script, steps))
    answer = ask(proxy, api, "claude-sonnet-4-5", True)
    assert answer.status == 200
    assert "out of credits" in (answer.error or "")


@every_api
@pytest.mark.usefixtures("quick")
def test_a_retry_goes_on_behind_them(api: Api) -> None:
    with running_proxy() as proxy:
        proxy.call(partial(proxy.simulator.script, [Pause(0.3), Status(503)]))
        assert Heard(proxy, api, [TEXT, END]).content
