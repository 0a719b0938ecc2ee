"""Alembic runs this for each command: the connection is given, and is in a transaction already."""

from alembic import context

from augment_open_proxy.journal.store.schema import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
)
context.run_migrations()
