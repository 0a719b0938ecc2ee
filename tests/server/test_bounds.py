"""Bounds of a request at a running proxy, in each API: size, packing, depth, how many tools and pictures, odd texts.

What is beyond them is told in the API's shape, and costs the others nothing.
"""

import gzip
import json
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import brotli
import httpx2 as httpx
import pytest
import zstandard

from augment_open_proxy.server.body import MOST_PICTURES, MOST_TOOLS
from tests.asking import CHAT, MESSAGES, RESPONSES, Api, every_api, request
from tests.servers import Proxy, running_proxy
from tests.sockets import opened

MODEL = "claude-haiku-4-5"
JSON = {"Content-Type": "application/json"}
DEEP = 100_000
PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
Pack = Callable[[bytes], bytes]
PACKINGS: dict[str, Pack] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": lambda data: brotli.compress(data, quality=5),
    "zstd": zstandard.ZstdCompressor().compress,
}
every_packing = pytest.mark.parametrize(("name", "pack"), PACKINGS.items(), ids=PACKINGS)


@pytest.fixture(scope="module")
def bounded() -> Iterator[Proxy]:
    with running_proxy(body_limit=2**20, store="memory") as running:
        yield running


def post(proxy: Proxy, path: str, body: bytes, **headers: str) -> httpx.Response:
    return httpx.post(proxy.url + path, content=body, headers={**JSON, **headers}, timeout=20)


def body(api: Api, prompt: Any = "Hi.", **fields: Any) -> bytes:
    return json.dumps(request(api, MODEL, False, prompt, **fields)).encode()


def check_error(answer: httpx.Response, api: Api, status: int) -> str:
    """The message."""
    assert answer.status_code == status, answer.text[:300]
    error = answer.json()["error"]
    if api is MESSAGES:
        assert answer.json()["type"] == "error"
    else:
        assert set(error) == {"message", "type", "param", "code"}
    message: str = error["message"]
    assert 0 < len(message) < 1000
    return message


# --- Size ---


@every_api
@every_packing
def test_a_packed_body_is_read(bounded: Proxy, api: Api, name: str, pack: Pack) -> None:
    answer = post(bounded, api.path, pack(body(api)), **{"Content-Encoding": name})
    assert answer.status_code == 200
    assert api.text(answer.json())


