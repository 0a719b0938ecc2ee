"""The server: where it is, what it remembers, and that scripts and departures work on real connections."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import aiohttp
import pytest

from augment_open_proxy.simulator import Cut, Hang, Pause, Reset, Send, Simulator, Stall, Status
from tests.simulator.client import Client, entry, play, request


async def eventually(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(3):
        while not holds():  # noqa: ASYNC110 (the simulator tells nobody)
            await asyncio.sleep(0.005)


def test_it_says_what_it_is() -> None:
    async def story(client: Client) -> None:
        assert client.sim.url.startswith("http://127.0.0.1:")
        assert not client.sim.url.endswith("/")
        async with client.http.get(client.sim.url) as response:
            assert response.status == 200
            assert "simulator" in (await response.json())["service"]

    play(story)


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/chat-stream"), ("POST", "/"), ("POST", "/chat"), ("GET", "/x/y")]
)
def test_nothing_else_is_served(method: str, path: str) -> None:
    async def story(client: Client) -> None:
        async with client.http.request(method, client.sim.url + path) as response:
            assert response.status == 404
            assert path in (await response.json())["error"]

    play(story)


def test_another_token_can_be_set() -> None:
    async def story(client: Client) -> None:
        assert (await client.ask("hello")).status == 200
        assert (await client.ask("hello", authorization="Bearer simulator-token")).status == 401

    play(story, token="other")


def test_requests_are_kept_as_they_came() -> None:
    async def story(client: Client) -> None:
        body = request("hello")
        await client.ask(body, x_mode="wrong")
        await client.ask(body)
        refused, received = client.sim.requests
        assert refused.request is None
        assert received.headers["x-mode"] == "sdk"
        assert json.loads(received.body) == body
        assert received.request is not None
        assert received.request.message == "hello"

    play(story)


def test_only_so_many_requests_are_kept() -> None:
    async def story(client: Client) -> None:
        for number in range(4):
            await client.ask(str(number))
        assert [one.request.message for one in client.sim.requests if one.request] == ["2", "3"]

    play(story, keep=2)


def test_a_connection_is_used_again() -> None:
    made: list[object] = []

    async def count(*details: object) -> None:
        made.append(details)

    async def story(client: Client) -> None:
        tracing = aiohttp.TraceConfig()
        tracing.on_connection_create_end.append(count)
        async with aiohttp.ClientSession(trace_configs=[tracing]) as http:
            for model in ("claude-sim-echo", "claude-sim-error-429", "claude-sim-burst", "claude-sim-echo"):
                await Client(client.sim, http).ask(request(model=model))

    play(story)
    assert len(made) == 1


def test_delay_is_the_default_pause_between_lines() -> None:
    async def story(client: Client) -> float:
        started = asyncio.get_running_loop().time()
        await client.ask("hello")
        return asyncio.get_running_loop().time() - started

    assert play(story, delay=0.01) >= 0.1


# -------------------------------------------------------------------- usage


def test_a_longer_history_of_the_same_conversation_reads_the_cache() -> None:
    async def story(client: Client) -> None:
        first = request("hello")
        again = {**first, "chat_history": [entry("hello", "hi")], "message": "more"}
        later = {**again, "chat_history": [*again["chat_history"], entry("more", "yes " * 100)]}
        usages = [(await client.ask(body)).usage for body in (first, again, later, request("hello"))]
        reads = [usage["cache_read_input_tokens"] for usage in usages]
        assert reads[0] == 0 < reads[1] < reads[2]
        assert reads[3] == 0
        for usage in usages:
            assert usage["input_tokens"] > 0
            assert usage["output_tokens"] > 0
        prompts = [sum(usage.values()) - usage["output_tokens"] for usage in usages]
        assert prompts[0] < prompts[1] < prompts[2]
        assert reads[1] == prompts[0]

    play(story)


# ------------------------------------------------------------------ scripts


def test_a_script_is_the_next_answer_to_the_letter() -> None:
    async def story(client: Client) -> None:
        client.sim.script(b'{"text":"one"}\n')
        client.sim.script([b"any", Send(b"thing"), Pause(0.01), Send(b"\xff")])
        client.sim.script([Status(418, b"teapot", {"Content-Type": "text/plain", "X-Tea": "green"})])
        assert (await client.ask(request(model="claude-sim-error-500"))).body == b'{"text":"one"}\n'
        assert (await client.ask("hello")).body == b"anything\xff"
        teapot = await client.ask("hello")
        assert (teapot.status, teapot.body, teapot.headers["x-tea"]) == (418, b"teapot", "green")
        assert "no model" in (await client.ask("hello")).text

    play(story)


def test_a_script_can_serve_several_times() -> None:
    async def story(client: Client) -> None:
        client.sim.script(b"{}\n", times=2)
        assert [(await client.ask("hello")).body == b"{}\n" for _ in range(3)] == [True, True, False]

    play(story)


def test_a_refused_request_uses_up_no_script() -> None:
    async def story(client: Client) -> None:
        client.sim.script(b"{}\n")
        assert (await client.ask("hello", x_mode=None)).status == 400
        assert (await client.ask("hello")).body == b"{}\n"

    play(story)


def test_scripts_can_break_the_connection() -> None:
    async def story(client: Client) -> None:
        client.sim.script([b"a", Cut()])
        client.sim.script([b"a", Stall(0.01)])
        client.sim.script([b"a", Pause(0.05), Reset()])
        broken = [await client.ask("hello") for _ in range(3)]
        assert [reply.body for reply in broken] == [b"a", b"a", b"a"]
        assert ["reset by peer" in str(reply.broken) for reply in broken] == [False, False, True]
        assert client.sim.closed_early == 0

    play(story)


# --------------------------------------------------------------- departures


def test_calls_are_open_while_they_last() -> None:
    async def story(client: Client) -> None:
        client.sim.script([b"a", Hang()], times=3)
        calls = [await client.call("hello").__aenter__() for _ in range(3)]
        assert client.sim.open_calls == 3
        calls[0].close()
        await eventually(lambda: client.sim.open_calls == 2)
        assert client.sim.closed_early == 1
        for call in calls[1:]:
            call.close()
        await eventually(lambda: client.sim.open_calls == 0)
        assert client.sim.closed_early == 3

    play(story)


@pytest.mark.parametrize("name", ["no-answer", "hang", "slow"])
def test_the_call_ends_when_the_client_leaves(name: str) -> None:
    async def story(client: Client) -> None:
        task = asyncio.create_task(client.ask(request(model=f"claude-sim-{name}")))
        await eventually(lambda: client.sim.open_calls == 1)
        task.cancel()
        await eventually(lambda: client.sim.open_calls == 0)
        assert client.sim.closed_early == 1

    play(story)


def test_a_call_that_was_answered_whole_is_not_closed_early() -> None:
    async def story(client: Client) -> None:
        await client.ask("hello")
        await eventually(lambda: client.sim.open_calls == 0)
        assert client.sim.closed_early == 0

    play(story)


def test_the_simulator_stops_at_once_with_calls_open() -> None:
    async def story() -> None:
        async with aiohttp.ClientSession() as http:
            async with Simulator() as sim:
                call = asyncio.create_task(Client(sim, http).ask(request(model="claude-sim-hang")))
                await eventually(lambda: sim.open_calls == 1)
                started = asyncio.get_running_loop().time()
            assert asyncio.get_running_loop().time() - started < 1
            assert sim.open_calls == 0
            assert sim.closed_early == 0
            assert (await call).broken is not None

    asyncio.run(story())


def test_it_runs_in_uvloop() -> None:
    uvloop = pytest.importorskip("uvloop")

    async def story() -> None:
        async with asyncio.timeout(5), Simulator() as sim, aiohttp.ClientSession() as http:
            client = Client(sim, http)
            assert "no model" in (await client.ask("hello")).text
            assert "reset by peer" in str((await client.ask(request(model="claude-sim-reset"))).broken)
            assert (await client.ask(request(model="claude-sim-cut"))).broken is not None
            with pytest.raises(aiohttp.ClientOSError, match="reset by peer"):
                await client.ask(request(model="claude-sim-reset-before"))

    run: Callable[[Awaitable[None]], None] = uvloop.run
    run(story())
