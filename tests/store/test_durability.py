"""What `save` has returned for is there, whenever the process is killed."""

import asyncio
import random
import select
import subprocess
import sys
import time

from tests.store.samples import OWNER, Place, asynchronous, turn

SAVE = """
import asyncio, sys
from tests.store.samples import Place, turn
async def main():
    place = Place(sys.argv[1])
    async with place.open() as store:
        async def save(worker):
            number = 0
            while True:
                id_ = f"resp_{worker}_{number}"
                await store.turns.save(turn(id_))
                print(id_, flush=True)
                number += 1
        await asyncio.gather(*(save(worker) for worker in range(8)))
asyncio.run(main())
"""


def kill_while_it_saves(place: Place) -> list[str]:
    """The ids that a process printed before it was killed at some moment."""
    with subprocess.Popen([sys.executable, "-c", SAVE, place.url], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        select.select([process.stdout], [], [], 30)  # until the first is saved
        time.sleep(random.uniform(0.05, 0.5))
        process.kill()
        # A line that was cut off was not told.
        return process.stdout.read().decode().split("\n")[:-1]


@asynchronous
async def test_all_that_was_saved_when_the_process_was_killed_is_there_and_whole(shared_place: Place) -> None:
    for _ in range(3):
        ids = await asyncio.to_thread(kill_while_it_saves, shared_place)
        assert len(ids) > 8
        async with shared_place.open() as store:
            for id_ in ids:
                assert await store.turns.load(id_, OWNER, "response") == turn(id_)
                assert await store.turns.delete(id_, OWNER, "response")
            assert (await store.turns.load("resp_0_0", OWNER, "response")) is None
