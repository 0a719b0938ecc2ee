"""Seals: they prove that we gave a text, carry what the client was not shown, and open for nothing else."""

import zlib
from base64 import b64decode, b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from augment_open_proxy.policies import seal as seals
from augment_open_proxy.policies.seal import SUMMARY, THINKING, seal, unseal

SECRET = b"secret"
texts = st.builds(lambda text, times: text * times, st.text(max_size=50), st.sampled_from([1, 500]))
"""Short ones, and some that are long enough to be compressed."""
carrying = st.booleans()
purposes = st.sampled_from([THINKING, SUMMARY])


@given(text=texts, secret=st.binary(max_size=40))
def test_a_shown_text_comes_back_with_its_seal(text: str, secret: bytes) -> None:
    assert unseal(secret, seal(secret, text, carried=False), text) == text


@given(text=texts, secret=st.binary(max_size=40), shown=texts)
def test_a_carried_text_is_in_its_seal_whatever_stands_beside(text: str, secret: bytes, shown: str) -> None:
    assert unseal(secret, seal(secret, text, carried=True), shown) == text


@given(text=texts, carried=carrying)
def test_the_same_text_gives_the_same_seal(text: str, carried: bool) -> None:
    """So that a resumed conversation is byte for byte the same, and the backend's prompt cache can serve it."""
    assert seal(SECRET, text, carried=carried) == seal(SECRET, text, carried=carried)
    assert seal(SECRET, text, carried=True) != seal(SECRET, text, carried=False)


@given(text=texts, carried=carrying)
def test_a_seal_is_plain_ascii_and_hides_the_text(text: str, carried: bool) -> None:
    sealed = seal(SECRET, text + "a plain English sentence", carried=carried)
    assert sealed.isascii()
    assert b"English" not in b64decode(sealed, validate=True)


@given(text=texts, other=texts, carried=carrying)
def test_another_secret_opens_nothing(text: str, other: str, carried: bool) -> None:
    assert unseal(b"another", seal(SECRET, text, carried=carried), text) is None


@given(text=texts, other=texts)
def test_a_shown_text_that_was_changed_is_not_ours(text: str, other: str) -> None:
    assert unseal(SECRET, seal(SECRET, text, carried=False), other) == (text if text == other else None)


@given(text=texts, carried=carrying, place=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_seal_with_one_bit_changed_is_not_ours(text: str, carried: bool, place: int, bit: int) -> None:
    data = bytearray(b64decode(seal(SECRET, text, carried=carried)))
    data[place % len(data)] ^= 1 << bit
    assert unseal(SECRET, b64encode(data).decode(), text) is None


@given(text=texts, carried=carrying, place=st.integers(0, 10_000))
def test_a_seal_that_was_cut_is_not_ours(text: str, carried: bool, place: int) -> None:
    sealed = seal(SECRET, text, carried=carried)
    assert unseal(SECRET, sealed[: place % len(sealed)], text) is None


@given(given=st.text() | st.binary(max_size=80).map(lambda data: b64encode(data).decode()))
def test_anything_else_is_not_ours(given: str) -> None:
    assert unseal(SECRET, given, "") is None


@pytest.mark.parametrize("given", ["", " ", "EqQBCkYIBxgCKkDx", "é", "AAAA\n", "=", "a" * 5])
def test_foreign_signatures_are_not_ours(given: str) -> None:
    assert unseal(SECRET, given, "Hm.") is None


@pytest.mark.parametrize("length", [1024, 1025, 100_000])
def test_a_seal_that_carries_a_long_text_is_shorter_than_it(length: int) -> None:
    assert (len(seal(SECRET, "a" * length, carried=True)) < length) == (length > 1024)


def test_a_short_text_that_was_sealed_compressed_is_still_ours() -> None:
    """As older versions sealed it."""
    content = b"c" + zlib.compress(b"Hm.")
    sealed = b64encode(seals._cipher(SECRET).encrypt(content, seals._context(THINKING))).decode()
    assert unseal(SECRET, sealed, "") == "Hm."


def test_a_seal_does_not_unfold_without_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seals, "_TEXT_LIMIT", 2000)
    assert unseal(SECRET, seal(SECRET, "a" * 2000, carried=True), "") == "a" * 2000
    assert unseal(SECRET, seal(SECRET, "a" * 2001, carried=True), "") is None
    assert unseal(SECRET, seal(SECRET, "a" * 10_000_000, carried=True), "") is None


@pytest.mark.parametrize("content", [b"", b"c", b"c" + zlib.compress(b"Hm.")[:-1], b"s", b"sshort"])
def test_a_seal_whose_content_is_not_whole_is_not_ours(content: bytes) -> None:
    sealed = b64encode(seals._cipher(SECRET).encrypt(content, seals._context(THINKING))).decode()
    assert unseal(SECRET, sealed, "") is None


# --- What it is for ---


@given(text=texts, carried=carrying, made_for=purposes, taken_for=purposes)
def test_a_seal_of_one_purpose_is_none_of_another(text: str, carried: bool, made_for: bytes, taken_for: bytes) -> None:
    """A client can't pass what the model thought for a summary of the conversation, nor the other way."""
    sealed = seal(SECRET, text, carried=carried, purpose=made_for)
    opened = unseal(SECRET, sealed, text, purpose=taken_for)
    assert opened == (text if made_for == taken_for else None)


def test_a_seal_is_for_thinking_unless_another_purpose_is_named() -> None:
    assert seal(SECRET, "Hm.", carried=True) == seal(SECRET, "Hm.", carried=True, purpose=THINKING)


def test_seals_stay_readable_from_version_to_version() -> None:
    """Clients keep them with their conversations. When this fails, all that they have is lost."""
    carried = "l3KMU5xMbytDvPaaLZqCwq0C9eHHYSGvLW6Quw=="
    shown = "LKsYcENnUD0kKarlpJlkUXA6ff2rfHIu+PnDGEkDksE2C3jMZkT7M4on+u8t56KVQA=="
    assert unseal(SECRET, carried, "") == unseal(SECRET, shown, "Hm.") == "Hm."
