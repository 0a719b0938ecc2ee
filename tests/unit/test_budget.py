"""The retry budget: a fifth of the requests of the last ten seconds, and three in any case."""

from augment_open_proxy.upstream.budget import RetryBudget


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def taken(budget: RetryBudget, tries: int = 1000) -> int:
    return sum(budget.take() for _ in range(tries))


def budget_after(requests: int, clock: Clock | None = None) -> RetryBudget:
    budget = RetryBudget(clock or Clock())
    for _ in range(requests):
        budget.count()
    return budget


def test_three_retries_are_possible_in_any_case() -> None:
    assert taken(budget_after(0)) == 3
    assert taken(budget_after(1)) == 3


def test_beyond_that_no_more_than_a_fifth_of_the_requests() -> None:
    assert taken(budget_after(15)) == 3
    assert taken(budget_after(19)) == 3, "a fourth would be more than a fifth of 19"
    assert taken(budget_after(20)) == 4
    assert taken(budget_after(1000)) == 200


def test_retries_come_back_ten_seconds_after_each() -> None:
    clock = Clock()
    budget = budget_after(1, clock)
    for _ in range(3):
        assert budget.take()
        clock.now += 1
    assert not budget.take()
    clock.now += 6.9
    assert not budget.take()
    clock.now += 0.2
    assert budget.take()
    assert not budget.take(), "only the first is old enough"


def test_requests_count_for_ten_seconds() -> None:
    clock = Clock()
    budget = budget_after(100, clock)
    clock.now += 9.9
    assert taken(budget) == 20
    clock.now += 10.1
    assert taken(budget) == 3


def test_requests_of_different_seconds_add_up() -> None:
    clock = Clock()
    budget = RetryBudget(clock)
    for _ in range(8):
        for _ in range(10):
            budget.count()
        clock.now += 1.0
    assert taken(budget) == 16


def test_a_quiet_day_leaves_nothing_behind() -> None:
    clock = Clock()
    budget = RetryBudget(clock)
    for _ in range(10_000):
        budget.count()
        budget.take()
        clock.now += 2
    assert len(budget._requests) <= 6
    assert len(budget._retries) <= 6
