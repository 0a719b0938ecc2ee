"""docs/parameters.md says of each parameter what the code does with it."""

import re
from pathlib import Path
from typing import Any

import pytest
from openai.types.chat.completion_create_params import CompletionCreateParamsBase
from openai.types.responses.response_create_params import ResponseCreateParamsBase

from augment_open_proxy.dialects.anthropic_messages import request as messages
from augment_open_proxy.dialects.anthropic_messages import wire as messages_wire
from augment_open_proxy.dialects.openai_chat import request as chat
from augment_open_proxy.dialects.openai_chat import wire as chat_wire
from augment_open_proxy.dialects.openai_responses import request as responses
from augment_open_proxy.dialects.openai_responses import wire as responses_wire

DOCUMENT = (Path(__file__).parent.parent / "docs" / "parameters.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `([a-z_.]+)` \| (\w+) \|", re.MULTILINE)
KINDS = {"backend", "proxy", "reply", "accepted", "ignored", "refused"}
APIS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "Chat Completions": (chat_wire.Request, chat.IGNORED),
    "Responses": (responses_wire.Request, responses.IGNORED),
    "Messages": (messages_wire.Request, messages.IGNORED),
}
per_api = pytest.mark.parametrize("api", APIS)


def rows(api: str) -> dict[str, str]:
    section = DOCUMENT.split(f"\n## {api}\n")[1].split("\n## ")[0]
    return dict(ROW.findall(section))


@per_api
def test_each_parameter_that_is_read_has_a_row(api: str) -> None:
    fields = set(APIS[api][0].__struct_fields__)
    assert fields - set(rows(api)) == set()


@pytest.mark.parametrize(
    ("api", "params"), [("Chat Completions", CompletionCreateParamsBase), ("Responses", ResponseCreateParamsBase)]
)
def test_each_parameter_of_the_sdk_has_a_row(api: str, params: type) -> None:
    assert set(params.__annotations__) - set(rows(api)) == set()


@per_api
def test_a_parameter_that_is_not_read_can_only_be_accepted(api: str) -> None:
    fields = set(APIS[api][0].__struct_fields__)
    of_fields = {name: kind for name, kind in rows(api).items() if name.partition(".")[0] not in fields}
    assert set(of_fields.values()) <= {"accepted"}


@per_api
def test_what_is_ignored_is_named_so(api: str) -> None:
    assert sorted(name for name, kind in rows(api).items() if kind == "ignored") == sorted(APIS[api][1])


@per_api
def test_every_kind_is_explained(api: str) -> None:
    assert set(rows(api).values()) <= KINDS
    assert all(f"**{kind}**" in DOCUMENT for kind in KINDS)
