"""Lists of OpenAI's APIs: which page is asked for, what is on it, and that all pages together are the list."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from augment_open_proxy.core.errors import ErrorKind, Problem, ProxyError
from augment_open_proxy.core.listing import Item, Order, Page
from augment_open_proxy.dialects.openai_lists import cut, read_page, render_list

ITEMS = tuple(Item(id_, json.dumps({"id": id_}).encode()) for id_ in "abcde")


def ids(items: Any) -> str:
    return "".join(item.id for item in items)


# --- The page that is asked for ---


@pytest.mark.parametrize(
    ("query", "page"),
    [
        ([], Page(20, "desc", None)),
        ([("limit", "1")], Page(1)),
        ([("limit", "100")], Page(100)),
        ([("limit", "007")], Page(7)),
        ([("order", "asc")], Page(order="asc")),
        ([("order", "desc"), ("after", "msg_1")], Page(after="msg_1")),
        ([("after", "")], Page()),
        ([("include", "x"), ("include[]", "y")], Page()),
        ([("limit", "1"), ("limit", "2")], Page(2)),
    ],
)
def test_limit_order_and_after_are_read(query: list[tuple[str, str]], page: Page) -> None:
    assert read_page(query) == page


def test_a_list_may_have_an_order_of_its_own() -> None:
    assert read_page([], "asc") == Page(order="asc")
    assert read_page([("order", "desc")], "asc") == Page(order="desc")


LIMITS = ("0", "101", "-1", "1.5", "ten", "", " 1", "\u0661", "1_0", "9" * 20, "0" * 9 + "100000", "9" * 5000)


@pytest.mark.parametrize(
    ("name", "value"), [*(("limit", limit) for limit in LIMITS), ("order", ""), ("order", "ASC"), ("order", "random")]
)
def test_what_is_none_is_refused_by_its_name(name: str, value: str) -> None:
    problem = refused(lambda: read_page([(name, value)]))
    assert problem.param == name
    assert problem.message.startswith(name)


def refused(call: Any) -> Problem:
    with pytest.raises(ProxyError) as caught:
        call()
    assert caught.value.problem.kind is ErrorKind.INVALID_REQUEST
    return caught.value.problem


# --- What is on it ---


@pytest.mark.parametrize(
    ("page", "expected", "has_more"),
    [
        (Page(limit=5), "edcba", False),
        (Page(limit=2), "ed", True),
        (Page(limit=2, order="asc"), "ab", True),
        (Page(limit=2, after="d"), "cb", True),
        (Page(limit=2, after="c"), "ba", False),
        (Page(limit=2, order="asc", after="b"), "cd", True),
        (Page(limit=2, order="asc", after="d"), "e", False),
        (Page(limit=2, after="a"), "", False),
    ],
)
def test_a_page_is_what_follows_in_its_order(page: Page, expected: str, has_more: bool) -> None:
    items, more = cut(ITEMS, page)
    assert (ids(items), more) == (expected, has_more)


@pytest.mark.parametrize("items", [ITEMS, ()])
def test_an_unknown_place_is_refused(items: tuple[Item, ...]) -> None:
    problem = refused(lambda: cut(items, Page(after="z")))
    assert problem.param == "after"
    assert "'z'" in problem.message


@given(size=st.integers(0, 30), limit=st.integers(1, 10), order=st.sampled_from(["asc", "desc"]))
def test_all_pages_together_are_the_list(size: int, limit: int, order: Order) -> None:
    items = [Item(str(number), b"{}") for number in range(size)]
    found: list[Item] = []
    has_more, after = True, None
    while has_more:
        page, has_more = cut(items, Page(limit, order, after))
        assert len(page) == limit or not has_more
        found += page
        after = page[-1].id if page else None
    assert found == (items if order == "asc" else items[::-1])


# --- The list ---


def test_a_list_has_its_items_as_they_are_and_where_it_begins_and_ends() -> None:
    assert json.loads(render_list(ITEMS[:2], has_more=True)) == {
        "object": "list",
        "data": [{"id": "a"}, {"id": "b"}],
        "first_id": "a",
        "last_id": "b",
        "has_more": True,
    }


def test_an_empty_list_begins_and_ends_nowhere() -> None:
    assert json.loads(render_list([], has_more=False)) == {
        "object": "list",
        "data": [],
        "first_id": None,
        "last_id": None,
        "has_more": False,
    }
