"""Anthropic's content blocks → parts: every block of the API is carried, written out in words, or refused by its path.

Nothing is dropped in silence. The blocks are those of `BetaContentBlockParam` in Anthropic's SDK.
"""

import base64
import json
from typing import Any

import msgspec
import pytest

from augment_open_proxy.core.conversation import Attachment, Image, Part, Text, Thinking, ToolCall, ToolResult
from augment_open_proxy.core.errors import ErrorKind, Problem, ProxyError
from augment_open_proxy.dialects.blocks import Block, assistant_parts, user_parts

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
JPEG = base64.b64encode(b"\xff\xd8\xff\xe0").decode()
PDF = base64.b64encode(b"%PDF-1.7 and so on").decode()
PATH = "messages[0].content[0]"


def block(fields: dict[str, Any]) -> Block:
    return msgspec.json.decode(json.dumps(fields), type=Block)


def user(fields: dict[str, Any]) -> tuple[Part, ...]:
    return user_parts(block(fields), PATH)


def assistant(fields: dict[str, Any]) -> tuple[Part, ...]:
    return assistant_parts(block(fields), PATH)


def result(content: Any = None, **fields: Any) -> tuple[Part, ...]:
    return user({"type": "tool_result", "tool_use_id": "a", "content": content, **fields})


def words(parts: tuple[Part, ...]) -> str:
    """The text of parts that are all text."""
    return "\n".join(part.text for part in parts if isinstance(part, Text))


def refusal(fields: dict[str, Any], *, of: str) -> Problem:
    read = user_parts if of == "user" else assistant_parts
    with pytest.raises(ProxyError) as caught:
        read(block(fields), PATH)
    problem = caught.value.problem
    assert problem.kind is ErrorKind.INVALID_REQUEST
    assert problem.param is not None
    assert problem.param.startswith(PATH)
    assert problem.param in problem.message
    return problem


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


def picture(**source: Any) -> dict[str, Any]:
    return {"type": "image", "source": source or {"type": "base64", "media_type": "image/png", "data": PNG}}


def document(title: str | None = None, context: str | None = None, **source: Any) -> dict[str, Any]:
    return {"type": "document", "source": source, "title": title, "context": context, "citations": {"enabled": True}}


# --- Text and pictures ---


@pytest.mark.parametrize("value", ["Hi.", "", "a\0b", "\U0001f600 \u2028"])
def test_text_is_text_in_both_roles(value: str) -> None:
    assert user(text(value)) == assistant(text(value)) == (Text(value),)


def test_a_picture_in_base64_has_the_type_of_its_bytes() -> None:
    """Clients mislabel; the backend is told the type by number."""
    assert user(picture()) == (Image("image/png", PNG),)
    assert user(picture(type="base64", media_type="image/png", data=JPEG)) == (Image("image/jpeg", JPEG),)


def test_a_picture_by_url_is_fetched_later() -> None:
    url = "https://example.com/a.png"
    assert user(picture(type="url", url=url)) == (Attachment("image", f"{PATH}.source.url", url=url),)


@pytest.mark.parametrize(
    "source",
    [
        {"type": "base64", "media_type": "image/png", "data": "!"},
        {"type": "base64", "media_type": "image/bmp", "data": base64.b64encode(b"BM").decode()},
        {"type": "base64", "media_type": "image/png"},
        {"type": "url"},
        {"type": "telepathy"},
    ],
)
def test_a_picture_that_cannot_be_read_is_refused(source: dict[str, Any]) -> None:
    assert f"{PATH}.source" in (refusal(picture(**source), of="user").param or "")


@pytest.mark.parametrize("kind", ["image", "document"])
def test_files_of_the_files_api_are_refused_by_that_name(kind: str) -> None:
    problem = refusal({"type": kind, "source": {"type": "file", "file_id": "file_1"}}, of="user")
    assert "Files API" in problem.message


# --- Documents ---


