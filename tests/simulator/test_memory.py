"""What the simulator remembers between requests."""

from augment_open_proxy.simulator.backend import Memory


def test_a_longer_prompt_reads_what_the_shorter_one_before_wrote() -> None:
    memory = Memory()
    assert memory.cache_read("a", 0, 100) == 0
    assert memory.cache_read("a", 1, 250) == 100
    assert memory.cache_read("a", 2, 300) == 250


def test_the_same_prompt_again_reads_no_more_than_before() -> None:
    memory = Memory()
    memory.cache_read("a", 0, 100)
    assert memory.cache_read("a", 1, 250) == 100
    assert memory.cache_read("a", 1, 250) == 100


def test_no_more_is_read_than_the_prompt_has() -> None:
    memory = Memory()
    memory.cache_read("a", 0, 100)
    assert memory.cache_read("a", 1, 60) == 60


def test_conversations_are_apart() -> None:
    memory = Memory()
    memory.cache_read("a", 0, 100)
    assert memory.cache_read("b", 1, 100) == 0


def test_attempts_are_counted_for_each_request() -> None:
    memory = Memory()
    assert [memory.attempt(id_) for id_ in ("a", "b", "a", "a")] == [1, 1, 2, 3]


def test_what_came_least_recently_is_forgotten() -> None:
    memory = Memory()
    memory.attempt("a")
    memory.attempt("b")
    memory.attempt("a")
    for number in range(9_999):
        memory.attempt(str(number))
    assert memory.attempt("a") == 3
    assert memory.attempt("b") == 1
