"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

number = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "aop_lives",
        sa.Column("number", number, primary_key=True, autoincrement=False),
        sa.Column("expires", sa.Double, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
    )
    op.create_index("aop_lives_expires", "aop_lives", ["expires"])
    create_turns()
    create_conversations()
    create_batches()


def create_turns() -> None:
    op.create_table(
        "aop_turns",
        sa.Column("number", number, primary_key=True),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("root", sa.Text, nullable=False),
        sa.Column("life", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("previous", sa.Text),
        sa.Column("conversation", sa.Text),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("background", sa.Boolean, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("instance", sa.Text),
        sa.Column("lease", sa.Double),
        sa.Column("is_cancelled", sa.Boolean, nullable=False),
        sa.Column("metadata", sa.Text, nullable=False),
        sa.Column("request", sa.LargeBinary, nullable=False),
        sa.Column("replies", sa.LargeBinary, nullable=False),
    )
    op.create_index("aop_turns_life", "aop_turns", ["life"])
    op.create_index("aop_turns_list", "aop_turns", ["owner", "kind", "number"])
    op.create_table(
        "aop_chunks",
        sa.Column("turn", sa.Text, primary_key=True),
        sa.Column("number", sa.BigInteger, primary_key=True),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.Column("events", sa.LargeBinary, nullable=False),
    )


def create_conversations() -> None:
    op.create_table(
        "aop_conversations",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("life", sa.BigInteger, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("metadata", sa.Text, nullable=False),
    )
    op.create_index("aop_conversations_life", "aop_conversations", ["life"])
    op.create_table(
        "aop_items",
        sa.Column("number", number, primary_key=True),
        sa.Column("conversation", sa.Text, nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("json", sa.LargeBinary, nullable=False),
    )
    op.create_index("aop_items_id", "aop_items", ["conversation", "id"], unique=True)
    op.create_index("aop_items_list", "aop_items", ["conversation", "number"])


def create_batches() -> None:
    op.create_table(
        "aop_batches",
        sa.Column("number", number, primary_key=True),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("life", sa.BigInteger, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("expires", sa.Double, nullable=False),
        sa.Column("cancelled", sa.Double),
        sa.Column("ended", sa.Double),
    )
    op.create_index("aop_batches_life", "aop_batches", ["life"])
    op.create_index("aop_batches_list", "aop_batches", ["owner", "number"])
    op.create_table(
        "aop_requests",
        sa.Column("place", number, primary_key=True),
        sa.Column("batch", sa.Text, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("custom_id", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("instance", sa.Text),
        sa.Column("lease", sa.Double),
        sa.Column("headers", sa.LargeBinary, nullable=False),
        sa.Column("params", sa.LargeBinary, nullable=False),
        sa.Column("result", sa.LargeBinary),
    )
    op.create_index("aop_requests_number", "aop_requests", ["batch", "number"], unique=True)
    op.create_index("aop_requests_state", "aop_requests", ["batch", "state"])
    given = sa.text("lease IS NOT NULL")
    op.create_index(
        "aop_requests_lease", "aop_requests", ["lease", "place"], sqlite_where=given, postgresql_where=given
    )
