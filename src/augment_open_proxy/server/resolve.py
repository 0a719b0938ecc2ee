"""What is not content yet → content: pictures and documents behind URLs, the text of PDFs, sealed summaries."""

import asyncio
from collections.abc import Mapping

import msgspec

from augment_open_proxy.core.conversation import (
    Attachment,
    ChatRequest,
    Image,
    Message,
    Part,
    Text,
    ToolResult,
    kinds_of,
)
from augment_open_proxy.core.errors import ProxyError, invalid_request
from augment_open_proxy.dialects.data_url import bytes_from_base64, image_from_bytes
from augment_open_proxy.policies.seal import SUMMARY, unseal
from augment_open_proxy.server.files import Fetched, Files
from augment_open_proxy.server.pdf import NoTextError, extract_text

Content = Text | Image
_PDF = b"%PDF-"


class Resolver:
    """Puts content in the place of attachments."""

    def __init__(self, files: Files, secret: bytes) -> None:
        """`secret` opens sealed summaries."""
        self._files = files
        self._secret = secret

    async def resolve(self, request: ChatRequest) -> ChatRequest:
        """The request without attachments. Raises `ProxyError` that names the field whose content can't be had."""
        if Attachment not in kinds_of(request.messages):
            return request
        attachments = {part: None for message in request.messages for part in _attachments(message.content)}
        by_url = [(part.url, part.param) for part in attachments if part.url is not None]
        files = dict(zip([url for url, _ in by_url], await self._files.fetch_all(by_url), strict=True))
        contents = {part: await self._content(part, files) for part in attachments}
        messages = tuple(
            Message(message.role, tuple(_resolved(part, contents) for part in message.content))
            for message in request.messages
        )
        return msgspec.structs.replace(request, messages=messages)

    async def _content(self, part: Attachment, files: Mapping[str, Fetched]) -> Content:
        if part.kind == "summary":
            return _summary(part, self._secret)
        file = files[part.url] if part.url is not None else Fetched("application/pdf", _decoded(part))
        if part.kind == "image":
            return image_from_bytes(file.data, part.param)
        heading = f"Document: {part.title}\n" if part.title else ""
        return Text(heading + await _document_text(file, part.param))


def _summary(part: Attachment, secret: bytes) -> Text:
    text = unseal(secret, part.data or "", "", purpose=SUMMARY)
    if text is None:
        raise invalid_request(
            f"{part.param}: this compaction was not made here (or with another AOP_SECRET), so it can't be read; "
            "send the conversation itself.",
            part.param,
        )
    return Text(f"Summary of the conversation so far:\n\n{text}")


def _attachments(parts: tuple[Part, ...]) -> list[Attachment]:
    found: list[Attachment] = []
    for part in parts:
        if isinstance(part, Attachment):
            found.append(part)
        elif isinstance(part, ToolResult):
            found += (inner for inner in part.content if isinstance(inner, Attachment))
    return found


def _resolved(part: Part, contents: Mapping[Attachment, Content]) -> Part:
    if isinstance(part, Attachment):
        return contents[part]
    if isinstance(part, ToolResult) and any(isinstance(inner, Attachment) for inner in part.content):
        content = tuple(contents[inner] if isinstance(inner, Attachment) else inner for inner in part.content)
        return msgspec.structs.replace(part, content=content)
    return part


def _decoded(part: Attachment) -> bytes:
    return bytes_from_base64(part.data or "", part.param)


async def _document_text(file: Fetched, param: str) -> str:
    if file.data[:1024].lstrip().startswith(_PDF):
        try:
            return await asyncio.to_thread(extract_text, file.data)
        except NoTextError as error:
            raise _no_text(param, str(error)) from error
    if file.media_type.startswith("text/"):
        return file.data.decode(errors="replace")
    raise _no_text(param, "it is neither a PDF nor text")


def _no_text(param: str, why: str) -> ProxyError:
    return invalid_request(f"No text can be read from the document in {param}: {why}.", param)
