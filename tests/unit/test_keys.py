"""Client keys: the file of them, the ring that is asked, and each key's share of the day."""

import hashlib
import hmac
import json
import os
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from augment_open_proxy.cli import main
from augment_open_proxy.core.errors import ErrorKind, ProxyError
from augment_open_proxy.server import keys as keys_module
from augment_open_proxy.server.keys import Key, KeyFile, KeyFileError, KeyRing, digest, new_key
from augment_open_proxy.state import StateFolder

NOON = 20_000 * 86400 + 43200.0


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def file_in(folder: Path) -> KeyFile:
    return KeyFile(StateFolder(folder))


def key(name: str, **limits: Any) -> Key:
    """The key `name` itself is its name with `!` after it."""
    return Key(name, digest(f"{name}!".encode()), **limits)


def ring(folder: Path, clock: Clock, *given: str) -> KeyRing:
    return KeyRing(given, file_in(folder), now=clock, monotonic=clock)


def name_of(ring: KeyRing, presented: bytes) -> str | None:
    found = ring.find(presented)
    return None if found is None else found.name


def refusal(ring: KeyRing, key: Key, model: str = "claude-haiku-4-5") -> ErrorKind | None:
    try:
        ring.admit(key, model)
    except ProxyError as error:
        return error.problem.kind
    return None


# --- The file ---


def test_a_key_is_long_random_and_told_by_its_beginning() -> None:
    one, other = new_key(), new_key()
    assert one != other
    assert one.startswith("aop-")
    assert len(one) >= 4 + 43


def test_the_file_has_digests_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    file_in(tmp_path).add(key("laptop"))
    path = tmp_path / "keys.json"
    assert "laptop!" not in path.read_text()
    assert hashlib.sha256(b"laptop!").hexdigest() in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_name_is_taken_once(tmp_path: Path) -> None:
    file_in(tmp_path).add(key("laptop"))
    with pytest.raises(KeyFileError, match="laptop"):
        file_in(tmp_path).add(key("laptop"))


@pytest.mark.skipif(os.name == "nt", reason="Windows has no lock for it")
def test_changes_at_the_same_time_are_all_kept(tmp_path: Path) -> None:
    numbers = range(16)
    for number in numbers:
        file_in(tmp_path).add(key(f"old {number}"))

    def change(number: int) -> None:
        file_in(tmp_path).add(key(f"new {number}"))
        assert file_in(tmp_path).remove(f"old {number}")

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(change, numbers))
    assert {known.name for known in file_in(tmp_path).read()} == {f"new {number}" for number in numbers}


@pytest.mark.parametrize("content", [b"", b"{}", b"[{}]", b"[1", b"\xff", b'[{"name": "x", "digest": 5}]'])
def test_a_file_that_cannot_be_read_lets_nobody_in(tmp_path: Path, clock: Clock, content: bytes) -> None:
    """It must not be as good as one without keys."""
    (tmp_path / "keys.json").write_bytes(content)
    with pytest.raises(KeyFileError, match=r"keys\.json"):
        ring(tmp_path, clock)


def test_a_file_that_breaks_later_leaves_the_keys_as_they_are(tmp_path: Path, clock: Clock) -> None:
    file_in(tmp_path).add(key("laptop"))
    keys = ring(tmp_path, clock)
    (tmp_path / "keys.json").write_bytes(b"[{")
    clock.now += 2
    assert name_of(keys, b"laptop!") == "laptop"
    assert not keys.is_empty


# --- The ring ---


def test_keys_of_the_settings_and_of_the_file_are_found(tmp_path: Path, clock: Clock) -> None:
    file_in(tmp_path).add(key("laptop"))
    keys = ring(tmp_path, clock, "given-key-1", "given-key-2")
    assert name_of(keys, b"given-key-2") == "AOP_API_KEY 2"
    assert name_of(keys, b"laptop!") == "laptop"
    for wrong in (b"", b"laptop", b"given-key-", b"given-key-1 ", digest(b"laptop!").encode(), b"\xff\0"):
        assert name_of(keys, wrong) is None