@every_api
@every_packing
def test_a_bomb_is_a_413_and_costs_the_others_nothing(bounded: Proxy, api: Api, name: str, pack: Pack) -> None:
    bomb = pack(b'{"model": "' + b"x" * 200 * 2**20)
    before = len(bounded.simulator.requests)
    answers: list[httpx.Response] = []

    def attack() -> None:
        answers.append(post(bounded, api.path, bomb, **{"Content-Encoding": name}))

    threads = [threading.Thread(target=attack) for _ in range(4)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    assert httpx.get(f"{bounded.url}/livez", timeout=5).status_code == 200
    for thread in threads:
        thread.join(20)
    assert time.monotonic() - started < 5
    for answer in answers:
        assert "AOP_BODY_LIMIT" in check_error(answer, api, 413)
    assert len(answers) == 4
    assert len(bounded.simulator.requests) == before


@every_api
def test_a_body_beyond_the_limit_is_a_413(bounded: Proxy, api: Api) -> None:
    check_error(post(bounded, api.path, body(api, "x" * 2**20)), api, 413)


@every_api
def test_an_unknown_packing_is_a_415_and_a_broken_one_a_400(bounded: Proxy, api: Api) -> None:
    check_error(post(bounded, api.path, body(api), **{"Content-Encoding": "lzma"}), api, 415)
    for name in PACKINGS:
        check_error(post(bounded, api.path, body(api), **{"Content-Encoding": name}), api, 400)


# --- Depth ---


def nested(depth: int, opening: str = "[", closing: str = "]") -> str:
    return opening * depth + closing * depth


ARRAYS, OBJECTS, OPEN = nested(DEEP), nested(DEEP, '{"a":', "}").replace(":}", ":1}"), "[" * DEEP
PATHS = {
    "/v1/chat/completions": CHAT,
    "/v1/completions": CHAT,
    "/v1/responses": RESPONSES,
    "/v1/responses/compact": RESPONSES,
    "/v1/responses/input_tokens": RESPONSES,
    "/v1/conversations": RESPONSES,
    "/v1/messages": MESSAGES,
    "/v1/messages/count_tokens": MESSAGES,
    "/v1/messages/batches": MESSAGES,
}
SHAPES = {
    "whole": "{deep}",
    "unknown": '{{"model":"m","messages":[],"x":{deep}}}',
    "conversation": '{{"model":"m","max_tokens":9,"messages":{deep},"input":{deep},"items":{deep},"requests":{deep}}}',
    "content": (
        '{{"model":"m","max_tokens":9,"messages":[{{"role":"user","content":{deep}}}],"prompt":{deep},'
        '"input":[{{"role":"user","content":{deep}}}],"items":[{{"role":"user","content":{deep}}}],'
        '"requests":[{{"custom_id":"a","params":{deep}}}]}}'
    ),
}


@pytest.mark.parametrize(("path", "api"), PATHS.items(), ids=PATHS)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("deep", [ARRAYS, OBJECTS, OPEN], ids=["arrays", "objects", "not closed"])
def test_a_hundred_thousand_levels_are_a_400_at_once(proxy: Proxy, path: str, api: Api, shape: str, deep: str) -> None:
    before = len(proxy.simulator.requests)
    started = time.monotonic()
    check_error(post(proxy, path, shape.format(deep=deep).encode()), api, 400)
    assert time.monotonic() - started < 2
    assert len(proxy.simulator.requests) == before


def with_schema(api: Api, schema: Any) -> dict[str, Any]:
    """Fields with a tool that takes this."""
    if api is MESSAGES:
        return {"tools": [{"name": "t", "input_schema": schema}]}
    if api is RESPONSES:
        return {"tools": [{"type": "function", "name": "t", "parameters": schema}]}
    return {"tools": [{"type": "function", "function": {"name": "t", "parameters": schema}}]}


def spoilt(api: Api, deep: str, **fields: Any) -> bytes:
    """A body in which `deep` stands for each "DEEP"."""
    return body(api, **fields).replace(b'"DEEP"', deep.encode())


def called(api: Api) -> list[dict[str, Any]]:
    """A conversation with a call, whose arguments are "DEEP" where the API has JSON there."""
    if api is MESSAGES:
        call = {"type": "tool_use", "id": "c", "name": "t", "input": {"a": "DEEP"}}
        result = {"type": "tool_result", "tool_use_id": "c", "content": "ok"}
        return [
            {"role": "user", "content": "Hi."},
            {"role": "assistant", "content": [call]},
            {"role": "user", "content": [result]},
        ]
    if api is RESPONSES:
        call = {"type": "function_call", "call_id": "c", "name": "t", "arguments": '{"a": "DEEP"}'}
        return [
            {"role": "user", "content": "Hi."},
            call,
            {"type": "function_call_output", "call_id": "c", "output": "x"},
        ]
    function = {"name": "t", "arguments": '{"a": "DEEP"}'}
    return [
        {"role": "user", "content": "Hi."},
        {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": function}]},
        {"role": "tool", "tool_call_id": "c", "content": "ok"},
    ]


def structured(api: Api, schema: Any) -> dict[str, Any]:
    """Fields that ask for an answer by this schema."""
    if api is MESSAGES:
        return {"output_config": {"format": {"type": "json_schema", "schema": schema}}}
    if api is RESPONSES:
        return {"text": {"format": {"type": "json_schema", "name": "s", "schema": schema}}}
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}}


@every_api
@pytest.mark.parametrize("depth", [100, 400, 900, 1500, DEEP])
@pytest.mark.parametrize("logging", ["info", "body"])
def test_any_depth_in_what_is_passed_on_is_taken_or_refused(api: Api, depth: int, logging: str) -> None:
    """Where a parser lets pass what a function of ours cannot follow, it is still the client's fault."""
    deep, deep_schema = nested(depth), nested(depth, '{"properties":{"a":', "}}").replace(":}", ":{}}")
    conversation = called(api)
    with running_proxy(logging=logging, store="memory") as proxy:
        for data in (
            spoilt(api, deep, **with_schema(api, {"type": "object", "properties": {"a": {"default": "DEEP"}}})),
            spoilt(api, deep, metadata={"a": "DEEP"}),
            spoilt(api, deep, **structured(api, {"type": "object", "default": "DEEP"})),
            spoilt(api, deep_schema, **structured(api, {"not": "DEEP"})),
            json.dumps(request(api, MODEL, False, conversation)).replace('\\"DEEP\\"', deep).replace('"DEEP"', deep),
        ):
            raw = data.encode() if isinstance(data, str) else data
            answer = post(proxy, api.path, raw)
            assert answer.status_code in (200, 400), (answer.text, proxy.lines)
            if answer.status_code == 400:
                check_error(answer, api, 400)
            answer = post(proxy, api.path, raw.replace(b'"stream": false', b'"stream": true'))
            assert answer.status_code in (200, 400)
            assert "The proxy failed" not in answer.text


