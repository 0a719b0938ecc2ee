"""What is tried after an attempt that gave nothing: told by what happened, how long it took, and what was tried."""

from collections.abc import Sequence

import pytest

from augment_open_proxy.core.errors import ErrorKind, Problem, Remedy
from augment_open_proxy.upstream.recovery import Recovery, Step

MODEL = "claude-opus-4-6-high"
BASE = "claude-opus-4-6"


def base_of(model: str) -> str | None:
    return BASE if model == MODEL else None


class Story:
    """One turn. `budget` is how many retries the backend is held to bear; `chance` decides the jitter."""

    def __init__(self, fallbacks: Sequence[str] = (), budget: int = 1000, chance: float = 1.0) -> None:
        self.recovery = Recovery(base_of, fallbacks)
        self.budget = budget
        self.chance = chance
        self.model = MODEL

    def take(self) -> bool:
        self.budget -= 1
        return self.budget >= 0

    def after(self, remedy: Remedy | None, elapsed: float = 0.0, **fields: object) -> Step | None:
        problem = Problem(**{"kind": ErrorKind.BACKEND, "message": "broken", "remedy": remedy, **fields})  # type: ignore[arg-type]
        step = self.recovery.after(problem, self.model, elapsed, self.chance, self.take)
        if step is not None and step.model is not None:
            self.model = step.model
        return step


# --- The same again ---


def test_the_same_is_sent_three_times_at_most() -> None:
    story = Story()
    assert story.after("again") == Step(delay=0.1)
    assert story.after("again") == Step(delay=0.2)
    assert story.after("again") is None


@pytest.mark.parametrize(("chance", "delays"), [(0.0, [0.0, 0.0]), (0.5, [0.05, 0.1]), (1.0, [0.1, 0.2])])
def test_the_delay_is_anything_up_to_one_that_doubles(chance: float, delays: list[float]) -> None:
    story = Story(chance=chance)
    steps = [story.after("again"), story.after("again")]
    assert [step.delay for step in steps if step] == delays


def test_nothing_is_sent_again_after_ten_seconds() -> None:
    assert Story().after("again", elapsed=9.8) is not None
    assert Story().after("again", elapsed=9.95) is None, "the delay counts"
    assert Story().after("again", elapsed=60) is None


def test_a_short_wait_that_the_backend_asks_for_is_kept() -> None:
    assert Story(chance=0).after("again", retry_after=0.0) == Step(delay=0.0)
    assert Story(chance=0).after("again", retry_after=2.0) == Step(delay=2.0)
    assert Story(chance=1).after("again", retry_after=2.0) == Step(delay=2.1), "jitter comes on top"


def test_a_longer_one_is_the_client_s() -> None:
    assert Story().after("again", retry_after=2.1) is None
    assert Story().after("again", retry_after=60) is None


def test_the_budget_decides_and_is_asked_only_where_all_else_agrees() -> None:
    assert Story(budget=0).after("again") is None
    story = Story(budget=1000)
    story.after("again", elapsed=11)
    story.after("again", retry_after=3)
    story.after(None)
    assert story.budget == 1000


def test_what_nothing_helps_against_is_told() -> None:
    story = Story(fallbacks=["other"])
    assert story.after(None) is None
    assert story.budget == 1000


# --- Another token, another form ---


def test_a_new_token_is_looked_for_once() -> None:
    story = Story(budget=0)
    assert story.after("new_token") == Step(needs_new_token=True)
    assert story.after("new_token") is None


def test_a_plain_history_is_tried_once_and_told() -> None:
    story = Story(budget=0)
    step = story.after("plain_history")
    assert step is not None
    assert step.has_plain_history
    assert "written out as text" in (step.notice or "")
    assert story.after("plain_history") is None


# --- Another model ---


def test_an_effort_variant_that_is_not_there_becomes_its_base_model_as_it_is() -> None:
    story = Story(budget=0)
    step = story.after("base_model")
    assert step is not None
    assert (step.model, step.takes_effort) == (BASE, False)
    assert step.notice == f"{MODEL} does not exist at the backend, {BASE} answers instead"
    assert story.after("base_model") is None, "the base model has no base"


@pytest.mark.parametrize("remedy", ["other_model", "again_or_other_model"])
def test_silence_has_the_fallbacks_asked_in_their_order(remedy: Remedy) -> None:
    story = Story(["second", "third"], budget=0)
    step = story.after(remedy, elapsed=120)
    assert step is not None
    assert (step.model, step.takes_effort, step.delay) == ("second", True, 0)
    assert step.notice == f"{MODEL} gave no answer, second was asked instead"
    step = story.after(remedy, elapsed=240)
    assert step is not None
    assert step.notice == "second gave no answer, third was asked instead"
    assert story.after(remedy, elapsed=360) is None


def test_it_tells_whether_another_model_is_left() -> None:
    story = Story(["second"])
    left = [story.recovery.has_fallback]
    story.after("other_model")
    assert [*left, story.recovery.has_fallback] == [True, False]


def test_an_empty_completion_is_asked_for_once_more_before_another_model_is() -> None:
    story = Story(["second"])
    assert story.after("again_or_other_model", elapsed=60) == Step()
    step = story.after("again_or_other_model", elapsed=60)
    assert step is not None
    assert step.model == "second"


def test_one_that_took_longer_than_a_minute_is_the_silent_hang() -> None:
    assert Story().after("again_or_other_model", elapsed=60.1) is None
    step = Story(["second"]).after("again_or_other_model", elapsed=60.1)
    assert step is not None
    assert step.model == "second"


def test_an_empty_completion_is_repeated_only_within_the_budget() -> None:
    assert Story(budget=0).after("again_or_other_model") is None
    step = Story(["second"], budget=0).after("again_or_other_model")
    assert step is not None
    assert step.model == "second"


def test_silence_is_never_repeated_with_the_same_model() -> None:
    assert Story().after("other_model", elapsed=0.1) is None


def test_what_was_tried_with_one_model_counts_for_the_next() -> None:
    story = Story(["second"])
    assert story.after("again") is not None
    assert story.after("again") is not None
    assert story.after("other_model") is not None
    assert story.after("again") is None
