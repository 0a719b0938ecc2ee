"""`auggie login` while the proxy runs: a refused session is read again, once, before the client hears of it."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from augment_open_proxy.simulator import DEFAULT_TOKEN, Simulator
from augment_open_proxy.upstream.credentials import CredentialSource
from tests.asking import CHAT, Api, ask, every_api, streamed_and_whole
from tests.servers import Proxy, running_proxy

OLD = DEFAULT_TOKEN
NEW = "renewed-" + OLD[8:]
"""Of the same length."""


class Session:
    """The session file of a home folder."""

    def __init__(self, home: Path) -> None:
        self.path = home / ".augment" / "session.json"
        self.path.parent.mkdir()

    def write(self, token: str, url: str) -> None:
        self.write_raw(json.dumps({"accessToken": token, "tenantURL": url + "/", "scopes": []}))

    def write_raw(self, text: str) -> None:
        self.path.write_text(text)

    def write_unseen(self, token: str, url: str) -> None:
        """On a file system with a coarse clock, a session of the same length looks as if nothing had changed."""
        before = self.path.stat()
        self.write(token, url)
        os.utime(self.path, ns=(before.st_atime_ns, before.st_mtime_ns))


@contextmanager
def logged_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> Iterator[tuple[Proxy, Session]]:
    """A proxy on the session file with the old token; the simulator takes only the new one from now on."""
    monkeypatch.setenv("HOME", str(tmp_path))
    session = Session(tmp_path)
    with running_proxy(augment_api_token=None, augment_api_url=None, **settings) as proxy:
        session.write(OLD, proxy.simulator.url)
        assert ask(proxy, CHAT, "claude-sonnet-4-5", False).status == 200
        proxy.simulator.requests.clear()
        yield proxy, session


def revoke(proxy: Proxy) -> None:
    """The token that the proxy has is refused from now on; the new one is taken."""
    proxy.simulator._backend._token = NEW


def login_at_refusal(session: Session, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write the new session in the moment in which the old one has been refused, and is read again."""
    renewed = CredentialSource.renewed

    def written_then_renewed(self: CredentialSource, refused: Any) -> Any:
        session.write_unseen(NEW, simulator.url)
        return renewed(self, refused)

    monkeypatch.setattr(CredentialSource, "renewed", written_then_renewed)


@every_api
@streamed_and_whole
def test_a_refused_session_is_read_again_and_the_client_sees_a_reply(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, api: Api, stream: bool
) -> None:
    with logged_in(tmp_path, monkeypatch) as (proxy, session):
        revoke(proxy)
        login_at_refusal(session, proxy.simulator, monkeypatch)
        answer = ask(proxy, api, "claude-sonnet-4-5", stream)
        assert (answer.status, answer.error) == (200, None)
        first, second = proxy.simulator.requests
        assert second.headers["authorization"] == f"Bearer {NEW}"
        assert second.headers["x-request-id"] == first.headers["x-request-id"]
        assert ask(proxy, api, "claude-sonnet-4-5", stream).status == 200
        assert len(proxy.simulator.requests) == 3, "the new token is kept"


@every_api
@streamed_and_whole
def test_an_unchanged_session_is_refused_after_one_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, api: Api, stream: bool
) -> None:
    with logged_in(tmp_path, monkeypatch) as (proxy, _):
        revoke(proxy)
        answer = ask(proxy, api, "claude-sonnet-4-5", stream)
        assert answer.status == 401
        assert "auggie login" in (answer.error or "")
        assert len(proxy.simulator.requests) == 1


def test_a_new_session_that_is_refused_too_is_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with logged_in(tmp_path, monkeypatch) as (proxy, session):
        proxy.simulator._backend._token = "neither"
        login_at_refusal(session, proxy.simulator, monkeypatch)
        assert ask(proxy, CHAT, "claude-sonnet-4-5", False).status == 401
        assert len(proxy.simulator.requests) == 2


def test_a_new_address_is_a_new_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An account can move to another tenant: the old one refuses, the new one is asked."""
    with logged_in(tmp_path, monkeypatch) as (proxy, session), running_proxy() as other:
        revoke(proxy)
        other.simulator._backend._token = NEW
        login_at_refusal(session, other.simulator, monkeypatch)
        assert ask(proxy, CHAT, "claude-sonnet-4-5", False).status == 200
        assert (len(proxy.simulator.requests), len(other.simulator.requests)) == (1, 1)


@pytest.mark.parametrize("half", ["", '{"accessToken": "the-new', '{"accessToken": 5}', "[]"])
def test_a_session_that_is_half_written_leaves_the_last_whole_one_in_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, half: str
) -> None:
    with logged_in(tmp_path, monkeypatch) as (proxy, session):
        session.write_raw(half)
        assert ask(proxy, CHAT, "claude-sonnet-4-5", False).status == 200
        revoke(proxy)
        assert ask(proxy, CHAT, "claude-sonnet-4-5", False).status == 401
        session.write(NEW, proxy.simulator.url)
        assert ask(proxy, CHAT, "claude-sonnet-4-5", False).status == 200, "whole again, it is seen without a restart"


def test_a_changed_session_is_used_before_the_old_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with logged_in(tmp_path, monkeypatch) as (proxy, session):
        revoke(proxy)
        session.write(NEW, proxy.simulator.url)
        assert ask(proxy, CHAT, "claude-sonnet-4-5", False).status == 200
        assert len(proxy.simulator.requests) == 1


def test_a_token_from_the_settings_is_not_replaced_by_a_session_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    session = Session(tmp_path)
    with running_proxy(augment_api_token="a-token-of-the-settings") as proxy:
        session.write(proxy.simulator.token, proxy.simulator.url)
        assert ask(proxy, CHAT, "claude-sonnet-4-5", False).status == 401
        assert len(proxy.simulator.requests) == 1
