"""The store, open: turns, conversations and batches in one database."""

from collections.abc import Callable

from augment_open_proxy.journal.store.access import Access
from augment_open_proxy.journal.store.batches import Batches
from augment_open_proxy.journal.store.cleaning import Cleaner
from augment_open_proxy.journal.store.conversations import Conversations
from augment_open_proxy.journal.store.engine import ErrorsAsUnavailable, connect, create_engine
from augment_open_proxy.journal.store.leases import Leases
from augment_open_proxy.journal.store.lives import Lives
from augment_open_proxy.journal.store.migrate import migrate
from augment_open_proxy.journal.store.opening import StoreUnavailable, describe
from augment_open_proxy.journal.store.turns import Turns


class Database:
    """Every method of `turns`, `conversations` and `batches` raises `StoreUnavailable` where it can't be used."""

    def __init__(self, access: Access, size_limit: int) -> None:
        lives = Lives(access)
        leases = Leases(access)
        self.access = access
        self.turns = Turns(access, lives, leases)
        self.conversations = Conversations(access, lives)
        self.batches = Batches(access, lives, leases)
        self.cleaner = Cleaner(access, size_limit)

    @classmethod
    async def open(
        cls, url: str, *, ttl: float, size_limit: int, instance: str, clock: Callable[[], float]
    ) -> "Database":
        """Connect and migrate. Raises `StoreUnavailable`."""
        where = describe(url)
        engine = create_engine(url)
        try:
            with ErrorsAsUnavailable(where):
                await connect(engine)
                await migrate(engine, where)
        except (TypeError, ValueError, OverflowError) as error:  # what asyncpg says of a URL
            await engine.dispose()
            raise StoreUnavailable(f"the store {where} cannot be used: {error}") from error
        except BaseException:
            await engine.dispose()
            raise
        return cls(Access(engine, where, ttl=ttl, instance=instance, clock=clock), size_limit)

    async def close(self) -> None:
        """Write what waits, and close."""
        await self.cleaner.close()
        await self.access.close()
