"""Asking a fake `auggie` for the models: behind the requests, within a time limit, and tried again when it failed."""

import asyncio
import contextlib
import gc
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from augment_open_proxy.upstream import listing as module
from augment_open_proxy.upstream.catalog import BUILT_IN, Catalog, Model
from augment_open_proxy.upstream.listing import MAX_AGE, RETRY_AFTER, Listing, ListingFailed, ask_cli, find_cli

posix_only = pytest.mark.skipif(os.name != "posix", reason="needs POSIX scripts and signals")
MODELS = {"registryAvailable": True, "models": [{"shortName": "opus4.7", "effortLevels": ["High"]}]}
GOOD = f"print({json.dumps(json.dumps(MODELS))})"
LISTED = ("claude-opus-4-7", "claude-opus-4-7-high")
BUILT_IN_IDS = Catalog(BUILT_IN).ids


class Cli:
    """A command whose behaviour is a Python program, and that counts its runs."""

    def __init__(self, folder: Path) -> None:
        self._script = folder / "auggie.py"
        self._runs = folder / "runs"
        self.pid_file = folder / "pid"
        self.command = (sys.executable, "-I", str(self._script))
        self.does(GOOD)

    def does(self, program: str) -> None:
        head = f"import os, sys, time\nopen({str(self._runs)!r}, 'a').write('x')\nPID = {str(self.pid_file)!r}\n"
        self._script.write_text(head + program)

    @property
    def runs(self) -> int:
        return len(self._runs.read_text()) if self._runs.exists() else 0


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    cli = Cli(tmp_path)
    yield cli
    if cli.pid_file.exists():  # of a child that a failing test left alive
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(cli.pid_file.read_text()), signal.SIGKILL)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def settled(listing: Listing) -> None:
    """Wait until what `current` began is over."""
    deadline = time.monotonic() + 20
    while listing._refreshing is not None:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


def failure(command: tuple[str, ...]) -> str:
    message = _failure(command)
    gc.collect()  # so that a pipe left open is told of (as a ResourceWarning) in the test that left it
    return message


def _failure(command: tuple[str, ...]) -> str:
    with pytest.raises(ListingFailed) as caught:
        asyncio.run(ask_cli(command))
    return str(caught.value)


# --- One question ---


def test_good_output(cli: Cli) -> None:
    assert asyncio.run(ask_cli(cli.command)) == (Model("claude-opus-4-7", ("high",)),)


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("print('Please log in first.')", "the model listing"),
        ("print('{}')", "the model listing"),
        ("", "the model listing"),
        ("sys.stdout.buffer.write(b'\\xff')", "the model listing"),
        (f"{GOOD}; print('no session', file=sys.stderr); sys.exit(3)", "exit code 3: no session"),
        ("sys.stderr.buffer.write(b'x' * 9999 + b'\\xff end'); sys.exit(1)", "end"),
        ("os.kill(os.getpid(), 9)", "exit code -9"),
    ],
)
def test_what_is_no_listing_fails_and_says_why(cli: Cli, program: str, said: str) -> None:
    cli.does(program)
    message = failure(cli.command)
    assert said in message
    assert len(message) < 500


def test_a_command_that_is_not_there(tmp_path: Path) -> None:
    assert "could not be run" in failure((str(tmp_path / "auggie"), "models"))


def test_it_gets_no_input_and_much_output_does_not_block_it(cli: Cli) -> None:
    cli.does(f"assert sys.stdin.read() == ''; sys.stderr.write('warning\\n' * 100_000); {GOOD}; print(' ' * 1_000_000)")
    assert len(asyncio.run(ask_cli(cli.command))) == 1


# --- Hanging, and what it leaves behind ---


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/status")
    return not (status.exists() and "State:\tZ" in status.read_text())


def assert_ends(pid: int) -> None:
    deadline = time.monotonic() + 5
    while is_alive(pid):
        assert time.monotonic() < deadline, "the process was left behind"
        time.sleep(0.02)


HANG = "open(PID, 'w').write(str(os.getpid())); time.sleep(600)"
HANGING_CHILD = """
if os.fork() == 0:
    open(PID + '.new', 'w').write(str(os.getpid()))
    os.rename(PID + '.new', PID)
    time.sleep(600)
while not os.path.exists(PID):
    time.sleep(0.01)
"""


