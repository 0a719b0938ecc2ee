"""The backend's token, the client keys and the seals' secret: in no log, no answer, no header, no list of processes."""

import gc
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from augment_open_proxy.cli import main
from augment_open_proxy.journal.log import Formatter, Log
from augment_open_proxy.server.exchange import Exchange
from augment_open_proxy.server.provision import Ready, banner
from augment_open_proxy.settings import OPTIONS, Settings, SettingsError, load
from augment_open_proxy.simulator.steps import Send, Status
from tests.asking import APIS, CHAT, Api, every_api, request, streamed_and_whole
from tests.server.test_process import running
from tests.servers import Proxy, running_proxy

TOKEN = "simulator-token"
KEY = "the-client-key-4711"
SEAL = "the-secret-of-seals-4711"
SECRETS = (TOKEN, KEY, SEAL)
MODEL = "claude-haiku-4-5"


@pytest.fixture(params=["text", "json"])
def logs(request: pytest.FixtureRequest) -> Iterator[Proxy]:
    """A proxy that logs bodies."""
    with running_proxy(
        api_keys=(KEY,), secret=SEAL, logging="body", log_format=request.param, store="memory"
    ) as running:
        yield running


def post(proxy: Proxy, api: Api, stream: bool = False, turns: str = "Hi.", **fields: Any) -> httpx.Response:
    body = request(api, MODEL, stream, turns, **fields)
    return httpx.post(proxy.url + api.path, json=body, headers={"x-api-key": KEY}, timeout=20)


def check(proxy: Proxy, *answers: httpx.Response, lines: int = 1) -> None:
    """No secret is in the answers, nor in the log, once it has so many records."""
    proxy.wait_for(lambda: len(proxy.lines) >= lines)
    for text in (*proxy.lines, *(answer.text for answer in answers), *(str(answer.headers) for answer in answers)):
        for secret in SECRETS:
            assert secret not in text


# --- What the backend quotes ---


