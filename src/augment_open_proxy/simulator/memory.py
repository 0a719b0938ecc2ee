"""What the backend remembers between requests: a prompt cache for each conversation, and how often a request came."""

from collections import OrderedDict
from typing import NamedTuple, TypeVar

_LIMIT = 10_000
_Value = TypeVar("_Value")


class _Cached(NamedTuple):
    turns: int
    written: int
    read: int


class Memory:
    """Bounded: the conversations and requests that came least recently are forgotten."""

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
