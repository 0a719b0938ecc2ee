"""Every database is brought to the schema of the code, once, whoever comes first."""

import asyncio
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection

import augment_open_proxy.journal.store as package
from augment_open_proxy.journal.store.opening import StoreUnavailable
from augment_open_proxy.journal.store.schema import HEAD, VERSION_TABLE, metadata
from tests.store.samples import OWNER, Place, asynchronous, turn

STARTERS = 6


def test_the_head_of_the_scripts_is_the_one_of_the_code() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(package.__file__).parent / "migrations"))
    scripts = ScriptDirectory.from_config(config)
    assert scripts.get_heads() == [HEAD]
    revisions = [script.revision for script in scripts.walk_revisions()]
    assert revisions == sorted(revisions, reverse=True), "older versions are told by their order"


def test_the_scripts_are_in_the_wheel(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=root, check=True, capture_output=True, timeout=50)
    (wheel,) = tmp_path.glob("*.whl")
    names = ZipFile(wheel).namelist()
    folder = "augment_open_proxy/journal/store/migrations"
    assert {f"{folder}/env.py", f"{folder}/versions/v{HEAD}.py"} <= set(names)


@asynchronous
async def test_migrations_make_the_schema_of_the_code(place: Place) -> None:
    def differences(connection: Connection) -> object:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE, "compare_type": True})
        return compare_metadata(context, metadata)

    async with place.open() as store:
        assert await store.access.change(lambda connection: connection.run_sync(differences)) == []


async def set_version(place: Place, version: str) -> None:
    async def work(connection: AsyncConnection) -> None:
        await connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = :it"), {"it": version})  # noqa: S608

    async with place.open() as store:
        await store.access.change(work)


@asynchronous
async def test_a_database_of_a_newer_version_is_left_alone(shared_place: Place) -> None:
    await set_version(shared_place, "9999")
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="a newer version of augment-open-proxy made it"):
            await shared_place.stores().open()


@asynchronous
async def test_processes_that_start_at_once_migrate_once(shared_place: Place) -> None:
    """Those in one event loop take turns at every await."""
    opened = [shared_place.stores(instance=str(number)) for number in range(STARTERS)]
    stores = await asyncio.gather(*(one.open() for one in opened))
    await asyncio.gather(*(store.turns.save(turn(str(number))) for number, store in enumerate(stores)))
    assert all([await stores[0].turns.load(str(number), OWNER, "response") for number in range(STARTERS)])
    await asyncio.gather(*(one.close() for one in opened))


@asynchronous
async def test_processes_that_make_the_file_at_once_wait_for_one_another(tmp_path: Path) -> None:
    for round_ in range(20):
        place = Place(f"sqlite:///{tmp_path / f'{round_}.db'}")
        opened = [place.stores(instance=str(number)) for number in range(STARTERS)]
        await asyncio.gather(*(one.open() for one in opened))
        await asyncio.gather(*(one.close() for one in opened))


START = """
import asyncio, sys
from augment_open_proxy.journal.store import database
from augment_open_proxy.journal.store.opening import Stores
async def main():
    sys.stdin.readline()
    stores = Stores(sys.argv[1], ttl=1000, size_limit=10**9, instance=sys.argv[2])
    await stores.open()
    await stores.close()
asyncio.run(main())
"""


def test_processes_that_start_at_the_same_moment_migrate_once(shared_place: Place) -> None:
    command = [sys.executable, "-W", "error", "-c", START, shared_place.url]
    starters = [
        subprocess.Popen([*command, str(number)], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for number in range(STARTERS)
    ]
    for starter in starters:
        assert starter.stdin is not None
        starter.stdin.write("\n")
        starter.stdin.flush()
    assert [starter.communicate(timeout=40)[1] for starter in starters] == [""] * STARTERS


@asynchronous
async def test_other_tables_in_a_postgresql_database_are_left_alone(postgres_url: str) -> None:
    place = Place(postgres_url)

    async def make(connection: AsyncConnection) -> None:
        await connection.execute(text("CREATE TABLE alembic_version (version_num text)"))
        await connection.execute(text("DROP TABLE aop_version, aop_turns, aop_lives, aop_chunks, aop_conversations"))
        await connection.execute(text("DROP TABLE aop_items, aop_batches, aop_requests"))

    async with place.open() as store:
        await store.access.change(make)
    async with place.open() as store:
        await store.turns.save(turn())
        assert await store.turns.load("resp_1", OWNER, "response") == turn()
