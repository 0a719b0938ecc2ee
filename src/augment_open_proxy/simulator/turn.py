"""One turn that is asked of the simulator: the request, its directive, and what is remembered of requests before it."""

import re
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import UNSET, Struct

from augment_open_proxy.simulator import agent
from augment_open_proxy.simulator.answer import Answer, Content, TokenUsage, natural_stop, tokens, words
from augment_open_proxy.simulator.directive import Directive, ToolRequest
from augment_open_proxy.simulator.request import ChatStreamRequest
from augment_open_proxy.upstream.wire import ToolUse

EFFORT = re.compile(r"-(low|medium|high|xhigh|max)$")


class Turn(Struct, frozen=True):
    """`attempt` counts the requests with this id; `prompt_tokens` is the whole prompt, `cache_read` its cached part."""

    request: ChatStreamRequest
    directive: Directive
    delay: float = 0
    attempt: int = 1
    prompt_tokens: int = 1
    cache_read: int = 0

    def answer(self, speak: Callable[[ChatStreamRequest], Content]) -> Answer:
        """What `speak` says, as far as the directive does not say it."""
        content = self._directed(speak(self.request))
        directive = self.directive
        stop_reason = natural_stop(content).value if directive.stop_reason is None else directive.stop_reason
        return Answer(content, stop_reason, self._usage(content) if directive.usage is UNSET else directive.usage)

    def seconds(self, default: float) -> float:
        """How long the scenario's fault lasts."""
        return default if self.directive.seconds is None else self.directive.seconds

    def repeat(self, default: int) -> int:
        """How often the scenario does its thing."""
        return default if self.directive.repeat is None else self.directive.repeat

    def _directed(self, content: Content) -> Content:
        directive = self.directive
        if EFFORT.search(self.request.model) and not content.thinking:
            content = agent.thinking_first(self.request, content)
        if directive.thinking is not None:
            content = msgspec.structs.replace(content, thinking=_chunks(directive.thinking))
        if directive.tool is not None:
            content = msgspec.structs.replace(content, text=(), calls=self._calls(directive.tool))
        if directive.text is not None:
            content = msgspec.structs.replace(content, text=_chunks(directive.text) * self.repeat(1))
        return content

    def _calls(self, tool: ToolRequest | list[ToolRequest]) -> tuple[ToolUse, ...]:
        tools = tool if isinstance(tool, list) else [tool]
        return tuple(
            ToolUse(one.id or agent.call_id(self.request, index), one.name, _input_json(one.input))
            for index, one in enumerate(tools)
        )

    def _usage(self, content: Content) -> TokenUsage:
        new = self.prompt_tokens - self.cache_read
        uncached = min(new, tokens(len(self.request.message)) + 1)
        return TokenUsage(
            input_tokens=uncached,
            output_tokens=content.tokens,
            cache_read_input_tokens=self.cache_read,
            cache_creation_input_tokens=new - uncached,
        )


def _chunks(text: str | list[str]) -> tuple[str, ...]:
    """A string word by word, a list as it is."""
    return words(text) if isinstance(text, str) else tuple(text)


def _input_json(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
