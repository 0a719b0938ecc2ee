"""A history without tool calls, for a backend that refuses those of Gemini."""

import msgspec

from augment_open_proxy.core.conversation import ChatRequest, Image, Message, Part, Text, Thinking, ToolCall, ToolResult
from augment_open_proxy.upstream.encode import encode
from augment_open_proxy.upstream.plain_history import with_plain_history

CONVERSATION = "00000000-0000-4000-8000-000000000002"
GEMINI = "toolu_aug_vrtx_gemini_"
PICTURE = Image("image/png", "iVBORw0KGgo=")


def user(*parts: Part) -> Message:
    return Message("user", parts)


def assistant(*parts: Part) -> Message:
    return Message("assistant", parts)


def plain(*messages: Message) -> tuple[Message, ...]:
    return with_plain_history(ChatRequest("gemini-3-1-pro-preview", messages)).messages


def test_a_call_and_its_result_are_written_out() -> None:
    call = ToolCall(GEMINI + "1", "bash", '{"command":"ls"}')
    messages = plain(user(Text("Look.")), assistant(Text("I look."), call), user(ToolResult(call.id, (Text("a.txt"),))))
    assert messages == (
        user(Text("Look.")),
        assistant(Text("I look."), Text('[I called the tool bash with {"command":"ls"}]')),
        user(Text("[The tool bash returned:]"), Text("a.txt")),
    )


def test_a_failure_and_an_empty_result_say_so() -> None:
    call = ToolCall(GEMINI + "1", "bash", "{}")
    failed = ToolResult(call.id, (Text("no such file"),), is_error=True)
    assert plain(assistant(call), user(failed))[1] == user(Text("[The tool bash failed with:]"), Text("no such file"))
    assert plain(assistant(call), user(ToolResult(call.id, ())))[1].content[1] == Text("(nothing)")


def test_pictures_in_results_stay_pictures() -> None:
    call = ToolCall(GEMINI + "1", "look", "{}")
    assert plain(assistant(call), user(ToolResult(call.id, (Text("this"), PICTURE))))[1].content[1:] == (
        Text("this"),
        PICTURE,
    )


def test_calls_of_other_models_stay_calls_beside_gemini_s() -> None:
    gemini, claude = ToolCall(GEMINI + "1", "bash", "{}"), ToolCall("toolu_01", "bash", "{}")
    results = (ToolResult(gemini.id, (Text("1"),)), ToolResult(claude.id, (Text("2"),)))
    messages = plain(assistant(gemini, claude), user(*results))
    assert messages[0].content == (Text("[I called the tool bash with {}]"), claude)
    assert messages[1].content == (Text("[The tool bash returned:]"), Text("1"), results[1])


def test_where_no_call_is_gemini_s_all_are_written_out() -> None:
    """Clients may give calls ids of their own."""
    call = ToolCall("call_1", "bash", "{}")
    messages = plain(assistant(call), user(ToolResult("call_1", (Text("1"),))))
    assert not any(isinstance(part, ToolCall | ToolResult) for message in messages for part in message.content)


def test_all_else_stays_as_it_is() -> None:
    messages = (user(Text("Hi"), PICTURE), assistant(Thinking("Hm."), Text("Yes?")), user(Text("So.")))
    request = ChatRequest("gemini-3-1-pro-preview", messages, effort="high")
    assert with_plain_history(request) == request


def test_the_backend_s_form_of_it_has_no_tool_nodes() -> None:
    call = ToolCall(GEMINI + "1", "bash", "{}")
    request = ChatRequest(
        "gemini-3-1-pro-preview", (user(Text("Go")), assistant(call), user(ToolResult(call.id, (PICTURE,))))
    )
    body = msgspec.json.decode(encode(with_plain_history(request), request.model, CONVERSATION))
    assert [node["type"] for node in body["nodes"]] == [0, 2]
    assert [node["type"] for node in body["chat_history"][0]["response_nodes"]] == [0]
