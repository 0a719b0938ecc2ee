"""A received request: its structs, and the checks that the backend makes of it.

Stricter than the backend may be where that finds mistakes of an encoder (unknown fields, node ids, headers), yet
everything that the official SDK sends passes.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET, Struct, UnsetType

from augment_open_proxy.upstream.wire import ImageFormat, RequestNodeType, ResponseNodeType

GEMINI_CALL = "toolu_aug_vrtx_gemini_"
_EMPTY_TURN = "Unidentified internal error"


class Refused(Exception):  # noqa: N818 (an answer of the backend, named as such)
    """The backend answers with `status` and `{"error": message}`."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class _Strict(Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Text(_Strict, frozen=True):
    content: str


class Image(_Strict, frozen=True):
    image_data: str
    format: int

    @property
    def size(self) -> int:
        """Bytes of the picture itself."""
        return len(self.image_data) * 3 // 4 - self.image_data[-2:].count("=")


class ResultNode(_Strict, frozen=True):
    type: int
    text_content: str | None = None
    image_content: Image | None = None


class ToolResult(_Strict, frozen=True):
    tool_use_id: str
    content: str
    is_error: bool
    content_nodes: tuple[ResultNode, ...] = ()


class RequestNode(_Strict, frozen=True):
    id: int
    type: int
    text_node: Text | None = None
    tool_result_node: ToolResult | None = None
    image_node: Image | None = None


class ToolUse(_Strict, frozen=True):
    tool_use_id: str
    tool_name: str
    input_json: str


class HistoryNode(_Strict, frozen=True):
    id: int
    type: int
    content: str | None = None
    tool_use: ToolUse | None = None
    thinking: Text | None = None


class HistoryEntry(_Strict, frozen=True):
    request_message: str
    request_nodes: tuple[RequestNode, ...]
    response_text: str
    response_nodes: tuple[HistoryNode, ...]


class ToolDefinition(_Strict, frozen=True):
    name: str
    description: str
    input_schema_json: str

    def schema(self) -> dict[str, Any]:
        return msgspec.json.decode(self.input_schema_json, type=dict[str, Any])


class ChatStreamRequest(_Strict, frozen=True):
    mode: str
    model: str
    message: str
    nodes: tuple[RequestNode, ...]
    chat_history: tuple[HistoryEntry, ...]
    conversation_id: str
    tool_definitions: tuple[ToolDefinition, ...] | UnsetType = UNSET

    @property
    def tools(self) -> tuple[ToolDefinition, ...]:
        return self.tool_definitions or ()


_decode = msgspec.json.Decoder(ChatStreamRequest).decode


def check(headers: Mapping[str, str], body: bytes, token: str) -> ChatStreamRequest:
    """The decoded request. `headers` has lower-case names. Raises `Refused`, which names the violation."""
    if headers.get("authorization") != f"Bearer {token}":
        raise Refused(401, "Unauthorized: the bearer token is missing or unknown")
    for name, (accepts, expected) in _HEADERS.items():
        _demand(accepts(headers.get(name, "")), f"header {name} must be {expected}")
    session = headers["x-request-session-id"]
    _demand(headers.get("conversation-id") == session, "header conversation-id must equal X-Request-Session-Id")
    try:
        request = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(400, f"the body is not a chat-stream request: {error}") from None
    _demand(request.conversation_id == session, "conversation_id must equal the header conversation-id")
    _check_fields(request)
    if not request.message and not request.nodes:
        raise Refused(400, _EMPTY_TURN)
    _check_calls_and_results(request)
    return request


def check_model(request: ChatStreamRequest) -> None:
    """The troubles of single models. Raises `Refused`."""
    for applies, refused in _MODEL_TROUBLES:
        if applies(request):
            raise Refused(*refused)


def turns(request: ChatStreamRequest) -> tuple[tuple[RequestNode, ...], ...]:
    """The request nodes of each turn, the current one last."""
    return (*(entry.request_nodes for entry in request.chat_history), request.nodes)


def results(nodes: tuple[RequestNode, ...]) -> tuple[ToolResult, ...]:
    """The tool results of one turn."""
    return tuple(node.tool_result_node for node in nodes if node.tool_result_node is not None)


# -------------------------------------------------------------------- checks


def _demand(holds: bool, message: str) -> None:
    if not holds:
        raise Refused(400, message)


def _is_uuid(value: str) -> bool:
    try:
        return str(UUID(value)) == value.lower()
    except ValueError:
        return False


_HEADERS: dict[str, tuple[Callable[[str], bool], str]] = {
    "content-type": (lambda value: value.partition(";")[0].strip().lower() == "application/json", "application/json"),
    "x-request-id": (_is_uuid, "a UUID"),
    "x-request-session-id": (_is_uuid, "a UUID"),
    "x-mode": (lambda value: value == "sdk", "sdk"),
    "user-agent": (lambda value: re.match(r"[^\s/]+/\S", value) is not None, "<name>/<version>"),
}


