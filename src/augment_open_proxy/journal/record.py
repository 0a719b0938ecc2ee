"""The record of one exchange: what happened to one HTTP request, filled in as it goes."""

from collections.abc import Callable
from typing import Any, Literal

from msgspec import Struct

from augment_open_proxy.core.errors import Problem
from augment_open_proxy.core.events import BlockDelta, Cancelled, Event, Failure, Finish, Opening, Usage
from augment_open_proxy.core.reply import Fold, Reply

CLIENT_CLOSED_REQUEST = 499
"""nginx' status for a client that left before the head of the answer."""
Level = Literal["INFO", "WARN", "ERROR"]


class Record(Struct):
    """`started` is in seconds on a monotonic clock; `request_id` ends with a UUID. What is unknown or does not apply is
    `None`.
    """

    method: str
    path: str
    started: float
    status: int | None = None
    request_id: str | None = None
    model: str | None = None
    effective_model: str | None = None
    stream: bool | None = None
    usage: Usage | None = None
    spent: int = 0
    """Tokens of the account; estimated for a reply that its client broke off. Those that were only counted are none."""
    estimate_input: Callable[[], int] | None = None
    """Gives the tokens of the prompt, for a turn that the account pays without saying what it took."""
    error: str | None = None
    notices: tuple[str, ...] = ()
    request: Any = None
    """The parsed body, kept only where bodies are logged."""
    response: Any = None

    @property
    def level(self) -> Level:
        if self.status is None or self.status >= 500:
            return "ERROR"
        return "WARN" if self.error is not None or self.status >= 400 else "INFO"


class Recorder:
    """Sees the events that the client gets, and fills in the record."""

    __slots__ = ("_counts", "_folds", "_has_begun", "_record", "keeps_body")

    def __init__(self, record: Record, choices: int = 1, *, keep_body: bool, counts: bool = True) -> None:
        """`counts`: whether the tokens are this exchange's; those of a stored reply were another's."""
        self._record = record
        self._counts = counts
        self._has_begun = False
        self._folds = [Fold() for _ in range(choices)] if keep_body else []
        self.keeps_body = keep_body
        """Whether it must see all events; else the last of a batch tells it all, and a delta nothing."""

    @property
    def replies(self) -> list[Reply]:
        """The whole replies of all choices, where bodies are kept and all ended well; else none."""
        replies = [fold.reply for fold in self._folds if fold.reply and isinstance(fold.reply.end, Finish)]
        return replies if len(replies) == len(self._folds) else []

    def feed(self, events: list[Event], choice: int = 0) -> None:
        if self._folds:
            self._folds[choice].feed(events)
        last = events[-1]
        if type(last) is BlockDelta:
            return
        match last:
            case Opening():
                self._has_begun = True
            case Finish():
                self._count(last.usage)
            case Failure():
                self.fail(last.problem)
                if last.usage.total:
                    self._count(last.usage)
            case Cancelled():
                self._record.error = "the client left before the end"
                if self._counts and self._has_begun and self._record.estimate_input is not None:
                    self._record.spent += self._record.estimate_input()
            case _:
                pass

    def _count(self, usage: Usage) -> None:
        if self._counts:
            self._record.usage = usage if self._record.usage is None else self._record.usage + usage
            self._record.spent += usage.total or 0

    def fail(self, problem: Problem) -> None:
        self._record.error = problem.message