@every_api
@streamed_and_whole
@pytest.mark.parametrize("status", [400, 401, 403, 429, 500])
def test_a_refusal_of_the_backend_that_quotes_them(
    logs: Proxy, api: Api, stream: bool, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = f"the token {TOKEN} is bad: Authorization: Bearer {TOKEN}"
    logs.simulator.script([Status(status, json.dumps({"error": words}).encode())], times=9)
    answer = post(logs, api, stream)
    assert answer.status_code != 200
    assert "is bad" in answer.text
    check(logs, answer)


@every_api
@streamed_and_whole
@pytest.mark.parametrize("said", [b"", b'{"text":"Half"}\n'], ids=["at once", "after content"])
def test_a_failure_in_the_stream_that_quotes_them(logs: Proxy, api: Api, stream: bool, said: bytes) -> None:
    line = json.dumps({"error": {"message": f"session={TOKEN} has ended"}}).encode() + b"\n"
    logs.simulator.script([Send(said + line)], times=9)
    answer = post(logs, api, stream)
    assert "has ended" in answer.text
    check(logs, answer)


@every_api
def test_what_the_model_repeats_of_them_is_hidden_in_the_log(logs: Proxy, api: Api) -> None:
    """The client gets what the model says, all of it; the log does not."""
    said = f"{TOKEN} and {KEY} and Bearer abcdefgh12345678"
    logs.simulator.script([Send(json.dumps({"text": said}).encode() + b'\n{"stop_reason":1}\n')])
    answer = post(logs, api, turns=f"Is my key {KEY} good, or sk-ant-api03-abcdefghijklmnop?")
    assert said in api.text(answer.json())
    logs.wait_for(lambda: bool(logs.lines))
    (line,) = logs.lines
    for secret in (*SECRETS, "abcdefgh12345678", "abcdefghijklmnop"):
        assert secret not in line
    assert "Is my key *** good" in line


def test_what_the_log_shows_is_whole_but_for_that(logs: Proxy) -> None:
    post(logs, CHAT, turns="x" * 100_000)
    logs.wait_for(lambda: bool(logs.lines))
    assert "x" * 100_000 in logs.lines[0]


@pytest.mark.parametrize("form", ["text", "json"])
def test_bodies_are_cut_where_the_user_says_so(form: str) -> None:
    with running_proxy(logging="body", log_format=form, log_body_limit=200, api_keys=(KEY,)) as proxy:
        post(proxy, CHAT, turns=f"{'x' * 90}{KEY}{'x' * 1000}")
        proxy.wait_for(lambda: bool(proxy.lines))
        line = proxy.lines[0]
        assert len(line) < 1000
        assert "bytes)" in line
        assert KEY[:8] not in line, "what is cut off in the middle is hidden as well"
        if form == "json":
            assert isinstance(json.loads(line)["request"], str)


# --- What goes wrong here ---


def test_a_key_that_is_refused_is_not_repeated(logs: Proxy) -> None:
    for headers in ({"x-api-key": "wrong-4711"}, {"Authorization": "Basic wrong-4711"}):
        answer = httpx.post(logs.url + CHAT.path, json={}, headers=headers)
        assert answer.status_code == 401
        assert "wrong-4711" not in answer.text
    check(logs, lines=2)
    assert "wrong-4711" not in "".join(logs.lines)


@every_api
def test_a_crash_tells_nothing(
    logs: Proxy, api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def crash(*_: Any, **__: Any) -> Any:
        raise RuntimeError(f"{TOKEN} {KEY}")

    monkeypatch.setattr(Exchange, "begin", crash)
    answer = post(logs, api)
    assert answer.status_code == 500
    assert "Traceback" not in answer.text
    assert "RuntimeError" not in answer.text
    check(logs, answer)
    log = Log("info", "text")
    log.hide(lambda: SECRETS)
    shown = Formatter(log).format(caplog.records[-1])
    assert "RuntimeError: *** ***" in shown, "the traceback on stderr is without them, too"


@pytest.mark.parametrize("path", ["/", "/v1/models", "/v1/openapi.json", "/livez", "/readyz", "/v1/nothing"])
def test_what_the_proxy_tells_of_itself(logs: Proxy, path: str) -> None:
    check(logs, httpx.get(logs.url + path, headers={"x-api-key": KEY}))


def test_the_address_s_query_is_not_logged(logs: Proxy) -> None:
    httpx.get(f"{logs.url}/v1/models?api_key={KEY}")
    check(logs)


def test_nothing_of_them_is_stored(tmp_path: Path) -> None:
    with running_proxy(api_keys=(KEY,), secret=SEAL, state_dir=tmp_path) as proxy:
        for api in APIS:
            fields: dict[str, Any] = {} if api.name == "messages" else {"store": True}
            assert post(proxy, api, **fields).status_code == 200
    gc.collect()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    for path in files:
        assert not [secret for secret in SECRETS if secret.encode() in path.read_bytes()]


# --- The settings ---


def test_they_are_shown_by_nothing_that_shows_settings() -> None:
    settings = Settings(api_keys=(KEY,), augment_api_token=TOKEN, secret=SEAL)
    ready = Ready("AUGMENT_API_TOKEN", "/state", "memory", needs_key=True)
    for text in (repr(settings), banner(["http://localhost:1"], ready, settings, demo=False)):
        assert not [secret for secret in SECRETS if secret in text]


def test_they_have_no_flags_and_a_password_in_one_is_refused(tmp_path: Path) -> None:
    """The command line is in the list of processes, for all users of the machine."""
    assert not [option.env for option in OPTIONS.values() if option.secret and option.flags]
    url = "postgresql://user:the-password@db.example/x"
    with pytest.raises(SettingsError) as caught:
        load({"--store": url}, {}, tmp_path, lambda: tmp_path / "none")
    assert "AOP_STORE" in str(caught.value)
    assert "the-password" not in str(caught.value)
    assert load({}, {"AOP_STORE": url}, tmp_path, lambda: tmp_path / "none").store == url
    for sound in ("postgresql://user@db.example/x", "sqlite:////a:b/c@d", "memory"):
        assert load({"--store": sound}, {}, tmp_path, lambda: tmp_path / "none").store == sound


def test_a_password_in_a_flag_ends_the_start_with_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["--store", "postgresql://user:the-password@db.example/x"]) == 2
    assert "the-password" not in capsys.readouterr().err


def test_they_are_not_in_the_list_of_processes(tmp_path: Path) -> None:
    more = {"AUGMENT_API_TOKEN": TOKEN, "AUGMENT_API_URL": "https://tenant.example", "AOP_API_KEY": KEY}
    with running(tmp_path, "--port", "0", **more) as (process, shown):
        line = Path(f"/proc/{process.pid}/cmdline").read_text()
    assert not [secret for secret in SECRETS if secret in line + shown]


def test_the_old_name_for_origins_is_heard_with_a_word(tmp_path: Path) -> None:
    def given(text: str) -> Settings:
        return load({}, {"CORS_ORIGIN": text}, tmp_path, lambda: tmp_path / "none")

    assert given("https://chat.example").cors_origins == ("https://chat.example",)
    assert "AOP_CORS_ORIGINS" in given("https://chat.example").notices[0]
    assert given("*").cors_origins == ()
    assert "not honoured" in given("*").notices[0]
    settings = load({}, {"AOP_CORS_ORIGINS": "https://a.example"}, tmp_path, lambda: tmp_path / "none")
    assert settings.notices == ()
    ready = Ready("them", "/state", "memory")
    assert "AOP_CORS_ORIGINS" in banner(["http://localhost:1"], ready, given("https://a.example"), demo=False)
