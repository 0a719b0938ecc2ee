"""Stored turns and conversations → the messages that a request goes on from, as if the client had sent them itself."""

from augment_open_proxy.core.conversation import Attachment, Message, Text, Thinking, ToolCall
from augment_open_proxy.core.events import Block
from augment_open_proxy.core.steps import Steps
from augment_open_proxy.dialects.dialect import Recalled
from augment_open_proxy.dialects.openai_responses.items import ends_with_trigger, messages_of, parse_item, read_request

PLACE = "the stored conversation"
"""Where errors say that a stored item stands."""


def parse_past(recalled: Recalled) -> Steps[tuple[Message, ...]]:
    """What comes before the input. A compaction stands for all turns and items before it."""
    messages: tuple[Message, ...] = ()
    for turn in recalled.turns:
        _, given = yield from read_request(turn.request)
        is_compaction = ends_with_trigger(given)
        reply = tuple(_message(block, is_compaction=is_compaction) for block in turn.reply.blocks)
        if is_compaction:
            messages = reply
        else:
            messages += (*(yield from messages_of(given, recalled.by_id)), *reply)
    for item in recalled.items:
        said = parse_item(item, PLACE)
        messages = said if _is_summary(said) else messages + said
    return messages


def _is_summary(said: tuple[Message, ...]) -> bool:
    return any(isinstance(part, Attachment) and part.kind == "summary" for message in said for part in message.content)


def _message(block: Block, *, is_compaction: bool) -> Message:
    match block:
        case Thinking(opaque=sealed) if is_compaction:
            return Message("user", (Attachment("summary", PLACE, data=sealed),))
        case Text() | Thinking() | ToolCall():
            return Message("assistant", (block,))
