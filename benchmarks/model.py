"""The words of the benchmark: a scenario is put to targets, and each time a measurement comes out."""

from typing import Literal

from msgspec import Struct

Form = Literal["ndjson", "chat_reply", "chat_stream"]
"""How a body tells its text: the backend's lines, a whole chat completion, or its stream."""
Surface = Literal["backend", "chat"]
"""What a target speaks to the client."""


class BenchmarkError(Exception):
    """The figures cannot be had, or would be worthless: a server did not start, or an answer was wrong."""


class Seen(Struct, frozen=True):
    """What a body says: the pieces that its text came in, the text, and whether it has the mark of a good end."""

    pieces: int
    text: str
    ended: bool


class Exchange(Struct, frozen=True):
    """A request, and the answer that is the only right one."""

    path: str
    body: bytes
    form: Form
    expected: Seen


class Scenario(Struct, frozen=True):
    """One kind of load. `count` requests make a round, `concurrency` at a time.

    The backend knows the scenario by `marker`, which is in each request's text, and answers with `lines`.
    """

    name: str
    about: str
    unit: Literal["request", "line"]
    goal: float
    """The most CPU time that the proxy may take, as a multiple of nginx's."""
    concurrency: int
    count: int
    lines: tuple[str, ...]
    exchanges: dict[Surface, Exchange]

    @property
    def marker(self) -> str:
        return marker(self.name)

    @property
    def units(self) -> int:
        """How many units one request is."""
        return len(self.lines) if self.unit == "line" else 1


class Target(Struct, frozen=True):
    """A running server that is measured: `pid` and all its descendants."""

    name: str
    surface: Surface
    port: int
    pid: int
    repeat: int = 1
    """So many times a round's requests make its round: a fast one must be busy for long enough to be measured."""


class Job(Struct, frozen=True):
    """What the load driver is told: `count` times this exchange, `concurrency` at a time."""

    port: int
    exchange: Exchange
    count: int
    concurrency: int


class Outcome(Struct, frozen=True):
    """What the load driver says: how long it took, or what was wrong."""

    wall_seconds: float = 0.0
    error: str | None = None


class Measurement(Struct, frozen=True):
    """One round of a scenario on a target; times are in microseconds for each unit."""

    scenario: str
    target: str
    round: int
    cpu_us: float
    wall_us: float


def marker(scenario: str) -> str:
    """The text by which the backend knows a scenario."""
    return f"[scenario {scenario}]"
