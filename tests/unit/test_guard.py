"""Who may come in: hosts by the names we serve, no foreign pages, JSON only."""

from pathlib import Path
from typing import Any

import pytest

from augment_open_proxy.core.errors import ErrorKind, ProxyError
from augment_open_proxy.server.guard import Guard, cors_headers
from augment_open_proxy.server.keys import KeyFile, KeyRing
from augment_open_proxy.state import StateFolder

NO_KEYS = KeyRing([], KeyFile(StateFolder(Path("/nonexistent"))))
GUARD = Guard("localhost", NO_KEYS, allowed_hosts=["Proxy.example.com", "192.168.1.5", "fd00::5", " spaced "])
HOST = "localhost:7888"
JSON = ("content-type", "application/json")


def scope(method: str, *headers: tuple[str, str]) -> dict[str, Any]:
    return {"method": method, "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers]}


def verdict(method: str, *headers: tuple[str, str], guard: Guard = GUARD) -> ErrorKind | None:
    try:
        guard.check(scope(method, *headers))
    except ProxyError as error:
        assert error.problem.message
        return error.problem.kind
    return None


# --- Host ---


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:7888",
        "localhost:1",  # a port may be forwarded
        "LocalHost:7888",
        "127.0.0.1",
        "127.0.0.1:7888",
        "[::1]",
        "[::1]:7888",
        "host.docker.internal:7888",
        "proxy.example.com",
        "PROXY.example.com:443",
        "192.168.1.5:7888",
        "[fd00::5]:7888",
        "[FD00::5]",
        "spaced",
    ],
)
def test_our_names_with_and_without_a_port(host: str) -> None:
    assert verdict("GET", ("host", host)) is None


@pytest.mark.parametrize(
    "host",
    [
        "evil.com",
        "evil.com:7888",
        "localhost.evil.com",
        "localhost.evil.com:7888",
        "evil.localhost",
        "xlocalhost",
        "localhostx",
        "localhost.",
        "localhost.:7888",
        "127.0.0.1.nip.io",
        "127.0.0.2",
        "0.0.0.0:7888",
        "[::2]:7888",
        "[::]",
        "::1",
        "[::1",
        "[::1].evil.com",
        "[::1]evil.com:7888",
        "localhost:7888.evil.com",
        "localhost:evil.com",
        "localhost:7888:7888",
        "localhost@evil.com",
        "localhost,evil.com",
        "localhost evil.com",
        " localhost",
        "localhost/",
        "sub.proxy.example.com",
        "löcalhost",
        ":7888",
        "[]",
    ],
)
def test_other_names_are_refused(host: str) -> None:
    assert verdict("GET", ("host", host)) is ErrorKind.PERMISSION


@pytest.mark.parametrize("headers", [[], [("host", "")], [("host", HOST), ("host", HOST)]])
def test_there_must_be_one_host(headers: list[tuple[str, str]]) -> None:
    assert verdict("GET", *headers) is ErrorKind.INVALID_REQUEST


@pytest.mark.parametrize(
    ("listening_on", "host"),
    [("0.0.0.0", "0.0.0.0:7888"), ("::1", "[::1]:7888"), ("::", "[::]:7888"), ("My-Box", "my-box:7888")],  # noqa: S104
)
def test_what_we_listen_on_is_one_of_our_names(listening_on: str, host: str) -> None:
    assert verdict("GET", ("host", host), guard=Guard(listening_on, NO_KEYS)) is None
    assert verdict("GET", ("host", HOST), guard=Guard(listening_on, NO_KEYS)) is None
    assert verdict("GET", ("host", "evil.com"), guard=Guard(listening_on, NO_KEYS)) is ErrorKind.PERMISSION


def test_a_refused_name_is_told_with_what_to_do() -> None:
    with pytest.raises(ProxyError) as caught:
        GUARD.check(scope("GET", ("host", "box.lan:7888")))
    assert "'box.lan'" in caught.value.problem.message
    assert "AOP_ALLOWED_HOSTS" in caught.value.problem.message


# --- Origin ---


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        (HOST, "http://localhost:7888"),
        (HOST, "https://localhost:7888"),
        ("LOCALHOST:7888", "http://localhost:7888"),
        ("localhost", "http://localhost"),
        ("[::1]:7888", "http://[::1]:7888"),
        ("proxy.example.com", "https://proxy.example.com"),
    ],
)
def test_pages_of_ours_are_let_in(host: str, origin: str) -> None:
    assert verdict("POST", ("host", host), ("origin", origin), JSON) is None


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "http://evil.com",
        "http://localhost:7888.evil.com",
        "http://localhost:78888",
        "http://localhost:788",
        "http://localhost",
        "http://localhost:7888/",
        "http://localhost:7888@evil.com",
        "http://localhost.evil.com:7888",
        "http://127.0.0.1:7888",
        "http://localhost:3000",
        "localhost:7888",
        "//localhost:7888",
        "file://localhost:7888",
        "chrome-extension://abcdef",
        "http://localhost:7888 http://evil.com",
        " http://localhost:7888",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "DELETE"])
