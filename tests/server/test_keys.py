"""Client keys on a running proxy: how they are sent, what the refusal looks like, what each may do, and revoking."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from websockets.exceptions import InvalidStatus

from augment_open_proxy.server import batch_runner
from augment_open_proxy.server import keys as keys_module
from augment_open_proxy.server.keys import Key, KeyFile, digest
from augment_open_proxy.server.provision import Ready, banner
from augment_open_proxy.settings import Settings
from augment_open_proxy.simulator.steps import Cut, Send, Stall, Step
from augment_open_proxy.state import StateFolder
from tests.asking import APIS, CHAT, MESSAGES, RESPONSES, Api, every_api, request, streamed_and_whole
from tests.server.test_batches import call, create, directive, ended, params, results
from tests.servers import Proxy, running_proxy
from tests.sockets import opened

KEY = "a-key-of-the-settings"
MODEL = "claude-haiku-4-5"
ANY_ADDRESS = "0.0.0.0"  # noqa: S104 (only told to the settings: the tests listen on loopback)
WAYS = ({"Authorization": f"Bearer {KEY}"}, {"Authorization": f"bearer  {KEY}"}, {"X-Api-Key": KEY}, {"Api-Key": KEY})


@pytest.fixture(scope="module")
def guarded() -> Iterator[Proxy]:
    with running_proxy(api_keys=("another-key", KEY)) as running:
        yield running


def post(proxy: Proxy, api: Api = CHAT, headers: Mapping[str, str] | None = None, **fields: Any) -> httpx.Response:
    body = request(api, fields.pop("model", MODEL), fields.pop("stream", False), **fields)
    return httpx.post(proxy.url + api.path, json=body, headers=dict(headers or {}), timeout=20)


def add(folder: Path, name: str, **limits: Any) -> dict[str, str]:
    """Make a key; gives the header that sends it."""
    KeyFile(StateFolder(folder)).add(Key(name, digest(f"{name}!".encode()), **limits))
    return {"x-api-key": f"{name}!"}


# --- Sending it ---


@every_api
@pytest.mark.parametrize("way", WAYS, ids=["bearer", "lower case", "x-api-key", "api-key"])
def test_a_key_is_taken_from_any_of_three_headers(guarded: Proxy, api: Api, way: Mapping[str, str]) -> None:
    assert post(guarded, api, way).status_code == 200


@every_api
@streamed_and_whole
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-api-key": "wrong"},
        {"Authorization": f"Basic {KEY}"},
        {"Authorization": "Bearer"},
        {"x-api-key": f"{KEY} {KEY}"},
        {"cookie": f"key={KEY}"},
        {"x-api-key": KEY[:-1]},
        {"x-api-key": digest(KEY.encode())},
    ],
)
def test_without_one_that_is_known_it_is_a_401_in_the_api_s_shape(
    guarded: Proxy, api: Api, stream: bool, headers: Mapping[str, str]
) -> None:
    before = len(guarded.simulator.requests)
    answer = post(guarded, api, headers, stream=stream)
    assert answer.status_code == 401
    error = answer.json()["error"]
    assert "AOP_API_KEY" in error["message"]
    if api is MESSAGES:
        assert (answer.json()["type"], error["type"]) == ("error", "authentication_error")
    else:
        assert error["code"] == "invalid_api_key"
    assert KEY not in answer.text
    assert len(guarded.simulator.requests) == before


def test_a_key_in_the_address_is_none(guarded: Proxy) -> None:
    """It would stand in histories and logs."""
    body = request(CHAT, MODEL, stream=False)
    for name in ("key", "api_key", "access_token"):
        assert httpx.post(f"{guarded.url}{CHAT.path}?{name}={KEY}", json=body).status_code == 401


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/v1/models"),
        ("GET", "/v1/models/claude-haiku-4-5"),
        ("GET", "/v1/openapi.json"),
        ("GET", "/v1/responses/resp_1"),
        ("GET", "/v1/messages/batches"),
        ("GET", "/v1/chat/completions"),
        ("POST", "/v1/messages/count_tokens"),
        ("POST", "/v1/conversations"),
        ("OPTIONS", "/v1/responses"),
        ("DELETE", "/v1/responses/resp_1"),
        ("GET", "/v1/nothing"),
    ],
)
def test_everything_needs_the_key(guarded: Proxy, method: str, path: str) -> None:
    body: Any = {} if method == "POST" else None
    assert httpx.request(method, guarded.url + path, json=body).status_code == 401


def test_but_the_probes(guarded: Proxy) -> None:
    for path in ("/livez", "/readyz"):
        assert httpx.get(guarded.url + path).status_code == 200


def test_a_websocket_needs_it_too(guarded: Proxy) -> None:
    with pytest.raises(InvalidStatus) as caught, opened(guarded):
        pass
    assert caught.value.response.status_code == 401
    with opened(guarded, additional_headers=WAYS[0]) as socket:
        assert socket.ask()["status"] == "completed"


def test_with_a_key_any_host_will_do_and_a_foreign_page_still_not(guarded: Proxy) -> None:
    assert post(guarded, headers={**WAYS[0], "Host": "box.lan:7888"}).status_code == 200
    assert post(guarded, headers={"x-api-key": "wrong", "Host": "box.lan:7888"}).status_code == 403
    assert post(guarded, headers={**WAYS[0], "Origin": "https://evil.example"}).status_code == 403


def test_with_none_defined_any_key_passes_on_loopback(proxy: Proxy) -> None:
    for headers in ({}, {"x-api-key": "whatever"}, {"Authorization": "Bearer sk-1"}):
        assert post(proxy, headers=headers).status_code == 200


# --- Beyond loopback ---


def made_key(folder: Path) -> dict[str, str]:
    return {"x-api-key": (folder / "client-key").read_text()}


def test_beyond_loopback_a_key_is_made_and_is_the_same_after_a_restart(tmp_path: Path) -> None:
    beyond: dict[str, Any] = {"host": ANY_ADDRESS, "state_dir": tmp_path}
    with running_proxy(**beyond) as proxy:
        assert post(proxy).status_code == 401
        first = made_key(tmp_path)
        assert post(proxy, headers=first).status_code == 200
    assert (tmp_path / "client-key").stat().st_mode & 0o777 == 0o600
    with running_proxy(**beyond) as proxy:
        assert made_key(tmp_path) == first
        assert post(proxy, headers=first).status_code == 200
        assert post(proxy).status_code == 401


def test_none_is_made_where_there_is_one(tmp_path: Path) -> None:
    with running_proxy(host=ANY_ADDRESS, state_dir=tmp_path, api_keys=(KEY,)) as proxy:
        assert post(proxy).status_code == 401
        assert post(proxy, headers=WAYS[0]).status_code == 200
    assert not (tmp_path / "client-key").exists()


def test_revoking_the_last_key_there_does_not_let_everybody_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys_module, "LOOK_EVERY", 0.0)
    headers = add(tmp_path, "laptop")
    with running_proxy(host=ANY_ADDRESS, state_dir=tmp_path) as proxy:
        assert post(proxy, headers=headers).status_code == 200
        KeyFile(StateFolder(tmp_path)).remove("laptop")
        assert post(proxy, headers=headers).status_code == 401
        assert post(proxy).status_code == 401


def test_the_user_can_turn_that_off(tmp_path: Path) -> None:
    with running_proxy(host=ANY_ADDRESS, state_dir=tmp_path, allow_unauthenticated=True) as proxy:
        assert post(proxy).status_code == 200
    assert not (tmp_path / "client-key").exists()


def shown(settings: Settings, **ready: Any) -> str:
    return banner(["http://0.0.0.0:7888"], Ready("them", "/state", "memory", **ready), settings, demo=False)


def test_the_banner_has_the_made_key_ready_to_paste() -> None:
    text = shown(Settings(host=ANY_ADDRESS), needs_key=True, made_key="aop-made")
    assert "ANTHROPIC_AUTH_TOKEN=aop-made" in text
    assert "OPENAI_API_KEY=aop-made" in text
    assert "WARNING" not in text


def test_the_banner_warns_where_everybody_may_come_in_and_only_there() -> None:
    open_to_all = Settings(host=ANY_ADDRESS, allow_unauthenticated=True)
    assert "WARNING" in shown(open_to_all)
    assert "WARNING" not in shown(open_to_all, needs_key=True), "a key is defined, so it is asked for"


# --- What a key may do ---


def test_a_key_is_revoked_without_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys_module, "LOOK_EVERY", 0.0)
    with running_proxy(state_dir=tmp_path) as proxy:
        assert post(proxy).status_code == 200
        headers = add(tmp_path, "laptop")
        assert post(proxy).status_code == 401
        with opened(proxy, additional_headers=headers) as socket:
            socket.ask()
            KeyFile(StateFolder(tmp_path)).remove("laptop")
            add(tmp_path, "other")
            assert socket.refused()["error"]["code"] == "invalid_api_key"
        assert post(proxy, headers=headers).status_code == 401


@pytest.mark.parametrize("api", APIS, ids=lambda api: api.name)
def test_a_key_for_some_models_is_refused_others_and_does_not_see_them(tmp_path: Path, api: Api) -> None:
    headers = add(tmp_path, "ci", models=("haiku4.5", "claude-opus-4-7"))
    with running_proxy(state_dir=tmp_path) as proxy:
        assert post(proxy, api, headers).status_code == 200
        assert post(proxy, api, headers, model="opus4.7-high").status_code == 200
        answer = post(proxy, api, headers, model="claude-sonnet-4-5")
        assert answer.status_code == 403
        assert "'claude-sonnet-4-5'" in answer.json()["error"]["message"]
        assert len(proxy.simulator.requests) == 2
        listed = httpx.get(f"{proxy.url}/v1/models", headers=headers).json()["data"]
        assert {model["id"].removesuffix("-high") for model in listed} >= {MODEL, "claude-opus-4-7"}
        assert not any("sonnet" in model["id"] for model in listed)
        assert httpx.get(f"{proxy.url}/v1/models/{MODEL}", headers=headers).status_code == 200
        assert httpx.get(f"{proxy.url}/v1/models/claude-sonnet-4-5", headers=headers).status_code == 404


@every_api
def test_the_requests_of_a_day_end_with_a_429_that_says_when_it_is_over(tmp_path: Path, api: Api) -> None:
    headers = add(tmp_path, "ci", requests_per_day=2)
    with running_proxy(state_dir=tmp_path) as proxy:
        assert [post(proxy, api, headers).status_code for _ in range(3)] == [200, 200, 429]
        answer = post(proxy, api, headers, stream=True)
        assert answer.status_code == 429
        assert 0 < int(answer.headers["retry-after"]) <= 86400
        assert "2 requests of the day" in answer.json()["error"]["message"]
        assert len(proxy.simulator.requests) == 2
    with running_proxy(state_dir=tmp_path) as proxy:
        assert post(proxy, api, headers).status_code == 429, "a restart gives no new share"


@every_api
@streamed_and_whole
def test_the_tokens_of_a_day_count_what_each_turn_took(tmp_path: Path, api: Api, stream: bool) -> None:
    headers = add(tmp_path, "ci", tokens_per_day=5)
    with running_proxy(state_dir=tmp_path) as proxy:
        assert post(proxy, api, headers, stream=stream).status_code == 200
        proxy.wait_for(lambda: len(proxy.lines) == 1)
        assert post(proxy, api, headers, stream=stream).status_code == 429


USAGE = b'{"nodes":[{"id":1,"type":10,"token_usage":{"input_tokens":2,"output_tokens":1}}]}\n'
END = b'{"stop_reason":1}\n'
NEVER = {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"not": {}}}}}


@every_api
@streamed_and_whole
@pytest.mark.parametrize("end", [[Cut()], [b'{"stop_reason":6}\n']], ids=["broken off", "malformed"])
def test_a_turn_that_fails_costs_what_the_backend_told(
    tmp_path: Path, api: Api, stream: bool, end: list[Step | bytes]
) -> None:
    headers = add(tmp_path, "ci", tokens_per_day=3)
    with running_proxy(state_dir=tmp_path) as proxy:
        proxy.simulator.script([b'{"text":"Half"}\n', USAGE, *end])
        post(proxy, api, headers, stream=stream)
        proxy.wait_for(lambda: len(proxy.lines) == 1)
        assert "tokens=2/1/3" in proxy.lines[0]
        assert post(proxy, api, headers, stream=stream).status_code == 429


@streamed_and_whole
def test_both_turns_of_an_answer_that_stays_invalid_cost(tmp_path: Path, stream: bool) -> None:
    headers = add(tmp_path, "ci", tokens_per_day=6)
    with running_proxy(state_dir=tmp_path) as proxy:
        proxy.simulator.script([b'{"text":"5"}\n', USAGE, END], times=2)
        assert post(proxy, CHAT, headers, stream=stream, **NEVER).status_code == 502
        proxy.wait_for(lambda: len(proxy.lines) == 1)
        assert "tokens=4/2/6" in proxy.lines[0]
        assert post(proxy, CHAT, headers, stream=stream).status_code == 429


def test_counting_tokens_takes_none(tmp_path: Path) -> None:
    headers = add(tmp_path, "ci", tokens_per_day=5)
    body = {"model": MODEL, "messages": [{"role": "user", "content": "word " * 50}]}
    with running_proxy(state_dir=tmp_path) as proxy:
        for _ in range(2):
            counted = httpx.post(f"{proxy.url}/v1/messages/count_tokens", json=body, headers=headers)
            assert counted.json()["input_tokens"] > 50
        assert post(proxy, MESSAGES, headers).status_code == 200


def test_a_client_that_leaves_before_the_end_has_taken_its_prompt_at_least(tmp_path: Path) -> None:
    """The backend tells what a turn took only at its end, and a client could always leave before that."""
    headers = add(tmp_path, "ci", tokens_per_day=50)
    with running_proxy(state_dir=tmp_path) as proxy:
        proxy.simulator.script([Send(b'{"text":"Half"}\n'), Stall(30)])
        body = request(CHAT, MODEL, True, "word " * 500)
        with httpx.stream("POST", proxy.url + CHAT.path, json=body, headers=headers, timeout=20) as answer:
            next(answer.iter_bytes())
        proxy.wait_for(lambda: len(proxy.lines) == 1)
        assert post(proxy, CHAT, headers).status_code == 429


def test_a_websocket_counts_each_response(tmp_path: Path) -> None:
    headers = add(tmp_path, "ci", requests_per_day=2)
    with running_proxy(state_dir=tmp_path) as proxy, opened(proxy, additional_headers=headers) as socket:
        socket.ask()
        socket.ask()
        assert socket.refused()["error"]["code"] == "rate_limit_exceeded"


def test_a_background_response_counts(tmp_path: Path) -> None:
    headers = add(tmp_path, "ci", tokens_per_day=5)
    with running_proxy(state_dir=tmp_path, store="memory") as proxy:
        assert post(proxy, RESPONSES, headers, background=True, store=True).json()["status"] == "queued"
        proxy.wait_for(lambda: any(" RUN " in line for line in proxy.lines))
        assert post(proxy, RESPONSES, headers).status_code == 429


def test_a_batch_has_the_limits_of_its_key(tmp_path: Path) -> None:
    headers = add(tmp_path, "ci", requests_per_day=2, models=("claude-haiku-4-5", "claude-sonnet-4-5"))
    with running_proxy(state_dir=tmp_path, store="memory", batch_concurrency=1) as proxy:
        batch = create(proxy, params(model="claude-opus-4-7"), *[params(model=MODEL)] * 3, key="ci!")
        ended(proxy, batch["id"], key="ci!")
        ends = [result for _, result in results(proxy, batch["id"], key="ci!")]
        assert [end["type"] for end in ends] == ["errored", "succeeded", "succeeded", "errored"]
        assert [end["error"]["error"]["type"] for end in (ends[0], ends[3])] == ["permission_error", "rate_limit_error"]
        assert post(proxy, MESSAGES, headers).status_code == 429
        assert len(proxy.simulator.requests) == 2


def test_a_batch_s_request_is_one_of_the_day_however_often_it_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_runner, "NO_PLACE_PAUSE", 0.02)
    monkeypatch.setattr(batch_runner, "FIRST_PAUSE", 0.01)
    headers = add(tmp_path, "ci", requests_per_day=3)
    changes = {"state_dir": tmp_path, "store": "memory", "max_concurrency": 1, "queue_timeout": 0.01}
    with running_proxy(**changes) as proxy:
        proxy.simulator.script([Send(b'{"text":"Half a"}\n'), Cut()], times=2)
        batch = create(proxy, *[directive(text=["a ", "b "], delay=0.05)] * 3, key="ci!")
        ended(proxy, batch["id"], key="ci!")
        assert [result["type"] for _, result in results(proxy, batch["id"], key="ci!")] == ["succeeded"] * 3
        assert len(proxy.simulator.requests) == 5
        assert post(proxy, MESSAGES, headers).status_code == 429


def test_the_tokens_of_a_batch_count(tmp_path: Path) -> None:
    headers = add(tmp_path, "ci", tokens_per_day=5)
    with running_proxy(state_dir=tmp_path, store="memory") as proxy:
        batch = create(proxy, params(model=MODEL), key="ci!")
        ended(proxy, batch["id"], key="ci!")
        assert post(proxy, MESSAGES, headers).status_code == 429


def test_what_a_cancelled_batch_had_begun_counts_as_its_prompt(tmp_path: Path) -> None:
    headers = add(tmp_path, "ci", tokens_per_day=50)
    with running_proxy(state_dir=tmp_path, store="memory") as proxy:
        proxy.simulator.script([Send(b'{"text":"Half"}\n'), Stall(30)])
        batch = create(proxy, params("word " * 500, MODEL), key="ci!")
        proxy.wait_for(lambda: proxy.simulator.open_calls == 1)
        call(proxy, "POST", f"/{batch['id']}/cancel", key="ci!")
        ended(proxy, batch["id"], key="ci!")
        assert post(proxy, MESSAGES, headers).status_code == 429


def test_a_revoked_key_s_batch_runs_no_further(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys_module, "LOOK_EVERY", 0.0)
    add(tmp_path, "ci")
    other = add(tmp_path, "other")
    with running_proxy(state_dir=tmp_path, store="memory", batch_concurrency=1) as proxy:
        proxy.simulator.script([Send(b'{"text":"Late."}\n'), Stall(0.5), Send(b'{"stop_reason":1}\n')])
        create(proxy, *[params(model=MODEL)] * 2, key="ci!")
        proxy.wait_for(lambda: proxy.simulator.open_calls == 1)
        KeyFile(StateFolder(tmp_path)).remove("ci")
        proxy.wait_for(lambda: len([line for line in proxy.lines if " BATCH " in line]) == 2)
        assert len(proxy.simulator.requests) == 1
        assert any("was revoked" in line for line in proxy.lines)
        assert post(proxy, MESSAGES, other).status_code == 200


def test_under_a_made_up_name_a_page_is_told_nothing_of_the_key_that_it_guessed(guarded: Proxy) -> None:
    answer = post(guarded, headers={"Host": "rebind.example", "x-api-key": "guess"})
    assert answer.status_code == 403
    assert answer.json()["error"] == post(guarded, headers={"Host": "rebind.example"}).json()["error"]
