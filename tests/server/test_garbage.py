"""A request leaves nothing to the garbage collector: what refers to itself stays until it looks, at twice the price."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2 as httpx
import pytest

from augment_open_proxy.server.alarms import _known
from tests.asking import CHAT, MESSAGES, RESPONSES, Api, ask, request, streamed_and_whole
from tests.servers import Proxy
from tests.sockets import MODEL

WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
CALL = {"type": "function", "function": {"name": "weather", "parameters": WEATHER}}
FORM = {"type": "json_schema", "json_schema": {"name": "weather", "strict": True, "schema": WEATHER}}
KINDS: dict[str, tuple[Api, str, dict[str, Any]]] = {
    "chat": (CHAT, "echo", {}),
    "messages": (MESSAGES, "echo", {}),
    "responses": (RESPONSES, "echo", {}),
    "stored chat": (CHAT, "echo", {"store": True}),
    "stored message": (MESSAGES, "echo", {"thread": {"type": "create"}}),
    "stored response": (RESPONSES, "echo", {"store": True}),
    "several choices": (CHAT, "echo", {"n": 3}),
    "several stored": (CHAT, "echo", {"n": 3, "store": True}),
    "in the background": (RESPONSES, "echo", {"store": True, "background": True}),
    "stop sequence": (CHAT, "echo", {"stop": "i"}),
    "limit": (CHAT, "long", {"max_tokens": 3}),
    "thinking": (MESSAGES, "thinking", {"thinking": {"type": "enabled", "budget_tokens": 1024}}),
    "call": (CHAT, "tool", {"tools": [CALL]}),
    "structured": (CHAT, "obedient", {"response_format": FORM}),
}
FAILING: dict[str, tuple[Api, str, dict[str, Any]]] = {
    "refused": (CHAT, "echo", {"n": 99}),
    "failed early": (RESPONSES, "error-429", {}),
    "failed late": (RESPONSES, "error-in-stream", {}),
    "stored and failed": (RESPONSES, "error-in-stream", {"store": True}),
    "cut off": (MESSAGES, "cut", {}),
}


@contextmanager
def garbage() -> Iterator[set[str]]:
    """The types of the proxy's objects that only the collector could free, once the context is left."""
    found: set[str] = set()
    for seconds, alarms in list(_known.items()):
        if alarms.loop.is_closed():  # that of an earlier test, which this one's would be put in place of
            del _known[seconds]
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield found
        gc.collect()
        found.update(type(one).__qualname__ for one in gc.garbage if _is_ours(type(one).__module__))
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def _is_ours(module: str) -> bool:
    return module.startswith("augment_open_proxy.") and not module.startswith("augment_open_proxy.simulator")


def _wait_for_its_end(proxy: Proxy, seen: int) -> None:
    """The client has its answer before the request is over, and is written into the log."""
    proxy.wait_for(lambda: len(proxy.lines) > seen)
    proxy.call(lambda: None)  # a turn of the loop later, what served it is gone


class Knot:
    __module__ = "augment_open_proxy.test"

    def __init__(self) -> None:
        self.itself = self


def test_what_refers_to_itself_would_be_found() -> None:
    with garbage() as found:
        Knot()
    assert found == {"Knot"}


@pytest.mark.parametrize("delay", [0, 0.06], ids=["fast", "slow"])
@pytest.mark.parametrize("kind", KINDS | FAILING)
@streamed_and_whole
def test_a_request_leaves_none(proxy: Proxy, kind: str, stream: bool, delay: float) -> None:
    """Whether or not it lasts so long that it is watched whether its client leaves."""
    api, scenario, fields = (KINDS | FAILING)[kind]
    said = f'@@{{"scenario": "{scenario}", "delay": {delay}}}@@ Hi.'
    first = len(proxy.lines)
    ask(proxy, api, MODEL, stream, said, **fields)
    _wait_for_its_end(proxy, first)
    seen = len(proxy.lines)
    with garbage() as found:
        answer = ask(proxy, api, MODEL, stream, said, **fields)
        _wait_for_its_end(proxy, seen)
    assert (kind in FAILING) is (answer.error is not None)
    assert not found


def test_a_client_that_leaves_leaves_none(proxy: Proxy) -> None:
    body = request(CHAT, MODEL, True, '@@{"scenario": "hang"}@@ Hi.')
    seen = len(proxy.lines)
    with garbage() as found:
        with httpx.stream("POST", proxy.url + CHAT.path, json=body, timeout=20) as answer:
            next(answer.iter_bytes())
        _wait_for_its_end(proxy, seen)
    assert not found
