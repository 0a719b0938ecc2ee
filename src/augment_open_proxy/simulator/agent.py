"""The default scripted agent: what the simulator says where neither a script nor a scenario decides.

It calls a fitting tool once for a user's message, and finishes when the result comes. It says plainly that it is
no model.
"""

import hashlib
import re
from collections.abc import Iterable
from functools import lru_cache

import msgspec

from augment_open_proxy.simulator import directive as directives
from augment_open_proxy.simulator import request as requests
from augment_open_proxy.simulator.answer import Content, words
from augment_open_proxy.simulator.arguments import arguments, split_words
from augment_open_proxy.simulator.request import ChatStreamRequest, Image, ToolDefinition
from augment_open_proxy.upstream.wire import ImageFormat, ToolUse

INTRODUCTION = "This is the augment-open-proxy simulation, no model."
_JSON_DEMAND = re.compile(r"^System: .*valid by this JSON Schema:\n(\{.*\})$", re.DOTALL)
_QUOTE = 200
_ECHO = 4000


def act(request: ChatStreamRequest) -> Content:
    """Call a tool, finish after its result, or talk."""
    tool = None if _is_after_call(request) else choose(request)
    return talk(request) if tool is None else calling(request, [tool])


def talk(request: ChatStreamRequest) -> Content:
    """Say what this is and what the user said; after tool results, what they were. Give JSON where that is demanded."""
    demanded = _demanded_json(request)
    if demanded is not None:
        return Content(text=(demanded,))
    sentences = _on_results(request) if _is_after_call(request) else _on_message(request)
    return Content(text=words(" ".join(sentences)))


def _demanded_json(request: ChatStreamRequest) -> str | None:
    """A value by the JSON Schema that a text of the turn demands, as the proxy words it."""
    for node in request.nodes:
        text = node.text_node.content if node.text_node is not None else ""
        if match := _JSON_DEMAND.search(text):
            try:
                return _json(arguments(msgspec.json.decode(match[1])))
            except msgspec.DecodeError:
                return None
        if "It must be a JSON object." in text:
            return "{}"
    return None


def echo(request: ChatStreamRequest) -> Content:
    """The user's last text and nothing else."""
    return Content(text=words(directives.user_text(request)))


def call(request: ChatStreamRequest, number: int = 1) -> Content:
    """`number` calls of a tool whatever the user said, and the finish when the results come."""
    if _is_after_call(request):
        return talk(request)
    safe = [tool for tool in request.tools if not _is_destructive(tool)]
    best = choose(request) or (max(safe, key=_preference) if safe else ToolDefinition("lookup", "", "{}"))
    return calling(request, [best] * number)


def thinking_first(request: ChatStreamRequest, content: Content) -> Content:
    """The same, after a thought."""
    text = directives.user_text(request)
    thought = (
        f"The user says: {_quote(text)} Let me answer that." if text else "The tools have answered; let me finish."
    )
    return msgspec.structs.replace(content, thinking=words(thought))


def calling(request: ChatStreamRequest, tools: list[ToolDefinition]) -> Content:
    """One sentence, then a call of each of `tools`."""
    names = " and ".join(f"`{name}`" for name in dict.fromkeys(tool.name for tool in tools))
    calls = tuple(
        ToolUse(call_id(request, index), tool.name, _json(arguments(tool.schema()))) for index, tool in enumerate(tools)
    )
    return Content(text=words(f"I will use the tool {names} for that."), calls=calls)


def call_id(request: ChatStreamRequest, index: int) -> str:
    """Unique in a conversation, and the same when a request is tried again."""
    turn = f"{request.conversation_id} {len(request.chat_history)} {request.message} {index}"
    digest = hashlib.sha256(turn.encode(errors="replace")).hexdigest()[:20]
    return (requests.GEMINI_CALL if request.model.startswith("gemini-") else "toolu_sim_") + digest


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _is_after_call(request: ChatStreamRequest) -> bool:
    return directives.carries_results(request, len(request.chat_history))


# ----------------------------------------------------------- choice of tools


