"""Core → backend: the body of `POST /chat-stream`, equal to what the official SDK sends for the same conversation.

A system message becomes a text node `System: …`, an assistant message closes a history entry, what is pending at the
end is the current turn. Beyond the SDK, which drops them: images, in messages and in tool results.
"""

import msgspec

from augment_open_proxy import __version__
from augment_open_proxy.core.conversation import (
    Attachment,
    ChatRequest,
    Image,
    Message,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from augment_open_proxy.upstream import wire

IMAGE_FORMATS = {
    "image/png": wire.ImageFormat.PNG,
    "image/jpeg": wire.ImageFormat.JPEG,
    "image/gif": wire.ImageFormat.GIF,
    "image/webp": wire.ImageFormat.WEBP,
}
_encoder = msgspec.json.Encoder()


def encode(request: ChatRequest, model_id: str, conversation_id: str) -> bytes:
    """The request body. `model_id` is the backend's id, with its effort suffix; `conversation_id` a UUID."""
    history: list[wire.HistoryEntry] = []
    turn = _Turn()
    for text in request.system:
        turn.add_system(text)
    for message in request.messages:
        match message.role:
            case "system":
                turn.add_system("".join(part.text for part in message.content if isinstance(part, Text)))
            case "user":
                turn.add_user(message)
            case "assistant":
                history.append(turn.closed_by(message))
                turn = _Turn()
    return _encoder.encode(
        wire.ChatStreamRequest(
            mode=_mode(model_id),
            model=model_id,
            message=turn.text(),
            nodes=turn.nodes,
            chat_history=history,
            conversation_id=conversation_id,
            tool_definitions=[_tool(tool) for tool in request.tools if isinstance(tool, Tool)] or msgspec.UNSET,
        )
    )


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


class _Turn:
    """What precedes an assistant message (or the end): its nodes and the text of its message."""

    def __init__(self) -> None:
        self.nodes: list[wire.RequestNode] = []
        self._texts: list[str] = []

    def text(self) -> str:
        return "".join(self._texts)

    def add_system(self, text: str) -> None:
        if text:
            self.nodes.append(wire.TextNode(len(self.nodes), wire.TextContent(f"System: {text}")))
            self._texts.append(f"System: {text}\n\n")

    def add_user(self, message: Message) -> None:
        texts: list[str] = []
        for part in message.content:
            match part:
                case Text(text):
                    self.nodes.append(wire.TextNode(len(self.nodes), wire.TextContent(text)))
                    texts.append(text)
                case Image():
                    self.nodes.append(wire.ImageNode(len(self.nodes), _image(part)))
                case ToolResult():
                    self.nodes.append(wire.ToolResultNode(len(self.nodes), _tool_result(part)))
                case Thinking() | ToolCall() | Attachment():
                    raise ValueError("thinking and tool calls belong to assistant messages, attachments are resolved")
        text = "".join(texts)
        if text:
            if self._texts:
                self._texts.append("\n")
            self._texts.append(text)

    def closed_by(self, message: Message) -> wire.HistoryEntry:
        nodes: list[wire.HistoryNode] = []
        texts: list[str] = []
        for part in message.content:
            match part:
                case Text(text):
                    nodes.append(wire.RawResponseNode(len(nodes), text))
                    texts.append(text)
                case Thinking(text):
                    nodes.append(wire.ThinkingNode(len(nodes), wire.ThinkingContent(text)))
                case ToolCall(id=id_, name=name, arguments=arguments):
                    nodes.append(wire.ToolUseNode(len(nodes), wire.ToolUse(id_, name, arguments)))
                case Image() | ToolResult() | Attachment():
                    raise ValueError("images and tool results belong to user messages")
        return wire.HistoryEntry(self.text(), self.nodes, "".join(texts), nodes)


def _image(image: Image) -> wire.ImageContent:
    return wire.ImageContent(image.data, IMAGE_FORMATS[image.media_type].value)


def _tool_result(result: ToolResult) -> wire.ToolResultContent:
    content = "\n".join(part.text for part in result.content if isinstance(part, Text))
    nodes: list[wire.ResultText | wire.ResultImage] | msgspec.UnsetType = msgspec.UNSET
    if any(isinstance(part, Image) for part in result.content):
        nodes = [
            wire.ResultImage(_image(part)) if isinstance(part, Image) else wire.ResultText(part.text)
            for part in result.content
            if not isinstance(part, Attachment)
        ]
    return wire.ToolResultContent(result.call_id, content, result.is_error, nodes)


def _tool(tool: Tool) -> wire.ToolDefinition:
    return wire.ToolDefinition(tool.name, tool.description, bytes(tool.schema).decode())
