"""References → what they stand for: stored turns, the items of conversations, single items."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from uuid import UUID

from msgspec import Struct

from augment_open_proxy.core.errors import ErrorKind, Problem, ProxyError
from augment_open_proxy.core.events import Opening
from augment_open_proxy.dialects.dialect import NO_REFERENCES, NOTHING, Dialect, Parsed, PastTurn, Recalled, References
from augment_open_proxy.journal.store.opening import Stores
from augment_open_proxy.journal.store.records import Turn, TurnKind
from augment_open_proxy.server.keeping import opened

Local = Mapping[str, Turn]
"""Turns that a connection remembers by itself (a WebSocket's, which need not be stored)."""
NO_LOCAL: Local = MappingProxyType({})
_HEX = 32


class Past(Struct, frozen=True):
    """What a request refers to, and the first turn of the chain that it goes on from."""

    references: References
    recalled: Recalled
    root: str | None = None

    def turn(self, kind: TurnKind, opening: Opening, body: bytes, owner: str, parsed: Parsed) -> Turn:
        """The turn that goes on from it, as it would be stored, without its replies."""
        keep = parsed.keep
        return Turn(
            id=opening.id,
            kind=kind,
            owner=owner,
            root=self.root or opening.id,
            created=opening.created,
            model=opening.model,
            request=parsed.body or body,
            replies=(),
            previous=self.references.previous,
            conversation=self.references.conversation,
            background=keep is not None and keep.background,
            metadata=keep.metadata if keep is not None else {},
        )


NO_PAST = Past(NO_REFERENCES, NOTHING)


class Recall:
    """Looks up what requests refer to, among what its owner stored."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores

    async def __call__(self, dialect: Dialect, body: bytes, owner: str, local: Local = NO_LOCAL) -> Past:
        """What a body refers to. Raises `ProxyError` for what is not there, or can't be gone on from."""
        return await self.past(dialect, dialect.references(body), owner, local)

    async def past(self, dialect: Dialect, references: References, owner: str, local: Local = NO_LOCAL) -> Past:
        """The same of a body that has been read."""
        if references == NO_REFERENCES:
            return NO_PAST
        turns = await self._chain(dialect, references.previous, owner, local) if references.previous else []
        items = await self._conversation(references.conversation, owner) if references.conversation else {}
        named = {*references.items, *(item for turn in turns for item in dialect.references(turn.request).items)}
        by_id = {id_: items.get(id_) or await self._item(dialect, id_, owner, local, turns) for id_ in sorted(named)}
        past = tuple(PastTurn(turn.request, turn.folded()[0]) for turn in turns)
        root = turns[0].root if turns else None
        return Past(references, Recalled(past, tuple(items.values()), by_id), root)

    async def _chain(self, dialect: Dialect, previous: str, owner: str, local: Local) -> list[Turn]:
        newest: list[Turn] = []
        id_: str | None = previous
        while id_ is not None and id_ in local:
            newest.insert(0, local[id_])
            id_ = local[id_].previous
        stored: list[Turn] = []
        if id_ is not None and dialect.keeps is not None:
            store = await opened(self._stores)
            stored = await store.turns.chain(id_, owner, dialect.keeps)
            if not stored:
                raise _not_found(previous)
        turns = stored + newest
        if not all(turn.is_whole for turn in turns):
            raise _unfinished(next(turn for turn in turns if not turn.is_whole))
        return turns

    async def _conversation(self, id_: str, owner: str) -> dict[str, bytes]:
        store = await opened(self._stores)
        items = await store.conversations.items(id_, owner)
        if items is None:
            raise ProxyError(Problem(ErrorKind.NOT_FOUND, f"There is no conversation {id_!r}.", "conversation"))
        return {item.id: item.json for item in items}

    async def _item(self, dialect: Dialect, id_: str, owner: str, local: Local, chain: Sequence[Turn]) -> bytes:
        """An item of a stored turn: one whose id the item's begins with, or one of the chain."""
        own = await self._turn_of(dialect, id_, owner, local)
        for turn in (own,) if own is not None else chain:
            if turn.is_whole:
                items = dialect.items(turn.request, turn.folded()[0])
                found = next((item.json for item in (*items.given, *items.made) if item.id == id_), None)
                if found is not None:
                    return found
        raise ProxyError(
            Problem(
                ErrorKind.NOT_FOUND,
                f"There is no item {id_!r}. Those of responses with store: false are not kept: send the item itself.",
                "input",
            )
        )

    async def _turn_of(self, dialect: Dialect, id_: str, owner: str, local: Local) -> Turn | None:
        digits = id_.rpartition("_")[2][:_HEX]
        try:
            turn_id = dialect.id_prefix + str(UUID(digits))
        except ValueError:
            return None
        if turn_id in local:
            return local[turn_id]
        if dialect.keeps is None:
            return None
        return await (await opened(self._stores)).turns.load(turn_id, owner, dialect.keeps)


def _not_found(id_: str) -> ProxyError:
    message = f"Previous response with id {id_!r} not found. Send the whole conversation instead."
    return ProxyError(Problem(ErrorKind.PREVIOUS_NOT_FOUND, message, "previous_response_id"))


def _unfinished(turn: Turn) -> ProxyError:
    state = "has not ended yet" if turn.is_running else "did not come to its end"
    message = f"{turn.id} {state}, so nothing can go on from it."
    return ProxyError(Problem(ErrorKind.INVALID_REQUEST, message, "previous_response_id"))
