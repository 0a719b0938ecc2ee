"""Anthropic's content blocks → parts. The Messages API is made of them, and Cursor sends them to Chat Completions."""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from augment_open_proxy.core.conversation import Attachment, Image, Part, Text, Thinking, ToolCall, ToolResult
from augment_open_proxy.core.errors import ErrorKind, Problem, ProxyError, invalid_request
from augment_open_proxy.dialects.data_url import image_from_base64

PDF = "application/pdf"


class Source(Struct, frozen=True):
    """Where the content of an image or document is."""

    type: str
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    content: "str | list[Block] | None" = None


class ChangedTool(Struct, frozen=True):
    """The tool that a system message adds or takes away, by its name or with its definition."""

    name: str | None = None
    definition: Raw = Raw()


class Block(Struct, frozen=True):
    """Any content block: the fields of all types that we read, most of them absent in each."""

    type: str
    text: str | None = None
    source: Source | str | None = None
    title: str | None = None
    context: str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: Raw = Raw()
    tool_use_id: str | None = None
    content: "str | list[Block] | dict[str, Any] | None" = None
    is_error: bool | None = None
    tool_name: str | None = None
    url: str | None = None
    tool: ChangedTool | None = None


def user_parts(block: Block, path: str) -> tuple[Part, ...]:
    """The parts in a block of a user's message. Raises `ProxyError` that names the block by its path."""
    match block.type:
        case "tool_result":
            return (_tool_result(block, path),)
        case "container_upload":
            raise invalid_request(f"{path}: files in containers do not exist on the Augment backend.", path)
    return content_parts(block, path)


def assistant_parts(block: Block, path: str) -> tuple[Part, ...]:
    """The parts in a block of an assistant's message."""
    match block.type:
        case "text":
            return (Text(_needed(block.text, path, "text")),)
        case "thinking":
            return (Thinking(block.thinking or "", block.signature or ""),)
        case "redacted_thinking":
            return (Thinking("", block.data or ""),)
        case "tool_use":
            return (_tool_call(block, path),)
        case "compaction" if block.content is None or isinstance(block.content, str):
            return (Text(block.content),) if block.content else ()
        case "fallback" | "mcp_tool_listing":  # they tell of the reply, and say nothing to the model
            return ()
    return _server_tool_part(block, path)


def content_parts(block: Block, path: str) -> tuple[Text | Image | Attachment, ...]:
    """The parts in a block that stands in a message or in a tool's result."""
    match block.type:
        case "text":
            return (Text(_needed(block.text, path, "text")),)
        case "image":
            return (_image(block, path),)
        case "document":
            return _document(block, path)
        case "search_result":
            source = block.source if isinstance(block.source, str) else ""
            return (Text(_titled("Search result", block.title or "", source, _texts(block.content, path))),)
        case "tool_reference":
            return (Text(f"Tool: {_needed(block.tool_name, path, 'tool_name')}"),)
    raise unsupported(block, path)


class UnsupportedBlockError(ProxyError):
    """A block of a type that cannot be carried to the backend at this place."""


def unsupported(block: Block, path: str) -> UnsupportedBlockError:
    """The refusal of a block."""
    message = f"{path}.type {block.type!r} cannot be sent to the Augment backend at this place."
    return UnsupportedBlockError(Problem(ErrorKind.INVALID_REQUEST, message, f"{path}.type"))


def _needed(value: str | None, path: str, field: str) -> str:
    if value is None:
        raise invalid_request(f"{path}.{field} is missing.", f"{path}.{field}")
    return value


# ----------------------------------------------------------- tools and results


def _tool_call(block: Block, path: str) -> ToolCall:
    arguments = bytes(block.input).decode()
    if arguments in ("", "null"):
        arguments = "{}"
    elif not arguments.lstrip().startswith("{"):
        raise invalid_request(f"{path}.input must be an object.", f"{path}.input")
    return ToolCall(_needed(block.id, path, "id"), _needed(block.name, path, "name"), arguments)