def _check_fields(request: ChatStreamRequest) -> None:
    _demand(request.mode in ("CLI_AGENT", "CHAT"), f"mode {request.mode!r} is not known")
    _demand(request.model != "", "model must not be empty")
    _check_request_nodes(request.nodes, "nodes")
    for index, entry in enumerate(request.chat_history):
        _check_request_nodes(entry.request_nodes, f"chat_history[{index}].request_nodes")
        _check_history_nodes(entry.response_nodes, f"chat_history[{index}].response_nodes")
    if request.tool_definitions is not UNSET:
        _demand(bool(request.tool_definitions), "tool_definitions must be absent when there are none")
    for tool in request.tools:
        _check_tool(tool)


def _check_request_nodes(nodes: tuple[RequestNode, ...], path: str) -> None:
    for index, node in enumerate(nodes):
        where = f"{path}[{index}]"
        _demand(node.id == index, f"{where}.id must be {index}, counted from 0")
        match node:
            case RequestNode(type=RequestNodeType.TEXT, text_node=Text(), tool_result_node=None, image_node=None):
                pass
            case RequestNode(
                type=RequestNodeType.TOOL_RESULT,
                text_node=None,
                tool_result_node=ToolResult() as result,
                image_node=None,
            ):
                _check_result(result, f"{where}.tool_result_node")
            case RequestNode(
                type=RequestNodeType.IMAGE, text_node=None, tool_result_node=None, image_node=Image() as image
            ):
                _check_image(image, f"{where}.image_node")
            case _:
                raise Refused(400, f"{where} is not of a known type with its payload, and no other (type {node.type})")


def _check_result(result: ToolResult, path: str) -> None:
    for index, node in enumerate(result.content_nodes):
        match node:
            case ResultNode(type=1, text_content=str(), image_content=None):
                pass
            case ResultNode(type=2, text_content=None, image_content=Image() as image):
                _check_image(image, f"{path}.content_nodes[{index}].image_content")
            case _:
                raise Refused(400, f"{path}.content_nodes[{index}] is not of type 1 with text or 2 with an image")


def _check_image(image: Image, path: str) -> None:
    _demand(image.format in set(ImageFormat), f"{path}.format {image.format} is not known")
    try:
        data = base64.b64decode(image.image_data, validate=True)
    except (binascii.Error, ValueError):
        raise Refused(400, f"{path}.image_data is not base64 without a data: prefix") from None
    _demand(data != b"", f"{path}.image_data is empty")


def _check_history_nodes(nodes: tuple[HistoryNode, ...], path: str) -> None:
    for index, node in enumerate(nodes):
        _demand(node.id == index, f"{path}[{index}].id must be {index}, counted from 0")
        match node:
            case HistoryNode(type=ResponseNodeType.RAW_RESPONSE, content=str(), tool_use=None, thinking=None):
                pass
            case HistoryNode(type=ResponseNodeType.TOOL_USE, content=None, tool_use=ToolUse(), thinking=None):
                pass
            case HistoryNode(type=ResponseNodeType.THINKING, content=None, tool_use=None, thinking=Text()):
                pass
            case _:
                raise Refused(400, f"{path}[{index}] is not of a known type with its payload, and no other")


def _check_tool(tool: ToolDefinition) -> None:
    _demand(tool.name != "", "a tool's name must not be empty")
    try:
        tool.schema()
    except msgspec.DecodeError:
        raise Refused(400, f"input_schema_json of the tool {tool.name} is not a JSON object") from None


def _check_calls_and_results(request: ChatStreamRequest) -> None:
    calls: dict[str, None] = {}
    responses = (*(entry.response_nodes for entry in request.chat_history), ())
    for index, (nodes, response) in enumerate(zip(turns(request), responses, strict=True)):
        answered = {result.tool_use_id: None for result in results(nodes)}
        for call in calls:
            _demand(call in answered, f"turn {index}: tool_use {call} has no tool_result in the turn after it")
        for result in answered:
            _demand(result in calls, f"turn {index}: tool_result {result} has no tool_use in the turn before it")
        calls = {node.tool_use.tool_use_id: None for node in response if node.tool_use is not None}


# ------------------------------------------------------------ single models

_MISSING_EFFORT = re.compile(
    r"claude-(opus-4-6|opus-4-6-500k|sonnet-4-6-500k|opus-4-7-500k)-(minimal|low|medium|high|xhigh|max)"
)


def _has_gemini_calls(request: ChatStreamRequest) -> bool:
    return any(
        node.tool_use is not None and node.tool_use.tool_use_id.startswith(GEMINI_CALL)
        for entry in request.chat_history
        for node in entry.response_nodes
    )


_MODEL_TROUBLES: tuple[tuple[Callable[[ChatStreamRequest], bool], tuple[int, str]], ...] = (
    (
        lambda request: _MISSING_EFFORT.fullmatch(request.model) is not None,
        (404, "Model not found"),
    ),
    (
        lambda request: request.model.startswith("claude-sonnet-5") and request.mode == "CLI_AGENT",
        (500, "Internal server error"),
    ),
    (
        lambda request: request.model.startswith("gemini-") and _has_gemini_calls(request),
        (400, "Function call is missing a thought_signature in functionCall parts: Thought signature is not valid."),
    ),
)
