"""A wait that ends by itself, and takes no cancellation of others for its own."""

import asyncio

import pytest

from augment_open_proxy.server.alarms import Deadline


async def wait(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "done"


def test_what_is_done_in_time_is_as_without() -> None:
    async def run() -> str:
        with Deadline(5):
            said = await wait(0)
        await asyncio.sleep(0)
        return said

    assert asyncio.run(run()) == "done"


def test_what_takes_longer_is_cancelled_and_is_a_timeout() -> None:
    ended: list[str] = []

    async def work() -> None:
        try:
            await wait(5)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    async def run() -> int:
        with pytest.raises(TimeoutError), Deadline(0.01):
            await work()
        task = asyncio.current_task()
        assert task is not None
        await asyncio.sleep(0)  # the task goes on
        return task.cancelling()

    assert asyncio.run(run()) == 0
    assert ended == ["cancelled"]


def test_an_error_of_the_body_stays_what_it_is() -> None:
    async def run() -> None:
        with Deadline(5):
            raise ValueError("of the body")

    with pytest.raises(ValueError, match="of the body"):
        asyncio.run(run())


def test_who_cancels_the_task_is_obeyed() -> None:
    async def waiting() -> None:
        with Deadline(5):
            await wait(5)

    async def run() -> bool:
        task = asyncio.create_task(waiting())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert asyncio.run(run())


def test_who_cancels_the_task_in_the_moment_of_its_end_is_obeyed() -> None:
    async def waiting() -> None:
        with Deadline(0):
            task = asyncio.current_task()
            assert task is not None
            asyncio.get_running_loop().call_soon(task.cancel)
            await wait(5)

    async def run() -> bool:
        task = asyncio.create_task(waiting())
        await asyncio.wait([task])
        return task.cancelled()

    assert asyncio.run(run())


def test_one_in_another_ends_alone() -> None:
    async def run() -> str:
        with Deadline(5):
            with pytest.raises(TimeoutError), Deadline(0.01):
                await wait(5)
            return await wait(0)

    assert asyncio.run(run()) == "done"
