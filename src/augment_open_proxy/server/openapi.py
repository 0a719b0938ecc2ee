"""Our own OpenAPI document, made of the structs that requests are read into and replies are written from.

To describe a route, add a line to `APIS`; a test fails until each route of the application has one. Nothing imports
this module before the document is asked for.
"""

import re
from functools import cache
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from augment_open_proxy import __version__
from augment_open_proxy.dialects import openai_errors
from augment_open_proxy.dialects.anthropic_messages import wire as messages
from augment_open_proxy.dialects.openai_chat import stored as chats
from augment_open_proxy.dialects.openai_chat import wire as chat
from augment_open_proxy.dialects.openai_completions import wire as completions
from augment_open_proxy.dialects.openai_lists import _List as List
from augment_open_proxy.dialects.openai_responses import compaction, conversations
from augment_open_proxy.dialects.openai_responses import wire as responses
from augment_open_proxy.server import models
from augment_open_proxy.server.openapi_schemas import Schema, Schemas, parameters

JSON, LINES, STREAM, PAGE = "application/json", "application/x-jsonl", "text/event-stream", "text/html"
DESCRIPTION = """\
Paths below /v1 also answer without it, and HEAD wherever GET does. Fields that are not listed are accepted. \
What each field does is told in API.md."""


class Operation(Struct, frozen=True):
    """A method of a path. A tuple of structs is an object with the fields of all of them.

    A body that has no required field may be left out. The reply comes in any of the `media`.
    """

    method: str
    path: str
    summary: str
    body: type[Struct] | None = None
    reply: Any = None
    query: type[Struct] | None = None
    media: tuple[str, ...] = (JSON,)
    status: int = 200


class Api(Struct, frozen=True):
    """Operations that tell errors in the same shape."""

    name: str
    error: Any
    operations: tuple[Operation, ...]


# ---------------------------------------- queries, and what has no struct elsewhere


class Status(Struct, frozen=True):
    status: str
    service: str
    version: str


class Probe(Struct, frozen=True):
    status: Literal["ok", "unavailable"]
    reason: str | UnsetType = UNSET


class Page(Struct, frozen=True):
    limit: int = 20
    order: Literal["asc", "desc"] = "desc"
    after: str | None = None


class ForwardPage(Page, frozen=True):
    order: Literal["asc", "desc"] = "asc"


class CompletionsPage(ForwardPage, frozen=True):
    model: str | None = None


class MessagesPage(Struct, frozen=True):
    """Of lists as Anthropic's API has them."""

    limit: int = 20
    after_id: str | None = None
    before_id: str | None = None


class ModelsPage(MessagesPage, frozen=True):
    client_version: str | None = None


class Retrieval(Struct, frozen=True):
    stream: Literal["true", "false"] = "false"
    starting_after: int | None = None
    include: str | None = None


# ------------------------------------------------------------------------ the table

_OPENAI, _ANTHROPIC = openai_errors.ErrorBody, messages.ErrorBody
_COMPLETION = (chat.Completion, chats._Echo)
_RESPONSE = (responses.Response, responses.Echo)
_BOTH = (JSON, STREAM)

