"""Large requests are encoded in steps, and come out as any others do."""

import msgspec
import pytest

from augment_open_proxy.core.conversation import ChatRequest, Image, Message, Part, Text, Thinking, ToolCall, ToolResult
from augment_open_proxy.upstream.encode import encode, encode_in_steps

ID = "00000000-0000-4000-8000-000000000002"
LARGE = 'Zürich "„🙂\\\n' * 20_000


def encoded(texts: tuple[str, str, str, str], count: int) -> tuple[bytes, int]:
    """A conversation of these texts at all places, its assistant's turns so often; and the steps that it takes."""
    system, said, thought, done = texts
    user: tuple[Part, ...] = (Text(said), Text(done))
    result = ToolResult("id", (Text(done), Image("image/png", "AAAA"), Text(said)))
    turns = [
        Message("user", user),
        Message("assistant", (Thinking(thought), Text(said), Text(done), ToolCall("id", "f", "{}"))),
        Message("user", (result, ToolResult("id", (Text(said), Text(done))))),
        Message("system", (Text(system),)),
        Message("assistant", (Text(done),)),
    ]
    request = ChatRequest("m", (*turns * count, Message("user", user)), system=(system,))
    body = encode(request, "m", ID)
    return body, len(list(encode_in_steps(request, "m", ID)))


@pytest.mark.parametrize("large", range(4))
@pytest.mark.parametrize("count", [1, 20])
def test_a_large_text_is_the_same_as_a_short_one_at_each_place(large: int, count: int) -> None:
    """Written out, a short text is replaced by the large one wherever it stands."""
    names = ("<system>", "<said>", "<thought>", "<done>")
    texts = [LARGE if i == large else name for i, name in enumerate(names)]
    body, steps = encoded((texts[0], texts[1], texts[2], texts[3]), count)
    short, no_steps = encoded(names, count)
    assert no_steps == 0
    assert steps > 3
    assert body == short.replace(names[large].encode(), msgspec.json.encode(LARGE)[1:-1])
