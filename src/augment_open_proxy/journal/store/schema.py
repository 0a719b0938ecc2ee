"""The tables. A change here needs a migration and a new `HEAD`; a test compares what both make.

Texts are stored as `coding.to_column` writes them. Every list is in the order of a running number of its own.
A *life* is what is deleted as one: a chain of turns, a conversation or a batch, with all it holds.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    text,
)

HEAD = "0001"
"""The version of the schema that this code works with: the newest migration."""
VERSION_TABLE = "aop_version"

metadata = MetaData()
_number = BigInteger().with_variant(Integer, "sqlite")  # only INTEGER counts up by itself in SQLite

lives = Table(
    "aop_lives",
    metadata,
    Column("number", _number, primary_key=True, autoincrement=False),
    Column("expires", Double, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Index("aop_lives_expires", "expires"),
)
"""`bytes` is about what it takes on the disk."""

turns = Table(
    "aop_turns",
    metadata,
    Column("number", _number, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("root", Text, nullable=False),
    Column("life", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("previous", Text),
    Column("conversation", Text),
    Column("created", BigInteger, nullable=False),
    Column("model", Text, nullable=False),
    Column("background", Boolean, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("instance", Text),
    Column("lease", Double),
    Column("is_cancelled", Boolean, nullable=False),
    Column("metadata", Text, nullable=False),
    Column("request", LargeBinary, nullable=False),
    Column("replies", LargeBinary, nullable=False),
    Index("aop_turns_life", "life"),
    Index("aop_turns_list", "owner", "kind", "number"),
)
"""`lease` is until when the `instance` that produces it is taken to be alive, NULL for a turn that is over."""

chunks = Table(
    "aop_chunks",
    metadata,
    Column("turn", Text, primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("events", LargeBinary, nullable=False),
)
"""What a running turn has given so far; `count` is how many events."""

conversations = Table(
    "aop_conversations",
    metadata,
    Column("id", Text, primary_key=True),
    Column("life", BigInteger, nullable=False),
    Column("owner", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("metadata", Text, nullable=False),
    Index("aop_conversations_life", "life"),
)

items = Table(
    "aop_items",
    metadata,
    Column("number", _number, primary_key=True),
    Column("conversation", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("json", LargeBinary, nullable=False),
    Index("aop_items_id", "conversation", "id", unique=True),
    Index("aop_items_list", "conversation", "number"),
)

batches = Table(
    "aop_batches",
    metadata,
    Column("number", _number, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("life", BigInteger, nullable=False),
    Column("owner", Text, nullable=False),
    Column("created", Double, nullable=False),
    Column("expires", Double, nullable=False),
    Column("cancelled", Double),
    Column("ended", Double),
    Index("aop_batches_life", "life"),
    Index("aop_batches_list", "owner", "number"),
)

requests = Table(
    "aop_requests",
    metadata,
    Column("place", _number, primary_key=True),
    Column("batch", Text, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("custom_id", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("instance", Text),
    Column("lease", Double),
    Column("headers", LargeBinary, nullable=False),
    Column("params", LargeBinary, nullable=False),
    Column("result", LargeBinary),
    Index("aop_requests_number", "batch", "number", unique=True),
    Index("aop_requests_state", "batch", "state"),
    Index(
        "aop_requests_lease",
        "lease",
        "place",
        sqlite_where=text("lease IS NOT NULL"),
        postgresql_where=text("lease IS NOT NULL"),
    ),
)
"""Of batches. `lease` is 0 for one that waits, else until when its instance has it, NULL for one that is over."""