APIS = (
    Api(
        "Probes",
        Probe,
        (
            Operation("GET", "/livez", "Whether the proxy runs", reply=Probe),
            Operation("GET", "/readyz", "Whether it takes requests", reply=Probe),
        ),
    ),
    Api(
        "Proxy",
        _OPENAI | _ANTHROPIC,
        (
            Operation("GET", "/", "What this is", reply=Status),
            Operation("GET", "/api/hello", "What this is, for Claude Code", reply=Status),
            Operation("GET", "/v1/openapi.json", "This document", reply=dict[str, Any]),
            Operation("GET", "/docs", "This document, as a page", media=(PAGE,)),
            Operation("GET", "/v1/models", "List models", reply=models.ModelList | dict[str, Any], query=ModelsPage),
            Operation("GET", "/v1/models/{name}", "Show a model", reply=models.ModelObject),
        ),
    ),
    Api(
        "Chat completions",
        _OPENAI,
        (
            Operation("POST", "/v1/chat/completions", "Answer a chat", chat.Request, chat.Completion, media=_BOTH),
            Operation("GET", "/v1/chat/completions", "List stored completions", reply=List, query=CompletionsPage),
            Operation("GET", "/v1/chat/completions/{id}", "Show a stored completion", reply=_COMPLETION),
            Operation("POST", "/v1/chat/completions/{id}", "Replace its metadata", chats._Change, _COMPLETION),
            Operation("DELETE", "/v1/chat/completions/{id}", "Delete a stored completion", reply=chats._Deleted),
            Operation("GET", "/v1/chat/completions/{id}/messages", "List its messages", reply=List, query=ForwardPage),
        ),
    ),
    Api(
        "Completions",
        _OPENAI,
        (
            Operation(
                "POST",
                "/v1/completions",
                "Continue a text",
                completions.Request,
                completions.Completion,
                media=_BOTH,
            ),
        ),
    ),
    Api(
        "Responses",
        _OPENAI,
        (
            Operation("POST", "/v1/responses", "Respond", responses.Request, _RESPONSE, media=_BOTH),
            Operation("GET", "/v1/responses", "Open a WebSocket", media=(), status=101),
            Operation(
                "GET", "/v1/responses/{id}", "Show or stream a response", reply=_RESPONSE, query=Retrieval, media=_BOTH
            ),
            Operation("DELETE", "/v1/responses/{id}", "Delete a response", reply=responses.Deleted),
            Operation("POST", "/v1/responses/{id}/cancel", "End a background response", reply=_RESPONSE),
            Operation("GET", "/v1/responses/{id}/input_items", "List its input", reply=List, query=Page),
            Operation("POST", "/v1/responses/input_tokens", "Count tokens", responses.Request, responses.InputTokens),
            Operation(
                "POST",
                "/v1/responses/compact",
                "Compact a conversation",
                responses.CompactionRequest,
                compaction._Compacted,
            ),
        ),
    ),
    Api(
        "Conversations",
        _OPENAI,
        (
            Operation(
                "POST", "/v1/conversations", "Make a conversation", conversations._New, conversations._Conversation
            ),
            Operation("GET", "/v1/conversations/{id}", "Show a conversation", reply=conversations._Conversation),
            Operation(
                "POST",
                "/v1/conversations/{id}",
                "Replace its metadata",
                conversations._Change,
                conversations._Conversation,
            ),
            Operation("DELETE", "/v1/conversations/{id}", "Delete a conversation", reply=conversations._Deleted),
            Operation("GET", "/v1/conversations/{id}/items", "List its items", reply=List, query=Page),
            Operation("POST", "/v1/conversations/{id}/items", "Add items", conversations._Added, List),
            Operation("GET", "/v1/conversations/{id}/items/{item}", "Show an item", reply=dict[str, Any]),
            Operation(
                "DELETE", "/v1/conversations/{id}/items/{item}", "Delete an item", reply=conversations._Conversation
            ),
        ),
    ),
    Api(
        "Messages",
        _ANTHROPIC,
        (
            Operation("POST", "/v1/messages", "Answer messages", messages.Request, messages.ReplyMessage, media=_BOTH),
            Operation(
                "POST", "/v1/messages/count_tokens", "Count tokens", messages.CountTokensRequest, messages.TokenCount
            ),
            Operation("POST", "/v1/messages/batches", "Make a batch", messages.BatchBody, messages.MessageBatch),
            Operation("GET", "/v1/messages/batches", "List batches", reply=messages.BatchList, query=MessagesPage),
            Operation("GET", "/v1/messages/batches/{id}", "Show a batch", reply=messages.MessageBatch),
            Operation("DELETE", "/v1/messages/batches/{id}", "Delete a batch", reply=messages.DeletedBatch),
            Operation("POST", "/v1/messages/batches/{id}/cancel", "Cancel a batch", reply=messages.MessageBatch),
            Operation("GET", "/v1/messages/batches/{id}/results", "Its results, a line each", media=(LINES,)),
        ),
    ),
)


# --------------------------------------------------------------------- the document


@cache
def document() -> bytes:
    """The document, as JSON."""
    read, written = Schemas(written=False), Schemas(written=True)
    paths: dict[str, Schema] = {}
    for api in APIS:
        for operation in api.operations:
            described = _described(api, operation, read, written)
            paths.setdefault(operation.path, {})[operation.method.lower()] = described
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {"title": "augment-open-proxy", "version": __version__, "description": DESCRIPTION},
            "security": [{}, {"bearer": []}, {"key": []}],
            "tags": [{"name": api.name} for api in APIS],
            "paths": paths,
            "components": {
                "securitySchemes": {
                    "bearer": {"type": "http", "scheme": "bearer"},
                    "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
                },
                "schemas": read.components | written.components,
            },
        }
    )


def _described(api: Api, operation: Operation, read: Schemas, written: Schemas) -> Schema:
    names = re.findall(r"{(\w+)}", operation.path)
    described: Schema = {
        "tags": [api.name],
        "summary": operation.summary,
        "operationId": f"{operation.method.lower()}{re.sub(r'[^a-z]+', '_', operation.path.removeprefix('/v1'))}",
        "parameters": [
            *({"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names),
            *(parameters(operation.query) if operation.query else ()),
        ],
        "responses": {
            str(operation.status): {
                "description": operation.summary,
                "content": {kind: _content(kind, operation.reply, written) for kind in operation.media},
            },
            "default": {"description": "An error", "content": {JSON: {"schema": written.of(api.error)}}},
        },
    }
    if operation.body is not None:
        described["requestBody"] = {
            "required": any(field.required for field in msgspec.structs.fields(operation.body)),
            "content": {JSON: {"schema": read.of(operation.body)}},
        }
    return described


def _content(media_type: str, reply: Any, written: Schemas) -> Schema:
    if media_type == STREAM:
        return {"schema": {}}  # tools take what is said of it for each event's data, which has many forms
    return {"schema": {"type": "string"} if media_type != JSON else written.of(reply)}
