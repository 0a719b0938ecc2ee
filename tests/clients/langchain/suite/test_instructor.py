"""The `instructor` package: its modes with tools, and those with JSON, on each API."""

from collections.abc import Callable
from typing import Any, Literal

import instructor
import pytest
from anthropic import Anthropic
from instructor import Mode
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel, Field, field_validator

from conftest import MODEL, URL


class User(BaseModel):
    """A user."""

    name: str
    age: int
    role: Literal["reader", "writer"]


class Team(BaseModel):
    """A team."""

    title: str
    members: list[User] = Field(min_length=1)


ASKED: list[Any] = [{"role": "user", "content": "Extract: 'Ada' is 36 and a writer."}]
ADA = {"name": "Ada", "age": 36, "role": "writer"}


def openai(mode: Mode) -> instructor.Instructor:
    return instructor.from_openai(OpenAI(base_url=f"{URL}/v1", api_key="any", max_retries=0, timeout=20), mode=mode)


def anthropic(mode: Mode) -> instructor.Instructor:
    return instructor.from_anthropic(Anthropic(base_url=URL, api_key="any", max_retries=0, timeout=20), mode=mode)


MODES = [
    (openai, Mode.TOOLS),
    (openai, Mode.TOOLS_STRICT),
    (openai, Mode.JSON),
    (openai, Mode.JSON_SCHEMA),
    (openai, Mode.MD_JSON),
    (openai, Mode.RESPONSES_TOOLS),
    (anthropic, Mode.ANTHROPIC_TOOLS),
    (anthropic, Mode.ANTHROPIC_JSON),
]
MADE = [pytest.param(make, mode, id=mode.name) for make, mode in MODES]
Make = Callable[[Mode], instructor.Instructor]


def ask(client: instructor.Instructor, model: Any, **more: Any) -> Any:
    given = {"messages": ASKED, "max_retries": 0, "max_tokens": 500, **more}
    if client.mode is Mode.RESPONSES_TOOLS:
        given["max_output_tokens"] = given.pop("max_tokens")
    return client.create(model=MODEL, response_model=model, **given)


@pytest.mark.parametrize(("make", "mode"), MADE)
def test_a_model(make: Make, mode: Mode) -> None:
    assert ask(make(mode), User).model_dump() == ADA


@pytest.mark.parametrize(("make", "mode"), MADE)
def test_a_nested_model(make: Make, mode: Mode) -> None:
    team = ask(make(mode), Team)
    assert team.title == "Ada"
    assert len(team.members) == 1


@pytest.mark.parametrize(("make", "mode"), MADE)
def test_the_completion_comes_along(make: Make, mode: Mode) -> None:
    client = make(mode)
    given: dict[str, Any] = {"max_output_tokens" if mode is Mode.RESPONSES_TOOLS else "max_tokens": 500}
    user, completion = client.create_with_completion(
        model=MODEL, response_model=User, messages=ASKED, max_retries=0, **given
    )
    assert user.name == "Ada"
    assert completion.model == MODEL


@pytest.mark.parametrize(("make", "mode"), MADE)
def test_a_model_comes_in_parts(make: Make, mode: Mode) -> None:
    client = make(mode)
    given: dict[str, Any] = {"max_output_tokens" if mode is Mode.RESPONSES_TOOLS else "max_tokens": 500}
    parts = list(client.create_partial(model=MODEL, response_model=User, messages=ASKED, max_retries=0, **given))
    assert parts[-1].model_dump() == ADA


async def test_in_an_event_loop() -> None:
    async with AsyncOpenAI(base_url=f"{URL}/v1", api_key="any", max_retries=0, timeout=20) as client:
        user = await instructor.from_openai(client, mode=Mode.TOOLS).create(
            model=MODEL, response_model=User, messages=ASKED, max_retries=0
        )
    assert user.name == "Ada"


@pytest.mark.parametrize(("make", "mode"), MADE)
def test_what_does_not_validate_is_asked_for_again(make: Make, mode: Mode) -> None:
    """`instructor` gives back the call or the answer with what is wrong with it, and the proxy passes that on."""
    tries: list[str] = []

    class Picky(BaseModel):
        """A user."""

        name: str

        @field_validator("name")
        @classmethod
        def check(cls, name: str) -> str:
            tries.append(name)
            if len(tries) == 1:
                raise ValueError("not the first time")
            return name

    picky = ask(make(mode), Picky, max_retries=2)
    assert len(tries) == 2
    assert picky.name
