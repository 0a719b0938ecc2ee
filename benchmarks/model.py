"""The words of the benchmark: a scenario is put to targets, and each time a measurement comes out."""

from typing import Literal

from msgspec import Struct

Dialect = Literal["chat", "messages", "responses"]
"""The client APIs: `/v1/chat/completions`, `/v1/messages`, `/v1/responses`."""
Surface = Literal["backend", "chat", "messages", "responses"]
"""What a target speaks to the client."""
Form = Literal[
    "ndjson",
    "chat_reply",
    "chat_stream",
    "messages_reply",
    "messages_stream",
    "responses_reply",
    "responses_stream",
]
"""How a body tells its content: the backend's lines, or a whole reply or a stream of a dialect."""
DIALECTS: tuple[Dialect, ...] = ("chat", "messages", "responses")


class BenchmarkError(Exception):
    """The figures cannot be had, or would be worthless: a server did not start, or an answer was wrong."""


class Seen(Struct, frozen=True):
    """What a body says: the pieces that its thinking and text came in, these and its tool calls (name, arguments as
    JSON text), and whether it has the mark of a good end.
    """

    pieces: int
    text: str
    ended: bool
    thinking: str = ""
    calls: tuple[tuple[str, str], ...] = ()


class Exchange(Struct, frozen=True):
    """A request, and the answer that is the only right one."""

    path: str
    body: bytes
    form: Form
    expected: Seen


class Script(Struct, frozen=True):
    """What the backend answers: `lines` to `/chat-stream`; to peers, `events` or the whole `reply` of OpenAI's API.

    Lines and events go out in one write, or each by itself, `pause` seconds after the one before.
    """

    lines: tuple[str, ...]
    events: tuple[str, ...] = ()
    reply: str = ""
    pause: float = 0.0


class Scenario(Struct, frozen=True):
    """One kind of load. `count` requests make a round, `concurrency` at a time.

    The backend knows the scenario by `marker`, which is in each request's text, and answers by `script`.
    """

    name: str
    about: str
    unit: Literal["request", "line"]
    concurrency: int
    count: int
    script: Script
    exchanges: dict[Surface, Exchange]
    goal: float | None = None
    """The most CPU time that the proxy may take, as a multiple of nginx's."""

    @property
    def marker(self) -> str:
        return marker(self.name)

    @property
    def units(self) -> int:
        """How many units one request is."""
        return len(self.script.lines) if self.unit == "line" else 1


class Target(Struct, frozen=True):
    """A running server, spoken to in one way. What is measured is `pid` and all its descendants."""

    server: str
    surface: Surface
    port: int
    pid: int
    share: float = 1.0
    """So many times a round's requests make its round: a fast one must be busy for long enough to be measured."""

    @property
    def name(self) -> str:
        return self.server if self.surface == "backend" else f"{self.server} {self.surface}"


class Job(Struct, frozen=True):
    """What the load driver is told: `count` times this exchange, `concurrency` at a time."""

    port: int
    exchange: Exchange
    count: int
    concurrency: int
    start_at: float = 0.0
    """When the first request is sent, by the system's monotonic clock; the connections are open by then."""
    seconds: float | None = None
    """So long after that no other request is sent, `count` or not."""
    first_content: str = ""
    """What the first content begins with, in each form; the wait for it is timed where this is given."""


class Outcome(Struct, frozen=True):
    """What the load driver says: what it measured, or what was wrong. Times are in seconds."""

    wall_seconds: float = 0.0
    answers: int = 0
    first_content: list[float] = []
    """From each request to the first content of its answer."""
    longest_gap: float = 0.0
    """The longest time within an answer, from its first byte on, in which nothing came."""
    most_open: int = 0
    """How many answers had begun and not ended, at most."""
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
