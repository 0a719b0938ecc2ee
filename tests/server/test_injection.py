"""Text that a client gives (model, ids, names, metadata) adds no header, no event, no line of the log and no path."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from tests.asking import APIS, CHAT, MESSAGES, RESPONSES, Api, events, every_api, request, streamed_and_whole
from tests.raw import connected, post
from tests.servers import Proxy, running_proxy
from tests.sockets import opened

MODEL = "claude-haiku-4-5"
EVIL = (
    "x\r\nX-Evil: 1\r\n\r\nGET / HTTP/1.1",
    'x\n\nevent: evil\ndata: {"evil": 1}\n\n',
    "x\r\rdata: [DONE]\r\r",
    "x\u2028\u2029\x85\x0b\x0c\x1c\x1e",
    "x\x1b[2J\x1b]0;evil\x07\x9b31m",
    "[2026-01-01T00:00:00.000Z] INFO POST /evil 200",
    "../../../../etc/passwd",
    "x\0y",
    '"}, {"evil": "',
    "\u202eevil",
    "x" * 5000,
)
every_evil = pytest.mark.parametrize("evil", EVIL)


@pytest.fixture(scope="module", params=["text", "json"])
def logging(request: pytest.FixtureRequest) -> Iterator[Proxy]:
    """A proxy that logs bodies, in each form."""
    with running_proxy(store="memory", logging="body", log_format=request.param) as running:
        yield running


def send(proxy: Proxy, api: Api, stream: bool, **fields: Any) -> httpx.Response:
    """Check what must hold of every answer, and of what it left in the log; gives the answer."""
    seen = len(proxy.lines)
    answer = httpx.post(
        proxy.url + api.path, json=request(api, fields.pop("model", MODEL), stream, **fields), timeout=20
    )
    check_headers(answer)
    check_answer(answer)
    proxy.wait_for(lambda: len(proxy.lines) > seen)
    check_log(proxy.lines[seen:])
    return answer


def check_headers(answer: httpx.Response) -> None:
    assert not [name for name in answer.headers if "evil" in name]
    assert all(value.isprintable() and len(value) < 2000 for value in answer.headers.values())


def check_answer(answer: httpx.Response) -> None:
    """Every event is one that the API has, and every piece of data is JSON on one line."""
    if not answer.headers["content-type"].startswith("text/event-stream"):
        assert isinstance(answer.json(), dict)
        return
    for frame in answer.content.replace(b"\r\n", b"\n").split(b"\n\n"):
        for line in frame.split(b"\n"):
            assert line == b"" or line.startswith((b"event: ", b"data: ", b": ", b":")), line
            assert b"\r" not in line
            assert not line.startswith(b"event: evil")
    for event in events(answer.content.decode()):
        assert "evil" not in event


def check_log(lines: list[str]) -> None:
    for written in lines:
        first, *more = written.split("\n")[:-1]
        assert first.startswith(("[20", "{"))
        assert all(line.startswith(("  request: {", "  response: ")) for line in more), more
        assert all(line.isprintable() for line in (first, *more))
        if first.startswith("{"):
            json.loads(first)


@every_api
@streamed_and_whole
@every_evil
def test_the_model_s_name(logging: Proxy, api: Api, stream: bool, evil: str) -> None:
    assert send(logging, api, stream, model=evil).status_code in (400, 404)
    assert send(logging, api, stream, model=f"claude-{evil}").status_code in (200, 400, 404)


def tool(api: Api, name: str) -> list[dict[str, Any]]:
    schema = {"type": "object", "properties": {name: {"type": "string"}}}
    if api is MESSAGES:
        return [{"name": name, "description": name, "input_schema": schema}]
    function = {"name": name, "description": name, "parameters": schema}
    return [{"type": "function", **function} if api is RESPONSES else {"type": "function", "function": function}]


@every_api
@every_evil
def test_names_of_tools_parameters_and_users(logging: Proxy, api: Api, evil: str) -> None:
    given: tuple[dict[str, Any], ...] = (
        {"tools": tool(api, evil)},
        {"tools": [{"type": evil, "name": evil}]},
        {evil: evil, "temperature": 1},
        {"user": evil, "prompt_cache_key": evil, "safety_identifier": evil},
        {"metadata": {"user_id": evil}},
        {"metadata": {evil[:60]: evil[:500]}},
        {"stop": [evil], "stop_sequences": [evil]},
        {"previous_response_id": evil},
        {"conversation": evil},
        {"service_tier": evil},
        {"reasoning_effort": evil, "reasoning": {"effort": evil}},
        {"tool_choice": evil},
    )
    for number, fields in enumerate(given):
        assert send(logging, api, number % 2 == 0, **fields).status_code in (200, 400, 404)


@every_api
@streamed_and_whole
@every_evil
def test_what_the_model_says_of_it(logging: Proxy, api: Api, stream: bool, evil: str) -> None:
    """The backend repeats it in its text, its thinking, and in a call."""
    directive = f"@@{json.dumps({'thinking': [evil], 'text': [evil, evil]})}@@"
    assert send(logging, api, stream, turns=directive).status_code == 200


@every_evil
@pytest.mark.parametrize(
    "path",
    [
        "/v1/models/{}",
        "/v1/responses/{}",
        "/v1/chat/completions/{}",
        "/v1/conversations/{}",
        "/v1/conversations/{}/items/{}",
        "/v1/messages/batches/{}/results",
        "/{}",
    ],
)
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_ids_in_paths(logging: Proxy, path: str, method: str, evil: str) -> None:
    seen = len(logging.lines)
    quoted = "".join(f"%{byte:02x}" for byte in evil.encode())
    answer = httpx.request(method, f"{logging.url}{path.format(quoted, quoted)}?after={quoted}")
    assert answer.status_code in (400, 404, 405)
    check_headers(answer)
    assert "root:" not in answer.text
    logging.wait_for(lambda: len(logging.lines) > seen)
    check_log(logging.lines[seen:])


def test_bytes_in_paths_and_methods(logging: Proxy) -> None:
    for path in (
        "/%ff%fe",
        "/%ed%a0%80",
        "/%0d%0aX-Evil:1",
        "/v1/models/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/%2f%2fevil",
    ):
        with connected(logging) as connection:
            connection.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            answer = connection.answer()
            assert answer.status == 404
            assert "x-evil" not in answer.headers
    check_log(logging.lines)


@pytest.mark.parametrize(
    "header",
    [
        "X-Request-Id: evil",
        "X-Client-Request-Id: evil",
        "X-Claude-Code-Session-Id: a\tb",
        "Session_id: ../../x",
        "X-Session-Id: \xe9\xff",
        "User-Agent: \x1b[2J".replace("\x1b", "\xff"),
        "Anthropic-Beta: evil",
    ],
)
def test_headers_of_a_client_do_not_come_back_or_go_on_to_the_backend(logging: Proxy, header: str) -> None:
    body = json.dumps(request(CHAT, MODEL, False)).encode()
    with connected(logging) as connection:
        connection.send(post(CHAT.path, body, header))
        answer = connection.answer()
    value = header.partition(": ")[2]
    assert answer.status == 200
    assert value not in answer.headers.values()
    asked = logging.simulator.requests[-1]
    assert value not in asked.headers.values()
    assert value.encode("latin-1") not in str(asked.request).encode("latin-1", "replace")


@every_api
@every_evil
def test_nothing_of_it_reaches_the_headers_of_the_backend(logging: Proxy, api: Api, evil: str) -> None:
    fields = {"user": evil, "metadata": {"user_id": evil[:500]}, "prompt_cache_key": evil}
    assert send(logging, api, False, **fields).status_code == 200
    for value in logging.simulator.requests[-1].headers.values():
        assert "evil" not in value
        assert value.isprintable()


@every_evil
def test_a_websocket_tells_each_event_in_a_message_of_its_own(logging: Proxy, evil: str) -> None:
    with opened(logging) as socket:
        socket.send(model=evil)
        assert socket.error()["status"] in (400, 404)
        socket.send(metadata={"a": evil[:500]}, user=evil, stream_id=evil[:50])
        assert {event["type"].partition(".")[0] for event in socket.response()} <= {"response", "error"}


def test_nothing_is_written_outside_of_the_state_folder(tmp_path: Path) -> None:
    state = tmp_path / "a" / "state"
    with running_proxy(state_dir=state) as proxy:
        for api in APIS:
            for evil in EVIL:
                body = request(api, MODEL, False, user=evil, metadata={"a": evil[:500]}, store=True)
                httpx.post(proxy.url + api.path, json=body, headers={"x-api-key": "../../evil"}, timeout=20)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["state"]
    assert {path.name.partition("-")[0] for path in state.iterdir()} <= {"secret", "store.db"}
