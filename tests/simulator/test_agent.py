"""The default agent: it says what it is, calls a fitting tool once, and finishes when the result comes."""

import base64
import json

import pytest

from tests.simulator.client import SHELL, Json, Reply, ask, entry, image_node, request, result_node, text_node, tool

READ = tool("read_file", "Reads a file from the disk.", path={"type": "string"})
WEATHER = tool("get_weather", "Current weather of a city.", city={"type": "string"})
DELETE = tool("delete_file", "Deletes a file.", path={"type": "string"})


def picture(size: int) -> str:
    return base64.b64encode(b"x" * size).decode()


def called(reply: Reply) -> list[str]:
    return [call["tool_name"] for call in reply.calls]


def test_in_a_chat_it_says_what_it_is_and_what_the_user_said() -> None:
    reply = ask(request("Good morning!"))
    assert reply.text == "This is the augment-open-proxy simulation, no model. You said: Good morning!"
    assert len([line for line in reply.lines if line["text"]]) > 5
    assert reply.stop_reasons == [1]


def test_the_text_is_repeated_in_nodes_once_it_is_finished() -> None:
    reply = ask("hello")
    assert [node["content"] for node in reply.nodes(0) + reply.nodes(2)] == [reply.text] * 2


def test_it_answers_the_last_text_and_not_what_clients_add() -> None:
    nodes = [
        text_node("System: be brief"),
        text_node("first", 1),
        text_node("<system-reminder>\nlist the files\n</system-reminder>", 2),
        text_node("second\n<environment_details>run</environment_details>", 3),
        text_node("<environment_details>run</environment_details>", 4),
    ]
    reply = ask(request(nodes=nodes, tools=[READ]))
    assert reply.text.endswith("You said: second")


def test_it_names_the_pictures_that_it_got() -> None:
    nodes = [text_node("what is it?"), image_node(picture(10), 1, 1), image_node(picture(3001), 2, 2)]
    assert "I got 2 images: image/png of 10 bytes, image/jpeg of 3001 bytes." in ask(request(nodes=nodes)).text


def test_it_names_the_pictures_in_a_result() -> None:
    content = [{"type": 2, "image_content": {"image_data": picture(8), "format": 4}}]
    nodes = [result_node("t1", "see", content_nodes=content), image_node(picture(7), 3, 1)]
    text = ask(request("", nodes=nodes, chat_history=[entry("look", calls=[("t1", "view")])])).text
    assert "The result has 1 image: image/webp of 8 bytes." in text
    assert "I got 1 image: image/gif of 7 bytes." in text


@pytest.mark.parametrize(
    ("text", "tools", "expected"),
    [
        ("What is the weather in Paris?", [SHELL, READ, WEATHER], "get_weather"),
        ("Read the file for me", [SHELL, READ, WEATHER], "read_file"),
        ("Run the shell command that creates proof.txt, then say what happened.", [WEATHER, READ, SHELL], "bash"),
        ("Check it", [WEATHER, READ, SHELL], "bash"),
        ("Check it", [WEATHER, READ], "read_file"),
        ("Check it", [WEATHER], "get_weather"),
        ("Delete the file", [DELETE, READ], "read_file"),
        ("Delete it", [DELETE], None),
        ("hello", [SHELL, READ, WEATHER, DELETE], None),
        ("Who are you and what can you do?", [SHELL, READ, WEATHER], None),
        ("Check it", [], None),
    ],
)
def test_it_calls_the_tool_that_fits(text: str, tools: list[Json], expected: str | None) -> None:
    reply = ask(request(text, tools=tools))
    assert called(reply) == ([expected] if expected else [])
    assert reply.stop_reasons == [3 if expected else 1]


@pytest.mark.parametrize(
    "name",
    [
        "delete_file",
        "Write",
        "todowrite",
        "apply_patch",
        "MultiEdit",
        "str_replace_editor",
        "rm",
        "stop_bash",
        "send_mail",
    ],
)
def test_it_never_calls_a_tool_that_changes_things(name: str) -> None:
    reply = ask(request(f"run {name} now, call {name}", tools=[tool(name, "run call now")]))
    assert reply.status == 200
    assert called(reply) == []


def test_one_sentence_then_the_call() -> None:
    reply = ask(request("run it", tools=[SHELL]))
    assert reply.text == "I will use the tool `bash` for that."
    assert json.loads(reply.calls[0]["input_json"]) == {"command": "echo hello from the simulator"}
    (start,) = reply.nodes(7)
    assert start["tool_use"]["tool_use_id"] == reply.calls[0]["tool_use_id"]


def test_the_loop_from_call_to_finish() -> None:
    first = request("run it", tools=[SHELL])
    reply = ask(first)
    call = reply.calls[0]
    past = entry("run it", reply.text)
    past["response_nodes"].append({"id": 1, "type": 5, "tool_use": call})
    nodes = [result_node(call["tool_use_id"], "hello from the simulator")]
    done = ask({**first, "message": "", "nodes": nodes, "chat_history": [past]})
    assert done.text.startswith("The tool gave: “hello from the simulator”")
    assert (done.calls, done.stop_reasons) == ([], [1])


def test_a_failed_and_a_long_result_are_quoted_in_short() -> None:
    history = [entry("go", calls=[("t1", "bash"), ("t2", "bash")])]
    nodes = [result_node("t1", "no such file", is_error=True), result_node("t2", "long " * 1000, 1)]
    text = ask(request("", nodes=nodes, chat_history=history)).text
    assert "The tool failed with: “no such file”" in text
    assert "long …”" in text or "long…”" in text
    assert len(text) < 500


def test_the_same_turn_has_the_same_call_id_and_another_turn_another() -> None:
    body = request("run it", tools=[SHELL])
    later = {**body, "chat_history": [entry("hi", "hello")]}
    ids = [ask(one).calls[0]["tool_use_id"] for one in (body, body, later)]
    assert ids[0] == ids[1] != ids[2]


@pytest.mark.parametrize("effort", ["low", "medium", "high", "xhigh", "max"])
def test_with_an_effort_it_thinks_first(effort: str) -> None:
    reply = ask(request(model=f"claude-opus-4-8-{effort}"))
    assert "“hello”" in reply.thinking
    assert reply.lines[0]["nodes"][0]["type"] == 8
    assert not ask(request(model="claude-opus-4-8")).thinking


# ------------------------------------------------------------------- gemini


def test_gemini_makes_calls_with_its_own_ids() -> None:
    call = ask(request("run it", "gemini-3-1-pro-preview", [SHELL])).calls[0]
    assert call["tool_use_id"].startswith("toolu_aug_vrtx_gemini_")


def test_gemini_finishes_when_call_and_result_are_written_out() -> None:
    history = [entry("run it", "I will use the tool `bash` for that. [bash was called]")]
    reply = ask(request("[bash gave: 42]", "gemini-3-1-pro-preview", [SHELL], chat_history=history))
    assert called(reply) == []
    assert "“[bash gave: 42]”" in reply.text
