"""Measurements → figures: medians over the rounds, compared to nginx and to chat in the same round, and to the goal."""

from collections.abc import Iterable, Sequence
from statistics import median
from typing import Literal

from msgspec import Struct

from benchmarks.model import Measurement, Scenario

FLOOR = "nginx"
TO_CHAT = 1.3
"""What the other dialects may cost, as a multiple of chat."""


class Goal(Struct, frozen=True):
    """The most that a figure's value, or its ratio to nginx, may be."""

    most: float
    of: Literal["value", "ratio"] = "value"
    to_chat: float | None = None
    """The most that it may be as a multiple of chat's."""


class Figure(Struct, frozen=True):
    """What was found out about a target in a scenario."""

    scenario: str
    target: str
    quantity: str
    value: float
    unit: str
    ratio: float | None = None
    """The value as a multiple of nginx's in the same round; `None` without nginx, and for nginx itself."""
    to_chat: float | None = None
    """The value as a multiple of what the same server took for chat in the same round."""
    goal: Goal | None = None

    @property
    def is_met(self) -> bool | None:
        """Whether the goal is reached; `None` where there is none, or nothing to compare to."""
        if self.goal is None:
            return None
        reached = self.value if self.goal.of == "value" else self.ratio
        if reached is None:
            return None
        return reached <= self.goal.most and not (
            self.to_chat is not None and self.goal.to_chat is not None and self.to_chat > self.goal.to_chat
        )


def cpu_figures(scenarios: Iterable[Scenario], measurements: Sequence[Measurement]) -> list[Figure]:
    """CPU time for each unit, in the order in which scenarios and targets were measured."""
    found: list[Figure] = []
    for scenario in scenarios:
        own = [one for one in measurements if one.scenario == scenario.name]
        for target in dict.fromkeys(one.target for one in own):
            taken = [one for one in own if one.target == target]
            is_proxy = target.startswith("proxy ")
            found.append(
                Figure(
                    scenario.name,
                    target,
                    "CPU",
                    median(one.cpu_us for one in taken),
                    f"µs/{scenario.unit}",
                    None if target == FLOOR else _ratio(taken, own, FLOOR),
                    None if target.endswith(" chat") else _ratio(taken, own, f"{target.partition(' ')[0]} chat"),
                    Goal(scenario.goal, "ratio", TO_CHAT) if is_proxy and scenario.goal is not None else None,
                )
            )
    return found


def _ratio(taken: Sequence[Measurement], own: Sequence[Measurement], base: str) -> float | None:
    """The median of the rounds' ratios to the target named `base`."""
    bases = {one.round: one.cpu_us for one in own if one.target == base}
    ratios = [one.cpu_us / bases[one.round] for one in taken if bases.get(one.round)]
    return median(ratios) if ratios else None
