"""What is remembered is what would be made anew; little is kept, and never something else's."""

import pytest

from augment_open_proxy.core.remembered import LARGEST, MOST, ByIdentity, ByText


class Making:
    """Counts how often something is made."""

    def __init__(self) -> None:
        self.made: list[object] = []

    def __call__(self, thing: object) -> list[object]:
        if thing in (b"bad", "bad"):
            raise ValueError("bad")
        self.made.append(thing)
        return [thing]


def test_equal_texts_get_the_same_object() -> None:
    making = Making()
    remembered = ByText(making)
    first = remembered(b"one")
    assert remembered(bytes(bytearray(b"one"))) is first
    assert making.made == [b"one"]


def test_another_text_of_the_same_size_is_another() -> None:
    remembered = ByText(Making())
    assert [remembered(b"one"), remembered(b"two"), remembered(b"one")] == [[b"one"], [b"two"], [b"one"]]


def test_what_was_asked_for_longest_ago_is_let_go() -> None:
    making = Making()
    remembered = ByText(making)
    texts = [b"x" * size for size in range(MOST + 1)]
    for text in texts[:-1]:
        remembered(text)
    remembered(texts[0])
    remembered(texts[-1])
    making.made.clear()
    remembered(texts[0])
    assert making.made == []
    remembered(texts[1])
    assert making.made == [texts[1]]


def test_a_large_text_is_not_kept() -> None:
    making = Making()
    remembered = ByText(making)
    for _ in range(2):
        remembered(b"x" * (LARGEST + 1))
    assert len(making.made) == 2


@pytest.mark.parametrize("remembered", [ByText(Making()), ByIdentity(Making())])
def test_a_failure_is_not_remembered(remembered: ByText[object]) -> None:
    for _ in range(2):
        with pytest.raises(ValueError, match="bad"):
            remembered(b"bad")


def test_a_text_is_found_where_it_stands() -> None:
    remembered = ByText(Making())
    made = remembered(b"[1]")
    assert remembered.standing(b'{"tools":[1]}', 9) == (3, made)
    assert remembered.standing(b'{"tools":[2]}', 9) is None


def test_an_object_is_itself_and_no_other() -> None:
    making = Making()
    remembered: ByIdentity[tuple[int, ...], list[object]] = ByIdentity(making)
    one, other = tuple(range(2)), tuple(range(2))
    assert remembered(one) is remembered(one)
    assert remembered(other) is not remembered(one)
    assert making.made == [one, other]


@pytest.mark.parametrize("large", [("x" * LARGEST,), ("x" * (LARGEST // 2),) * 2])
def test_a_large_object_is_not_kept(large: tuple[str, ...]) -> None:
    making = Making()
    remembered: ByIdentity[tuple[str, ...], list[object]] = ByIdentity(making)
    for _ in range(2):
        assert remembered(large) == [large]
    assert len(making.made) == 2
    assert not remembered._known


def test_of_objects_too_only_the_last_are_kept() -> None:
    making = Making()
    remembered: ByIdentity[tuple[int, ...], list[object]] = ByIdentity(making)
    for number in range(10 * MOST):
        assert remembered((number,)) == [(number,)]
    assert len(remembered._known) == MOST
