"""The backend as a machine without I/O: a request in, the steps of its answer out."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence

import msgspec
from msgspec import Struct

from augment_open_proxy.simulator import directive as directives
from augment_open_proxy.simulator.answer import tokens
from augment_open_proxy.simulator.directive import Directive
from augment_open_proxy.simulator.memory import Memory
from augment_open_proxy.simulator.request import ChatStreamRequest, Refused, check, check_model
from augment_open_proxy.simulator.scenarios import MODEL_PREFIX, SCENARIOS, default
from augment_open_proxy.simulator.steps import Send, Status, Step
from augment_open_proxy.simulator.turn import EFFORT, Turn


class Received(Struct, frozen=True):
    """A request as it came, and what was made of it. `headers` has lower-case names; `request` is `None` if refused."""

    headers: dict[str, str]
    body: bytes
    request: ChatStreamRequest | None
    steps: Sequence[Step]


class Backend:
    """Checks requests and chooses their answers: the next script, else the scenario asked for, else the agent."""

    def __init__(self, token: str, delay: float = 0) -> None:
        """`delay` is the seconds between lines where no directive sets them."""
        self._token = token
        self._delay = delay
        self._scripts: deque[tuple[Step, ...]] = deque()
        self._memory = Memory()

    def script(self, answer: bytes | Iterable[Step | bytes], times: int = 1) -> None:
        """The next `times` requests that pass the protocol's checks get exactly this, after earlier scripts."""
        parts = [answer] if isinstance(answer, bytes) else answer
        steps = tuple(Send(part) if isinstance(part, bytes) else part for part in parts)
        self._scripts.extend([steps] * times)

    def receive(self, headers: dict[str, str], body: bytes) -> Received:
        request = None
        try:
            request = check(headers, body, self._token)
            return Received(headers, body, request, self._steps(headers, body, request))
        except Refused as refused:
            error = msgspec.json.encode({"error": refused.message})
            return Received(headers, body, request, [Status(refused.status, error)])

    def _steps(self, headers: Mapping[str, str], body: bytes, request: ChatStreamRequest) -> Sequence[Step]:
        if self._scripts:
            return self._scripts.popleft()
        check_model(request)
        directive = directives.find(request)
        prompt_tokens = tokens(len(body))
        turn = Turn(
            request,
            directive,
            self._delay if directive.delay is None else directive.delay,
            self._memory.attempt(headers["x-request-id"]),
            prompt_tokens,
            self._memory.cache_read(request.conversation_id, len(request.chat_history), prompt_tokens),
        )
        name = scenario_name(request.model, directive)
        return default(turn) if name is None else SCENARIOS[name].steps(turn)


def scenario_name(model: str, directive: Directive) -> str | None:
    """The scenario that is asked for, if one is. Raises `Refused` for one that does not exist."""
    name = directive.scenario
    if name is None and model.startswith(MODEL_PREFIX):
        name = model.removeprefix(MODEL_PREFIX)
        name = name if name in SCENARIOS else EFFORT.sub("", name)
    if name is None or name in SCENARIOS:
        return name
    raise Refused(404, f"simulator: there is no scenario {name!r}; there are {', '.join(SCENARIOS)}")
