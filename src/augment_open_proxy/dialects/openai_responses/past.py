"""Stored turns and conversations → the messages that a request goes on from, as if the client had sent them itself."""

import msgspec

from augment_open_proxy.core.conversation import Attachment, Message, Text, Thinking, ToolCall
from augment_open_proxy.core.events import Block
from augment_open_proxy.dialects.dialect import Recalled
from augment_open_proxy.dialects.openai_responses import wire
from augment_open_proxy.dialects.openai_responses.items import ends_with_trigger, parse_input, parse_item
from augment_open_proxy.dialects.reading import read

_decoder = msgspec.json.Decoder(wire.Request)
PLACE = "the stored conversation"
"""Where errors say that a stored item stands."""


def parse_past(recalled: Recalled) -> tuple[Message, ...]:
    """What comes before the input. A compaction stands for all turns before it."""
    messages: tuple[Message, ...] = ()
    for turn in recalled.turns:
        request = read(_decoder, turn.request)
        is_compaction = ends_with_trigger(request.input)
        reply = tuple(_message(block, is_compaction=is_compaction) for block in turn.reply.blocks)
        messages = reply if is_compaction else messages + parse_input(request.input, recalled.by_id) + reply
    for item in recalled.items:
        messages += parse_item(item, PLACE, recalled.by_id)
    return messages


def _message(block: Block, *, is_compaction: bool) -> Message:
    match block:
        case Thinking(opaque=sealed) if is_compaction:
            return Message("user", (Attachment("summary", PLACE, data=sealed),))
        case Text() | Thinking() | ToolCall():
            return Message("assistant", (block,))