def _tool_result(block: Block, path: str) -> ToolResult:
    content: tuple[Text | Image | Attachment, ...]
    match block.content:
        case None:
            content = ()
        case str(text):
            content = (Text(text),)
        case list(blocks):
            content = tuple(
                part for i, inner in enumerate(blocks) for part in content_parts(inner, f"{path}.content[{i}]")
            )
        case _:
            raise invalid_request(f"{path}.content must be a string or a list of blocks.", f"{path}.content")
    return ToolResult(_needed(block.tool_use_id, path, "tool_use_id"), content, bool(block.is_error))


def _server_tool_part(block: Block, path: str) -> tuple[Part, ...]:
    """What a server tool did in an earlier turn, in words: the backend has no such tools."""
    match block.type:
        case "server_tool_use" | "mcp_tool_use":
            return (Text(f"[Called {block.name}: {bytes(block.input).decode() or '{}'}]"),)
        case kind if kind.endswith("_tool_result"):
            what = "Result (an error)" if block.is_error else "Result"
            return (Text(f"[{what} of {kind.removesuffix('_tool_result')}: {_server_result(block.content)}]"),)
    raise unsupported(block, path)


def _server_result(content: str | list[Block] | dict[str, Any] | None) -> str:
    match content:
        case str(text):
            return text
        case list(blocks):
            return "\n".join(" ".join(filter(None, (block.title, block.url, block.text))) for block in blocks)
        case None:
            return ""
        case fields:
            return msgspec.json.encode(_readable(fields)).decode()


def _readable(value: Any) -> Any:
    """A server tool's result without what only its server can read, and without files."""
    match value:
        case dict():
            is_file = value.get("type") == "base64"
            return {
                name: _readable(inner)
                for name, inner in value.items()
                if not name.startswith("encrypted_") and not (is_file and name == "data")
            }
        case list():
            return [_readable(inner) for inner in value]
        case _:
            return value


# -------------------------------------------------------- images and documents


def _image(block: Block, path: str) -> Image | Attachment:
    match block.source:
        case Source(type="base64", data=str(data)):
            return image_from_base64(data, f"{path}.source.data")
        case Source(type="url", url=str(url)):
            return Attachment("image", f"{path}.source.url", url=url)
    raise _bad_source(block, path, "base64 or url")


def _document(block: Block, path: str) -> tuple[Text | Image | Attachment, ...]:
    match block.source:
        case Source(type="text", data=str(data)):
            return (Text(_titled("Document", block.title or "", block.context or "", data)),)
        case Source(type="base64", data=str(data), media_type=media_type) if media_type in (None, PDF):
            return (Attachment("document", f"{path}.source.data", data=data, title=_name(block)),)
        case Source(type="base64", media_type=media_type):
            raise invalid_request(
                f"{path}.source.media_type must be {PDF}; it is {media_type!r}.", f"{path}.source.media_type"
            )
        case Source(type="url", url=str(url)):
            return (Attachment("document", f"{path}.source.url", url=url, title=_name(block)),)
        case Source(type="content", content=str(text)):
            return (Text(_titled("Document", block.title or "", block.context or "", text)),)
        case Source(type="content", content=list(blocks)):
            heading = (Text(f"Document: {_name(block)}\n"),) if _name(block) else ()
            inner = f"{path}.source.content"
            return (*heading, *(p for i, b in enumerate(blocks) for p in content_parts(b, f"{inner}[{i}]")))
    raise _bad_source(block, path, "text, base64, url or content")


def _name(block: Block) -> str | None:
    """Title and context of a document, as one."""
    context = f"({block.context})" if block.context else None
    return " ".join(filter(None, (block.title, context))) or None


def _bad_source(block: Block, path: str, accepted: str) -> ProxyError:
    kind = block.source.type if isinstance(block.source, Source) else None
    if kind == "file":
        return invalid_request(f"{path}.source: the Files API does not exist here; send the content.", f"{path}.source")
    return invalid_request(
        f"{path}.source must be of type {accepted}, with its fields; its type is {kind!r}.", f"{path}.source"
    )


def _titled(kind: str, title: str, context: str, text: str) -> str:
    heading = " ".join(filter(None, (f"{kind}:", title, f"({context})" if context else "")))
    return f"{heading}\n{text}" if title or context else text


def _texts(content: object, path: str) -> str:
    if not isinstance(content, list):
        return content if isinstance(content, str) else ""
    return "\n".join(_needed(block.text, f"{path}.content[{i}]", "text") for i, block in enumerate(content))