def test_a_document_of_plain_text_is_its_text_under_title_and_context() -> None:
    source = {"type": "text", "media_type": "text/plain", "data": "Once upon a time."}
    assert user(document(**source)) == (Text("Once upon a time."),)
    told = words(user(document("Tale", "for children", **source)))
    assert told.endswith("\nOnce upon a time.")
    assert "Tale" in told
    assert "for children" in told


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"type": "base64", "media_type": "application/pdf", "data": PDF}, {"data": PDF}),
        ({"type": "url", "url": "https://example.com/a.pdf"}, {"url": "https://example.com/a.pdf"}),
    ],
)
def test_a_pdf_is_read_later(source: dict[str, Any], expected: dict[str, str]) -> None:
    (part,) = user(document("Tale", **source))
    assert isinstance(part, Attachment)
    (field,) = expected
    assert (part.kind, part.title, part.param) == ("document", "Tale", f"{PATH}.source.{field}")
    assert getattr(part, field) == expected[field]


@pytest.mark.parametrize(
    "source",
    [
        {"type": "base64", "media_type": "application/pdf", "data": PDF},
        {"type": "url", "url": "https://example.com/a.pdf"},
        {"type": "content", "content": "Once."},
        {"type": "content", "content": [text("Once.")]},
    ],
)
def test_the_context_of_a_document_is_kept_whatever_its_source(source: dict[str, Any]) -> None:
    assert "for children" in str(user(document("Tale", "for children", **source)))


def test_a_document_of_content_is_its_blocks() -> None:
    assert words(user(document("Tale", type="content", content="Once."))).endswith("Once.")
    parts = user(document("Tale", type="content", content=[text("Once."), picture()]))
    assert parts[1:] == (Text("Once."), Image("image/png", PNG))
    assert "Tale" in words(parts[:1])


@pytest.mark.parametrize(
    "source",
    [
        {"type": "base64", "media_type": "application/msword", "data": PDF},
        {"type": "base64", "media_type": "application/pdf"},
        {"type": "text"},
        {"type": "content"},
        {"type": "content", "content": [{"type": "thinking", "thinking": "Hm.", "signature": "x"}]},
        {"type": "unheard_of"},
    ],
)
def test_a_document_that_cannot_be_read_is_refused(source: dict[str, Any]) -> None:
    assert f"{PATH}.source" in (refusal(document(**source), of="user").param or "")


def test_a_document_without_source_is_refused() -> None:
    refusal({"type": "document"}, of="user")


# --- Search results ---


def test_a_search_result_keeps_title_source_and_texts() -> None:
    fields = {"type": "search_result", "title": "News", "source": "https://example.com/news"}
    told = words(user({**fields, "content": [text("One."), text("Two.")], "citations": {"enabled": False}}))
    for piece in ("News", "https://example.com/news", "One.", "Two."):
        assert piece in told
    refusal({**fields, "content": [{"type": "text"}]}, of="user")


# --- Thinking ---


def test_thinking_keeps_its_seal_to_be_checked() -> None:
    assert assistant({"type": "thinking", "thinking": "Hm.", "signature": "s"}) == (Thinking("Hm.", "s"),)
    assert assistant({"type": "thinking", "thinking": "", "signature": "s"}) == (Thinking("", "s"),)
    assert assistant({"type": "redacted_thinking", "data": "d"}) == (Thinking("", "d"),)


@pytest.mark.parametrize("fields", [{}, {"signature": None}, {"signature": ""}])
def test_thinking_without_a_signature_is_not_trusted(fields: dict[str, Any]) -> None:
    """vibe sends it without, Claude Code with an empty one: `None` would mean that there is nothing to check."""
    assert assistant({"type": "thinking", "thinking": "Hm.", **fields}) == (Thinking("Hm.", ""),)


# --- Calls and results ---