def test_foreign_pages_are_refused(origin: str, method: str) -> None:
    assert verdict(method, ("host", HOST), ("origin", origin), JSON) is ErrorKind.PERMISSION


@pytest.mark.parametrize("order", [1, -1])
def test_one_foreign_origin_of_several_is_enough(order: int) -> None:
    origins = [("origin", "http://localhost:7888"), ("origin", "http://evil.com")][::order]
    assert verdict("GET", ("host", HOST), *origins) is ErrorKind.PERMISSION


def test_a_rebound_name_is_refused_though_its_origin_agrees() -> None:
    headers = [("host", "evil.com:7888"), ("origin", "http://evil.com:7888"), JSON]
    assert verdict("POST", *headers) is ErrorKind.PERMISSION


# --- Content type ---


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        " application/json ",
        "application/vnd.api+json",
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_json_is_taken(content_type: str, method: str) -> None:
    assert verdict(method, ("host", HOST), ("content-type", content_type)) is None


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "text/plain; application/json",
        "text/plain;charset=application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonp",
        "application/json, text/plain",
        "application/json text/plain",
        "text/x+json",
        "+json",
        "json",
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_other_types_are_refused(content_type: str, method: str) -> None:
    """What a page may post without asking is among them."""
    assert verdict(method, ("host", HOST), ("content-type", content_type)) is ErrorKind.UNSUPPORTED_MEDIA_TYPE


BODY = ("content-length", "2")


@pytest.mark.parametrize("headers", [[BODY], [JSON, JSON], [JSON, ("content-type", "text/plain")]])
def test_there_must_be_one_type(headers: list[tuple[str, str]]) -> None:
    assert verdict("POST", ("host", HOST), *headers) is ErrorKind.UNSUPPORTED_MEDIA_TYPE


@pytest.mark.parametrize("headers", [[], [("content-length", "0")]])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_a_request_with_neither_body_nor_type_is_taken(method: str, headers: list[tuple[str, str]]) -> None:
    """`curl -X POST …/cancel`."""
    assert verdict(method, ("host", HOST), *headers) is None


@pytest.mark.parametrize(
    "headers",
    [
        [BODY],
        [("transfer-encoding", "chunked")],
        [("content-length", "0"), ("transfer-encoding", "chunked")],
        [("content-length", "0"), BODY],
        [("content-length", "")],
        [("content-length", "00")],
        [("content-length", "0"), ("content-type", "text/plain")],
        [("content-type", "text/plain")],
        [("content-type", "")],
    ],
)
def test_a_body_of_whatever_length_or_a_type_is_looked_at(headers: list[tuple[str, str]]) -> None:
    assert verdict("POST", ("host", HOST), *headers) is ErrorKind.UNSUPPORTED_MEDIA_TYPE


def test_a_foreign_page_may_not_post_without_a_body_either() -> None:
    assert verdict("POST", ("host", HOST), ("origin", "http://evil.com")) is ErrorKind.PERMISSION


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS"])
def test_a_request_without_a_body_needs_no_type(method: str) -> None:
    assert verdict(method, ("host", HOST)) is None


# --- Keys ---


KEY = ("x-api-key", "the-key-4711")
KEYED = Guard("localhost", KeyRing([KEY[1]], KeyFile(StateFolder(Path("/nonexistent")))))


def test_where_there_are_keys_one_is_needed() -> None:
    assert verdict("GET", ("host", HOST), guard=KEYED) is ErrorKind.AUTHENTICATION
    assert verdict("GET", ("host", HOST), ("x-api-key", "other"), guard=KEYED) is ErrorKind.AUTHENTICATION
    assert verdict("GET", ("host", HOST), KEY, guard=KEYED) is None
    assert verdict("GET", ("host", HOST), guard=Guard("localhost", NO_KEYS, needs_key=True)) is ErrorKind.AUTHENTICATION


@pytest.mark.parametrize("host", ["evil.com", "evil.com:7888", "192.168.1.9", "[fd00::9]:7888", "box"])
def test_a_known_key_makes_any_host_good(host: str) -> None:
    assert verdict("GET", ("host", host), KEY, guard=KEYED) is None
    assert verdict("GET", ("host", host), ("x-api-key", "other"), guard=KEYED) is ErrorKind.PERMISSION


def test_where_a_key_is_asked_for_an_unknown_name_is_told_that_one_helps() -> None:
    def said(guard: Guard) -> str:
        with pytest.raises(ProxyError) as caught:
            guard.check(scope("GET", ("host", "192.168.1.5"), ("x-api-key", "other")))
        return caught.value.problem.message

    assert "valid key" in said(KEYED)
    assert "valid key" in said(Guard("0.0.0.0", NO_KEYS, needs_key=True))  # noqa: S104
    assert "key" not in said(Guard("0.0.0.0", NO_KEYS))  # noqa: S104


