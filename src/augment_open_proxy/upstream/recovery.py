"""What is tried after an attempt that gave nothing: the same again, another model, the history in another form.

Pure: it is told how much time has passed, and a random number. Nothing is tried once content has been given out.
"""

from collections.abc import Callable, Sequence

from msgspec import Struct

from augment_open_proxy.core.errors import Problem

TRIES = 3
SECONDS = 10.0
"""The same request is sent so often at most, and never again after so long."""
FIRST_DELAY = 0.1
"""Seconds before the second try, at most; the most doubles with each."""
LONGEST_RETRY_AFTER = 2.0
"""Seconds that the backend may ask for; a longer wait is the client's, which is told."""
EMPTY_WITHIN = 60.0
"""Seconds within which an empty completion is worth a second try; one that took longer is the silent hang."""


class Step(Struct, frozen=True):
    """The next attempt: after `delay` seconds, perhaps with another model or form. `notice` is for the user.

    `takes_effort`: whether the model is asked at the effort that the turn asks for, or as it is.
    """

    delay: float = 0.0
    model: str | None = None
    takes_effort: bool = False
    has_plain_history: bool = False
    needs_new_token: bool = False
    notice: str | None = None


class Recovery:
    """Decides for one turn. `base_of` gives the model without its level of effort, where it has one."""

    def __init__(self, base_of: Callable[[str], str | None], fallbacks: Sequence[str]) -> None:
        self._base_of = base_of
        self._fallbacks = list(fallbacks)
        self._tries = 1
        self._has_repeated_empty = False
        self._has_plain_history = False
        self._has_new_token = False

    @property
    def has_fallback(self) -> bool:
        """Whether another model can be asked where this one says nothing."""
        return bool(self._fallbacks)

    def after(
        self, problem: Problem, model: str, elapsed: float, chance: float, budget: Callable[[], bool]
    ) -> Step | None:
        """What is tried after the `problem` that `model` had; `None` where the client is told of it.

        `elapsed` seconds since the turn began; `chance` from 0 to 1; `budget` is asked last, whether the
        backend can be expected to bear one more try.
        """
        match problem.remedy:
            case "new_token" if not self._has_new_token:
                self._has_new_token = True
                return Step(needs_new_token=True)
            case "base_model" if (base := self._base_of(model)) is not None:
                return Step(model=base, notice=f"{model} does not exist at the backend, {base} answers instead")
            case "plain_history" if not self._has_plain_history:
                self._has_plain_history = True
                return Step(
                    has_plain_history=True,
                    notice="the backend refused the history's tool calls, they were written out as text",
                )
            case "again":
                return self._again(problem, elapsed, chance, budget)
            case "other_model" | "again_or_other_model":
                return self._after_nothing(problem, model, elapsed, budget)
        return None

    def _again(self, problem: Problem, elapsed: float, chance: float, budget: Callable[[], bool]) -> Step | None:
        wait = problem.retry_after or 0.0
        delay = wait + FIRST_DELAY * 2 ** (self._tries - 1) * chance
        if self._tries >= TRIES or wait > LONGEST_RETRY_AFTER or elapsed + delay > SECONDS:
            return None
        if not budget():
            return None
        self._tries += 1
        return Step(delay)

    def _after_nothing(self, problem: Problem, model: str, elapsed: float, budget: Callable[[], bool]) -> Step | None:
        """After the empty completion, or silence: some prompts do this to some models, and not to others."""
        may_repeat = problem.remedy == "again_or_other_model" and elapsed <= EMPTY_WITHIN
        if may_repeat and not self._has_repeated_empty and budget():
            self._has_repeated_empty = True
            return Step()
        if not self._fallbacks:
            return None
        other = self._fallbacks.pop(0)
        return Step(model=other, takes_effort=True, notice=f"{model} gave no answer, {other} was asked instead")