def test_all_keys_are_compared_and_in_constant_time(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[str] = []

    def compare(one: str, other: str) -> bool:
        compared.append(one)
        return hmac.compare_digest(one, other)

    monkeypatch.setattr(keys_module, "hmac", type("", (), {"compare_digest": staticmethod(compare)}))
    keys = ring(tmp_path, clock, "given-key-1", "given-key-2", "given-key-3")
    for presented in (b"given-key-1", b"given-key-3", b"none of them"):
        compared.clear()
        keys.find(presented)
        assert len(compared) == 3


def test_a_key_comes_and_goes_without_a_restart(tmp_path: Path, clock: Clock) -> None:
    keys = ring(tmp_path, clock)
    assert keys.is_empty
    file_in(tmp_path).add(key("laptop"))
    clock.now += 1
    assert name_of(keys, b"laptop!") == "laptop"
    assert file_in(tmp_path).remove("laptop")
    assert not file_in(tmp_path).remove("laptop")
    clock.now += 1
    assert name_of(keys, b"laptop!") is None
    with pytest.raises(ProxyError, match="revoked"):
        keys.known(digest(b"laptop!"))


# --- Models ---


@pytest.mark.parametrize(
    ("allowed", "asked", "may"),
    [
        ((), "anything", True),
        (("claude-haiku-4-5",), "claude-haiku-4-5", True),
        (("haiku4.5",), "claude-haiku-4-5-20251001", True),
        (("claude-haiku-4-5",), "claude-opus-4-7", False),
        (("claude-opus-4-7",), "opus4.7-high", True),
        (("claude-opus-4-7",), "claude-opus-4-7-500k", False),
        (("claude-opus-4-7-high",), "claude-opus-4-7", False),
        (("claude-opus-4-7",), "claude-opus-4-7-500k-high", False),
        (("a", "b"), "b", True),
    ],
)
def test_a_key_may_use_its_models(allowed: tuple[str, ...], asked: str, may: bool) -> None:
    assert key("x", models=allowed).may_use(asked) is may


def test_a_model_that_it_may_not_use_is_refused_and_not_counted(tmp_path: Path, clock: Clock) -> None:
    keys, limited = ring(tmp_path, clock), key("x", models=("claude-haiku-4-5",), requests_per_day=1)
    assert refusal(keys, limited, "claude-opus-4-7") is ErrorKind.PERMISSION
    assert refusal(keys, limited) is None


# --- The share of a day ---


def test_requests_are_counted_until_midnight_in_utc(tmp_path: Path, clock: Clock) -> None:
    keys, limited = ring(tmp_path, clock), key("x", requests_per_day=2)
    assert [refusal(keys, limited) for _ in range(3)] == [None, None, ErrorKind.RATE_LIMITED]
    with pytest.raises(ProxyError) as caught:
        keys.admit(limited, "m")
    assert caught.value.problem.retry_after == 43200
    assert refusal(keys, key("y", requests_per_day=1)) is None, "another key has its own"
    clock.now += 43200
    assert refusal(keys, limited) is None


def test_tokens_are_counted_after_each_turn(tmp_path: Path, clock: Clock) -> None:
    keys, limited = ring(tmp_path, clock), key("x", tokens_per_day=100)
    assert refusal(keys, limited) is None
    keys.count(limited, 99)
    assert refusal(keys, limited) is None
    keys.count(limited, 1)
    assert refusal(keys, limited) is ErrorKind.RATE_LIMITED


def test_a_key_without_limits_and_no_key_at_all_are_never_refused(tmp_path: Path, clock: Clock) -> None:
    keys = ring(tmp_path, clock)
    keys.admit(None, "m")
    keys.count(None, 10**9)
    keys.count(key("x"), 10**9)
    assert refusal(keys, key("x")) is None
    keys.close()
    assert list(tmp_path.iterdir()) == []


def test_a_restart_gives_no_new_share(tmp_path: Path, clock: Clock) -> None:
    limited = key("x", requests_per_day=2, tokens_per_day=10)
    keys = ring(tmp_path, clock)
    keys.admit(limited, "m")
    keys.admit(limited, "m")
    keys.close()
    keys = ring(tmp_path, clock)
    assert refusal(keys, limited) is ErrorKind.RATE_LIMITED
    keys.count(limited, 10)
    keys.close()
    assert refusal(ring(tmp_path, clock), key("x", tokens_per_day=10)) is ErrorKind.RATE_LIMITED
    clock.now += 86400
    assert refusal(ring(tmp_path, clock), limited) is None


def test_counts_are_written_at_most_every_30_seconds(tmp_path: Path, clock: Clock) -> None:
    def written() -> int:
        shares: dict[str, dict[str, int]] = json.loads((tmp_path / "key-shares.json").read_text())
        return shares[digest(b"x!")]["requests"]

    keys, limited = ring(tmp_path, clock), key("x", requests_per_day=1000)
    keys.admit(limited, "m")
    assert written() == 1
    for _ in range(10):
        keys.admit(limited, "m")
    assert written() == 1
    clock.now += 30
    keys.admit(limited, "m")
    assert written() == 12


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b'{"x": 1}'])
def test_counts_that_cannot_be_read_begin_anew(tmp_path: Path, clock: Clock, content: bytes) -> None:
    (tmp_path / "key-shares.json").write_bytes(content)
    assert refusal(ring(tmp_path, clock), key("x", requests_per_day=1)) is None