@pytest.mark.parametrize("headers", [[], [("host", "")], [("host", HOST), ("host", HOST)], [("host", ":7888")]])
def test_but_not_none_and_not_two(headers: list[tuple[str, str]]) -> None:
    assert verdict("GET", *headers, KEY, guard=KEYED) in (ErrorKind.INVALID_REQUEST, ErrorKind.PERMISSION)


def test_a_known_key_lets_no_foreign_page_in() -> None:
    assert verdict("GET", ("host", HOST), ("origin", "http://evil.com"), KEY, guard=KEYED) is ErrorKind.PERMISSION


# --- Pages that may ---

PAGE = "https://chat.example"
WITH_PAGE = Guard("localhost", NO_KEYS, cors_origins=[PAGE])
WITH_PAGE_AND_KEY = Guard("localhost", NO_KEYS, cors_origins=[PAGE], needs_key=True)
ASKS = ("access-control-request-method", "POST")


def test_only_the_exact_origin_may_read() -> None:
    assert WITH_PAGE.reader(scope("GET", ("origin", PAGE))) == PAGE.encode()
    for origin in (
        "null",
        "https://chat.example.evil.com",
        "https://chat.example:8443",
        "http://chat.example",
        "https://CHAT.example",
        "https://evil.com https://chat.example",
        "*",
    ):
        assert WITH_PAGE.reader(scope("GET", ("origin", origin))) is None
        assert verdict("POST", ("host", HOST), ("origin", origin), JSON, guard=WITH_PAGE) is ErrorKind.PERMISSION
    assert WITH_PAGE.reader(scope("GET", ("origin", PAGE), ("origin", PAGE))) is None


def test_what_such_a_page_sends_is_looked_at_as_any() -> None:
    page = ("host", HOST), ("origin", PAGE)
    assert verdict("POST", *page, JSON, guard=WITH_PAGE) is None
    text = ("content-type", "text/plain")
    assert verdict("POST", *page, text, guard=WITH_PAGE) is ErrorKind.UNSUPPORTED_MEDIA_TYPE
    assert verdict("POST", ("host", "evil.com"), page[1], JSON, guard=WITH_PAGE) is ErrorKind.PERMISSION
    assert verdict("POST", *page, JSON, guard=WITH_PAGE_AND_KEY) is ErrorKind.AUTHENTICATION


def test_a_preflight_needs_no_key_which_browsers_never_send_with_it() -> None:
    assert verdict("OPTIONS", ("host", HOST), ("origin", PAGE), ASKS, guard=WITH_PAGE_AND_KEY) is None
    assert verdict("OPTIONS", ("host", HOST), ("origin", PAGE), guard=WITH_PAGE_AND_KEY) is ErrorKind.AUTHENTICATION
    foreign = ("origin", "http://evil.com")
    assert verdict("OPTIONS", ("host", HOST), foreign, ASKS, guard=WITH_PAGE_AND_KEY) is ErrorKind.PERMISSION


def test_a_preflight_may_come_under_any_name_where_what_follows_it_needs_a_key() -> None:
    other = ("host", "models.example")
    assert verdict("OPTIONS", other, ("origin", PAGE), ASKS, guard=WITH_PAGE_AND_KEY) is None
    assert verdict("OPTIONS", other, ("origin", PAGE), ASKS, guard=WITH_PAGE) is ErrorKind.PERMISSION
    foreign = ("origin", "http://evil.com")
    assert verdict("OPTIONS", other, foreign, ASKS, guard=WITH_PAGE_AND_KEY) is ErrorKind.PERMISSION
    assert verdict("POST", other, ("origin", PAGE), JSON, guard=WITH_PAGE_AND_KEY) is ErrorKind.PERMISSION


def test_a_preflight_is_granted_the_headers_that_it_names_and_no_private_network() -> None:
    asked = ("access-control-request-headers", "content-type,x-api-key")
    private = ("access-control-request-private-network", "true")
    headers = dict(cors_headers(scope("OPTIONS", ASKS, asked, private), PAGE.encode()))
    assert headers[b"access-control-allow-origin"] == PAGE.encode()
    assert headers[b"access-control-allow-headers"] == b"content-type,x-api-key"
    assert headers[b"vary"] == b"origin"
    assert not [name for name in headers if b"private" in name or b"local" in name or b"credentials" in name]


@pytest.mark.parametrize("asked", ["*\r\nx-evil: 1", "a b", "a;b", "", "a,,b", "é"])
def test_names_of_headers_that_are_none_are_not_repeated(asked: str) -> None:
    headers = dict(cors_headers(scope("OPTIONS", ASKS, ("access-control-request-headers", asked)), PAGE.encode()))
    assert b"access-control-allow-headers" not in headers