def test_a_websocket_tells_of_depth_and_goes_on(proxy: Proxy) -> None:
    with opened(proxy) as socket:
        for deep in (ARRAYS, OPEN):
            socket.connection.send(f'{{"type": "response.create", "model": "{MODEL}", "input": {deep}}}')
            assert socket.error()["status"] == 400
        assert socket.ask()["status"] == "completed"


# --- How many ---


def pictures(api: Api, count: int) -> list[dict[str, Any]]:
    url = f"data:image/png;base64,{PICTURE}"
    one: dict[str, Any]
    if api is MESSAGES:
        one = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PICTURE}}
    elif api is RESPONSES:
        one = {"type": "input_image", "image_url": url}
    else:
        one = {"type": "image_url", "image_url": {"url": url}}
    return [{"role": "user", "content": [one] * count}]


@every_api
def test_so_many_pictures_and_no_more(proxy: Proxy, api: Api) -> None:
    answer = post(proxy, api.path, body(api, **{api.turns: pictures(api, MOST_PICTURES + 1)}))
    assert api.turns in check_error(answer, api, 400)


@every_api
def test_so_many_tools_and_no_more(proxy: Proxy, api: Api) -> None:
    tool = json.dumps(with_schema(api, {"type": "object"})["tools"][0])

    def tools(count: int) -> list[dict[str, Any]]:
        return [json.loads(tool.replace('"t"', f'"t{number}"')) for number in range(count)]

    assert post(proxy, api.path, body(api, tools=tools(MOST_TOOLS))).status_code == 200
    message = check_error(post(proxy, api.path, body(api, tools=tools(MOST_TOOLS + 1))), api, 400)
    assert message.startswith("tools ")


# --- Texts that are none ---

ODD_TEXTS = (b"\\ud800", b"\\udc00 x", b"\\ud800\\ud800", b"\\u0000", b"a\\u0000b", b"\\u2028\\u0085")
NO_JSON = (b"\xff", b'{"model": "\xff"}', b'{"model": "a\0b"}', b"\0", b"{\0}", b"\xef\xbb\xbf{}", b"")


@every_api
@pytest.mark.parametrize(
    "text", [b"\\ud800", b"\\udc00 x", b"\\ud800\\ud800", b"\\u0000", b"a\\u0000b", b"\\u2028\\u0085"]
)
def test_half_characters_and_nul_are_texts_as_any(proxy: Proxy, api: Api, text: bytes) -> None:
    for place in (b'"Hi."', b'"you"'):
        raw = body(api, user="you").replace(place, b'"%b"' % text)
        if api is MESSAGES:
            raw = raw.replace(b'"user": ', b'"service_tier": ', 1) if place == b'"you"' else raw
        answer = post(proxy, api.path, raw)
        assert answer.status_code in (200, 400), answer.text
        json.loads(answer.content)


@every_api
@pytest.mark.parametrize(
    "raw", [b"\xff", b'{"model": "\xff"}', b'{"model": "a\0b"}', b"\0", b"{\0}", b"\xef\xbb\xbf{}", b""]
)
def test_bytes_that_are_no_json_are_a_400(proxy: Proxy, api: Api, raw: bytes) -> None:
    check_error(post(proxy, api.path, raw), api, 400)


@every_api
@pytest.mark.parametrize("number", [b"1e400", b"-1e400", b"9" * 400, b"NaN", b"Infinity", b"1.5", b"-0"])
def test_numbers_that_are_too_large_are_a_400(proxy: Proxy, api: Api, number: bytes) -> None:
    raw = body(api, max_tokens=4711, max_output_tokens=4711).replace(b"4711", number)
    check_error(post(proxy, api.path, raw), api, 400)
