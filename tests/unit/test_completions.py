"""Completions bodies → `ChatRequest`: what is read, what is refused; and the echo, whole and streamed."""

import json
from typing import Any

import msgspec
import pytest

from augment_open_proxy.core.conversation import ChatRequest, Message, Text, Thinking, ToolCall
from augment_open_proxy.core.errors import ErrorKind, Problem, ProxyError
from augment_open_proxy.core.events import (
    BlockDelta,
    BlockStart,
    BlockStop,
    Cancelled,
    Event,
    Failure,
    Finish,
    FinishReason,
    Opening,
    Usage,
)
from augment_open_proxy.core.reply import fold
from augment_open_proxy.dialects.dialect import Delivery, renderer
from augment_open_proxy.dialects.framing import joined
from augment_open_proxy.dialects.openai_completions import OPENAI_COMPLETIONS
from augment_open_proxy.dialects.openai_completions.reply import render
from augment_open_proxy.dialects.openai_completions.request import IGNORED, INSTRUCTIONS, Echo
from augment_open_proxy.dialects.openai_completions.stream import CompletionStream

OPENING = Opening("cmpl-1", 1, "gpt-5", 10)
FINISH = Finish("stop", 1, Usage(1, 2))


def body(**fields: Any) -> bytes:
    return json.dumps({"model": "gpt-5", "prompt": "Once upon ", **fields}).encode()


def request(**fields: Any) -> ChatRequest:
    return OPENAI_COMPLETIONS.parse(body(**fields)).request


def delivery(**fields: Any) -> Delivery:
    return OPENAI_COMPLETIONS.parse(body(**fields)).delivery


def refusal(data: bytes) -> Problem:
    with pytest.raises(ProxyError) as caught:
        OPENAI_COMPLETIONS.parse(data)
    assert caught.value.problem.kind is ErrorKind.INVALID_REQUEST
    return caught.value.problem


# --- What is asked ---


def test_the_prompt_is_a_user_s_message_and_a_system_text_asks_to_continue_it() -> None:
    assert request() == ChatRequest(
        "gpt-5", (Message("user", (Text("Once upon "),)),), (INSTRUCTIONS,), thinking="none", place="prompt"
    )


@pytest.mark.parametrize("prompt", ["", " \n", "Zürich", 'a "quoted" text\n\n'])
def test_a_prompt_is_taken_as_it_is_alone_or_as_the_only_one_of_a_list(prompt: str) -> None:
    expected = (Message("user", (Text(prompt),)),)
    assert request(prompt=prompt).messages == expected
    assert request(prompt=[prompt]).messages == expected


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        (["a", "b"], "one text"),
        (["a", 1], "one text"),
        ([1, 2], "no tokens"),
        ([1], "no tokens"),
        ([[1, 2]], "no tokens"),
        ([[1], [2]], "no tokens"),
        (None, "missing"),
        ([], "a text, or a list of one"),
        ([None], "a text, or a list of one"),
        ({"text": "a"}, "a text, or a list of one"),
        (7, "a text, or a list of one"),
    ],
)
def test_several_prompts_tokens_and_what_is_no_text_are_refused(prompt: object, said: str) -> None:
    problem = refusal(body(prompt=prompt))
    assert problem.param == "prompt"
    assert said in problem.message


def test_a_missing_prompt_is_refused() -> None:
    assert refusal(b'{"model": "gpt-5"}') == Problem(ErrorKind.INVALID_REQUEST, "prompt is missing.", "prompt")


def test_stop_sequences_and_the_limit_are_passed_on() -> None:
    assert request(stop="\n").stop == ("\n",)
    assert request(stop=["\n", "END", "\n"]).stop == ("\n", "END")
    assert request(max_tokens=7).max_output_tokens == 7


