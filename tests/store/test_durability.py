"""What `save` has returned for is there, whenever the process is killed."""

import asyncio
import random
import subprocess
import sys
import time

from tests.store.samples import OWNER, Place, asynchronous, turn

MIN_SAVED = 9  # more than the workers of `SAVE`: each has gone on after a save

SAVE = """
import asyncio, sys
from tests.store.samples import Place, turn
async def main():
    place = Place(sys.argv[1])
    async with place.open() as store:
        async def save(worker):
            number = 0
            while True:
                id_ = f"{sys.argv[2]}_{worker}_{number}"
                await store.turns.save(turn(id_))
                print(id_, flush=True)
                number += 1
        await asyncio.gather(*(save(worker) for worker in range(8)))
asyncio.run(main())
"""


def kill_while_it_saves(place: Place, prefix: str) -> list[str]:
    """The ids that a process printed before it was killed at some moment."""
    with subprocess.Popen([sys.executable, "-c", SAVE, place.url, prefix], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        first = [process.stdout.readline() for _ in range(MIN_SAVED)]
        time.sleep(random.uniform(0.05, 0.5))  # noqa: S311
        process.kill()
        # A line that was cut off was not told.
        return b"".join([*first, process.stdout.read()]).decode().split("\n")[:-1]


@asynchronous
async def test_all_that_was_saved_when_the_process_was_killed_is_there_and_whole(shared_place: Place) -> None:
    for round_ in range(3):
        ids = await asyncio.to_thread(kill_while_it_saves, shared_place, f"resp_{round_}")
        assert len(ids) >= MIN_SAVED
        async with shared_place.open() as store:
            for some in (ids[at : at + 50] for at in range(0, len(ids), 50)):
                loaded = await asyncio.gather(*(store.turns.load(id_, OWNER, "response") for id_ in some))
                assert loaded == [turn(id_) for id_ in some]