def test_a_call_has_its_input_as_json_text() -> None:
    fields: dict[str, Any] = {"type": "tool_use", "id": "a", "name": "run", "caller": {"type": "direct"}}
    (call,) = assistant({**fields, "input": {"path": "x", "deep": [1.5, None]}})
    assert isinstance(call, ToolCall)
    assert (call.id, call.name, call.custom) == ("a", "run", False)
    assert json.loads(call.arguments) == {"path": "x", "deep": [1.5, None]}
    for nothing in (fields, fields | {"input": None}, fields | {"input": {}}):
        assert assistant(nothing) == (ToolCall("a", "run", "{}"),)


@pytest.mark.parametrize("given", ["text", 5, [1], True])
def test_an_input_that_is_no_object_is_refused(given: Any) -> None:
    """The API wants a dictionary, and the backend's SDK sends nothing else."""
    problem = refusal({"type": "tool_use", "id": "a", "name": "run", "input": given}, of="assistant")
    assert problem.param == f"{PATH}.input"


@pytest.mark.parametrize("missing", ["id", "name"])
def test_a_call_needs_id_and_name(missing: str) -> None:
    fields = {"type": "tool_use", "id": "a", "name": "run", "input": {}}
    del fields[missing]
    assert refusal(fields, of="assistant").param == f"{PATH}.{missing}"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, ()),
        ([], ()),
        ("done", (Text("done"),)),
        ([text("a"), text("b")], (Text("a"), Text("b"))),
        ([text("Look:"), picture()], (Text("Look:"), Image("image/png", PNG))),
        ([document(type="text", data="Once.")], (Text("Once."),)),
        (
            [document(type="base64", media_type="application/pdf", data=PDF)],
            (Attachment("document", f"{PATH}.content[0].source.data", data=PDF),),
        ),
        (
            [text("x"), picture(type="url", url="https://a.example/b")],
            (Text("x"), Attachment("image", f"{PATH}.content[1].source.url", url="https://a.example/b")),
        ),
    ],
)
def test_a_result_is_a_string_blocks_or_nothing(content: Any, expected: tuple[Part, ...]) -> None:
    assert result(content) == (ToolResult("a", expected),)  # type: ignore[arg-type]
    assert result(content, is_error=False, cache_control={"type": "ephemeral"}) == result(content, is_error=None)


def test_a_result_may_lack_its_content_field() -> None:
    assert user({"type": "tool_result", "tool_use_id": "a"}) == (ToolResult("a", ()),)


def test_is_error_arrives() -> None:
    assert result("broken", is_error=True) == (ToolResult("a", (Text("broken"),), is_error=True),)


def test_search_results_and_tool_references_in_results_are_told() -> None:
    search = {"type": "search_result", "title": "News", "source": "s", "content": [text("One.")]}
    (found,) = result([search, {"type": "tool_reference", "tool_name": "deploy"}])
    assert isinstance(found, ToolResult)
    told = words(found.content)
    for piece in ("News", "One.", "deploy"):
        assert piece in told


def test_a_result_needs_the_id_of_its_call() -> None:
    assert refusal({"type": "tool_result", "content": "x"}, of="user").param == f"{PATH}.tool_use_id"


@pytest.mark.parametrize("inner", [{"type": "tool_use", "id": "b", "name": "n"}, {"type": "browser_state", "tabs": []}])
def test_what_a_result_cannot_hold_is_refused_by_its_place(inner: dict[str, Any]) -> None:
    problem = refusal({"type": "tool_result", "tool_use_id": "a", "content": [text("x"), inner]}, of="user")
    assert (problem.param or "").startswith(f"{PATH}.content[1]")


def test_a_result_whose_content_is_an_object_is_refused() -> None:
    assert refusal({"type": "tool_result", "tool_use_id": "a", "content": {}}, of="user").param == f"{PATH}.content"


# --- What Anthropic's servers did in earlier turns, in words ---

STDOUT = {"type": "code_execution_result", "stdout": "forty-two", "stderr": "", "return_code": 3, "content": []}
FOUND = {"type": "web_search_result", "title": "News", "url": "https://n.example", "encrypted_content": "SECRET"}
FETCHED = {"type": "web_fetch_result", "url": "https://n.example", "retrieved_at": "2026-11-23T00:00:00Z"}