def _bag(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ACTIONS = _bag(
    """run execute list read show print open create make write find search grep look check get fetch test build count
    use call inspect view"""
)
_IDLE = _bag(
    """a an the and or of to in on at for with from by is are was be it its this that these those you your i me my we
    our us what which who how why when where do does did can could would will shall should please hello hi hey thank
    not no yes if then so as all any some use used using tool have has give tell say one user about"""
)
_DESTRUCTIVE = _bag(
    """rm mv del drop kill edit editor move stop send post push pull exit pay buy reset clean clear format commit merge
    cancel create put set apply patch insert multiedit"""
)
_DESTRUCTIVE_PARTS = re.compile(
    r"delete|remove|write|replace|overwrite|destroy|erase|truncate|terminate|shutdown|cleanup|update|modify|rename|"
    r"deploy|publish|submit|purchase|uninstall|install|unlink|revoke|transfer"
)
# Better ones first, for when nothing fits the user's words.
_PREFERRED = (
    frozenset({"bash", "shell", "exec", "terminal", "command", "commands", "run"}),
    frozenset({"read", "view", "cat", "open", "show"}),
    frozenset({"list", "ls", "glob", "dir"}),
    frozenset({"grep", "search", "find", "get", "fetch", "lookup", "query", "rg"}),
)


def choose(request: ChatStreamRequest) -> ToolDefinition | None:
    """The tool that fits the user's words best; a harmless one if they ask for an action; else none."""
    safe = [tool for tool in request.tools if not _is_destructive(tool)]
    text = split_words(directives.user_text(request))
    asked = _stems(text) - _IDLE
    best = max(safe, key=lambda tool: (_score(tool, asked), _preference(tool)), default=None)
    if best is not None and (_score(best, asked) > 0 or not _ACTIONS.isdisjoint(text)):
        return best
    return None


def _score(tool: ToolDefinition, asked: frozenset[str]) -> int:
    """Words in the name count thrice those in the first sentence of the description."""
    name, description = _words_of(tool.name, tool.description)
    return 3 * len(asked & name) + len(asked & (description - name))


@lru_cache(maxsize=1024)
def _words_of(name: str, description: str) -> tuple[frozenset[str], frozenset[str]]:
    first_sentence = re.split(r"[.\n]", description, maxsplit=1)[0][:200]
    return _stems(split_words(name)) - _IDLE, _stems(split_words(first_sentence)) - _IDLE


def _preference(tool: ToolDefinition) -> int:
    name = set(split_words(tool.name))
    ranks = (len(_PREFERRED) - rank for rank, known in enumerate(_PREFERRED) if known & name)
    return next(ranks, 0)


def _is_destructive(tool: ToolDefinition) -> bool:
    name = split_words(tool.name)
    return not _DESTRUCTIVE.isdisjoint(name) or _DESTRUCTIVE_PARTS.search("".join(name)) is not None


def _stems(found: Iterable[str]) -> frozenset[str]:
    return frozenset(word[:-1] if len(word) > 3 and word.endswith("s") else word for word in found)


# ----------------------------------------------------------------- sentences


def _on_message(request: ChatStreamRequest) -> list[str]:
    sentences = [INTRODUCTION]
    if images := [node.image_node for node in request.nodes if node.image_node is not None]:
        sentences.append(f"I got {_pictures(images)}.")
    if text := directives.user_text(request):
        sentences.append(f"You said: {text if len(text) <= _ECHO else text[:_ECHO] + '…'}")
    return sentences


def _on_results(request: ChatStreamRequest) -> list[str]:
    sentences = []
    for result in requests.results(request.nodes):
        verb = "failed with" if result.is_error else "gave"
        sentences.append(f"The tool {verb}: {_quote(result.content)}")
        images = [node.image_content for node in result.content_nodes if node.image_content is not None]
        if images:
            sentences.append(f"The result has {_pictures(images)}.")
    if not sentences:
        sentences.append(f"The tool gave: {_quote(directives.user_text(request))}")
    if images := [node.image_node for node in request.nodes if node.image_node is not None]:
        sentences.append(f"I got {_pictures(images)}.")
    return [*sentences, f"{INTRODUCTION} That is all I do."]


def _pictures(images: list[Image]) -> str:
    each = ", ".join(f"image/{ImageFormat(image.format).name.lower()} of {image.size} bytes" for image in images)
    return f"{len(images)} {'image' if len(images) == 1 else 'images'}: {each}"


def _quote(text: str) -> str:
    short = " ".join(text[: 2 * _QUOTE].split())[:_QUOTE]
    return f"“{short}{'…' if len(text) > len(short) else ''}”"
