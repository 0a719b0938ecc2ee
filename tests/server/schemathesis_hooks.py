"""Makes bodies of schemathesis plausible: where a schema says only `string`, known names get further than random ones.

schemathesis imports it by its path (`SCHEMATHESIS_HOOKS`). A quarter of the bodies stays as it is.
"""

import json
import zlib
from collections.abc import Sequence
from typing import Any

import schemathesis

WORDS: dict[str, Sequence[str]] = {
    "model": ["claude-sonnet-4-5", "gpt-5.4", "claude-sim-parallel-tools", "claude-sim-thinking"],
    "role": ["user", "assistant", "system", "tool", "developer"],
    "type": [
        "text",
        "tool_use",
        "tool_result",
        "thinking",
        "function",
        "custom",
        "message",
        "input_text",
        "output_text",
        "function_call",
        "function_call_output",
        "reasoning",
        "auto",
        "none",
        "adaptive",
    ],
    "id": ["call_1"],
    "call_id": ["call_1"],
    "tool_call_id": ["call_1"],
    "tool_use_id": ["call_1"],
    "name": ["look"],
    "effort": ["low", "high", "none"],
}
MESSAGES = [{"role": "user", "content": "Hi."}]
KEPT = ("model", "messages", "input", "prompt", "requests", "items", "metadata")
"""The fields that are never left out; of the others, few are kept: one of them that is bad is enough for a 400."""


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    """The body that is sent."""
    if not isinstance(body, dict):
        return body
    chance = zlib.crc32(json.dumps(body, sort_keys=True, default=str).encode())
    if chance % 4 == 0:
        return body
    few = {name: value for i, (name, value) in enumerate(body.items()) if name in KEPT or (chance >> i) % 8 == 0}
    made = plausible(few, chance)
    if context.operation.path.endswith("/compact") and "model" in made:
        made["model"] = WORDS["model"][
            0
        ]  # one that calls tools in place of a summary is a fault of the backend's, a 502
    return made


def plausible(value: Any, chance: int) -> Any:
    """The same with known names, chosen by `chance`."""
    if isinstance(value, list):
        return [plausible(part, chance + i) for i, part in enumerate(value)]
    if not isinstance(value, dict):
        return value
    found = {name: plausible(part, chance // 3 + i) for i, (name, part) in enumerate(value.items())}
    for name, words in WORDS.items():
        if isinstance(found.get(name), str):
            found[name] = words[chance // 2 % len(words)]
    if found.get("messages") == []:
        found["messages"] = MESSAGES
    return found
