"""A page in a real browser tries to spend the account in all the ways that a page can; none reaches the backend."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.chromium import Browser, Site, browser
from tests.servers import Proxy, running_proxy

PAGE = "attack.html"
MOST = 80
"""The attempts of the page; a control that the list was not cut short."""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as running:
        yield running


@pytest.fixture
def own() -> Iterator[Proxy]:
    with running_proxy() as running:
        yield running


def successes(report: dict[str, Any]) -> list[str]:
    return [f"{name}: {end['detail']}" for name, end in report.items() if end["done"]]


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "evil.example"])
@pytest.mark.parametrize("target", ["127.0.0.1", "localhost", "rebind.example"])
def test_a_page_of_another_origin_can_do_nothing(chromium: Browser, own: Proxy, name: str, target: str) -> None:
    """Other ports of this machine are other origins, too."""
    with Site(own.url) as site:
        report = site.report(chromium, name, PAGE, own.url.replace("127.0.0.1", target))
    assert len(report) >= MOST
    assert successes(report) == []
    assert list(own.simulator.requests) == []
    assert len(own.lines) > 20, "the page did reach the proxy"


def test_a_page_whose_name_was_rebound_to_the_proxy_can_do_nothing(chromium: Browser, own: Proxy) -> None:
    """To the browser it is the page's own origin, so that nothing but the name gives it away."""
    with Site(own.url) as site:
        report = site.report(chromium, "rebind.example", PAGE)
    assert len(report) >= MOST
    assert successes(report) == []
    assert report["fetch cors application/json omit"]["detail"] == "basic 403"
    assert list(own.simulator.requests) == []


def test_a_rebound_name_is_no_better_with_a_key_that_is_guessed(chromium: Browser) -> None:
    with running_proxy(api_keys=("the-right-key",)) as own, Site(own.url) as site:
        report = site.report(chromium, "rebind.example", PAGE)
        assert successes(report) == []
        assert report["fetch with a header"]["detail"] == "basic 403"
        assert list(own.simulator.requests) == []


def test_control_the_same_page_can_ask_where_its_origin_is_allowed(chromium: Browser) -> None:
    """The attempts fail for the guard, and not because they are wrong. Even then JSON must be called JSON, and what
    browsers send without the page's origin stays refused."""
    with Site("http://127.0.0.1:9") as site:
        origin = f"http://127.0.0.1:{site.port}"
        with running_proxy(cors_origins=(origin,)) as own:
            report = site.report(chromium, "127.0.0.1", PAGE, own.url)
            done = {line.partition(": ")[0] for line in successes(report)}
            assert done >= {
                "fetch cors application/json omit",
                "fetch with a header",
                "fetch keepalive",
                "read /v1/models",
                "XMLHttpRequest",
                "WebSocket",
                "worker",
            }
            assert not [name for name in done if "text/plain" in name or "no-cors" in name]
            assert not done & {"sandboxed frame", "image", "script", "form text/plain", "fetch by PUT"}
            assert len(own.simulator.requests) > 0


def test_control_another_page_stays_out_when_one_is_allowed(chromium: Browser) -> None:
    with running_proxy(cors_origins=("http://chat.example",)) as own, Site(own.url) as site:
        assert successes(site.report(chromium, "evil.example", PAGE, own.url)) == []
        assert list(own.simulator.requests) == []
