"""Signs of life that meet the end of a turn."""

from typing import Any

import pytest

from augment_open_proxy.journal.store.access import Access
from tests.store.samples import OWNER, Place, asynchronous, running, turn


@asynchronous
async def test_a_turn_that_ends_while_its_lease_is_prolonged_is_not_taken_for_unwanted(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else its run would be ended once more, and what it gave replaced by nothing."""
    async with place.open() as store:
        await store.turns.save(running())
        change = Access.change

        async def end_first(access: Access, work: Any) -> Any:
            monkeypatch.undo()
            await store.turns.save(turn(background=True))
            return await change(access, work)

        monkeypatch.setattr(Access, "change", end_first)
        assert await store.turns.renew() == []
        assert await store.turns.load("resp_1", OWNER, "response") == turn(background=True)
