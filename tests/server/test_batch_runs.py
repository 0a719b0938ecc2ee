"""How batches are run: how many at once, tried again, cancelled, stopped, shared by two proxies, and killed."""

import json
import random
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from augment_open_proxy.journal.store import batches as stored_batches
from augment_open_proxy.journal.store import leases
from augment_open_proxy.journal.store.opening import StoreUnavailable
from augment_open_proxy.server import batch_runner, batches, renewal
from augment_open_proxy.simulator.steps import Cut, Send
from tests.server.test_batches import BATCHES, call, create, directive, ended, eventually, params, results
from tests.server.test_process import running, url_in
from tests.servers import Proxy, running_proxy

STALL = params(model="claude-sim-stall")
CUT = (Send(b'{"text":"Half a"}\n'), Cut())


def states(proxy: Proxy, batch_id: str) -> list[str]:
    return [result["type"] for _, result in results(proxy, batch_id)]


def logged(proxy: Proxy) -> list[str]:
    """The lines of the log about requests of batches."""
    return [line for line in proxy.lines if " BATCH " in line]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases that run out soon, and are renewed more often."""
    monkeypatch.setattr(renewal, "RENEWAL", 0.1)
    monkeypatch.setattr(stored_batches, "LEASE", 1.0)
    monkeypatch.setattr(leases, "LEASE", 1.0)
    monkeypatch.setattr(batch_runner, "POLL", 0.2)
    monkeypatch.setattr(batch_runner, "RESUME_AFTER", 0.1)


# ------------------------------------------------------------------------ running


def test_so_many_run_at_once_and_no_more() -> None:
    with running_proxy(store="memory", batch_concurrency=3) as proxy:
        batch = create(proxy, *[directive(text=["a ", "b ", "c "], delay=0.03)] * 12)
        most = 0
        while call(proxy, "GET", f"/{batch['id']}")["processing_status"] != "ended":
            most = max(most, proxy.simulator.open_calls)
        assert most == 3
        assert states(proxy, batch["id"]) == ["succeeded"] * 12
        assert len(proxy.simulator.requests) == 12
        proxy.wait_for(lambda: len(logged(proxy)) == 12)
        for number in range(12):
            (line,) = [line for line in logged(proxy) if f"/{batch['id']}/r{number} " in line]
            assert " INFO BATCH " in line
            assert " 200 " in line
            assert "tokens=" in line


def test_what_may_pass_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_runner, "FIRST_PAUSE", 0.01)
    with running_proxy(store="memory", batch_concurrency=1) as proxy:
        proxy.simulator.script(CUT, times=4)
        batch = create(proxy, params())
        ended(proxy, batch["id"])
        assert states(proxy, batch["id"]) == ["succeeded"]
        assert len(proxy.simulator.requests) == 5
        proxy.wait_for(lambda: bool(logged(proxy)))
        (line,) = logged(proxy)
        assert "try 5" in line

        proxy.simulator.script(CUT, times=6)
        batch = create(proxy, params())
        ended(proxy, batch["id"])
        ((_, result),) = results(proxy, batch["id"])
        assert result["error"]["error"]["type"] == "api_error"
        assert len(proxy.simulator.requests) == 10


def test_the_proxy_s_own_limit_fails_no_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_runner, "NO_PLACE_PAUSE", 0.02)
    with running_proxy(store="memory", max_concurrency=1, queue_timeout=0.01) as proxy:
        batch = create(proxy, *[directive(text=["a ", "b "], delay=0.05)] * 8)
        ended(proxy, batch["id"])
        assert states(proxy, batch["id"]) == ["succeeded"] * 8
        assert len(proxy.simulator.requests) == 8


def test_a_result_waits_for_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_runner, "POLL", 0.05)
    finish, failures = stored_batches.Batches.finish, [StoreUnavailable("it is away")] * 3

    async def failing(*arguments: Any) -> None:
        if failures:
            raise failures.pop()
        await finish(*arguments)

    monkeypatch.setattr(stored_batches.Batches, "finish", failing)
    with running_proxy(store="memory") as proxy:
        batch = create(proxy, params())
        ended(proxy, batch["id"])
        assert states(proxy, batch["id"]) == ["succeeded"]
        assert len(proxy.simulator.requests) == 1


def test_what_runs_here_is_not_begun_again_when_its_lease_has_run_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_batches, "LEASE", 0.01)
    monkeypatch.setattr(batch_runner, "POLL", 0.05)
    with running_proxy(store="memory") as proxy:
        batch = create(proxy, *[directive(text=["a ", "b ", "c "], delay=0.1)] * 2)
        ended(proxy, batch["id"])
        assert states(proxy, batch["id"]) == ["succeeded"] * 2
        assert len(proxy.simulator.requests) == 2


def test_requests_that_are_not_begun_in_time_expire(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "LIFETIME", 0)
    with running_proxy(store="memory") as proxy:
        batch = create(proxy, params(), params())
        assert ended(proxy, batch["id"])["request_counts"]["expired"] == 2
        assert states(proxy, batch["id"]) == ["expired"] * 2
        assert not proxy.simulator.requests


# -------------------------------------------------------------------- cancelled


def test_a_cancelled_batch_ends_what_runs_and_drops_what_waits() -> None:
    with running_proxy(store="memory", batch_concurrency=2) as proxy:
        batch = create(proxy, params(), STALL, STALL, params(), params())
        proxy.wait_for(lambda: proxy.simulator.open_calls == 2)
        proxy.wait_for(lambda: len(logged(proxy)) == 1)
        answer = call(proxy, "POST", f"/{batch['id']}/cancel")
        assert answer["processing_status"] == "canceling"
        assert answer["cancel_initiated_at"] is not None
        assert (answer["ended_at"], answer["results_url"], answer["request_counts"]["processing"]) == (None, None, 5)
        over = ended(proxy, batch["id"], seconds=5)
        proxy.wait_for(lambda: proxy.simulator.open_calls == 0)
        assert over["cancel_initiated_at"] == answer["cancel_initiated_at"]
        assert over["request_counts"] == {"processing": 0, "succeeded": 1, "errored": 0, "canceled": 4, "expired": 0}
        assert states(proxy, batch["id"]) == ["succeeded", *["canceled"] * 4]
        assert len(proxy.simulator.requests) == 3
        proxy.wait_for(lambda: len(logged(proxy)) == 3)
        assert sum("cancelled" in line for line in logged(proxy)) == 2


def test_a_request_is_not_tried_again_once_its_batch_is_cancelled() -> None:
    with running_proxy(store="memory") as proxy:
        proxy.simulator.script(CUT)
        batch = create(proxy, params())
        proxy.wait_for(lambda: len(proxy.simulator.requests) == 1 and proxy.simulator.open_calls == 0)
        call(proxy, "POST", f"/{batch['id']}/cancel")
        ended(proxy, batch["id"], seconds=1)
        assert states(proxy, batch["id"]) == ["canceled"]
        assert len(proxy.simulator.requests) == 1


# ---------------------------------------------------------------- two, and again


def test_a_fresh_proxy_has_no_store_before_it_is_used(tmp_path: Path, quick: None) -> None:
    with running_proxy(store=f"sqlite:///{tmp_path / 'store.db'}"):
        time.sleep(0.5)
        assert not list(tmp_path.iterdir())


def test_a_batch_goes_on_after_a_restart(tmp_path: Path, quick: None) -> None:
    slow = directive(text=["a ", "b ", "c "], delay=0.1)
    with running_proxy() as backend:
        settings = {
            "store": f"sqlite:///{tmp_path / 'store.db'}",
            "augment_api_url": backend.simulator.url,
            "batch_concurrency": 2,
            "shutdown_grace": 0.05,
        }
        with running_proxy(**settings) as proxy:
            batch = create(proxy, *[slow] * 8)
            proxy.wait_for(lambda: len(logged(proxy)) >= 2)
            backend.wait_for(lambda: backend.simulator.open_calls > 0)
        left = [line for line in logged(proxy) if "run again" in line]
        assert 1 <= len(left) <= 2
        asked = len(backend.simulator.requests)
        with running_proxy(**settings) as proxy:
            ended(proxy, batch["id"])
            assert states(proxy, batch["id"]) == ["succeeded"] * 8
        assert 8 <= len(backend.simulator.requests) <= 8 + len(left)
        assert asked < 8


def test_what_runs_gets_the_grace_when_the_proxy_is_stopped(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path / 'store.db'}"
    with running_proxy(store=store, batch_concurrency=1, shutdown_grace=10) as proxy:
        batch = create(proxy, *[directive(text=["a ", "b ", "c "], delay=0.2)] * 3)
        proxy.wait_for(lambda: proxy.simulator.open_calls == 1)
    assert len(proxy.simulator.requests) == 1
    assert [" 200 " in line for line in logged(proxy)] == [True]
    with running_proxy(store=store) as proxy:
        ended(proxy, batch["id"])
        assert len(proxy.simulator.requests) == 2


def test_two_proxies_share_the_work_and_run_nothing_twice(tmp_path: Path, quick: None) -> None:
    store = f"sqlite:///{tmp_path / 'store.db'}"
    with running_proxy(store=store) as first, running_proxy(store=store) as second:
        made = [create(one, *[directive(text=["a ", "b "], delay=0.05)] * 20) for one in (first, second)]
        for batch in made:
            ended(second, batch["id"])
            assert states(first, batch["id"]) == ["succeeded"] * 20
        asked = [len(one.simulator.requests) for one in (first, second)]
        assert sum(asked) == 40
        assert min(asked) > 4


def test_what_runs_at_one_is_cancelled_through_the_other(tmp_path: Path, quick: None) -> None:
    store = f"sqlite:///{tmp_path / 'store.db'}"
    with running_proxy(store=store) as first, running_proxy(store=store) as second:
        batch = create(first, STALL)
        first.wait_for(lambda: first.simulator.open_calls == 1)
        assert call(second, "POST", f"/{batch['id']}/cancel")["processing_status"] == "canceling"
        ended(second, batch["id"], seconds=3)
        first.wait_for(lambda: first.simulator.open_calls == 0)
        assert states(second, batch["id"]) == ["canceled"]


# ------------------------------------------------------------------------- killed

REQUESTS, ROUNDS, CONCURRENCY = 40, 3, 4


def wait_for_more(backend: Proxy) -> None:
    before = len(backend.simulator.requests)
    eventually(lambda: len(backend.simulator.requests) > before)


def test_a_proxy_that_is_killed_runs_what_is_left(tmp_path: Path) -> None:
    """Every request has one result, and only what was in flight is asked twice."""
    seconds = random.Random(11)  # noqa: S311
    slow = directive(text=["a ", "b ", "c ", "d "], delay=0.08)
    body = {"requests": [{"custom_id": f"r{number}", "params": slow} for number in range(REQUESTS)]}
    batch = ""
    with running_proxy() as backend, ExitStack() as stack:
        settings = {
            "AUGMENT_API_URL": backend.simulator.url,
            "AUGMENT_API_TOKEN": backend.simulator.token,
            "AOP_BATCH_CONCURRENCY": str(CONCURRENCY),
            "AOP_LOGGING": "none",
        }
        for _ in range(ROUNDS):
            with running(tmp_path, "--port", "0", **settings) as (process, banner):
                batch = batch or httpx.post(url_in(banner) + BATCHES, json=body, timeout=20).json()["id"]
                wait_for_more(backend)
                time.sleep(seconds.uniform(0, 1.2))
                process.kill()
                process.wait()
        assert len(backend.simulator.requests) < REQUESTS, "it was killed in the middle"
        _, banner = stack.enter_context(running(tmp_path, "--port", "0", **settings))
        client = stack.enter_context(httpx.Client(base_url=url_in(banner), timeout=20))
        path = f"{BATCHES}/{batch}"
        over = eventually(lambda: client.get(path).json()["ended_at"] and client.get(path).json(), seconds=40)
        lines = [json.loads(line) for line in client.get(f"{path}/results").content.splitlines()]
        assert over["request_counts"]["succeeded"] == REQUESTS
        assert Counter(line["custom_id"] for line in lines) == Counter(f"r{number}" for number in range(REQUESTS))
        assert REQUESTS <= len(backend.simulator.requests) <= REQUESTS + ROUNDS * CONCURRENCY
