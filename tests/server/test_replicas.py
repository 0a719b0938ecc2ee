"""Two proxies on one store: what one keeps, the other serves, follows and ends. And a proxy that is killed."""

import asyncio
import json
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from augment_open_proxy.journal.store.opening import Stores
from augment_open_proxy.journal.store.records import Page, Turn
from augment_open_proxy.server import runs
from augment_open_proxy.server.keys import owner_of
from augment_open_proxy.server.runs import FLUSH
from tests.postgres import Postgres
from tests.server.test_process import running, url_in
from tests.server.test_stored_responses import RESPONSES, ask, call, events, eventually, over
from tests.servers import Proxy, running_proxy

Pair = tuple[Proxy, Proxy]


@pytest.fixture(params=["sqlite", "postgresql"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pair]:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
    with running_proxy(store=url, secret="shared") as first, running_proxy(store=url, secret="shared") as second:
        yield first, second


def test_what_one_stores_the_other_shows_and_goes_on_from(pair: Pair) -> None:
    first, second = pair
    given = ask(first, "One.")
    assert call(second, "GET", f"/{given['id']}") == given
    ask(second, "Two.", previous_response_id=given["id"])
    assert "One." in second.simulator.requests[-1].body.decode()
    call(second, "DELETE", f"/{given['id']}")
    call(first, "GET", f"/{given['id']}", status=404)


def test_what_runs_at_one_is_followed_at_the_other(pair: Pair) -> None:
    first, second = pair
    begun = ask(first, "Hi.", background=True, model="claude-sim-slow", reasoning={"summary": "auto"})
    followed = events(second, begun["id"])
    assert [event["sequence_number"] for event in followed] == list(range(len(followed)))
    assert followed[-1]["type"] == "response.completed"
    assert followed == events(first, begun["id"])
    assert events(second, begun["id"], "&starting_after=5") == followed[6:]
    assert over(second, begun["id"]) == over(first, begun["id"])


def test_what_runs_at_one_is_ended_by_the_other(pair: Pair) -> None:
    first, second = pair
    begun = ask(first, "Hi.", background=True, model="claude-sim-stall")
    first.wait_for(lambda: first.simulator.open_calls == 1)
    assert call(second, "POST", f"/{begun['id']}/cancel")["status"] == "cancelled"
    first.wait_for(lambda: first.simulator.open_calls == 0)
    assert call(first, "GET", f"/{begun['id']}")["status"] == "cancelled"


def test_a_summary_made_by_one_is_read_by_the_other(pair: Pair) -> None:
    first, second = pair
    lines = [{"text": "A tree was planted."}, {"text": "", "stop_reason": 1}]
    first.simulator.script(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
    compacted = ask(first, "Plant a tree.", path="/compact")
    ask(second, [*compacted["output"], {"role": "user", "content": "Where?"}])
    assert "A tree was planted." in second.simulator.requests[-1].body.decode()


# ------------------------------------------------------------------- no store


def test_a_run_and_who_follows_it_elsewhere_wait_for_the_store(
    postgres: Postgres, postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    given: dict[str, Any] = {"store": postgres_url, "secret": "shared"}
    with running_proxy(**given) as first, running_proxy(**given) as second:
        begun = ask(first, "Hi.", background=True, model="claude-sim-slow")
        followed = following(second, begun["id"])
        next(followed)
        with postgres.away(postgres_url):
            first.wait_for(lambda: first.simulator.open_calls == 0)
            time.sleep(2 * FLUSH)
        ended = over(second, begun["id"])
        assert ended["status"] == "completed"
        assert list(followed)[-1]["response"] == ended
    assert not [record.getMessage() for record in caplog.records if record.exc_info]
    assert len([record for record in caplog.records if record.getMessage().startswith("events of")]) == 1


def test_who_follows_a_run_elsewhere_is_told_of_a_store_that_stays_away(
    postgres: Postgres, postgres_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(runs, "PATIENCE", 0.1)
    given: dict[str, Any] = {"store": postgres_url, "secret": "shared", "shutdown_grace": 0.1}
    with running_proxy(**given) as first, running_proxy(**given) as second:
        begun = ask(first, "Hi.", background=True, model="claude-sim-stall")
        followed = following(second, begun["id"])
        next(followed)
        with postgres.away(postgres_url):
            error = list(followed)[-1]["response"]["error"]
    assert error["message"].startswith("What is stored cannot be reached")
    assert not [record.getMessage() for record in caplog.records if record.exc_info]


def following(proxy: Proxy, response_id: str) -> Iterator[dict[str, Any]]:
    """The events of a response, as they come."""
    path = f"{proxy.url}{RESPONSES}/{response_id}?stream=true"
    with httpx.stream("GET", path, headers={"authorization": "Bearer k"}, timeout=20) as answer:
        for line in answer.iter_lines():
            if line.startswith("data: "):
                yield json.loads(line[6:])


# ---------------------------------------------------------------------- killed

CLIENTS = 8
ROUNDS = 3


class Load:
    """Clients that ask without pause; `given` are the responses that they have in full, by id."""

    def __init__(self, url: str) -> None:
        self.given: dict[str, Any] = {}
        self.begun: set[str] = set()
        self._url = url
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def _ask(self, number: int) -> None:
        """Ask until the proxy is gone."""
        headers = {"authorization": "Bearer k"}
        with httpx.Client(timeout=40, headers=headers) as client:
            count = 0
            while True:
                count += 1
                background = count % 5 == 0
                body = {"model": "claude-sim-thinking", "input": f"{number}.{count}", "background": background}
                try:
                    answer = client.post(self._url + RESPONSES, json=body)
                    response = answer.json()
                except (httpx.HTTPError, json.JSONDecodeError):
                    return
                if background:
                    self.begun.add(response["id"])
                else:
                    self.given[response["id"]] = response

    def join(self) -> None:
        for thread in self._threads:
            thread.join(40)
            assert not thread.is_alive()


def test_a_proxy_that_is_killed_loses_nothing_that_was_given(tmp_path: Path) -> None:
    seconds = random.Random(7)  # noqa: S311
    given: dict[str, Any] = {}
    begun: set[str] = set()
    with running_proxy() as backend:
        settings = {
            "AUGMENT_API_URL": backend.simulator.url,
            "AUGMENT_API_TOKEN": backend.simulator.token,
            "AOP_LOGGING": "none",
        }
        for _ in range(ROUNDS):
            with running(tmp_path, "--port", "0", **settings) as (process, banner):
                load = Load(url_in(banner))
                eventually(lambda: len(load.given) > CLIENTS, seconds=40)  # noqa: B023 (called here)
                time.sleep(seconds.uniform(0.1, 1))
                process.kill()
                load.join()
            given |= load.given
            begun |= load.begun
        assert len(given) > CLIENTS * ROUNDS
        assert begun
        with running(tmp_path, "--port", "0", **settings) as (_, banner):
            url = url_in(banner)
            with httpx.Client(base_url=url + RESPONSES, headers={"authorization": "Bearer k"}, timeout=40) as client:
                for id_, response in given.items():
                    assert client.get(f"/{id_}").json() == response

                def ended() -> bool:
                    states = {client.get(f"/{id_}").json()["status"] for id_ in begun}
                    return bool(states) and states <= {"completed", "failed"}

                eventually(ended, seconds=40)

    def half_there() -> list[str]:
        turns = asyncio.run(all_turns(tmp_path / "state" / "store.db"))
        return [turn.id for turn in turns if not turn.is_whole and not turn.failure]

    # One whose id nobody was given yet is among them: it ends when its process counts as dead.
    eventually(lambda: not half_there(), seconds=40)


async def all_turns(path: Path) -> list[Turn]:
    """All stored responses of the load's key."""
    stores = Stores(f"sqlite:///{path}", ttl=1e6, size_limit=2**40, instance="test")
    try:
        store = await stores.open()
        owner = owner_of({"headers": [(b"authorization", b"Bearer k")]})
        found: list[Turn] = []
        after: str | None = None
        while True:
            page, has_more = await store.turns.page("response", owner, Page(limit=100, order="asc", after=after))
            found += page
            if not has_more:
                return found
            after = page[-1].id
    finally:
        await stores.close()
