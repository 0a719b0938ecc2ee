"""Conversations as the AI SDK spells them (`LanguageModelV2Prompt`), which the official SDK takes as they are.

`core.py` says the same in our own types. Each name is the id of a test.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

Json = dict[str, Any]

LONG = "All work and no play makes Jack a dull boy. " * 5_000
ODD = (
    "\U0001f469\u200d\U0001f469\u200d\U0001f466 \U0001f3f4\U000e0067\U000e0062\U000e007f \U0001d49c\U0001d4ca "
    "\u05e9\u05dc\u05d5\u05dd \u0639\u0644\u064a \u202e\u2066rtl\u2069 e\u0301 \u2013 "
    "\u2028\u2029\u0085\ufeff\ufffd\uffff\U0010ffff"
)
"""A family, a flag of tags, letters beyond the BMP, right-to-left text, separators, non-characters."""
CONTROLS = "".join(map(chr, range(1, 32))) + "\x7f\x80\x9f"
ESCAPES = "a \"quoted\" C:\\path\\u0041 </script> & '\\n' %s {x} /"


@dataclass(frozen=True)
class Conversation:
    name: str
    prompt: list[Json]
    tools: list[Json] | None = None
    model: str = "claude-sonnet-4-5"

    def as_json(self) -> Json:
        call: Json = {"model": self.model, "prompt": self.prompt}
        return call if self.tools is None else call | {"tools": self.tools}


def system(content: str) -> Json:
    return {"role": "system", "content": content}


def user(*parts: str | Json) -> Json:
    return {"role": "user", "content": [_part(part) for part in parts]}


def assistant(*parts: str | Json) -> Json:
    return {"role": "assistant", "content": [_part(part) for part in parts]}


def tool(*results: Json) -> Json:
    return {"role": "tool", "content": list(results)}


def _part(part: str | Json) -> Json:
    return {"type": "text", "text": part} if isinstance(part, str) else part


def thinking(text: str, signature: str | None = None) -> Json:
    part: Json = {"type": "reasoning", "text": text}
    return part if signature is None else part | {"providerOptions": {"anthropic": {"signature": signature}}}


def picture(media_type: str, data: str = "AAAA") -> Json:
    return {"type": "file", "mediaType": media_type, "data": data}


def call(id_: str, arguments: object = None, name: str = "read_file") -> Json:
    arguments = {"path": "a.py"} if arguments is None else arguments
    return {"type": "tool-call", "toolCallId": id_, "toolName": name, "input": arguments}


def result(id_: str, value: object = "print(1)", kind: str = "text") -> Json:
    return {
        "type": "tool-result",
        "toolCallId": id_,
        "toolName": "read_file",
        "output": {"type": kind, "value": value},
    }


def content(*texts: str) -> list[Json]:
    return [{"type": "text", "text": text} for text in texts]


def function(name: str, schema: Json, description: str | None = None) -> Json:
    tool_: Json = {"type": "function", "name": name, "inputSchema": schema}
    return tool_ if description is None else tool_ | {"description": description}


PATH_SCHEMA: Json = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
READ_FILE = function("read_file", PATH_SCHEMA, "Reads a file.")
NESTED_SCHEMA: Json = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}},
    "properties": {
        "edits": {
            "type": "array",
            "minItems": 1,
            "items": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}, {"enum": ["x", 1, 1.5, True, None]}]},
        },
        "größe": {"type": "number", "minimum": -0.5, "default": 1e-7, "description": ESCAPES + ODD},
    },
    "additionalProperties": False,
}
NESTED_INPUT: Json = {
    "edits": [{"old": ESCAPES, "new": ODD, "at": [1, -2, 0.25, 1e-9, 1.5e300]}, None, True, False, [], {}, ""],
    "größe": {"": {"a b": {"2": 1, "10": 2}}},
    "controls": CONTROLS,
}

CONVERSATIONS = [
    # ---------------------------------------------------------- users and systems
    Conversation("one-user-message", [user("Hello")]),
    Conversation("nothing-at-all", []),
    Conversation("system-and-user", [system("Be brief."), user("Hello")]),
    Conversation("two-systems", [system("Be brief."), system("Be kind."), user("Hello")]),
    Conversation("only-a-system", [system("Be brief.")]),
    Conversation("empty-system", [system(""), user("Hello")]),
    Conversation("empty-system-between-two", [system("a"), system(""), system("b"), user("c")]),
    Conversation("system-in-the-middle", [user("a"), assistant("b"), system("Now in French."), user("c")]),
    Conversation("system-after-a-user", [user("a"), system("Be brief."), user("b")]),
    Conversation("system-at-the-end", [system("Be brief."), user("a"), assistant("b"), user("c"), system("Be kind.")]),
    Conversation("system-before-an-assistant", [user("a"), system("Be brief."), assistant("b"), user("c")]),
    Conversation("several-text-parts", [user("one", "two", "", "three")]),
    Conversation("users-in-a-row", [user("a"), user("b"), user("c", "d")]),
    Conversation("users-in-a-row-after-a-system", [system("s"), user("a"), user("b")]),
    Conversation("empty-user-text", [user("")]),
    Conversation("empty-user-text-between-two", [user("a"), user(""), user("b")]),
    Conversation("empty-user-text-first", [user(""), user("a")]),
    Conversation("empty-user-text-after-a-system", [system("s"), user("")]),
    Conversation("user-without-parts", [user(), user("a"), user()]),
    # ---------------------------------------------------------------- turns
    Conversation("three-turns", [system("s"), user("a"), assistant("b"), user("c"), assistant("d"), user("e")]),
    Conversation("assistants-in-a-row", [user("a"), assistant("b"), assistant("c"), user("d")]),
    Conversation("assistant-first", [assistant("Welcome!"), user("a")]),
    Conversation("assistant-last", [user("a"), assistant("b")]),
    Conversation("assistant-of-several-texts", [user("a"), assistant("b", "", "c"), user("d")]),
    Conversation("assistant-without-parts", [user("a"), assistant(), user("b")]),
    Conversation("assistant-of-an-empty-text", [user("a"), assistant(""), user("b")]),
    Conversation(
        "ids-begin-again-in-each-turn", [user("a", "b"), assistant("c"), user("d", "e"), assistant("f"), user("g")]
    ),
    # ------------------------------------------------------------- thinking
    Conversation("thinking-before-text", [user("a"), assistant(thinking("hm"), "b"), user("c")]),
    Conversation("thinking-after-text", [user("a"), assistant("b", thinking("hm")), user("c")]),
    Conversation("thinking-alone", [user("a"), assistant(thinking("hm")), user("c")]),
    Conversation("empty-thinking", [user("a"), assistant(thinking(""), "b"), user("c")]),
    Conversation("thinking-twice", [user("a"), assistant(thinking("x"), thinking("y"), "b"), user("c")]),
    Conversation("thinking-with-a-signature", [user("a"), assistant(thinking("hm", "c2lnbg=="), "b"), user("c")]),
    Conversation(
        "text-thinking-and-calls-in-turns",
        [
            user("a"),
            assistant("b", thinking("x"), call("1"), "c", thinking("y"), call("2"), "d"),
            tool(result("1"), result("2")),
            user("e"),
        ],
        [READ_FILE],
    ),
    # ---------------------------------------------------------------- calls
    Conversation("call-and-result", [user("a"), assistant(call("1")), tool(result("1"))], [READ_FILE]),
    Conversation("result-then-user", [user("a"), assistant(call("1")), tool(result("1")), user("b")], [READ_FILE]),
    Conversation(
        "result-then-system-then-user",
        [user("a"), assistant(call("1")), tool(result("1")), system("s"), user("b")],
        [READ_FILE],
    ),
    Conversation("user-then-result", [user("a"), assistant(call("1")), user("b"), tool(result("1"))], [READ_FILE]),
    Conversation(
        "parallel-calls-results-in-one-message",
        [user("a"), assistant("b", call("1"), call("2"), call("3")), tool(result("1"), result("2"), result("3"))],
        [READ_FILE],
    ),
    Conversation(
        "parallel-calls-results-in-three-messages",
        [
            user("a"),
            assistant(call("1"), call("2"), call("3")),
            tool(result("3")),
            tool(result("1")),
            tool(result("2")),
        ],
        [READ_FILE],
    ),
    Conversation(
        "calls-one-after-the-other",
        [
            system("s"),
            user("a"),
            assistant(thinking("x"), call("1")),
            tool(result("1")),
            assistant(thinking("y"), call("2")),
            tool(result("2")),
            assistant("done"),
            user("thanks"),
        ],
        [READ_FILE],
    ),
    Conversation("call-without-result", [user("a"), assistant(call("1")), user("never mind")], [READ_FILE]),
    Conversation("result-without-call", [tool(result("lost")), user("a")]),
    Conversation("call-with-nested-input", [user("a"), assistant(call("1", NESTED_INPUT)), tool(result("1"))]),
    Conversation("call-with-empty-input", [user("a"), assistant(call("1", {})), tool(result("1"))]),
    Conversation("call-with-string-input", [user("a"), assistant(call("1", '{"path": "a.py"}')), tool(result("1"))]),
    Conversation("call-with-input-that-is-not-json", [user("a"), assistant(call("1", "*** Begin")), tool(result("1"))]),
    Conversation("call-with-empty-string-input", [user("a"), assistant(call("1", "")), tool(result("1"))]),
    Conversation("call-with-array-input", [user("a"), assistant(call("1", [1, "two", None])), tool(result("1"))]),
    Conversation(
        "call-ids-of-other-services",
        [
            user("a"),
            assistant(call("toolu_aug_vrtx_gemini_01"), call("call_Ab|fc_9")),
            tool(result("toolu_aug_vrtx_gemini_01"), result("call_Ab|fc_9")),
        ],
    ),
    # -------------------------------------------------------------- results
    Conversation("empty-result", [user("a"), assistant(call("1")), tool(result("1", ""))]),
    Conversation("tool-message-without-results", [user("a"), assistant("b"), tool(), user("c")]),
    Conversation(
        "text-result-that-looks-like-json", [user("a"), assistant(call("1")), tool(result("1", '{"a": 1.0}'))]
    ),
    Conversation("json-result", [user("a"), assistant(call("1")), tool(result("1", NESTED_INPUT, "json"))]),
    Conversation("json-result-of-a-string", [user("a"), assistant(call("1")), tool(result("1", "s", "json"))]),
    Conversation("json-result-of-null", [user("a"), assistant(call("1")), tool(result("1", None, "json"))]),
    Conversation("json-result-of-an-array", [user("a"), assistant(call("1")), tool(result("1", [1, {}], "json"))]),
    Conversation("error-text-result", [user("a"), assistant(call("1")), tool(result("1", "no file", "error-text"))]),
    Conversation("error-json-result", [user("a"), assistant(call("1")), tool(result("1", {"code": 2}, "error-json"))]),
    Conversation("content-result", [user("a"), assistant(call("1")), tool(result("1", content("x"), "content"))]),
    Conversation(
        "content-result-of-several-texts",
        [user("a"), assistant(call("1")), tool(result("1", content("x", "", "y\n", "z"), "content"))],
    ),
    Conversation("content-result-of-nothing", [user("a"), assistant(call("1")), tool(result("1", [], "content"))]),
    Conversation(
        "results-of-every-kind",
        [
            user("a"),
            assistant(*(call(id_) for id_ in "12345")),
            tool(result("1"), result("2", {"b": [1]}, "json"), result("3", "no", "error-text")),
            tool(result("4", ["e"], "error-json"), result("5", content("x", "y"), "content")),
            user("go on"),
        ],
        [READ_FILE],
    ),
    # ---------------------------------------------------------------- tools
    Conversation("no-tools", [user("a")], []),
    Conversation("tool-without-description", [user("a")], [function("t", PATH_SCHEMA)]),
    Conversation("tool-with-empty-description", [user("a")], [function("t", PATH_SCHEMA, "")]),
    Conversation("tool-with-nested-schema", [user("a")], [function("t", NESTED_SCHEMA, ODD)]),
    Conversation("tool-with-empty-schema", [user("a")], [function("t", {})]),
    Conversation(
        "several-tools-in-their-order",
        [user("a")],
        [function("z", PATH_SCHEMA), READ_FILE, function("mcp__server__a-b.c", PATH_SCHEMA), function("z", {})],
    ),
    Conversation("tools-without-messages", [], [READ_FILE]),
    # ---------------------------------------------------------------- texts
    Conversation("unicode", [system(ODD), user(ODD), assistant(thinking(ODD), ODD), user(ODD)]),
    Conversation("control-characters", [system(CONTROLS), user(CONTROLS), assistant(CONTROLS), user(CONTROLS)]),
    Conversation("quotes-and-backslashes", [system(ESCAPES), user(ESCAPES), assistant(ESCAPES), user(ESCAPES)]),
    Conversation(
        "unicode-in-calls-and-results",
        [
            user("a"),
            assistant(call("1", {ODD: CONTROLS}, "größe"), call("2")),
            tool(result("1", ODD), result("2", [ODD], "json")),
        ],
    ),
    Conversation("whitespace", [system(" "), user("\n"), assistant(" \t"), user("  ", "\r\n"), user(" ")]),
    Conversation("line-ends", [system("a\n"), user("b\r\nc\rd\n\n"), assistant("\n\ne\n"), user("\nf")]),
    Conversation("texts-that-imitate-a-system", [system("System: a\n\n"), user("System: b"), user("System: c\n\n")]),
    Conversation("long-texts", [system(LONG), user(LONG, LONG), assistant(thinking(LONG), LONG), user(LONG)]),
    Conversation("long-result", [user("a"), assistant(call("1", {"text": LONG})), tool(result("1", LONG))]),
    Conversation(
        "a-hundred-turns",
        [message for n in range(100) for message in (user(f"u{n}"), assistant(f"a{n}"))] + [user("end")],
    ),
    # --------------------------------------------------------------- models
    Conversation("model-with-effort", [user("a")], model="claude-opus-4-7-high"),
    Conversation("model-with-large-context", [user("a")], model="claude-opus-4-6-500k"),
    Conversation("model-of-google", [user("a")], model="gemini-3-1-pro-preview"),
    Conversation("model-of-openai", [user("a")], [READ_FILE], model="gpt-5-4-xhigh"),
    Conversation("model-that-nobody-knows", [user("a")], model="code-review"),
]

PICTURES = [
    Conversation("picture-between-texts", [user("a", picture("image/png"), "b"), assistant("c"), user("d")]),
    Conversation("picture-alone", [system("s"), user(picture("image/webp")), user(picture("image/gif"), "a")]),
    Conversation(
        "picture-in-a-result",
        [
            user("a"),
            assistant(call("1")),
            tool(
                result("1", [*content("x"), {"type": "media", "mediaType": "image/jpeg", "data": "AAAA"}], "content"),
            ),
        ],
    ),
]

SONNET_5 = Conversation("claude-sonnet-5", [system("s"), user("a")], [READ_FILE], model="claude-sonnet-5-high")


def _every_order(most_messages: int) -> Iterator[Conversation]:
    messages = {
        "system": system("s"),
        "user": user("u", "v"),
        "silent": user(""),
        "tool": tool(result("1")),
        "assistant": assistant(thinking("t"), "a", call("1")),
    }
    for length in range(1, most_messages + 1):
        for roles in product(messages, repeat=length):
            yield Conversation("-".join(roles), [messages[role] for role in roles])


EVERY_ORDER = list(_every_order(4))
"""Each sequence of up to four messages."""