def test_there_is_no_limit_where_none_is_given() -> None:
    assert request().max_output_tokens is None
    assert request(max_tokens=None).max_output_tokens is None


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": " "}, "model"),
        ({"model": None}, "model"),
        ({"n": 17}, "n"),
        ({"n": 0}, "n"),
        ({"n": "1"}, "n"),
        ({"best_of": 2}, "best_of"),
        ({"n": 2, "best_of": 4}, "best_of"),
        ({"suffix": "}"}, "suffix"),
        ({"logprobs": 5}, "logprobs"),
        ({"logprobs": 0}, "logprobs"),
        ({"logprobs": True}, "logprobs"),
        ({"stop": ""}, "stop"),
        ({"stop": ["a", ""]}, "stop"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": "7"}, "max_tokens"),
        ({"echo": "yes"}, "echo"),
        ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
    ],
)
def test_what_cannot_be_had_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    problem = refusal(body(**fields))
    assert problem.param == param
    assert problem.message.startswith(param)


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 1, "best_of": 1, "suffix": "", "logprobs": False, "echo": False, "user": "me"},
        dict.fromkeys(("n", "best_of", "suffix", "logprobs", "echo", "stop", "max_tokens", "stream_options", *IGNORED)),
        {"logit_bias": {}},
    ],
)
def test_what_asks_for_nothing_changes_nothing(fields: dict[str, Any]) -> None:
    assert OPENAI_COMPLETIONS.parse(body(**fields)) == OPENAI_COMPLETIONS.parse(body())


def test_what_has_no_effect_is_named() -> None:
    assert request(temperature=0, seed=1, logit_bias={"5": 1}).ignored == ("temperature", "seed", "logit_bias")
    assert request(presence_penalty=0, logit_bias={}).ignored == ()
    assert request(**dict.fromkeys(IGNORED, 1)).ignored == IGNORED


def test_the_delivery_is_what_the_client_wants() -> None:
    assert delivery() == Delivery()
    assert delivery(stream=True) == Delivery(stream=True)
    asked = delivery(stream=True, stream_options={"include_usage": True}, echo=True)
    assert asked == Delivery(stream=True, include_usage=True, shape=Echo("Once upon "))


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"model": "\xff"}', b"[" * 100_000])
def test_what_is_no_json_object_is_refused(data: bytes) -> None:
    assert refusal(data).message.startswith("The body ")


# --- What is answered ---


def text_block(*texts: str) -> list[Event]:
    return [BlockStart(0, Text("")), *(BlockDelta(0, text) for text in texts), BlockStop(0)]


def whole(events: list[Event], asked: Delivery) -> dict[str, Any]:
    (choice,) = msgspec.json.decode(render([fold(events)], asked))["choices"]
    return dict(choice)


def frames(events: list[Event], asked: Delivery) -> list[str]:
    data = renderer(OPENAI_COMPLETIONS, msgspec.structs.replace(asked, stream=True)).feed(events)
    return [frame.removeprefix("data: ") for frame in joined(data).decode().split("\n\n") if frame]


def texts(events: list[Event], asked: Delivery) -> list[str]:
    assert frames(events, asked)[-1] == "[DONE]"
    return [json.loads(frame)["choices"][0]["text"] for frame in frames(events, asked)[:-1]]


def test_the_echo_comes_before_the_completion() -> None:
    events = [OPENING, *text_block("a ", "time"), FINISH]
    asked = delivery(echo=True)
    assert whole(events, asked)["text"] == "Once upon a time"
    assert texts(events, asked) == ["Once upon ", "a ", "time", ""]


def test_the_echo_comes_at_once() -> None:
    (frame,) = frames([OPENING], delivery(echo=True))
    assert json.loads(frame)["choices"] == [{"text": "Once upon ", "index": 0, "logprobs": None, "finish_reason": None}]


def test_there_is_no_echo_where_it_is_not_asked_for_or_the_prompt_is_empty() -> None:
    events = [OPENING, *text_block("Hi."), FINISH]
    for asked in (delivery(), delivery(echo=True, prompt="")):
        assert whole(events, asked)["text"] == "Hi."
        assert texts(events, asked) == ["Hi.", ""]


def test_an_echo_without_a_completion_is_the_prompt() -> None:
    assert whole([OPENING, FINISH], delivery(echo=True))["text"] == "Once upon "
    assert texts([OPENING, FINISH], delivery(echo=True)) == ["Once upon ", ""]


