"""Alarms ring once, in their order, not before their time, and not where they were unset."""

import asyncio
from collections.abc import Awaitable, Callable

from augment_open_proxy.server.alarms import Alarms, alarms


class One:
    """Notes when it rang."""

    def __init__(self, rung: list["One"], then: Callable[[], None] | None = None) -> None:
        self._rung = rung
        self._then = then
        self.at = 0.0

    def ring(self) -> None:
        self.at = asyncio.get_running_loop().time()
        self._rung.append(self)
        if self._then is not None:
            self._then()


def play(story: Callable[[Alarms], Awaitable[None]], seconds: float = 0.02) -> None:
    async def run() -> None:
        await story(Alarms(asyncio.get_running_loop(), seconds))

    asyncio.run(run())


def test_each_rings_once_after_its_time() -> None:
    async def story(alarms: Alarms) -> None:
        rung: list[One] = []
        one, other = One(rung), One(rung)
        began = alarms.loop.time()
        alarms.set(one)
        await asyncio.sleep(0.01)
        alarms.set(other)
        await asyncio.sleep(0.06)
        assert rung == [one, other]
        assert one.at - began >= 0.02
        assert other.at - began >= 0.03

    play(story)


def test_what_was_unset_does_not_ring_and_keeps_no_other_from_it() -> None:
    async def story(alarms: Alarms) -> None:
        rung: list[One] = []
        one, other, last = One(rung), One(rung), One(rung)
        for alarm in (one, other, last):
            alarms.set(alarm)
        alarms.unset(one)
        alarms.unset(last)
        alarms.unset(last)
        await asyncio.sleep(0.05)
        assert rung == [other]

    play(story)


def test_it_can_be_set_again_and_from_within_another() -> None:
    async def story(alarms: Alarms) -> None:
        rung: list[One] = []
        one = One(rung)
        first = One(rung, then=lambda: alarms.set(one))
        alarms.set(first)
        await asyncio.sleep(0.07)
        assert rung == [first, one]
        alarms.set(one)
        await asyncio.sleep(0.05)
        assert rung == [first, one, one]

    play(story)


def test_each_loop_has_its_own() -> None:
    async def known() -> Alarms:
        loop = asyncio.get_running_loop()
        assert alarms(loop, 1.0) is alarms(loop, 1.0)
        assert alarms(loop, 1.0) is not alarms(loop, 2.0)
        return alarms(loop, 1.0)

    assert asyncio.run(known()) is not asyncio.run(known())
