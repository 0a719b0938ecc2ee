"""Thinking that clients send back: sealed on its way out, checked on its way in (the backend knows no signatures).

A seal proves that we gave a thinking block, and carries the text that the client was not shown. What is not ours is
left out of the history: another server's thinking would be put into the model's mouth.
"""

import msgspec

from augment_open_proxy.core.conversation import ChatRequest, Message, Part, Thinking, ThinkingOutput, parts_of
from augment_open_proxy.core.events import BlockDelta, BlockStart, BlockStop, Event, begins
from augment_open_proxy.policies.seal import seal, unseal


def prepare(request: ChatRequest, secret: bytes) -> tuple[ChatRequest, "Sealing | Hiding | None"]:
    """Checks the seals of the history, and makes those of the reply, as `request.thinking` asks."""
    if Thinking in map(type, parts_of(request.messages)):
        messages = tuple(_checked(message, secret) for message in request.messages)
        request = msgspec.structs.replace(request, messages=messages)
    match request.thinking:
        case "plain":
            return request, None
        case "none":
            return request, Hiding()
        case output:
            return request, Sealing(secret, output)


def _checked(message: Message, secret: bytes) -> Message:
    if not any(isinstance(part, Thinking) and part.opaque is not None for part in message.content):
        return message
    return Message(message.role, tuple(part for given in message.content for part in _opened(given, secret)))


def _opened(part: Part, secret: bytes) -> tuple[Part, ...]:
    """The part, or nothing in place of thinking that is not ours."""
    if not isinstance(part, Thinking) or part.opaque is None:
        return (part,)
    text = unseal(secret, part.opaque, part.text)
    return () if text is None else (Thinking(text),)


class Sealing:
    """Gives each thinking block its seal; the text itself only where the client is to see it."""

    def __init__(self, secret: bytes, output: ThinkingOutput) -> None:
        self._secret = secret
        self._shows = output != "omitted"
        self._carries = output != "sealed"
        self._pieces: list[str] | None = None

    @property
    def rests(self) -> bool:
        return self._pieces is None

    def feed(self, events: list[Event]) -> list[Event]:
        if self.rests and not begins(events, Thinking):
            return events
        out: list[Event] = []
        for event in events:
            if type(event) is BlockDelta:  # as most are; a pattern takes longer
                if self._pieces is not None:
                    self._pieces.append(event.text)
                if self._pieces is None or self._shows:
                    out.append(event)
                continue
            match event:
                case BlockStart(block=Thinking()):
                    self._pieces = []
                    out.append(event)
                case BlockStop(index=index) if self._pieces is not None:
                    text = "".join(self._pieces)
                    self._pieces = None
                    out.append(BlockStop(index, seal(self._secret, text, carried=self._carries), event.is_cut))
                case _:
                    out.append(event)
        return out


class Hiding:
    """Leaves thinking out, and numbers the other blocks anew: a client that did not ask for it takes none."""

    def __init__(self) -> None:
        self._hidden = 0
        self._is_hiding = False

    @property
    def rests(self) -> bool:
        return not self._hidden

    def feed(self, events: list[Event]) -> list[Event]:
        if self.rests and not begins(events, Thinking):
            return events
        out: list[Event] = []
        for event in events:
            match event:
                case BlockStart(block=Thinking()):
                    self._is_hiding = True
                    self._hidden += 1
                case BlockStop() if self._is_hiding:
                    self._is_hiding = False
                case BlockDelta() if self._is_hiding:
                    pass
                case BlockStart() | BlockDelta() | BlockStop() if self._hidden:
                    out.append(msgspec.structs.replace(event, index=event.index - self._hidden))
                case _:
                    out.append(event)
        return out
