"""Who asks: the key that a client sent, and the owner that it stands for."""

import re
from typing import Any

import pytest

from augment_open_proxy.server.keys import owner_of, presented_key


def scope(*headers: tuple[str, str]) -> dict[str, Any]:
    return {"headers": [(name.encode(), value.encode()) for name, value in headers]}


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ([], b""),
        ([("authorization", "Bearer sk-1")], b"sk-1"),
        ([("authorization", "bearer  sk-1 ")], b"sk-1"),
        ([("authorization", "Bearer")], b""),
        ([("authorization", "Basic dXNlcjpw")], b"Basic dXNlcjpw"),
        ([("authorization", "sk-1")], b"sk-1"),
        ([("x-api-key", "sk-1")], b"sk-1"),
        ([("api-key", "sk-1")], b"sk-1"),
        ([("host", "localhost"), ("x-api-key", "sk-1"), ("api-key", "sk-2")], b"sk-1"),
        ([("x-api-key", "sk-2"), ("authorization", "Bearer sk-1")], b"sk-1"),
    ],
)
def test_the_key_is_found_in_whichever_header(headers: list[tuple[str, str]], key: bytes) -> None:
    assert presented_key(scope(*headers)) == key


def test_a_key_is_the_same_owner_whichever_api_it_is_used_with() -> None:
    owners = {
        owner_of(scope(("authorization", "Bearer sk-1"))),
        owner_of(scope(("x-api-key", "sk-1"))),
        owner_of(scope(("api-key", "sk-1"), ("user-agent", "x"))),
    }
    assert len(owners) == 1


def test_each_key_is_another_owner_and_no_key_is_one_too() -> None:
    keys = ("", "sk-1", "sk-2", "SK-1", "sk-1x")
    assert len({owner_of(scope(("x-api-key", key))) for key in keys}) == len(keys)
    assert owner_of(scope()) == owner_of(scope(("x-api-key", "")))


def test_an_owner_is_the_same_at_every_replica_and_in_every_version() -> None:
    """What is stored is found by it."""
    assert owner_of(scope(("x-api-key", "sk-1"))) == "ca2ba0ace3426bb2937216da66ef5d4e"


def test_an_owner_does_not_tell_the_key() -> None:
    assert re.fullmatch("[0-9a-f]{32}", owner_of(scope(("x-api-key", "sk-1"))))
