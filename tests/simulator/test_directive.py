"""A directive in the user's message says what the answer is."""

import asyncio
from typing import Any

import pytest

from tests.simulator.client import SHELL, Client, Json, ask, directive, entry, play, request, result_node, text_node


def test_text_as_a_string_comes_word_by_word() -> None:
    reply = ask(request(directive(text="one two  three")))
    assert [line["text"] for line in reply.lines if line["text"]] == ["one ", "two  ", "three"]
    assert reply.stop_reasons == [1]


def test_text_as_a_list_comes_as_it_is() -> None:
    reply = ask(request(directive(text=["one two", "\n\nthree"])))
    assert [line["text"] for line in reply.lines if line["text"]] == ["one two", "\n\nthree"]


def test_text_is_repeated() -> None:
    assert ask(request(directive(text="ab ", repeat=3))).text == "ab ab ab "


def test_thinking_comes_before_text() -> None:
    reply = ask(request(directive(thinking=["I think ", "so."], text="Yes.")))
    kinds = ["text" if line["text"] else line["nodes"][0]["type"] for line in reply.lines[:3]]
    assert kinds == [8, 8, "text"]
    assert reply.thinking == "I think so."


def test_one_call_or_several() -> None:
    one: Json = {"name": "a", "input": {"b": [1, None]}}
    reply = ask(request(directive(tool=one)))
    assert reply.text == ""
    assert [(call["tool_name"], call["input_json"]) for call in reply.calls] == [("a", '{"b":[1,null]}')]
    assert reply.stop_reasons == [3]
    two = ask(request(directive(text="Now.", tool=[one, {"name": "c", "id": "toolu_mine"}])))
    assert two.text == "Now."
    assert two.calls[1] == {"tool_use_id": "toolu_mine", "tool_name": "c", "input_json": "{}"}


def test_a_string_as_input_is_sent_raw() -> None:
    assert ask(request(directive(tool={"name": "a", "input": '{"broken'}))).calls[0]["input_json"] == '{"broken'


def test_stop_reason_and_usage_are_as_given() -> None:
    reply = ask(request(directive(text="x", stop_reason=2, usage={"input_tokens": 7})))
    assert reply.stop_reasons == [2]
    assert reply.usage == {"input_tokens": 7}
    assert ask(request(directive(text="x", usage=None))).nodes(10) == []


def test_without_text_and_tool_the_answer_is_the_usual_one() -> None:
    reply = ask(request(directive(stop_reason=2)))
    assert "no model" in reply.text
    assert reply.stop_reasons == [2]


def test_with_text_no_tool_is_called() -> None:
    assert not ask(request("run it " + directive(text="No."), tools=[SHELL])).calls


def test_the_last_of_several_directives_counts() -> None:
    assert ask(request(directive(text="one") + directive(text="two"))).text == "two"


def test_a_directive_can_quote_one() -> None:
    assert ask(request(directive(text=directive(text="inner")))).text == directive(text="inner")


@pytest.mark.parametrize("text", ["@@{not json}@@", "@@ -1,2 +1,2 @@", '@@{"text": "x"}', "@@[1]@@"])
def test_what_is_no_directive_is_left_alone(text: str) -> None:
    assert ask(request(text, "claude-sim-echo")).text == text


@pytest.mark.parametrize(
    ("keys", "complaint"), [({"txt": "x"}, "txt"), ({"repeat": "x"}, "repeat"), ({"tool": {"input": {}}}, "name")]
)
def test_a_typing_error_shows(keys: Any, complaint: str) -> None:
    reply = ask(request(directive(**keys)))
    assert reply.status == 400
    assert complaint in reply.error


def test_a_message_without_nodes_can_have_one() -> None:
    assert ask(request(directive(text="one"), nodes=[])).text == "one"


def test_the_system_text_has_no_say() -> None:
    nodes = [text_node("System: " + directive(text="from the system")), text_node("hello", 1)]
    assert "no model" in ask(request(nodes=nodes)).text


# -------------------------------------------------------------- agent loops


def loop(first: str, turns: int = 1, **changes: Any) -> Json:
    """`first` was answered by a call; the current turn brings the result, after `turns` such rounds."""
    history = [entry(first, calls=[("t0", "bash")])]
    history += [
        entry("", calls=[(f"t{turn}", "bash")], nodes=[result_node(f"t{turn - 1}")]) for turn in range(1, turns)
    ]
    return request("", nodes=[result_node(f"t{turns - 1}", "42")], chat_history=history, tools=[SHELL], **changes)


CALL = {"name": "bash", "input": {}}


def test_after_the_result_comes_the_then() -> None:
    reply = ask(loop(directive(tool=CALL, text="Calling.", then="All done.")))
    assert (reply.text, reply.calls, reply.stop_reasons) == ("All done.", [], [1])


def test_without_a_then_the_agent_finishes() -> None:
    reply = ask(loop(directive(tool=CALL, text="Calling.", stop_reason=2)))
    assert "“42”" in reply.text
    assert reply.stop_reasons == [1]


def test_a_then_can_be_a_directive() -> None:
    first = directive(tool=CALL, then={"thinking": "hm", "tool": {"name": "second"}, "then": ["Over."]})
    assert ask(loop(first)).calls[0]["tool_name"] == "second"
    assert ask(loop(first, 2)).text == "Over."


def test_a_text_beside_the_result_does_not_hide_the_directive() -> None:
    body = loop(directive(tool=CALL, then="All done."))
    body["nodes"].append(text_node("<system-reminder>be nice</system-reminder>", 1))
    assert ask(body).text == "All done."


def test_a_directive_beside_a_result_makes_no_call() -> None:
    body = loop("go")
    body["nodes"].append(text_node(directive(tool=CALL, then="All done."), 1))
    assert ask(body).text == "All done."
    body["nodes"][1] = text_node(directive(text="Something else."), 1)
    assert ask(body).text == "Something else."


def test_a_directive_ends_with_its_loop() -> None:
    done = [entry(directive(text="old"), "old")]
    assert "You said: new" in ask(request("new", chat_history=done)).text
    later = loop("go")
    later["chat_history"] = done + later["chat_history"]
    assert "“42”" in ask(later).text


def test_the_scenario_lasts_for_the_loop() -> None:
    assert not ask(loop(directive(scenario="no-usage", tool=CALL))).nodes(10)


def test_delay_is_the_time_between_lines() -> None:
    async def story(client: Client) -> float:
        started = asyncio.get_running_loop().time()
        await client.ask(directive(text=["a", "b"], delay=0.03))
        return asyncio.get_running_loop().time() - started

    assert play(story) >= 0.1
