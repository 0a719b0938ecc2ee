"""`make soak` for a few seconds; and that it would find what it looks for."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.servers import ROOT
from benchmarks.soak.apis import CHAT, RESPONSES, Seen, read_frame
from benchmarks.soak.client import Wrong, texts
from benchmarks.soak.exchanges import check_begun, check_whole

WANTED, OTHER = texts(1, 3), texts(11, 3)


IN_MEMORY = Path("/dev/shm")  # noqa: S108 (a folder for the temporary one)


def test_a_few_seconds_of_it_lose_nothing() -> None:
    """In memory, where the system has that: a disk that others keep busy for ten seconds is not what it looks for."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.soak", "--seconds", "4", "--streams", "50"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(IN_MEMORY)} if IN_MEMORY.is_dir() else None,
        capture_output=True,
        text=True,
        timeout=55,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "50 of 50 streams whole" in done.stdout
    assert "nothing lost, mixed up or left open" in done.stdout


def seen(text: str, *, ended: bool = True) -> Seen:
    found = Seen()
    found.say(text)
    found.ended = ended
    return found


def test_a_whole_answer_is_its_own_and_has_an_end() -> None:
    check_whole(200, seen(WANTED.whole), WANTED)
    for found in (seen(OTHER.whole), seen(WANTED.whole + OTHER.whole), seen(WANTED.whole[1:]), seen("")):
        with pytest.raises(Wrong, match="number 1 got"):
            check_whole(200, found, WANTED)
    with pytest.raises(Wrong, match="no end"):
        check_whole(200, seen(WANTED.whole, ended=False), WANTED)
    with pytest.raises(Wrong, match="502"):
        check_whole(502, seen(WANTED.whole), WANTED)
    with pytest.raises(Wrong, match="got ''"):
        check_whole(200, seen(WANTED.whole), WANTED, choices=2)


def test_what_has_begun_is_its_own() -> None:
    check_begun(seen(WANTED.whole[:5]), WANTED)
    with pytest.raises(Wrong):
        check_begun(seen(OTHER.whole[:5]), WANTED)


def test_ends_and_failures_are_told_apart() -> None:
    ended, failed, going_on = Seen(), Seen(), Seen()
    read_frame(CHAT, b"data: [DONE]", ended)
    read_frame(CHAT, b'data: {"error": {"message": "no"}}', failed)
    event = b'event: x\ndata: {"type": "response.output_text.delta", "sequence_number": 4, "delta": "a"}'
    read_frame(RESPONSES, event, going_on)
    assert (ended.ended, ended.failed, failed.ended, failed.failed) == (True, False, False, True)
    assert (going_on.ended, going_on.failed, going_on.number, going_on.texts) == (False, False, 4, {0: "a"})