# --- The command ---


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("AOP_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    yield tmp_path / "state"


def test_create_shows_the_key_once_list_shows_the_limits_revoke_ends_it(
    state: Path, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    limits = ["--models", "haiku4.5,opus4.7", "--requests-per-day", "5", "--tokens-per-day", "1000"]
    assert main(["keys", "create", "ci", *limits]) == 0
    made = capsys.readouterr().out.strip()
    found = ring(state, clock).find(made.encode())
    assert found is not None
    assert (found.name, found.models) == ("ci", ("haiku4.5", "opus4.7"))
    assert (found.requests_per_day, found.tokens_per_day) == (5, 1000)

    assert main(["keys", "list"]) == 0
    shown = capsys.readouterr().out
    assert made not in shown
    assert found.digest not in shown
    for word in ("ci", "haiku4.5, opus4.7", "5", "1000"):
        assert word in shown

    assert main(["keys", "revoke", "ci"]) == 0
    assert ring(state, clock).find(made.encode()) is None


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["keys"], 2),
        (["keys", "create"], 2),
        (["keys", "create", "x", "--requests-per-day", "0"], 2),
        (["keys", "create", "x", "--tokens-per-day", "many"], 2),
        (["keys", "revoke", "nobody"], 1),
        (["keys", "create", ""], 2),
        (["keys", "create", "two\nlines"], 2),
    ],
)
def test_what_cannot_be_done_is_said(
    state: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int
) -> None:
    assert main(arguments) == code
    assert capsys.readouterr().err
    assert not state.exists() or not (state / "keys.json").exists() or (state / "keys.json").read_text() == "[]"


@pytest.mark.parametrize("count", ["0", "many"])
def test_a_share_that_is_no_number_is_told_what_is_accepted(
    state: Path, capsys: pytest.CaptureFixture[str], count: str
) -> None:
    assert main(["keys", "create", "x", "--requests-per-day", count]) == 2
    assert "argument --requests-per-day: must be a whole number, at least 1" in capsys.readouterr().err


def test_the_state_folder_is_named_before_or_after_the_action(
    tmp_path: Path, state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(tmp_path / "other")
    assert main(["keys", "create", "x", "--state-dir", folder]) == 0
    for arguments in (["keys", "--state-dir", folder, "list"], ["keys", "list", "--state-dir", folder]):
        capsys.readouterr()
        assert main(arguments) == 0
        assert "x " in capsys.readouterr().out
    assert main(["keys", "revoke", "--state-dir", folder, "x"]) == 0
    assert not state.exists()
