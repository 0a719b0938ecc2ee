"""A store is opened when first used, and what is wrong with it is said in one line."""

import asyncio
import os
import re
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from augment_open_proxy.journal.store import engine
from augment_open_proxy.journal.store.opening import Stores, StoreUnavailable, default_url, describe
from tests.postgres import Postgres
from tests.store.samples import OWNER, Place, asynchronous, turn


def stores(url: str) -> Stores:
    return Stores(url, ttl=1000, size_limit=10**9, instance="one")


async def reason(url: str) -> str:
    """Why the store cannot be had."""
    try:
        await stores(url).open()
    except StoreUnavailable as error:
        assert "\n" not in str(error)
        return str(error)
    pytest.fail(f"{url} was opened")


@asynchronous
async def test_a_store_is_opened_once_by_all_who_ask(place: Place) -> None:
    opened = place.stores()
    was_open = [opened.is_open]
    first, second = await asyncio.gather(opened.open(), opened.open())
    assert first is second is await opened.open()
    was_open.append(opened.is_open)
    await opened.close()
    assert [*was_open, opened.is_open] == [False, True, False]


@asynchronous
async def test_who_is_cancelled_while_it_opens_takes_it_from_nobody(place: Place) -> None:
    opened = place.stores()
    leaves, stays = asyncio.create_task(opened.open()), asyncio.create_task(opened.open())
    await asyncio.sleep(0)
    leaves.cancel()
    store = await stays
    await store.turns.save(turn())
    await opened.close()


@asynchronous
async def test_a_store_can_be_opened_again_after_it_was_closed(shared_place: Place) -> None:
    opened = shared_place.stores()
    await (await opened.open()).turns.save(turn())
    await opened.close()
    assert await (await opened.open()).turns.load("resp_1", OWNER, "response") == turn()
    await opened.close()


@asynchronous
async def test_closing_what_was_never_opened_does_nothing() -> None:
    await stores("memory").close()


