"""What the backend sends where the model says something, for `Simulator.script`."""

import msgspec

from augment_open_proxy.simulator.answer import Answer, Content, TokenUsage, lines, natural_stop

PROMPT_TOKENS, OUTPUT_TOKENS = 23456, 17
"""The usage of each such answer."""


def spoken(content: Content) -> bytes:
    said = lines(Answer(content, natural_stop(content), TokenUsage(PROMPT_TOKENS, OUTPUT_TOKENS)))
    return b"".join(msgspec.json.encode(line) + b"\n" for line in said)
