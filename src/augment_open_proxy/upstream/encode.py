"""Core → backend: the body of `POST /chat-stream`, equal to what the official SDK sends for the same conversation.

A system message becomes a text node `System: …`, an assistant message closes a history entry, what is pending at the
end is the current turn. Beyond the SDK, which drops them: images, in messages and in tool results.
"""

from collections.abc import Callable, Sequence
from functools import partial

import msgspec

from augment_open_proxy import __version__
from augment_open_proxy.core.conversation import (
    Attachment,
    ChatRequest,
    CustomTool,
    Image,
    Message,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    parts_of,
)
from augment_open_proxy.core.remembered import ByIdentity
from augment_open_proxy.core.steps import Steps, whole
from augment_open_proxy.upstream import wire

IMAGE_FORMATS = {
    "image/png": wire.ImageFormat.PNG,
    "image/jpeg": wire.ImageFormat.JPEG,
    "image/gif": wire.ImageFormat.GIF,
    "image/webp": wire.ImageFormat.WEBP,
}
_LARGE = 64 * 1024
"""Characters of a text past which its JSON is written ahead, once for all places, and in pieces of this size."""
_AT_ONCE = 1024 * 1024
"""Characters of a conversation past which its history is written in steps."""
_ENTRIES = 16
"""History entries that are written in one such step."""
_json = msgspec.json.Encoder().encode


def encode(request: ChatRequest, model_id: str, conversation_id: str) -> bytes:
    """The request body. `model_id` is the backend's id, with its effort suffix; `conversation_id` a UUID."""
    return whole(encode_in_steps(request, model_id, conversation_id))


def encode_in_steps(request: ChatRequest, model_id: str, conversation_id: str) -> Steps[bytes]:
    """The same for requests that may be large."""
    texts = _texts(request)
    large = yield from _written_ahead(texts)
    join: _Join = partial(_joined, large) if large else "".join
    is_long = sum(map(len, texts)) > _AT_ONCE
    history: list[wire.HistoryEntry] = []
    written: list[msgspec.Raw] = []
    turn = _Turn(join)
    for text in request.system:
        turn.add_system(text)
    for message in request.messages:
        match message.role:
            case "system":
                turn.add_system("".join([part.text for part in message.content if isinstance(part, Text)]))
            case "user":
                turn.add_user(message)
            case "assistant":
                history.append(turn.closed_by(message))
                turn = _Turn(join)
                if is_long and len(history) == _ENTRIES:
                    written.append(_entries(history))
                    history = []
                    yield
    return _json(
        wire.ChatStreamRequest(
            mode=_mode(model_id),
            model=model_id,
            message=turn.text(),
            nodes=turn.nodes,
            chat_history=[*written, *history],
            conversation_id=conversation_id,
            tool_definitions=_definitions(request.tools) if request.tools else msgspec.UNSET,
        )
    )


def _entries(history: list[wire.HistoryEntry]) -> msgspec.Raw:
    """Entries as they stand in a list, with commas between."""
    return msgspec.Raw(_json(history)[1:-1])


def request_headers(token: str, request_id: str, conversation_id: str) -> dict[str, str]:
    """The headers of a request, as the SDK sends them, under our own name. The ids are UUIDs."""
    return {
        "Content-Type": "application/json",
        "Authorization": f"Bearer {token}",
        "X-Request-Session-Id": conversation_id,
        "X-Request-Id": request_id,
        "conversation-id": conversation_id,
        "X-Mode": "sdk",
        "User-Agent": f"augment-open-proxy/{__version__}",
    }


def _mode(model_id: str) -> str:
    # claude-sonnet-5 answers 500 in the default mode.
    return "CHAT" if model_id.startswith("claude-sonnet-5") else "CLI_AGENT"


# ------------------------------------------------------------------- texts

_Join = Callable[[Sequence[str]], wire.Written]
"""Texts → what is encoded for all of them as one."""


def _texts(request: ChatRequest) -> list[str]:
    texts = [*request.system]
    for part in parts_of(request.messages):
        if type(part) is Text or type(part) is Thinking:
            texts.append(part.text)
        elif type(part) is ToolResult:
            texts += [inner.text for inner in part.content if type(inner) is Text]
    return texts


