"""Secrets in what is logged: known ones wherever they stand, others by how they look. What is left is still JSON."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from augment_open_proxy.journal.masking import masked, without


@pytest.mark.parametrize(
    "text",
    ["{}", "x{}y", '{{"a": "{}"}}', '{{"a": "{{\\"b\\": \\"{}\\"}}"}}', "{}{}", "Bearer {}"],
)
def test_a_known_secret_is_hidden_wherever_it_stands(text: str) -> None:
    hidden = without(["token-4711", "other"], text.replace("{}", "token-4711").replace("{{", "{").replace("}}", "}"))
    assert "token-4711" not in hidden
    assert "***" in hidden


def test_one_with_quotes_is_hidden_as_json_spells_it() -> None:
    secret = 'to"k\\en-4711'
    assert secret not in json.loads(without([secret], json.dumps({"a": secret})))["a"]


def test_what_is_too_short_to_be_a_secret_is_left() -> None:
    assert without(["", "a", "tok"], "a token at all") == "a token at all"


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer SECRET",
        "authorization: SECRET",
        "bearer SECRET",
        "Basic SECRET",
        "x-api-key: SECRET",
        "api_key=SECRET&x=1",
        '{"apiKey": "SECRET"}',
        '{"password":"SECRET"}',
        '{"accessToken": "SECRET"}',
        '{"client_secret": "SECRET"}',
        "curl -H 'Authorization: Bearer SECRET' http://x",
        "Cookie: SECRET",
        "sk-SECRETSECRETSECRET",
        "aop-SECRETSECRETSECRET",
    ],
)
def test_what_looks_like_a_secret_is_hidden_in_bodies_within_texts_too(text: str) -> None:
    secret = "s3cr3tS3CR3T.x_-"
    for value in (text, {"a": [text]}, {"a": json.dumps({"b": text})}):
        body = json.dumps(value).replace("SECRETSECRETSECRET", "s3cr3ts3cr3ts3cr3t").replace("SECRET", secret)
        hidden = masked(body)
        assert "s3cr3t" not in hidden
        assert "***" in hidden
        json.loads(hidden)


@pytest.mark.parametrize(
    "text",
    [
        '{"max_tokens": 123456789, "password": 123456789}',
        '{"password": null, "api_key": false}',
        '"How do I reset a password?"',
        '"The bearer of this is here."',
        '"basic tests"',
        '"task-list-of-many-things-to-do"',
        '{"cookie": {"a": 1}}',
    ],
)
def test_what_only_speaks_of_them_is_left(text: str) -> None:
    assert masked(text) == text


PIECES = ("Bearer ", "password", "api_key", ":", " ", '"', "\\", "'", "abcdefgh", "sk-", "{", "\n", "\x01", "1234567")
LIKE_SECRETS = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)
LEAVES = LIKE_SECRETS | st.integers()
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(LIKE_SECRETS, inner), max_leaves=8)


@given(VALUES)
def test_json_stays_json(value: object) -> None:
    for text in (json.dumps(value), json.dumps(value, separators=(",", ":")), json.dumps(json.dumps(value))):
        json.loads(masked(text))
