"""`Reply` → the `chat.completion` object, and what stream and whole reply have in common."""

from collections.abc import Sequence

import msgspec

from augment_open_proxy.core import events
from augment_open_proxy.core.conversation import Text, Thinking, ToolCall
from augment_open_proxy.core.reply import Reply
from augment_open_proxy.dialects.dialect import Delivery
from augment_open_proxy.dialects.openai_chat import wire
from augment_open_proxy.dialects.openai_usage import usage

_encoder = msgspec.json.Encoder()

FINISH_REASONS: dict[events.FinishReason, str] = {
    "stop": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "tool_use": "tool_calls",
    "content_filter": "content_filter",
}


def render(replies: Sequence[Reply], delivery: Delivery) -> bytes:
    """The whole completion: a choice for each reply. All of them ended well."""
    opening = replies[0].opening
    choices: list[wire.Choice] = []
    used: events.Usage | None = None
    for index, reply in enumerate(replies):
        if not isinstance(reply.end, events.Finish):
            raise ValueError("only a finished reply is a completion")
        finish_reason = FINISH_REASONS[reply.end.reason]
        choices.append(wire.Choice(index=index, message=_message(reply), finish_reason=finish_reason))
        used = reply.end.usage if used is None else used + reply.end.usage
    return _encoder.encode(
        wire.Completion(
            id=opening.id,
            created=opening.created,
            model=opening.model,
            choices=choices,
            usage=usage(used or events.Usage()),
        )
    )


def _message(reply: Reply) -> wire.ReplyMessage:
    text = "".join([block.text for block in reply.blocks if type(block) is Text])
    thinking = "".join([block.text for block in reply.blocks if type(block) is Thinking])
    calls = [_tool_call(block) for block in reply.blocks if type(block) is ToolCall]
    return wire.ReplyMessage(
        content=text if text or not calls else None,
        reasoning_content=thinking or msgspec.UNSET,
        reasoning=thinking or msgspec.UNSET,
        tool_calls=calls or msgspec.UNSET,
    )


def _tool_call(call: ToolCall) -> wire.FunctionToolCall | wire.CustomToolCall:
    if call.custom:
        return wire.CustomToolCall(id=call.id, custom=wire.CustomReply(call.name, call.arguments))
    return wire.FunctionToolCall(id=call.id, function=wire.FunctionReply(call.name, call.arguments))