def _written_ahead(texts: list[str]) -> Steps[dict[int, msgspec.Raw]]:
    """The JSON of the large ones, by their identity."""
    large: dict[int, msgspec.Raw] = {}
    for text in texts:
        if len(text) > _LARGE:
            pieces = [b'"']
            for start in range(0, len(text), _LARGE):
                pieces.append(_json(text[start : start + _LARGE])[1:-1])
                yield
            large[id(text)] = msgspec.Raw(b"".join([*pieces, b'"']))
    return large


def _joined(large: dict[int, msgspec.Raw], texts: Sequence[str]) -> wire.Written:
    if large.keys().isdisjoint(map(id, texts)):
        return "".join(texts)
    if len(texts) == 1:
        return large[id(texts[0])]
    written = [memoryview(large.get(id(text)) or _json(text))[1:-1] for text in texts]
    return msgspec.Raw(b"".join([b'"', *written, b'"']))


# ------------------------------------------------------------------- turns


class _Turn:
    """What precedes an assistant message (or the end): its nodes and the text of its message."""

    __slots__ = ("_join", "_texts", "nodes")

    def __init__(self, join: _Join) -> None:
        self.nodes: list[wire.RequestNode] = []
        self._texts: list[str] = []
        self._join = join

    def text(self) -> wire.Written:
        return self._join(self._texts)

    def add_system(self, text: str) -> None:
        if text:
            self.nodes.append(wire.TextNode(len(self.nodes), wire.TextContent(self._join(("System: ", text)))))
            self._texts += ("System: ", text, "\n\n")

    def add_user(self, message: Message) -> None:
        nodes, texts, join = self.nodes, [], self._join
        for part in message.content:
            if type(part) is Text:
                nodes.append(wire.TextNode(len(nodes), wire.TextContent(join((part.text,)))))
                texts.append(part.text)
            elif type(part) is ToolResult:
                nodes.append(wire.ToolResultNode(len(nodes), _tool_result(part, join)))
            elif type(part) is Image:
                nodes.append(wire.ImageNode(len(nodes), _image(part)))
            else:
                raise ValueError("thinking and tool calls belong to assistant messages, attachments are resolved")
        if any(texts):
            if self._texts:
                self._texts.append("\n")
            self._texts += texts

    def closed_by(self, message: Message) -> wire.HistoryEntry:
        nodes: list[wire.HistoryNode] = []
        texts: list[str] = []
        join = self._join
        for part in message.content:
            if type(part) is Text:
                nodes.append(wire.RawResponseNode(len(nodes), join((part.text,))))
                texts.append(part.text)
            elif type(part) is ToolCall:
                nodes.append(wire.ToolUseNode(len(nodes), wire.ToolUse(part.id, part.name, part.arguments)))
            elif type(part) is Thinking:
                nodes.append(wire.ThinkingNode(len(nodes), wire.ThinkingContent(join((part.text,)))))
            else:
                raise ValueError("images and tool results belong to user messages")
        return wire.HistoryEntry(self.text(), self.nodes, join(texts), nodes)


def _image(image: Image) -> wire.ImageContent:
    return wire.ImageContent(image.data, IMAGE_FORMATS[image.media_type].value)


def _tool_result(result: ToolResult, join: _Join) -> wire.ToolResultContent:
    texts: list[str] = []
    has_images = False
    for part in result.content:
        if type(part) is Text:
            texts += ("\n", part.text) if texts else (part.text,)
        elif type(part) is Image:
            has_images = True
    nodes: list[wire.ResultText | wire.ResultImage] | msgspec.UnsetType = msgspec.UNSET
    if has_images:
        nodes = [
            wire.ResultImage(_image(part)) if isinstance(part, Image) else wire.ResultText(join((part.text,)))
            for part in result.content
            if not isinstance(part, Attachment)
        ]
    return wire.ToolResultContent(result.call_id, join(texts), result.is_error, nodes)


def _tool(tool: Tool) -> wire.ToolDefinition:
    return wire.ToolDefinition(tool.name, tool.description, bytes(tool.schema).decode())


def _written_tools(tools: tuple[Tool | CustomTool, ...]) -> msgspec.Raw | msgspec.UnsetType:
    """The JSON of the list."""
    definitions = [_tool(tool) for tool in tools if isinstance(tool, Tool)]
    return msgspec.Raw(_json(definitions)) if definitions else msgspec.UNSET


_definitions = ByIdentity(_written_tools)