@pytest.mark.parametrize(
    ("fields", "pieces"),
    [
        ({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}}, ["web_search", "q"]),
        ({"type": "server_tool_use", "id": "s", "name": "code_execution"}, ["code_execution"]),
        ({"type": "mcp_tool_use", "id": "m", "name": "echo", "server_name": "x", "input": {"a": 1}}, ["echo", "a"]),
        ({"type": "web_search_tool_result", "content": [FOUND]}, ["News", "https://n.example"]),
        ({"type": "web_search_tool_result", "content": []}, ["web_search"]),
        (
            {
                "type": "web_search_tool_result",
                "content": {"type": "web_search_tool_result_error", "error_code": "max_uses_exceeded"},
            },
            ["max_uses_exceeded"],
        ),
        (
            {
                "type": "web_fetch_tool_result",
                "content": {**FETCHED, "content": document("Page", type="text", data="All of it.")},
            },
            ["https://n.example", "Page", "All of it."],
        ),
        ({"type": "web_fetch_tool_result", "content": {"error_code": "url_not_allowed"}}, ["url_not_allowed"]),
        ({"type": "code_execution_tool_result", "content": STDOUT}, ["forty-two", "3"]),
        ({"type": "bash_code_execution_tool_result", "content": STDOUT}, ["forty-two"]),
        ({"type": "text_editor_code_execution_tool_result", "content": {"content": "file text"}}, ["file text"]),
        (
            {
                "type": "tool_search_tool_result",
                "content": {"tool_references": [{"type": "tool_reference", "tool_name": "deploy"}]},
            },
            ["deploy"],
        ),
        ({"type": "advisor_tool_result", "content": {"type": "advisor_result", "text": "Wait."}}, ["Wait."]),
        ({"type": "mcp_tool_result", "is_error": False, "content": [text("hello")]}, ["hello"]),
        ({"type": "mcp_tool_result", "content": "hello"}, ["hello"]),
        ({"type": "mcp_tool_result", "is_error": True, "content": [text("no route")]}, ["no route", "error"]),
        ({"type": "compaction", "content": "So far: all is well."}, ["So far: all is well."]),
    ],
)
def test_what_servers_did_is_told_in_words(fields: dict[str, Any], pieces: list[str]) -> None:
    told = words(assistant({"tool_use_id": "s", **fields}))
    assert "SECRET" not in told, "what is encrypted is for Anthropic's servers"
    for piece in pieces:
        assert piece in told


def test_a_pdf_that_a_server_fetched_is_not_spelled_out_in_base64() -> None:
    """Megabytes of it would fill the context, and tell the model nothing."""
    page = document("Page", type="base64", media_type="application/pdf", data=PDF * 100)
    told = words(assistant({"type": "web_fetch_tool_result", "content": {**FETCHED, "content": page}}))
    assert "https://n.example" in told
    assert PDF not in told


def test_a_compaction_that_failed_says_nothing() -> None:
    """Its content is null, and the API takes it for nothing (BetaCompactionBlockParam)."""
    assert assistant({"type": "compaction", "content": None}) == ()


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "container_upload", "file_id": "f"},
        {"type": "brand_new", "text": "x"},
        {"type": "thinking", "thinking": "Hm.", "signature": "s"},
        {"type": "tool_use", "id": "a", "name": "run", "input": {}},
    ],
)
def test_what_a_user_cannot_send_is_refused(fields: dict[str, Any]) -> None:
    problem = refusal(fields, of="user")
    assert str(fields["type"]) in problem.message or "container" in problem.message


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "container_upload", "file_id": "f"},
        {"type": "brand_new", "text": "x"},
        {"type": "tool_result", "tool_use_id": "a", "content": [text("x")]},
        picture(),
        document(type="text", data="x"),
    ],
)
def test_what_an_assistant_cannot_have_said_is_refused_or_told(fields: dict[str, Any]) -> None:
    try:
        assert assistant(fields), "nothing is dropped in silence"
    except ProxyError as error:
        assert (error.problem.param or "").startswith(PATH)
