"""`Reply` → the `text_completion` object, and what stream and whole reply have in common."""

from collections.abc import Sequence

import msgspec

from augment_open_proxy.core import events
from augment_open_proxy.core.conversation import Text
from augment_open_proxy.core.reply import Reply
from augment_open_proxy.dialects.dialect import Delivery
from augment_open_proxy.dialects.openai_completions import wire
from augment_open_proxy.dialects.openai_completions.request import Echo
from augment_open_proxy.dialects.openai_usage import usage

_encoder = msgspec.json.Encoder()

FINISH_REASONS: dict[events.FinishReason, str] = {
    "stop": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "tool_use": "stop",  # no tool is ever offered, and this API has no word for a call
    "content_filter": "content_filter",
}


def render(replies: Sequence[Reply], delivery: Delivery) -> bytes:
    """The whole completion: a choice for each reply. All of them ended well."""
    opening = replies[0].opening
    before = echoed(delivery)
    choices: list[wire.Choice] = []
    used = events.Usage()
    for index, reply in enumerate(replies):
        if not isinstance(reply.end, events.Finish):
            raise ValueError("only a finished reply is a completion")
        text = before + "".join(block.text for block in reply.blocks if isinstance(block, Text))
        choices.append(wire.Choice(text=text, index=index, finish_reason=FINISH_REASONS[reply.end.reason]))
        used += reply.end.usage
    return _encoder.encode(
        wire.Completion(
            id=opening.id,
            created=opening.created,
            model=opening.model,
            choices=choices,
            usage=usage(used),
        )
    )


def echoed(delivery: Delivery) -> str:
    """What comes before the completion: the prompt, if it was asked for."""
    return delivery.shape.prompt if isinstance(delivery.shape, Echo) else ""
