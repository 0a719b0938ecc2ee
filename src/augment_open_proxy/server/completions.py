"""Stored chat completions: the list of them, one, its messages, its metadata, and its end."""

from urllib.parse import parse_qsl

from augment_open_proxy.core.errors import ErrorKind, Problem, ProxyError
from augment_open_proxy.dialects.openai_chat import OPENAI_CHAT
from augment_open_proxy.dialects.openai_chat.stored import (
    Wanted,
    messages,
    read_change,
    read_wanted,
    render_completion,
    render_deleted,
)
from augment_open_proxy.dialects.openai_lists import cut, read_page, render_list, unknown_cursor
from augment_open_proxy.journal.record import Record
from augment_open_proxy.journal.store.opening import Stores
from augment_open_proxy.journal.store.records import Item, Page, Turn
from augment_open_proxy.server.answers import answer
from augment_open_proxy.server.asgi import Receive, Scope, Send
from augment_open_proxy.server.body import read_body
from augment_open_proxy.server.keeping import opened
from augment_open_proxy.server.keys import owner_of
from augment_open_proxy.server.routes import Routes, path_name


class StoredCompletions:
    """What can be done with chat completions of `store: true`. One that failed is none."""

    def __init__(self, stores: Stores, body_limit: int) -> None:
        """`body_limit` is in bytes."""
        self._stores = stores
        self._body_limit = body_limit

    def add_to(self, routes: Routes) -> None:
        for path in OPENAI_CHAT.paths:
            routes.add(path, {"GET": self.list_completions})
            routes.add(f"{path}/{{id}}", {"GET": self.show, "POST": self.change, "DELETE": self.delete})
            routes.add(f"{path}/{{id}}/messages", {"GET": self.list_messages})

    async def list_completions(self, scope: Scope, receive: Receive, send: Send, record: Record) -> None:
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        turns, has_more = await self._page(owner_of(scope), read_page(query, "asc"), read_wanted(query))
        items = [Item(turn.id, _rendered(turn)) for turn in turns]
        await answer(send, record, render_list(items, has_more=has_more))

    async def show(self, scope: Scope, receive: Receive, send: Send, record: Record) -> None:
        await answer(send, record, _rendered(await self._load(scope)))

    async def change(self, scope: Scope, receive: Receive, send: Send, record: Record) -> None:
        metadata = read_change(await read_body(scope, receive, self._body_limit))
        turn = await self._load(scope)
        store = await opened(self._stores)
        changed = await store.turns.set_metadata(turn.id, turn.owner, turn.kind, metadata)
        if changed is None:
            raise _not_found(turn.id)
        await answer(send, record, _rendered(changed))

    async def delete(self, scope: Scope, receive: Receive, send: Send, record: Record) -> None:
        turn = await self._load(scope)
        store = await opened(self._stores)
        if not await store.turns.delete(turn.id, turn.owner, turn.kind):
            raise _not_found(turn.id)
        await answer(send, record, render_deleted(turn.id))

    async def list_messages(self, scope: Scope, receive: Receive, send: Send, record: Record) -> None:
        turn = await self._load(scope)
        page = read_page(parse_qsl(scope["query_string"].decode("latin-1")), "asc")
        items, has_more = cut(messages(turn.request, turn.id), page)
        await answer(send, record, render_list(items, has_more=has_more))

    async def _load(self, scope: Scope) -> Turn:
        id_ = path_name(scope, "id")
        store = await opened(self._stores)
        turn = await store.turns.load(id_, owner_of(scope), "completion")
        if turn is None:
            raise _not_found(id_)
        return turn

    async def _page(self, owner: str, page: Page, wanted: Wanted) -> tuple[list[Turn], bool]:
        """The completions of a page, and whether there are more."""
        store = await opened(self._stores)
        try:
            return await store.turns.page("completion", owner, page, model=wanted.model, metadata=wanted.metadata)
        except LookupError:
            raise unknown_cursor(page.after or "") from None


def _rendered(turn: Turn) -> bytes:
    return render_completion(turn.request, turn.folded(), turn.metadata)


def _not_found(id_: str) -> ProxyError:
    return ProxyError(Problem(ErrorKind.NOT_FOUND, f"Chat completion with id {id_!r} not found."))
