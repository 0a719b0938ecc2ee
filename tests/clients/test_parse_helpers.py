"""The SDKs' helpers for structured output, with pydantic models, through the proxy on the simulator."""

from anthropic import Anthropic
from openai import OpenAI
from pydantic import BaseModel

from tests.servers import Proxy


class Person(BaseModel):
    name: str
    age: int
    tags: list[str]


def test_openai_s_parse_on_chat_completions(proxy: Proxy) -> None:
    with OpenAI(base_url=proxy.base_url, api_key="any", max_retries=0, timeout=20) as client:
        completion = client.chat.completions.parse(
            model="gpt-5.4", messages=[{"role": "user", "content": "Who?"}], response_format=Person
        )
    assert isinstance(completion.choices[0].message.parsed, Person)


def test_openai_s_parse_on_responses(proxy: Proxy) -> None:
    with OpenAI(base_url=proxy.base_url, api_key="any", max_retries=0, timeout=20) as client:
        response = client.responses.parse(model="gpt-5.4", input="Who?", text_format=Person)
    assert isinstance(response.output_parsed, Person)


def test_anthropic_s_parse_on_messages(proxy: Proxy) -> None:
    with Anthropic(base_url=proxy.url, api_key="any", max_retries=0, timeout=20) as client:
        message = client.messages.parse(
            model="claude-opus-4-7",
            max_tokens=1000,
            messages=[{"role": "user", "content": "Who?"}],
            output_format=Person,
        )
    assert isinstance(message.parsed_output, Person)
