"""Conversations, which responses are added to, and their items."""

import time
import uuid
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from augment_open_proxy.core.errors import ErrorKind, Problem, ProxyError
from augment_open_proxy.dialects.openai_lists import read_page, render_list, unknown_cursor
from augment_open_proxy.dialects.openai_responses.conversations import (
    duplicate,
    read_added,
    read_change,
    read_new,
    render_conversation,
    render_deleted,
)
from augment_open_proxy.journal.record import Record
from augment_open_proxy.journal.store.opening import Stores
from augment_open_proxy.journal.store.records import Conversation
from augment_open_proxy.server.answers import answer
from augment_open_proxy.server.asgi import Receive, Scope, Send
from augment_open_proxy.server.body import read_body
from augment_open_proxy.server.ids import new_uuid
from augment_open_proxy.server.keeping import opened
from augment_open_proxy.server.keys import owner_of
from augment_open_proxy.server.routes import Routes, path_name

if TYPE_CHECKING:
    from augment_open_proxy.journal.store.conversations import Conversations

PATHS = ("/v1/conversations", "/conversations")


class StoredConversations:
    """What can be done with conversations and their items."""

    def __init__(self, stores: Stores, body_limit: int) -> None:
        """`body_limit` is in bytes."""
        self._stores = stores
        self._body_limit = body_limit

    def add_to(self, routes: Routes) -> None:
        for path in PATHS:
            routes.add(path, {"POST": self.create})
            routes.add(f"{path}/{{id}}", {"GET": self.show, "POST": self.change, "DELETE": self.delete})
            routes.add(f"{path}/{{id}}/items", {"GET": self.list_items, "POST": self.add_items})
            routes.add(f"{path}/{{id}}/items/{{item}}", {"GET": self.show_item, "DELETE": self.delete_item})

    async def create(self, scope: Scope, receive: Receive, send: Send, record: Record) -> None:
        posted, metadata = read_new(await read_body(scope, receive, self._body_limit), uuid.uuid4().hex)
        conversation = Conversation(
            id=f"conv_{new_uuid()}", owner=owner_of(scope), created=int(time.time()), metadata=metadata
        )
        await (await self._conversations()).create(conversation, posted)
        await answer(send, record, _rendered(conversation))

    async def show(self, scope: Scope, receive: Receive, send: Send, record: Record) -> None:
        await answer(send, record, _rendered(await self._load(scope)))

    async def change(self, scope: Scope, receive: Receive, send: Send, record: Record) -> None:
        id_, metadata = path_name(scope, "id"), read_change(await read_body(scope, receive, self._body_limit))
        changed = await (await self._conversations()).set_metadata(id_, owner_of(scope), metadata)
        if changed is None:
            raise _not_found(id_)
        await answer(send, record, _rendered(changed))

    async def delete(self, scope: Scope, receive: Receive, send: Send, record: Record) -> None:
        """Without the responses that were added to it: those stay."""
        id_ = path_name(scope, "id")
        if not await (await self._conversations()).delete(id_, owner_of(scope)):
            raise _not_found(id_)
        await answer(send, record, render_deleted(id_))

    async def list_items(self, scope: Scope, receive: Receive, send: Send, record: Record) -> None:
        id_, page = path_name(scope, "id"), read_page(parse_qsl(scope["query_string"].decode("latin-1")))
        try:
            found = await (await self._conversations()).page(id_, owner_of(scope), page)
        except LookupError:
            raise unknown_cursor(page.after or "") from None
        if found is None:
            raise _not_found(id_)
        items, has_more = found
        await answer(send, record, render_list(items, has_more=has_more))

    async def add_items(self, scope: Scope, receive: Receive, send: Send, record: Record) -> None:
        """All of them, or none: an item never replaces another."""
        id_, owner = path_name(scope, "id"), owner_of(scope)
        posted = read_added(await read_body(scope, receive, self._body_limit), uuid.uuid4().hex)
        try:
            is_known = await (await self._conversations()).add(id_, owner, posted)
        except KeyError as error:
            raise duplicate(error.args[0]) from None
        if not is_known:
            raise _not_found(id_)
        await answer(send, record, render_list(posted, has_more=False))

    async def show_item(self, scope: Scope, receive: Receive, send: Send, record: Record) -> None:
        id_, item_id = path_name(scope, "id"), path_name(scope, "item")
        item = await (await self._conversations()).item(id_, owner_of(scope), item_id)
        if item is None:
            raise _no_item(id_, item_id)
        await answer(send, record, item.json)

    async def delete_item(self, scope: Scope, receive: Receive, send: Send, record: Record) -> None:
        """Answers with the conversation that it was deleted from."""
        conversation, item_id = await self._load(scope), path_name(scope, "item")
        if not await (await self._conversations()).delete_item(conversation.id, conversation.owner, item_id):
            raise _no_item(conversation.id, item_id)
        await answer(send, record, _rendered(conversation))

    async def _load(self, scope: Scope) -> Conversation:
        id_ = path_name(scope, "id")
        conversation = await (await self._conversations()).load(id_, owner_of(scope))
        if conversation is None:
            raise _not_found(id_)
        return conversation

    async def _conversations(self) -> "Conversations":
        return (await opened(self._stores)).conversations


def _rendered(conversation: Conversation) -> bytes:
    return render_conversation(conversation.id, conversation.created, conversation.metadata)


def _not_found(id_: str) -> ProxyError:
    return ProxyError(Problem(ErrorKind.NOT_FOUND, f"Conversation with id {id_!r} not found."))


def _no_item(id_: str, item_id: str) -> ProxyError:
    return ProxyError(Problem(ErrorKind.NOT_FOUND, f"Item with id {item_id!r} not found in conversation {id_!r}."))
