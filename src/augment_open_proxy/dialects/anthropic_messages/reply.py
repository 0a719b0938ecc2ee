"""`Reply` → the `message` object, and what stream and whole reply have in common."""

from collections.abc import Sequence

import msgspec

from augment_open_proxy.core import events
from augment_open_proxy.core.conversation import Text, Thinking, ToolCall
from augment_open_proxy.core.reply import Reply
from augment_open_proxy.dialects.anthropic_messages import wire
from augment_open_proxy.dialects.dialect import Delivery

_encoder = msgspec.json.Encoder()

STOP_REASONS: dict[events.FinishReason, str] = {
    "stop": "end_turn",
    "stop_sequence": "stop_sequence",
    "length": "max_tokens",
    "tool_use": "tool_use",
    "content_filter": "refusal",
}


def render(replies: Sequence[Reply], delivery: Delivery) -> bytes:
    """The whole message. There is one reply, and it ended well."""
    (reply,) = replies
    if not isinstance(reply.end, events.Finish):
        raise ValueError("only a finished reply is a message")
    return _encoder.encode(
        wire.ReplyMessage(
            id=reply.opening.id,
            model=reply.opening.model,
            content=[_block(block) for block in reply.blocks],
            stop_reason=STOP_REASONS[reply.end.reason],
            stop_sequence=reply.end.stop_sequence,
            usage=usage(reply.end.usage),
        )
    )


def _block(block: events.Block) -> wire.ReplyBlock:
    match block:
        case Text(text):
            return wire.TextBlock(text=text)
        case Thinking(text, opaque):
            return wire.ThinkingBlock(thinking=text, signature=opaque or "")
        case ToolCall(id=id_, name=name, arguments=arguments):
            return wire.ToolUseBlock(id=id_, name=name, input=msgspec.Raw(arguments.encode()))


def usage(used: events.Usage) -> wire.Usage:
    """Core counts as this API does."""
    return wire.Usage(
        used.input or 0,
        used.cache_creation or 0,
        used.cache_read or 0,
        used.output or 0,
        wire.OutputTokensDetails(used.reasoning) if used.reasoning else msgspec.UNSET,
    )
