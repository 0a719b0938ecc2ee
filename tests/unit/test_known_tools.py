"""Tools that were read before are not read again; nothing but time changes by that."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from msgspec import Raw, Struct

from augment_open_proxy.core.errors import ProxyError
from augment_open_proxy.core.steps import whole
from augment_open_proxy.dialects.anthropic_messages import ANTHROPIC_MESSAGES
from augment_open_proxy.dialects.dialect import Dialect
from augment_open_proxy.dialects.openai_chat import OPENAI_CHAT
from augment_open_proxy.dialects.openai_responses import OPENAI_RESPONSES
from augment_open_proxy.dialects.reading import ToolsReader


class Tool(Struct, frozen=True):
    name: str
    schema: Raw = Raw()


class Body(Struct, frozen=True):
    text: str = ""
    tools: list[Tool] | None = None
    more: Any = None


TOOLS = '[{"name": "a", "schema": {"type": "object"}}, {"name": "b"}]'


def tools_reader() -> Callable[[str], Body]:
    """A reader that has read `TOOLS` before."""
    reader = ToolsReader(Body, Tool)

    def read(text: str) -> Body:
        return whole(reader.read(text.encode()))

    read(f'{{"tools":{TOOLS}}}')
    return read


@pytest.mark.parametrize("blank", ["", " ", "  "])
def test_tools_that_were_read_before_are_the_same_object(blank: str) -> None:
    read = tools_reader()
    first = read(f'{{"text":"one","tools":{blank}{TOOLS}}}')
    second = read(f'{{"tools":{blank}{TOOLS},"text":"two"}}')
    assert (first.text, second.text) == ("one", "two")
    assert first.tools is second.tools
    assert [tool.name for tool in first.tools or []] == ["a", "b"]


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ("{}", None),
        ('{"tools":null}', None),
        ('{"tools":[]}', []),
        (f'{{"more":{{"tools":{TOOLS}}}}}', None),
        (f'{{"more":{{"tools":{TOOLS}}},"tools":[{{"name":"c"}}]}}', ["c"]),
        (f'{{"tools":[{{"name":"c"}}],"more":{{"tools":{TOOLS}}}}}', ["c"]),
        (f'{{"tools":{TOOLS},"more":{{"tools":{TOOLS}}}}}', ["a", "b"]),
        (f'{{"tools":[{{"name":"c"}}],"tools":{TOOLS}}}', ["a", "b"]),
        (f'{{"tools":{TOOLS},"tools":[{{"name":"c"}}]}}', ["c"]),
        (f'{{"text":{json.dumps(f"{chr(34)}tools{chr(34)}:{TOOLS}")}}}', None),
    ],
)
def test_known_tools_count_only_where_they_are_those_of_the_body(body: str, names: list[str] | None) -> None:
    read = tools_reader()
    given = read(body)
    assert (None if given.tools is None else [tool.name for tool in given.tools]) == names
    assert given.more == json.loads(body).get("more")


SCHEMA = '{"type":"object"}'
FUNCTION = f'{{"type":"function","name":"a","parameters":{SCHEMA}}}'


@pytest.mark.parametrize(
    ("dialect", "fields"),
    [
        (OPENAI_CHAT, f'"messages":[{{"role":"user","content":"Hi"}}],"tools":[{FUNCTION}]'),
        (
            ANTHROPIC_MESSAGES,
            f'"messages":[{{"role":"user","content":"Hi"}}],"tools":[{{"name":"a","input_schema":{SCHEMA}}}]',
        ),
        (OPENAI_RESPONSES, f'"input":"Hi","tools":[{FUNCTION}]'),
        (
            OPENAI_RESPONSES,
            f'"input":[{{"type":"additional_tools","tools":[{FUNCTION}]}},{{"role":"user","content":"Hi"}}]',
        ),
    ],
    ids=["chat", "messages", "responses", "responses-in-an-item"],
)
def test_two_requests_with_the_same_tools_share_them(dialect: Dialect, fields: str) -> None:
    """On that everything relies which is remembered of tools."""
    one, other = (dialect.parse(f'{{"model":"m",{fields},"user":"{user}"}}'.encode()).request for user in "ab")
    assert [tool.name for tool in one.tools] == ["a"]
    assert one.tools is other.tools


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (f'{{"text":1,"tools":{TOOLS}}}', "text: expected `str`, got `int`."),
        (f'{{"tools":{TOOLS}', "The body is not valid JSON: Input data was truncated."),
        (f'{{"tools":{TOOLS}]', f"(byte {len(TOOLS) + 9})."),
        (f'{{"tools":{TOOLS},"text":"\udcff"}}', f"in position {len(TOOLS) + 18}"),
        ('{"tools":[{"name":1}]}', "tools[0].name: expected `str`, got `int`."),
        ('{"tools":1}', "tools: expected `array | null`, got `int`."),
    ],
)
def test_an_error_beside_known_tools_names_the_place_in_the_whole_body(body: str, message: str) -> None:
    fresh = ToolsReader(Body, Tool)
    with pytest.raises(ProxyError) as expected:
        whole(fresh.read(body.encode(errors="surrogateescape")))
    assert message in expected.value.problem.message
    reader = ToolsReader(Body, Tool)
    whole(reader.read(f'{{"tools":{TOOLS}}}'.encode()))
    with pytest.raises(ProxyError) as told:
        whole(reader.read(body.encode(errors="surrogateescape")))
    assert told.value.problem == expected.value.problem