@asynchronous
async def test_an_opening_that_failed_may_succeed_later(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("a file in its place")
    opened = stores(f"sqlite:///{tmp_path / 'folder' / 'store.db'}")
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await opened.open()
        assert not opened.is_open
    (tmp_path / "folder").unlink()
    await (await opened.open()).turns.save(turn())
    await opened.close()


# --- The file --------------------------------------------------------------------------------------------------------


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def mode(path: Path) -> str:
    return oct(stat.S_IMODE(path.stat().st_mode))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
@asynchronous
async def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    umask = os.umask(0)
    try:
        opened = stores(default_url(tmp_path / "a" / "b"))
        await (await opened.open()).turns.save(turn())
        folder = tmp_path / "a" / "b"
        names = ["store.db", "store.db-shm", "store.db-wal"]
        assert names_in(folder) == names
        assert {mode(folder / name) for name in names} == {"0o600"}
        assert mode(folder) == "0o700"
        await opened.close()
    finally:
        os.umask(umask)
    assert names_in(folder) == ["store.db"]


@asynchronous
async def test_a_file_is_written_so_that_it_survives_a_crash_and_can_shrink(sqlite_place: Place) -> None:
    async with sqlite_place.open() as store:

        async def pragma(name: str) -> object:
            found = await store.access.change(lambda connection: connection.exec_driver_sql(f"PRAGMA {name}"))
            return found.scalar_one()

        assert await pragma("journal_mode") == "wal"
        assert await pragma("synchronous") == 2  # FULL
        assert await pragma("auto_vacuum") == 2  # INCREMENTAL


@pytest.mark.parametrize("name", ["with space.db", "q?uery#.db", "100%41.db", "ü.db", "a:b@c.db"])
@asynchronous
async def test_a_path_may_hold_what_means_something_in_a_url(tmp_path: Path, name: str) -> None:
    opened = stores(f"sqlite:///{tmp_path / name}")
    await (await opened.open()).turns.save(turn())
    await opened.close()
    assert names_in(tmp_path) == [name]


@pytest.mark.parametrize("url", ["memory", "sqlite://", "sqlite:///:memory:"])
@asynchronous
async def test_memory_has_several_names_and_no_file(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    opened = stores(url)
    await (await opened.open()).turns.save(turn())
    await opened.close()
    assert names_in(tmp_path) == []
    assert describe(url) == "in memory only"


# --- What is wrong ---------------------------------------------------------------------------------------------------


@asynchronous
async def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    file = tmp_path / "store.db"
    file.write_bytes(b"This is a letter, not a database. " * 100)
    assert await reason(f"sqlite:///{file}") == f"the store {file} cannot be used: file is not a database"
    assert file.read_bytes().startswith(b"This is a letter")


@asynchronous
async def test_a_database_that_is_damaged(sqlite_place: Place, tmp_path: Path) -> None:
    async with sqlite_place.open() as store:
        await store.turns.save(turn())
    file = tmp_path / "state" / "store.db"
    content = file.read_bytes()
    file.write_bytes(content[:100] + b"\xff" * (len(content) - 100))
    assert await reason(sqlite_place.url) == f"the store {file} cannot be used: database disk image is malformed"


@asynchronous
async def test_a_database_of_another_program(tmp_path: Path) -> None:
    file = tmp_path / "mail.db"
    connection = sqlite3.connect(file)
    connection.execute("CREATE TABLE mails (id)")
    connection.close()
    assert await reason(f"sqlite:///{file}") == f"the store {file} cannot be used: it is a database of another program"


@asynchronous
async def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path, why in ((tmp_path / "file" / "x" / "store.db", "Not a directory"), (tmp_path, "it is not a file")):
        assert await reason(f"sqlite:///{path}") == f"the store {path} cannot be used: {why}"


@asynchronous
async def test_a_database_that_can_only_be_read(sqlite_place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    async with sqlite_place.open():
        pass
    # Root may write to any file, so the file's mode would not do.
    monkeypatch.setattr(engine, "_PRAGMAS", (*engine._PRAGMAS, "PRAGMA query_only = 1"))
    assert (await reason(sqlite_place.url)).endswith("cannot be used: attempt to write a readonly database")


@asynchronous
async def test_a_url_of_something_else() -> None:
    for url in ("mysql://me:secret@host/db", "nonsense", "", "http://x/"):
        message = await reason(url)
        assert "neither memory, sqlite:/// nor postgresql://" in message
        assert "secret" not in message


@asynchronous
async def test_a_server_that_is_not_there() -> None:
    message = await reason("postgresql://me:secret@127.0.0.1:1/db")
    assert re.fullmatch(r"the store postgresql://me@127.0.0.1:1/db cannot be used: Connection refused", message), (
        message
    )


@asynchronous
async def test_a_database_that_the_server_does_not_have(postgres: Postgres, postgres_url: str) -> None:
    message = await reason(f"{postgres_url}x")
    assert message.endswith('x" does not exist')


@asynchronous
async def test_postgresql_without_its_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    assert "pip install 'augment-open-proxy[postgres]'" in await reason("postgresql://me:secret@127.0.0.1:1/db")


@asynchronous
async def test_a_url_with_a_mistake(postgres_url: str) -> None:
    for mistake in ("sslmode=nonsense", "nonsense=1"):
        assert "cannot be used: " in await reason(f"{postgres_url}?{mistake}")
    assert "port" in await reason("postgresql://127.0.0.1:99999/db")


@asynchronous
async def test_a_url_may_have_what_libpq_knows(postgres_url: str) -> None:
    for scheme in ("postgres", "postgresql+asyncpg"):
        url = f"{scheme}{postgres_url.removeprefix('postgresql')}?sslmode=disable&application_name=proxy"
        async with Place(url).open() as store:
            await store.turns.save(turn())
    assert "rejected SSL" in await reason(f"{postgres_url}?sslmode=require")


# --- In words --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("memory", "in memory only"),
        ("sqlite:////var/lib/store.db", "/var/lib/store.db"),
        ("sqlite:///store.db", "store.db"),
        ("postgresql://host/db", "postgresql://host/db"),
        ("postgresql://me@host/db", "postgresql://me@host/db"),
        ("postgresql://me:secret@host:5432/db?sslmode=require", "postgresql://me@host:5432/db?sslmode=require"),
        ("postgresql://me:sec@ret@host/db", "postgresql://me@host/db"),
        ("postgresql://host/db?user=me&password=secret", "postgresql://host/db?user=me&password=***"),
        ("postgresql:///db?host=/run/postgresql", "postgresql:///db?host=/run/postgresql"),
        ("postgresql://[", "a URL that cannot be read"),
    ],
)
def test_a_store_is_described_without_its_password(url: str, words: str) -> None:
    assert describe(url) == words


# --- What is imported ------------------------------------------------------------------------------------------------


def imported(code: str) -> set[str]:
    """The libraries for databases that a process has loaded after `code`."""
    report = "\nimport sys; print(*{'sqlalchemy', 'aiosqlite', 'asyncpg', 'alembic', 'sqlite3'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code + report], capture_output=True, text=True, timeout=30, check=True)
    return set(done.stdout.split())


def test_a_store_that_is_not_opened_imports_nothing() -> None:
    code = (
        "from augment_open_proxy.journal.store import records, opening\n"
        "opening.Stores('memory', ttl=1, size_limit=1, instance='one')\n"
        "opening.describe('postgresql://host/db')"
    )
    assert imported(code) == set()


def test_a_file_that_needs_no_migration_is_opened_without_alembic(tmp_path: Path) -> None:
    code = (
        "import asyncio\n"
        "from augment_open_proxy.journal.store.opening import Stores\n"
        "async def main():\n"
        f"    stores = Stores('sqlite:///{tmp_path}/store.db', ttl=1, size_limit=1, instance='one')\n"
        "    await stores.open()\n"
        "    await stores.close()\n"
        "asyncio.run(main())"
    )
    assert imported(code) == {"sqlalchemy", "aiosqlite", "sqlite3", "alembic"}
    assert imported(code) == {"sqlalchemy", "aiosqlite", "sqlite3"}
