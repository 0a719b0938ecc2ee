"""LangChain's structured output and the rest of what its models ask for, beyond its standard tests."""

from typing import Any, Literal

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from conftest import make


class Address(BaseModel):
    street: str
    city: str = Field(min_length=2)


class Person(BaseModel):
    """A person."""

    name: str
    age: int = Field(ge=0, le=150)
    role: Literal["reader", "writer"]
    addresses: list[Address] = Field(min_length=1)
    nickname: str | None


class Pair(TypedDict):
    """A name and a number."""

    name: str
    number: int


ASKED = "Give me 'Ada', aged 36, who is a writer."


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_a_pydantic_model(api: str, method: str) -> None:
    model = make(api).with_structured_output(Person, method=method)
    person = model.invoke(ASKED)
    assert isinstance(person, Person)
    assert (person.name, person.age, person.role) == ("Ada", 36, "writer")
    assert list(model.stream(ASKED))[-1] == person


@pytest.mark.parametrize("schema", [Pair, Person.model_json_schema()])
def test_a_schema_without_a_model(api: str, schema: Any) -> None:
    model = make(api).with_structured_output(schema, method="json_schema")
    answer = model.invoke(ASKED)
    assert isinstance(answer, dict)
    assert answer["name"] == "Ada"
    assert answer.get("number", answer.get("age")) == 36
    assert list(model.stream(ASKED))[-1] == answer


async def test_a_pydantic_model_in_an_event_loop(api: str) -> None:
    model = make(api).with_structured_output(Person, method="json_schema")
    assert isinstance(await model.ainvoke(ASKED), Person)
    assert isinstance([chunk async for chunk in model.astream(ASKED)][-1], Person)


def test_the_raw_message_comes_along(api: str) -> None:
    answer = make(api).with_structured_output(Person, method="json_schema", include_raw=True).invoke(ASKED)
    assert answer["parsing_error"] is None
    assert isinstance(answer["parsed"], Person)
    assert Person.model_validate_json(answer["raw"].text) == answer["parsed"]
    assert answer["raw"].usage_metadata["output_tokens"] > 0


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_strict_and_json_mode(api: str) -> None:
    strict = make(api).with_structured_output(Person, method="json_schema", strict=True)
    assert strict.invoke(ASKED).name == "Ada"
    loose = make(api).with_structured_output(None, method="json_mode")
    assert set(loose.invoke("Answer in JSON with the keys 'setup' and 'punchline'.")) == {"setup", "punchline"}


# -------------------------------------------------------------------- the rest


def test_n_answers() -> None:
    """Not streamed: LangChain itself refuses that."""
    result = make("chat", n=3).generate([[HumanMessage("Say this.")]])
    assert [generation.text for generation in result.generations[0]] == ["Say this."] * 3
    assert result.llm_output is not None
    assert result.llm_output["token_usage"]["completion_tokens"] > 3


@pytest.mark.parametrize("api", ["chat", "messages"])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_stop_sequence_ends_the_answer(api: str, streamed: bool) -> None:
    model = make(api)
    said = "one two STOP three"
    if streamed:
        text = "".join(chunk.text for chunk in model.stream(said, stop=["STOP"]))
    else:
        text = model.invoke(said, stop=["STOP"]).text
    assert text.strip() == "one two"


def test_the_limit_ends_the_answer(api: str) -> None:
    answer = make(api, max_tokens=16).invoke("word " * 200)
    assert 0 < len(answer.text) < 200
    metadata = answer.response_metadata
    assert (
        metadata.get("finish_reason") == "length"
        or metadata.get("stop_reason") == "max_tokens"
        or (metadata["incomplete_details"]["reason"] == "max_output_tokens")
    )


@tool
def get_weather(place: str) -> str:
    """The weather at a place."""
    return f"sunny in {place}"


@tool
def get_time(place: str) -> str:
    """The time at a place."""
    return f"noon in {place}"


BOTH = "Use get_weather and get_time for 'Bern'."


def calls(answer: AIMessage) -> list[tuple[str, dict[str, Any]]]:
    return [(call["name"], call["args"]) for call in answer.tool_calls]


def test_parallel_calls_and_none_of_them(api: str) -> None:
    tools = [get_weather, get_time]
    both = [("get_weather", {"place": "Bern"}), ("get_time", {"place": "Bern"})]
    model = make(api)
    assert calls(model.bind_tools(tools).invoke(BOTH)) == both
    assert calls(model.bind_tools(tools, parallel_tool_calls=False).invoke(BOTH)) == both[:1]
    assert calls(model.bind_tools(tools, tool_choice="get_time").invoke(BOTH)) == both[1:]
    assert calls(model.bind_tools(tools, tool_choice="any").invoke("Hello!"))
    assert not calls(
        model.bind_tools(tools, tool_choice="none" if isinstance(model, ChatOpenAI) else {"type": "none"}).invoke(BOTH)
    )
