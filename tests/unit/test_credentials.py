"""Where token and address come from, how sources complete each other, and how a session file's changes are seen."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from augment_open_proxy.core.errors import ErrorKind, ProxyError
from augment_open_proxy.upstream.credentials import ADVICE, Credentials, CredentialSource

URL = "https://tenant.api.augmentcode.com"
TOKEN = "secret-token-of-the-account"


def session(token: Any = TOKEN, url: Any = f"{URL}/", **fields: Any) -> str:
    return json.dumps({"accessToken": token, "tenantURL": url, "scopes": ["read"], **fields})


class Home:
    """A home folder whose session file can be written; each write is seen to be later than the one before."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / ".augment" / "session.json"
        self._writes = 0

    def write(self, text: str | bytes, file: Path | None = None) -> None:
        file = file or self.file
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        self._writes += 1
        os.utime(file, (1_000_000, 1_000_000 + self._writes))

    def source(self, token: str | None = None, url: str | None = None, auth: str | None = None) -> CredentialSource:
        return CredentialSource(token, url, auth, self.folder)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def found(source: CredentialSource) -> tuple[str, str]:
    credentials = source.current()
    return credentials.token, credentials.url


def missing(source: CredentialSource) -> str:
    with pytest.raises(ProxyError) as caught:
        source.current()
    assert caught.value.problem.kind is ErrorKind.AUTHENTICATION
    message = caught.value.problem.message
    assert message == str(caught.value)
    assert message.endswith(ADVICE)
    assert source.describe() is None
    return message


# --- The sources, in their order ---


def test_settings_come_first(home: Home) -> None:
    home.write(session("file", "https://file"))
    source = home.source("setting", "https://setting", session("inline", "https://inline"))
    assert found(source) == ("setting", "https://setting")
    assert source.describe() == "AUGMENT_API_TOKEN and AUGMENT_API_URL"


@pytest.mark.parametrize("space", ["", " ", "\n\t"])
def test_then_the_session_inline(home: Home, space: str) -> None:
    home.write(session("file", "https://file"))
    source = home.source(auth=space + session("inline", "https://inline"))
    assert found(source) == ("inline", "https://inline")
    assert source.describe() == "AUGMENT_SESSION_AUTH"


def test_or_the_session_at_a_path(home: Home) -> None:
    home.write(session("file", "https://file"))
    path = home.folder / "other.json"
    home.write(session("path", "https://path"), path)
    source = home.source(auth=str(path))
    assert found(source) == ("path", "https://path")
    assert str(path) in (source.describe() or "")


def test_such_a_path_may_begin_with_the_home_folder(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(home.folder))
    monkeypatch.setenv("USERPROFILE", str(home.folder))
    home.write(session("path"), home.folder / "other.json")
    assert found(home.source(auth="~/other.json")) == ("path", URL)


def test_last_the_session_of_auggie_login(home: Home) -> None:
    home.write(session())
    source = home.source()
    assert found(source) == (TOKEN, URL)
    assert str(home.file) in (source.describe() or "")


@pytest.mark.parametrize(
    ("token", "url", "inline", "file", "expected"),
    [
        ("t1", None, session("t2", "https://2"), session("t3", "https://3"), ("t1", "https://2")),
        (None, "https://1", session("t2", "https://2"), session("t3", "https://3"), ("t2", "https://1")),
        ("t1", None, None, session("t3", "https://3"), ("t1", "https://3")),
        (None, "https://1", None, session("t3", "https://3"), ("t3", "https://1")),
        (None, None, '{"accessToken":"t2"}', session("t3", "https://3"), ("t2", "https://3")),
        (None, None, '{"tenantURL":"https://2"}', session("t3", "https://3"), ("t3", "https://2")),
        ("t1", None, '{"accessToken":"t2"}', session("t3", "https://3"), ("t1", "https://3")),
        ("t1", None, '{"tenantURL":"https://2"}', "", ("t1", "https://2")),
    ],
)
def test_a_source_with_one_of_the_two_is_completed_from_the_next(
    home: Home, token: str | None, url: str | None, inline: str | None, file: str, expected: tuple[str, str]
) -> None:
    home.write(file)
    source = home.source(token, url, inline)
    assert found(source) == expected
    assert ", completed by " in (source.describe() or "")


def test_the_source_is_named_by_what_it_gave(home: Home) -> None:
    home.write(session())
    assert (home.source(token="t").describe() or "").startswith("AUGMENT_API_TOKEN, completed by the session")
    assert (home.source(url="https://1").describe() or "").startswith("AUGMENT_API_URL, completed by the session")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (f"{URL}/", URL),
        (f"{URL}///", URL),
        (f" {URL}/\n", URL),
        ("http://127.0.0.1:1234/", "http://127.0.0.1:1234"),
        (f"{URL}/base/", f"{URL}/base"),
    ],
)
def test_trailing_slashes_are_dropped(home: Home, url: str, expected: str) -> None:
    home.write(session(url=url))
    assert home.source().current().url == expected
    assert home.source(auth=session(url=url)).current().url == expected