def test_only_text_is_part_of_a_completion() -> None:
    events: list[Event] = [
        OPENING,
        *(BlockStart(0, Thinking("")), BlockDelta(0, "Hm."), BlockStop(0)),
        *(BlockStart(1, Text("")), BlockDelta(1, "One"), BlockStop(1)),
        *(BlockStart(2, ToolCall("a", "f", "")), BlockDelta(2, "{}"), BlockStop(2)),
        *(BlockStart(3, Text("")), BlockDelta(3, " two"), BlockStop(3)),
        Finish("tool_use", 3, Usage(1, 2)),
    ]
    assert whole(events, Delivery()) == {"text": "One two", "index": 0, "logprobs": None, "finish_reason": "stop"}
    assert texts(events, Delivery()) == ["One", " two", ""]


@pytest.mark.parametrize(
    ("reason", "told"),
    [("stop", "stop"), ("stop_sequence", "stop"), ("length", "length"), ("content_filter", "content_filter")],
)
def test_why_it_ended(reason: FinishReason, told: str) -> None:
    events = [OPENING, *text_block("Hi."), Finish(reason, None, Usage())]
    assert whole(events, Delivery())["finish_reason"] == told
    reasons = [json.loads(frame)["choices"][0]["finish_reason"] for frame in frames(events, Delivery())[:-1]]
    assert reasons == [None, told]


def test_the_usage_comes_last_and_only_if_asked_for() -> None:
    events = [OPENING, *text_block("Hi."), Finish("stop", 1, Usage(1, 7, 20, 300, 4))]
    used = {
        "prompt_tokens": 321,
        "completion_tokens": 7,
        "total_tokens": 328,
        "prompt_tokens_details": {"cached_tokens": 20, "cache_write_tokens": 300, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 4, "audio_tokens": 0},
    }
    assert msgspec.json.decode(render([fold(events)], Delivery()))["usage"] == used
    *chunks, last = [json.loads(frame) for frame in frames(events, Delivery(include_usage=True))[:-1]]
    assert (last["choices"], last["usage"]) == ([], used)
    assert [chunk["usage"] for chunk in chunks] == [None, None]
    assert not any("usage" in json.loads(frame) for frame in frames(events, Delivery())[:-1])


def test_choices_are_told_apart_and_their_usage_is_summed() -> None:
    """A request of this API has one choice so far; a renderer takes what it is given."""
    asked = Delivery(include_usage=True, choices=2, shape=Echo("Once "))
    first, second = [[OPENING, *text_block(text), Finish("stop", 1, Usage(1, 2))] for text in ("upon", "more")]
    whole_reply = msgspec.json.decode(render([fold(first), fold(second)], asked))
    assert [(choice["index"], choice["text"]) for choice in whole_reply["choices"]] == [
        (0, "Once upon"),
        (1, "Once more"),
    ]
    assert whole_reply["usage"]["total_tokens"] == 6

    rendering = CompletionStream(msgspec.structs.replace(asked, stream=True))
    data = [
        frame for pair in zip(first, second, strict=True) for i in (0, 1) for _, frame in rendering.feed([pair[i]], i)
    ]
    *chunks, last = [json.loads(joined(frame)) for frame in data[:-1]]
    told = [
        (choice["index"], choice["text"], choice["finish_reason"]) for chunk in chunks for choice in chunk["choices"]
    ]
    assert told == [
        (0, "Once ", None),
        (1, "Once ", None),
        (0, "upon", None),
        (1, "more", None),
        (0, "", "stop"),
        (1, "", "stop"),
    ]
    assert (last["choices"], last["usage"]) == ([], whole_reply["usage"])
    assert data[-1] == b"[DONE]"


def test_a_failure_is_an_error_with_nothing_after_it() -> None:
    told = frames([OPENING, *text_block("Hi."), Failure(Problem(ErrorKind.BACKEND, "It broke."))], Delivery())
    assert json.loads(told[-1])["error"]["message"] == "It broke."
    assert len(told) == 2


def test_a_client_that_left_is_told_nothing() -> None:
    assert frames([OPENING, Cancelled()], Delivery()) == []
    with pytest.raises(ValueError, match="only a finished reply"):
        render([fold([OPENING, Cancelled()])], Delivery())


def test_a_heartbeat_is_a_comment() -> None:
    assert renderer(OPENAI_COMPLETIONS, Delivery(stream=True)).heartbeat() == b": keep-alive\n\n"
