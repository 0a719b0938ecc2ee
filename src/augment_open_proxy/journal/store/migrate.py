"""Brings the schema to `HEAD`. Alembic is imported only where there is something to do.

Replicas that start at once don't collide: one migrates under a lock, the others wait, look again and find it done.
"""

import asyncio
from pathlib import Path

from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from augment_open_proxy.journal.store.opening import StoreUnavailable
from augment_open_proxy.journal.store.schema import HEAD, VERSION_TABLE

_LOCK = 0x616F705F  # "aop_": PostgreSQL's advisory locks are numbers


async def migrate(engine: AsyncEngine, where: str) -> None:
    """Raises `StoreUnavailable` for a database of another program, or of a newer version of this one."""
    async with engine.connect() as connection:
        version = await _version(connection, where)
        if version == HEAD:
            # Opens for reading alone are told now, not at the first turn that is to be kept.
            await connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = version_num"))  # noqa: S608 (the name is ours)
        await connection.rollback()
        if version == HEAD:
            return
        await asyncio.to_thread(_import_alembic)
        await _lock(connection)
        if await _version(connection, where) != HEAD:
            await connection.run_sync(upgrade)
        await connection.commit()


async def _lock(connection: AsyncConnection) -> None:
    if connection.dialect.name == "sqlite":
        await connection.exec_driver_sql("BEGIN EXCLUSIVE")
    else:
        await connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")


async def _version(connection: AsyncConnection, where: str) -> str | None:
    """The version of the stored schema, None where there is none yet."""
    tables = await connection.run_sync(lambda sync: inspect(sync).get_table_names())
    if VERSION_TABLE not in tables:
        if tables and connection.dialect.name == "sqlite":
            raise StoreUnavailable(f"the store {where} cannot be used: it is a database of another program")
        return None
    found = await connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}"))  # noqa: S608 (the name is ours)
    version: str | None = found.scalar()
    if version is not None and version > HEAD:
        raise StoreUnavailable(
            f"the store {where} cannot be used: a newer version of augment-open-proxy made it"
            f" (its schema is {version}, this one knows {HEAD})"
        )
    return version


def _import_alembic() -> None:
    import alembic.command
    import alembic.runtime.migration  # noqa: F401 (loaded beside the event loop)


def upgrade(connection: Connection) -> None:
    """Run the migrations that are missing, in the transaction that `connection` is in."""
    import alembic.command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    alembic.command.upgrade(config, "head")