# --- Without any ---


def test_without_any_there_is_advice(home: Home) -> None:
    assert missing(home.source()).startswith("There are no credentials")
    assert all(word in ADVICE for word in ("auggie login", "AUGMENT_API_TOKEN", "AUGMENT_API_URL"))


@pytest.mark.parametrize(
    ("token", "url", "auth", "trouble"),
    [
        (TOKEN, None, None, "AUGMENT_API_URL is missing (there is a token, but no address)"),
        (None, URL, None, "AUGMENT_API_TOKEN is missing (there is an address, but no token)"),
        (None, None, session(url=None), "AUGMENT_API_URL is missing (there is a token, but no address)"),
        (None, None, session(url="x.example"), "tenantURL of AUGMENT_SESSION_AUTH is not an http or https URL"),
    ],
)
def test_with_one_of_the_two_the_other_is_named(
    home: Home, token: str | None, url: str | None, auth: str | None, trouble: str
) -> None:
    source = home.source(token, url, auth)
    assert f" {trouble}. " in missing(source)
    assert trouble in source.troubles


def test_a_session_without_a_usable_address_is_named(home: Home) -> None:
    home.write(session(url="x.example"))
    trouble = f"tenantURL of the session of `auggie login` in {home.file} is not an http or https URL"
    assert trouble in missing(home.source())
    assert home.source(url=URL).troubles == ()


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"\xff",
        b"{}",
        session("", ""),
        session(" ", " "),
        session(None, None),
        session(5, ["x"]),
        session("", "tenant.api.augmentcode.com"),
        pytest.param(b'{"scopes":' + b"[" * 100_000 + b"]" * 100_000 + b"}", id="deep"),
    ],
)
def test_a_file_that_holds_no_session_is_named(home: Home, text: str | bytes) -> None:
    home.write(text)
    assert f"{home.file} is not a session file" in missing(home.source())


@pytest.mark.parametrize("auth", ["{", '{"accessToken":', '{"x":1}'])
def test_a_broken_inline_session_is_named(home: Home, auth: str) -> None:
    assert "AUGMENT_SESSION_AUTH" in missing(home.source(auth=auth))


def test_a_session_at_a_path_that_is_not_there_is_named(home: Home) -> None:
    path = home.folder / "nowhere.json"
    assert str(path) in missing(home.source(auth=str(path)))


def test_a_file_that_cannot_be_read_is_named(home: Home) -> None:
    home.file.mkdir(parents=True)
    assert f"{home.file} cannot be read" in missing(home.source())


def test_what_another_source_has_makes_a_broken_one_harmless(home: Home) -> None:
    home.write(b"{")
    assert found(home.source(TOKEN, URL)) == (TOKEN, URL)
    home.write(session())
    assert found(home.source(auth="{")) == (TOKEN, URL)


# --- Changes ---


def test_a_session_is_picked_up_when_it_comes_changes_and_goes(home: Home) -> None:
    source = home.source()
    missing(source)
    home.write(session("first"))
    assert found(source) == ("first", URL)
    home.write(session("other"))
    assert found(source) == ("other", URL)
    home.file.unlink()
    missing(source)
    home.write(session("again"))
    assert found(source) == ("again", URL)


def test_a_file_put_in_its_place_is_seen_whatever_its_time(home: Home) -> None:
    home.write(session("first"))
    source = home.source()
    assert found(source) == ("first", URL)
    new = home.folder / "new.json"
    new.write_text(session("other"))
    os.utime(new, ns=(0, home.file.stat().st_mtime_ns))
    new.rename(home.file)
    assert found(source) == ("other", URL)


def test_an_unchanged_file_is_not_read_again(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.write(session())
    source = home.source()
    source.current()
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail(f"{path} was read"))
    assert found(source) == (TOKEN, URL)


@pytest.mark.parametrize("size", [0, 1, 20, 60])
def test_while_a_session_is_half_written_the_last_one_serves(home: Home, size: int) -> None:
    home.write(session("first"))
    source = home.source()
    source.current()
    home.write(session("other")[:size])
    assert found(source) == ("first", URL)
    home.write(session("other"))
    assert found(source) == ("other", URL)


# --- Secrets ---


def test_no_token_in_any_text(home: Home) -> None:
    home.write(session(url="nonsense"))
    source = home.source(auth=f'{{"accessToken":"{TOKEN}"')
    texts = [missing(source), repr(source), str(vars(source))]
    home.write(session())
    credentials = source.current()
    texts += [repr(credentials), str(credentials), f"{credentials}", credentials.source, str(vars(source))]
    assert not any(TOKEN in text for text in texts)
    assert credentials == Credentials(TOKEN, URL, credentials.source)
