"""The backend as a machine without I/O: a request in, the steps of its answer out."""

from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import msgspec
from msgspec import Struct

from augment_open_proxy.simulator import directive as directives
from augment_open_proxy.simulator.answer import tokens
from augment_open_proxy.simulator.directive import Directive
from augment_open_proxy.simulator.request import ChatStreamRequest, Refused, check, check_model
from augment_open_proxy.simulator.scenarios import MODEL_PREFIX, SCENARIOS, default
from augment_open_proxy.simulator.steps import Send, Status, Step
from augment_open_proxy.simulator.turn import EFFORT, Turn

_LIMIT = 10_000
_Value = TypeVar("_Value")


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


class _Cached(NamedTuple):
    turns: int
    written: int
    read: int


class Memory:
    """What is remembered between requests: a prompt cache for each conversation, and how often a request came.

    Bounded: the conversations and requests that came least recently are forgotten."""

    def __init__(self) -> None:
        self._prompts: OrderedDict[str, _Cached] = OrderedDict()
        self._attempts: OrderedDict[str, int] = OrderedDict()

    def cache_read(self, conversation_id: str, turns: int, prompt_tokens: int) -> int:
        """Tokens of the prompt that come from the cache: what the conversation's shorter prompt before had."""
        before = self._prompts.pop(conversation_id, _Cached(0, 0, 0))
        read = min(before.written if turns > before.turns else before.read, prompt_tokens)
        _keep(self._prompts, conversation_id, _Cached(turns, prompt_tokens, read))
        return read

    def attempt(self, request_id: str) -> int:
        """1 for a request id that is new, 2 for its first retry, and so on."""
        number = self._attempts.pop(request_id, 0) + 1
        _keep(self._attempts, request_id, number)
        return number


def _keep(mapping: OrderedDict[str, _Value], key: str, value: _Value) -> None:
    mapping[key] = value
    if len(mapping) > _LIMIT:
        mapping.popitem(last=False)