@posix_only
@pytest.mark.parametrize(
    "program",
    [
        pytest.param(HANG, id="itself"),
        pytest.param(f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n{HANG}", id="against SIGTERM"),
        pytest.param(f"{HANGING_CHILD}time.sleep(600)", id="with its child"),
        pytest.param(f"{HANGING_CHILD}{GOOD}", id="its child alone, which holds the output"),
    ],
)
def test_what_hangs_is_killed_at_the_time_limit(cli: Cli, program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIME_LIMIT", 1.0)
    cli.does(program)
    assert "no answer within 1 s" in failure(cli.command)
    assert_ends(int(cli.pid_file.read_text()))


@posix_only
def test_closing_ends_a_question_in_flight(cli: Cli) -> None:
    cli.does(HANG)

    async def scenario() -> None:
        listing = Listing(cli.command)
        listing.current()
        while not (cli.pid_file.exists() and cli.pid_file.read_text()):  # noqa: ASYNC110 (a file tells no event)
            await asyncio.sleep(0.01)
        await listing.close()

    asyncio.run(scenario())
    assert_ends(int(cli.pid_file.read_text()))


# --- The listing ---


def run(scenario: Callable[[Listing, Clock], Awaitable[None]], command: tuple[str, ...] | None) -> None:
    async def main() -> None:
        clock = Clock()
        listing = Listing(command, ["opus4.8"], now=clock)
        try:
            await scenario(listing, clock)
        finally:
            await listing.close()

    asyncio.run(main())


def test_current_never_waits_the_built_in_list_serves_until_the_cli_has_answered(cli: Cli) -> None:
    async def scenario(listing: Listing, clock: Clock) -> None:
        start = time.process_time()
        assert "claude-haiku-4-5" in listing.current().ids
        assert time.process_time() - start < 0.5
        assert listing.current() is listing.current()
        await settled(listing)
        assert listing.current().ids == LISTED
        assert cli.runs == 1

    run(scenario, cli.command)


def test_what_is_disabled_is_disabled_in_either_list(cli: Cli) -> None:
    cli.does(GOOD.replace("opus4.7", "opus4.8"))

    async def scenario(listing: Listing, clock: Clock) -> None:
        assert "claude-opus-4-8-high" in BUILT_IN_IDS
        assert "claude-opus-4-8-high" not in listing.current().ids
        await settled(listing)
        assert listing.current().ids == ("claude-opus-4-8",)

    run(scenario, cli.command)


def test_without_a_cli_the_built_in_list_serves_for_good() -> None:
    async def scenario(listing: Listing, clock: Clock) -> None:
        clock.now += 10 * MAX_AGE
        assert listing.current().ids == Catalog(BUILT_IN, ["opus4.8"]).ids
        await listing.refresh()
        assert listing._refreshing is None

    run(scenario, None)


def test_a_failed_listing_is_tried_again_after_30_seconds(cli: Cli, caplog: pytest.LogCaptureFixture) -> None:
    assert RETRY_AFTER == 30
    cli.does("sys.exit('not logged in')")

    async def scenario(listing: Listing, clock: Clock) -> None:
        listing.current()
        await settled(listing)
        clock.now += 29.9
        assert "claude-haiku-4-5" in listing.current().ids
        await settled(listing)
        assert cli.runs == 1
        cli.does(GOOD)
        clock.now += 0.2
        assert "claude-haiku-4-5" in listing.current().ids
        await settled(listing)
        assert cli.runs == 2
        assert listing.current().ids == LISTED

    with caplog.at_level(logging.WARNING):
        run(scenario, cli.command)
    assert [(record.levelname, "not logged in" in record.message) for record in caplog.records] == [("WARNING", True)]


def test_a_listing_that_failed_by_a_slow_cli_waits_30_seconds_from_its_failure(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def slow_failure(command: object) -> tuple[Model, ...]:
        clocks[0].now += 20
        raise ListingFailed("no answer within 20 s")

    clocks: list[Clock] = []
    monkeypatch.setattr(module, "ask_cli", slow_failure)

    async def scenario(listing: Listing, clock: Clock) -> None:
        clocks.append(clock)
        listing.current()
        await settled(listing)
        clock.now += 29
        listing.current()
        assert listing._refreshing is None

    run(scenario, cli.command)


def test_an_old_listing_serves_while_a_newer_one_is_fetched_and_when_that_fails(cli: Cli) -> None:
    async def scenario(listing: Listing, clock: Clock) -> None:
        listing.current()
        await settled(listing)
        clock.now += MAX_AGE - 1
        listing.current()
        await settled(listing)
        assert cli.runs == 1
        cli.does("sys.exit(1)")
        clock.now += 2
        assert listing.current().ids == LISTED
        await settled(listing)
        assert cli.runs == 2
        assert listing.current().ids == LISTED

    run(scenario, cli.command)


# --- Finding the CLI ---


@posix_only
def test_the_cli_is_found_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "auggie"
    program.write_text(f"#!{sys.executable}\nimport sys\nassert sys.argv[1:] == ['models', 'list', '--json']\n{GOOD}\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_cli() is None
    program.chmod(0o755)
    command = find_cli()
    assert command == (str(program), "models", "list", "--json")
    assert asyncio.run(ask_cli(command)) == (Model("claude-opus-4-7", ("high",)),)
