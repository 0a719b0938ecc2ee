"""How many tools and pictures a request may have."""

import msgspec
import pytest

from augment_open_proxy.core.conversation import (
    Attachment,
    ChatRequest,
    Image,
    Message,
    Text,
    Tool,
    ToolResult,
    kinds_of,
)
from augment_open_proxy.core.errors import ProxyError
from augment_open_proxy.server.body import MOST_PICTURES, MOST_TOOLS, check_size

PICTURE = Image("image/png", "aaaa")
BEHIND_URL = Attachment("document", "messages[0]", url="https://x.example/a.pdf")
TOOL = Tool("t", "", msgspec.Raw(b"{}"))


def request(*messages: Message, tools: int = 0) -> ChatRequest:
    return ChatRequest("m", messages, tools=(TOOL,) * tools)


def checked(request: ChatRequest) -> None:
    check_size(request, kinds_of(request.messages))


def test_as_many_as_allowed() -> None:
    half = MOST_PICTURES // 2
    result = ToolResult("c", (PICTURE,) * (MOST_PICTURES - half))
    checked(request(Message("user", (Text("x"), *[BEHIND_URL] * half, result)), tools=MOST_TOOLS))


def test_one_tool_more() -> None:
    with pytest.raises(ProxyError) as caught:
        checked(request(tools=MOST_TOOLS + 1))
    assert caught.value.problem.param == "tools"


@pytest.mark.parametrize("part", [PICTURE, BEHIND_URL])
def test_one_picture_more_wherever_it_is(part: Image | Attachment) -> None:
    alone = Message("user", (part,))
    for messages in (
        [alone] * (MOST_PICTURES + 1),
        [Message("user", (part,) * (MOST_PICTURES + 1))],
        [alone, Message("user", (ToolResult("c", (part,) * MOST_PICTURES),))],
    ):
        with pytest.raises(ProxyError) as caught:
            checked(msgspec.structs.replace(request(*messages), place="input"))
        assert caught.value.problem.param == "input"
