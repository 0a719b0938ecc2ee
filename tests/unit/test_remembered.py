"""What a connection remembers: chains of turns, by lane, within a limit."""

from augment_open_proxy.core.conversation import Text, Thinking
from augment_open_proxy.core.events import BlockDelta, BlockStart, BlockStop, Event, Finish, Opening, Usage
from augment_open_proxy.core.reply import fold
from augment_open_proxy.journal.store.records import Turn
from augment_open_proxy.server.remembered import Remembered


def turn(id_: str, previous: str | None = None, request: bytes = b"{}", *events: Event) -> Turn:
    return Turn(
        id=id_,
        kind="response",
        owner="o",
        root=id_,
        created=0,
        model="m",
        request=request,
        replies=(events,),
        previous=previous,
    )


def test_the_newest_of_each_lane_and_what_it_goes_on_from_is_remembered() -> None:
    remembered = Remembered(10_000)
    remembered.add(None, turn("a"))
    remembered.add(None, turn("b", "a"))
    remembered.add("fork", turn("c", "a"))
    remembered.add(None, turn("d", "b"))
    assert set(remembered) == {"a", "b", "c", "d"}
    remembered.add(None, turn("e"))
    assert set(remembered) == {"a", "c", "e"}, "a new conversation of a lane takes the place of the old one"
    remembered.add("fork", turn("f", "stored"))
    assert set(remembered) == {"e", "f"}
    assert (len(remembered), remembered["f"].previous) == (2, "stored")


def test_beyond_the_limit_whole_lanes_are_forgotten_the_quietest_first() -> None:
    remembered = Remembered(250)
    for lane, id_ in (("x", "a"), ("y", "b"), ("x", "c")):
        remembered.add(lane, turn(id_, request=b"x" * 100))
    assert set(remembered) == {"b", "c"}
    remembered.add("x", turn("d", "c", request=b"x" * 100))
    assert set(remembered) == {"c", "d"}
    assert remembered.size == 200
    remembered.add("x", turn("e", "d", request=b"x" * 100))
    assert not remembered
    assert remembered.size == 0


def test_only_the_lane_that_failed_forgets() -> None:
    remembered = Remembered(10_000)
    remembered.add("x", turn("a"))
    remembered.forget("y", "a")
    remembered.forget("x", "other")
    remembered.forget("x", None)
    assert set(remembered) == {"a"}
    remembered.add("y", turn("b", "a"))
    remembered.forget("x", "a")
    assert set(remembered) == {"a", "b"}, "another lane goes on from it"
    remembered.forget("y", "b")
    assert not remembered


def test_a_reply_in_many_pieces_takes_no_more_than_one_in_few() -> None:
    opening, end = Opening("resp_1", 0, "m", 1), Finish("stop", 1, Usage())
    events: list[Event] = [opening, BlockStart(0, Thinking("")), BlockDelta(0, "Hm."), BlockStop(0, "s" * 50)]
    events += [BlockStart(1, Text("")), *(BlockDelta(1, "ab") for _ in range(1000)), BlockStop(1)]
    events += [BlockStart(2, Text("")), BlockStop(2), end]
    remembered = Remembered(100_000)
    remembered.add(None, turn("a", None, b"{}", *events))
    (kept,) = remembered["a"].replies
    assert fold(kept) == fold(events)
    assert len(kept) == 10
    assert 2050 < remembered.size < 5000
