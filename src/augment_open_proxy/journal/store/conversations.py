"""Conversations and their items."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Select, and_, bindparam, delete, exists, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from augment_open_proxy.journal.store.access import Access
from augment_open_proxy.journal.store.coding import (
    from_column,
    metadata_from_column,
    metadata_to_column,
    to_column,
)
from augment_open_proxy.journal.store.engine import execute_many
from augment_open_proxy.journal.store.lives import OVERHEAD, Lives, delete_lives, grown, is_alive
from augment_open_proxy.journal.store.paging import read_page
from augment_open_proxy.journal.store.records import Conversation, Item, Page
from augment_open_proxy.journal.store.schema import conversations, items
from augment_open_proxy.journal.store.writer import Step


def _size(added: Sequence[Item]) -> int:
    return sum(OVERHEAD + len(item.json) for item in added)


class ItemWriter:
    """Appends items to conversations, in their order."""

    def __init__(self, access: Access, lives: Lives) -> None:
        self._access = access
        self._lives = lives
        new = access.insert(items)
        names = ["conversation", "id", "json"]
        values = [bindparam(name, type_=items.c[name].type) for name in names]
        is_known = exists().where(
            conversations.c.id == bindparam("which"),
            conversations.c.owner == bindparam("whose"),
            is_alive(conversations, bindparam("now")),
        )
        new = new.from_select(names, select(*values).where(is_known))
        self._add = access.prepare(new.on_conflict_do_nothing())

    def steps(self, conversation: str, owner: str, added: Sequence[Item]) -> list[Step]:
        """Nothing is added to a conversation that is unknown. An item whose id is there already stays as it is.

        The first step locks the conversation: who adds to it elsewhere waits, and then sees what was added here.
        """
        which, whose = to_column(conversation), to_column(owner)
        known = {"conversation": which, "which": which, "whose": whose, "now": self._access.clock()}
        rows = [self._add.row(id=to_column(item.id), json=item.json, **known) for item in added]
        return [self._lives.prolong_conversation(which, whose, _size(added)), (self._add, rows)]


class Conversations:
    """What `owner` may not see is as unknown as what was never there."""

    def __init__(self, access: Access, lives: Lives) -> None:
        self._access = access
        self._lives = lives
        self._items = ItemWriter(access, lives)
        new = access.insert(conversations)
        columns = {name: new.excluded[name] for name in ("owner", "created", "metadata")}
        self._create = access.prepare(new.on_conflict_do_update(index_elements=["id"], set_=columns))
        self._set_metadata = access.prepare(
            update(conversations)
            .where(conversations.c.id == bindparam("which"), conversations.c.owner == bindparam("whose"))
            .values(metadata=bindparam("new_metadata"))
        )

    async def create(self, conversation: Conversation, items: Sequence[Item]) -> None:
        """Insert it with its first items."""
        metadata = metadata_to_column(conversation.metadata)
        life = self._lives.new_number()
        row = self._create.row(
            id=to_column(conversation.id),
            life=life,
            owner=to_column(conversation.owner),
            created=conversation.created,
            metadata=metadata,
        )
        begin = self._lives.begin(life, OVERHEAD + len(metadata))
        steps = self._items.steps(conversation.id, conversation.owner, items) if items else []
        await self._access.write(begin, (self._create, [row]), *steps)

    async def load(self, id_: str, owner: str) -> Conversation | None:
        rows = await self._access.read(select(conversations).where(self._is_known(id_, owner)))
        for row in rows:
            metadata = metadata_from_column(row.metadata)
            return Conversation(id=id_, owner=owner, created=row.created, metadata=metadata)
        return None

    async def set_metadata(self, id_: str, owner: str, metadata: dict[str, str]) -> Conversation | None:
        """The conversation as it is then."""
        row = self._set_metadata.row(
            which=to_column(id_), whose=to_column(owner), new_metadata=metadata_to_column(metadata)
        )
        await self._access.write((self._set_metadata, [row]))
        return await self.load(id_, owner)

    async def delete(self, id_: str, owner: str) -> bool:
        """With its items; whether there was one."""

        async def work(connection: AsyncConnection) -> bool:
            found = await connection.execute(select(conversations.c.life).where(self._is_known(id_, owner)))
            life = found.scalar_one_or_none()
            if life is not None:
                await delete_lives(connection, [life])
            return life is not None

        return await self._access.change(work)

    async def add(self, id_: str, owner: str, added: Sequence[Item]) -> bool:
        """Append items; False where the conversation is unknown. Raises `KeyError` with an id that is there already."""
        if await self.load(id_, owner) is None:
            return False

        async def work(connection: AsyncConnection) -> None:
            (lock, locked), (add, rows) = self._items.steps(id_, owner, added)
            await execute_many(connection, lock.sql, locked)
            ids = [to_column(item.id) for item in added]
            known = select(items.c.id).where(items.c.conversation == to_column(id_), items.c.id.in_(ids))
            for taken in (await connection.execute(known)).scalars():
                raise KeyError(from_column(taken))
            await execute_many(connection, add.sql, rows)

        if added:
            await self._access.change(work)
        return True

    async def items(self, id_: str, owner: str) -> list[Item] | None:
        """All of them, in the order in which they were added."""
        rows = await self._access.read(self._items_of(id_, owner).order_by(items.c.number))
        if not rows and await self.load(id_, owner) is None:
            return None
        return [Item(from_column(row.id), row.json) for row in rows]

    async def page(self, id_: str, owner: str, page: Page) -> tuple[list[Item], bool] | None:
        """A part of them, and whether there are more. Raises `LookupError` where it begins at an unknown item."""
        if await self.load(id_, owner) is None:
            return None
        known = items.c.conversation == to_column(id_)
        query = self._items_of(id_, owner)
        rows, has_more = await read_page(self._access, query, items.c.number, items.c.id, page, known)
        return [Item(from_column(row.id), row.json) for row in rows], has_more

    async def item(self, id_: str, owner: str, item_id: str) -> Item | None:
        rows = await self._access.read(self._items_of(id_, owner).where(items.c.id == to_column(item_id)))
        return Item(item_id, rows[0].json) if rows else None

    async def delete_item(self, id_: str, owner: str, item_id: str) -> bool:
        """Whether there was one."""
        item = await self.item(id_, owner, item_id)
        if item is None:
            return False

        async def work(connection: AsyncConnection) -> bool:
            life = select(conversations.c.life).where(conversations.c.id == to_column(id_))
            await connection.execute(grown(life.scalar_subquery(), -_size([item])))
            found = await connection.execute(
                delete(items).where(items.c.conversation == to_column(id_), items.c.id == to_column(item_id))
            )
            return found.rowcount > 0

        return await self._access.change(work)

    def _is_known(self, id_: str, owner: str) -> ColumnElement[bool]:
        return and_(
            conversations.c.id == to_column(id_),
            conversations.c.owner == to_column(owner),
            is_alive(conversations, self._access.clock()),
        )

    def _items_of(self, id_: str, owner: str) -> Select[tuple[str, bytes]]:
        return (
            select(items.c.id, items.c.json)
            .join(conversations, conversations.c.id == items.c.conversation)
            .where(self._is_known(id_, owner))
        )
