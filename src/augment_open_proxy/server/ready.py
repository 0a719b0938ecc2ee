"""What a server tells when it takes requests."""

from msgspec import Struct


class Ready(Struct, frozen=True):
    """What is known when the server takes requests. `credentials` says where they come from, `None` for nowhere."""

    credentials: str | None
    state: str
    store: str
    troubles: tuple[str, ...] = ()
    """Why credentials that are there cannot be used."""
    notices: tuple[str, ...] = ()
    needs_key: bool = False
    """Whether clients must send a key."""
    made_key: str | None = None
    """The client key that was made because other machines can reach the port and none was defined."""
    workers: int = 1
    """The processes that take requests."""
