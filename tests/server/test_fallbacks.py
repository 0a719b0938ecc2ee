"""The silent hang and the empty completion: another model is asked, or an error names the trouble and what helps."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from augment_open_proxy.server import relay
from augment_open_proxy.simulator import Hang, Send, Step
from augment_open_proxy.upstream import attempts, budget, recovery
from tests.asking import CHAT, MESSAGES, RESPONSES, Api, ask, every_api, streamed_and_whole
from tests.server.test_recovery import SAID, Asked
from tests.servers import Proxy, running_proxy

SILENT = "claude-sonnet-4-6"
OTHER = "claude-sonnet-4-5"
TOLD = f"{SILENT} gave no answer, {OTHER} was asked instead"
HANG: Sequence[Step] = (Send(b""), Hang())
NO_HEAD: Sequence[Step] = (Hang(),)
STALL: Sequence[Step] = (Send(b'{"nodes":[{"id":0,"type":9}]}\n'), Hang())
EMPTY = [b'{"nodes":[{"id":0,"type":10,"token_usage":{"input_tokens":0,"output_tokens":0}}],"stop_reason":1}\n']


@pytest.fixture(autouse=True)
def generous(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "ALWAYS", 10**6)


@contextmanager
def with_fallback(*more: tuple[str, str], **settings: Any) -> Iterator[Proxy]:
    with running_proxy(fallback_models=((SILENT, OTHER), *more), **settings) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def quick() -> Iterator[Proxy]:
    """A proxy that loses its patience quickly, and has a fallback."""
    with with_fallback(first_byte_timeout=0.25, stall_timeout=0.25) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def alone() -> Iterator[Proxy]:
    """The same without a fallback."""
    with running_proxy(first_byte_timeout=0.25, stall_timeout=0.25) as proxy:
        yield proxy


# --- Another model is asked ---


@every_api
@streamed_and_whole
@pytest.mark.parametrize("silence", [HANG, NO_HEAD, STALL], ids=["no byte", "no head", "no more"])
def test_a_silent_model_is_followed_by_its_fallback(
    quick: Proxy, api: Api, stream: bool, silence: Sequence[Step]
) -> None:
    asked = Asked(quick, api, stream, SILENT, silence)
    assert (asked.answer.status, asked.answer.text) == (200, SAID)
    assert asked.models == [SILENT, OTHER]
    assert asked.is_told(TOLD)
    assert f"effective={OTHER} " in asked.log
    quick.wait_for(lambda: quick.simulator.open_calls == 0)


@every_api
@streamed_and_whole
def test_an_empty_completion_is_tried_once_more(alone: Proxy, api: Api, stream: bool) -> None:
    asked = Asked(alone, api, stream, SILENT, EMPTY)
    assert (asked.answer.status, asked.answer.text) == (200, SAID)
    assert asked.models == [SILENT, SILENT]
    assert "x-aop-notice" not in asked.answer.headers


@every_api
@streamed_and_whole
def test_two_empty_completions_are_followed_by_the_fallback(quick: Proxy, api: Api, stream: bool) -> None:
    asked = Asked(quick, api, stream, SILENT, EMPTY, EMPTY)
    assert (asked.answer.status, asked.answer.text) == (200, SAID)
    assert asked.models == [SILENT, SILENT, OTHER]
    assert asked.is_told(TOLD)


def test_a_late_empty_completion_is_not_tried_again(quick: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "EMPTY_WITHIN", 0.0)
    assert Asked(quick, CHAT, False, SILENT, EMPTY).models == [SILENT, OTHER]


def test_fallbacks_are_asked_in_their_order() -> None:
    with with_fallback((SILENT, "claude-haiku-4-5"), first_byte_timeout=0.2) as proxy:
        asked = Asked(proxy, CHAT, False, SILENT, HANG, HANG)
        assert asked.models == [SILENT, OTHER, "claude-haiku-4-5"]
        assert asked.is_told(f"{TOLD}; {OTHER} gave no answer, claude-haiku-4-5 was asked instead")
        asked = Asked(proxy, CHAT, False, SILENT, HANG, HANG, HANG)
        assert asked.answer.status == 504
        assert len(asked.requests) == 3


def test_a_model_without_a_fallback_has_all_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """120 s where there is one: then only, and only as long as there is another."""
    monkeypatch.setattr(attempts, "FIRST_BYTE_WITH_FALLBACK", 0.1)
    with with_fallback(body_timeout=0.5) as proxy:
        asked = Asked(proxy, CHAT, False, SILENT, HANG)
        assert asked.models == [SILENT, OTHER]
        for answer in (
            Asked(proxy, CHAT, False, SILENT, HANG, HANG).answer,
            Asked(proxy, CHAT, False, OTHER, HANG).answer,
        ):
            assert answer.status == 504
            assert "AOP_BODY_TIMEOUT_MS" in (answer.error or "")


def test_a_fallback_has_as_little_as_long_as_there_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "FIRST_BYTE_WITH_FALLBACK", 0.1)
    with with_fallback((SILENT, "claude-haiku-4-5"), (OTHER, SILENT), body_timeout=0.5) as proxy:
        asked = Asked(proxy, CHAT, False, SILENT, HANG, HANG)
        assert asked.models == [SILENT, OTHER, "claude-haiku-4-5"]
        asked = Asked(proxy, CHAT, False, OTHER, HANG, HANG)
        assert asked.models == [OTHER, SILENT], "fallbacks of fallbacks are not asked"
        assert "AOP_BODY_TIMEOUT_MS" in (asked.answer.error or "")


def test_without_fallbacks_nothing_ends_a_long_thought(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "FIRST_BYTE_WITH_FALLBACK", 0.1)
    with running_proxy(body_timeout=0.5, stall_timeout=0.1) as proxy:
        answer = ask(proxy, CHAT, "claude-sim-hang", False)
        assert "AOP_BODY_TIMEOUT_MS" in (answer.error or ""), "a stall is a silence after the first byte"


@pytest.mark.parametrize("name", ["sonnet4.6", "claude-sonnet-4-6-20251001"])
def test_any_name_of_the_model_has_its_fallback(quick: Proxy, name: str) -> None:
    assert Asked(quick, CHAT, False, name, HANG).models == [SILENT, OTHER]


def test_a_level_of_effort_has_the_fallback_of_its_base_and_keeps_its_level() -> None:
    fallbacks = (("opus4.7", "opus4.8"),)
    with running_proxy(fallback_models=fallbacks, first_byte_timeout=0.2) as proxy:
        asked = Asked(proxy, CHAT, False, "claude-opus-4-7", HANG, reasoning_effort="high")
        assert asked.models == ["claude-opus-4-7-high", "claude-opus-4-8-high"]
        asked = Asked(proxy, CHAT, False, "claude-opus-4-7-high", HANG)
        assert asked.models == ["claude-opus-4-7-high", "claude-opus-4-8"], "the level was part of the name"


# --- What the client is told ---


def test_once_the_head_is_out_the_log_tells(quick: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "FIRST_HEARTBEAT", 0.05)
    for api in (CHAT, MESSAGES, RESPONSES):
        asked = Asked(quick, api, True, SILENT, HANG)
        assert asked.answer.text == SAID
        assert "x-aop-notice" not in asked.answer.headers
        assert TOLD in asked.log


@every_api
@streamed_and_whole
@pytest.mark.parametrize("silence", [HANG, NO_HEAD, STALL], ids=["no byte", "no head", "no more"])
def test_without_a_fallback_an_error_names_the_trouble_and_what_helps(
    alone: Proxy, api: Api, stream: bool, silence: Sequence[Step]
) -> None:
    asked = Asked(alone, api, stream, SILENT, silence)
    assert asked.answer.status == 504
    for word in (
        "AOP_STALL_TIMEOUT_MS" if silence is STALL else "AOP_FIRST_BYTE_TIMEOUT_MS",
        "reword the prompt",
        "claude-sonnet-4-5",
        "AOP_FALLBACK_MODELS",
    ):
        assert word in (asked.answer.error or "")
    assert len(asked.requests) == 1


@every_api
@streamed_and_whole
def test_so_does_that_of_two_empty_completions(alone: Proxy, api: Api, stream: bool) -> None:
    asked = Asked(alone, api, stream, SILENT, EMPTY, EMPTY)
    assert asked.answer.status == 502
    for word in ("without content", "reword the prompt", "claude-sonnet-4-5", "AOP_FALLBACK_MODELS"):
        assert word in (asked.answer.error or "")
    assert len(asked.requests) == 2


@every_api
@streamed_and_whole
def test_an_empty_answer_is_an_answer(quick: Proxy, api: Api, stream: bool) -> None:
    asked = Asked(quick, api, stream, "claude-sim-empty-answer")
    assert (asked.answer.status, asked.answer.text, asked.answer.error) == (200, "", None)
    assert len(asked.requests) == 1


@every_api
@streamed_and_whole
def test_a_stall_after_content_is_never_another_model_s(quick: Proxy, api: Api, stream: bool) -> None:
    asked = Asked(quick, api, stream, SILENT, [b'{"text":"Well,"}\n', Hang()])
    assert asked.answer.status == (200 if stream else 504)
    assert "AOP_STALL_TIMEOUT_MS" in (asked.answer.error or "")
    assert len(asked.requests) == 1


def test_a_fallback_that_does_not_exist_leaves_the_error() -> None:
    with running_proxy(fallback_models=((SILENT, "nonesuch"),), first_byte_timeout=0.2) as proxy:
        asked = Asked(proxy, CHAT, False, SILENT, HANG)
        assert asked.answer.status == 504
        assert "notices=" not in asked.log
