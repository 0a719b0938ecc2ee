"""What is not content yet (files behind URLs, PDFs, sealed summaries) becomes content, or a clear refusal."""

import asyncio
import base64
from contextlib import suppress
from typing import cast

import pytest

from augment_open_proxy.core.conversation import Attachment, ChatRequest, Image, Message, Part, Text, ToolResult
from augment_open_proxy.core.errors import ErrorKind, Problem, ProxyError, invalid_request
from augment_open_proxy.policies.seal import SUMMARY, THINKING, seal
from augment_open_proxy.server import pdf
from augment_open_proxy.server.files import Fetched, Files
from augment_open_proxy.server.pdf import NoTextError, extract_text
from augment_open_proxy.server.resolve import Resolver

SECRET = b"secret"
PNG, JPEG = b"\x89PNG\r\n\x1a\n and so on", b"\xff\xd8\xff\xe0 and so on"
PARAM = "messages[0].content[0].source.url"


def pdf_of(*pages: str, trailer: str = "", content: str = "") -> bytes:
    """A PDF with these texts, one a page; `content` goes into the dictionary of each page's stream."""
    kids = " ".join(f"{4 + 2 * i} 0 R" for i in range(len(pages)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for i, text in enumerate(pages):
        drawn = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET" if text else ""
        objects += [
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {5 + 2 * i} 0 R "
            "/Resources << /Font << /F1 3 0 R >> >> >>",
            f"<< /Length {len(drawn)} {content} >>\nstream\n{drawn}\nendstream",
        ]
    data, table = b"%PDF-1.4\n", "0000000000 65535 f \n"
    for number, written in enumerate(objects, start=1):
        table += f"{len(data):010} 00000 n \n"
        data += f"{number} 0 obj\n{written}\nendobj\n".encode()
    size = len(objects) + 1
    end = f"xref\n0 {size}\n{table}trailer\n<< /Size {size} /Root 1 0 R {trailer} >>\nstartxref\n{len(data)}\n%%EOF\n"
    return data + end.encode()


PASSWORD = f"/Encrypt << /Filter /Standard /V 2 /R 3 /Length 128 /O ({'o' * 32}) /U ({'u' * 32}) /P -4 >> /ID [(a)(a)]"


class Shelf:
    """Stands for the fetcher: files by URL, and what was asked for."""

    def __init__(self, **files: Fetched) -> None:
        self.files = files
        self.asked: list[list[tuple[str, str]]] = []

    async def fetch_all(self, wanted: list[tuple[str, str]]) -> list[Fetched]:
        self.asked.append(list(wanted))
        for url, param in wanted:
            if url not in self.files:
                raise invalid_request(f"{param} cannot be fetched: it is not there.", param)
        return [self.files[url] for url, _ in wanted]


def resolved(*parts: Part, files: Shelf | None = None) -> tuple[Part, ...]:
    """The parts of one user message after resolving."""
    request = ChatRequest("m", (Message("user", parts),))
    resolver = Resolver(cast("Files", files or Shelf()), SECRET)
    return asyncio.run(resolver.resolve(request)).messages[0].content


def refusal(*parts: Part, files: Shelf | None = None) -> Problem:
    with pytest.raises(ProxyError) as caught:
        resolved(*parts, files=files)
    assert caught.value.problem.kind is ErrorKind.INVALID_REQUEST
    return caught.value.problem


def inline(data: bytes, title: str | None = None) -> Attachment:
    return Attachment("document", PARAM, data=base64.b64encode(data).decode(), title=title)


def at(url: str, title: str | None = None, param: str = PARAM) -> Attachment:
    return Attachment("document", param, url=url, title=title)


def picture(url: str, param: str = PARAM) -> Attachment:
    return Attachment("image", param, url=url)


def image(data: bytes) -> str:
    return base64.b64encode(data).decode()


# --- Requests ---


def test_a_request_without_attachments_is_not_touched_and_fetches_nothing() -> None:
    request = ChatRequest("m", (Message("user", (Text("Hi."), ToolResult("a", (Text("done"),)))),))
    files = Shelf()
    assert asyncio.run(Resolver(cast("Files", files), SECRET).resolve(request)) is request
    assert files.asked == []


def test_everything_keeps_its_place() -> None:
    files = Shelf(a=Fetched("image/png", PNG), b=Fetched("text/plain", b"Once."))
    result = ToolResult("c", (Text("Look:"), picture("a"), Text("and"), at("b")), is_error=True)
    parts = resolved(Text("One."), picture("a"), result, inline(pdf_of("Hello")), Text("Two."), files=files)
    seen = Image("image/png", image(PNG))
    assert parts == (
        Text("One."),
        seen,
        ToolResult("c", (Text("Look:"), seen, Text("and"), Text("Once.")), is_error=True),
        Text("[Page 1 of 1]\nHello"),
        Text("Two."),
    )


def test_all_messages_are_resolved_and_all_urls_fetched_together() -> None:
    files = Shelf(a=Fetched("image/png", PNG), b=Fetched("image/jpeg", JPEG))
    messages = tuple(Message("user", (picture(url, f"messages[{i}]"),)) for i, url in enumerate("aba"))
    done = asyncio.run(Resolver(cast("Files", files), SECRET).resolve(ChatRequest("m", messages, system=("s",))))
    assert [message.content[0] for message in done.messages] == [
        Image("image/png", image(PNG)),
        Image("image/jpeg", image(JPEG)),
        Image("image/png", image(PNG)),
    ]
    assert done.system == ("s",)
    assert len(files.asked) == 1, "so that the fetcher can bound them together"


def test_a_file_that_is_not_there_names_its_field() -> None:
    assert refusal(picture("a", "messages[3].content[1].source.url")).param == "messages[3].content[1].source.url"


# --- Pictures ---


@pytest.mark.parametrize("declared", ["image/png", "image/webp", "application/octet-stream", "text/html"])
def test_the_type_of_a_picture_is_that_of_its_bytes(declared: str) -> None:
    assert resolved(picture("a"), files=Shelf(a=Fetched(declared, JPEG))) == (Image("image/jpeg", image(JPEG)),)


@pytest.mark.parametrize("data", [b"<html>", b"BM not for us", b"", pdf_of("Hello")])
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    assert refusal(picture("a"), files=Shelf(a=Fetched("image/png", data))).param == PARAM


# --- Documents ---


@pytest.mark.parametrize("declared", ["application/pdf", "application/octet-stream", "text/plain"])
def test_a_pdf_is_known_by_its_bytes(declared: str) -> None:
    files = Shelf(a=Fetched(declared, pdf_of("Hello")))
    assert resolved(at("a"), files=files) == (Text("[Page 1 of 1]\nHello"),)


def test_the_title_stands_before_the_text() -> None:
    (part,) = resolved(inline(pdf_of("Hello"), "Letter"))
    assert isinstance(part, Text)
    assert part.text.startswith("Document: Letter\n")
    assert part.text.endswith("Hello")


@pytest.mark.parametrize("declared", ["text/plain", "text/html", "text/csv", "text/markdown"])
def test_text_behind_a_url_is_its_text(declared: str) -> None:
    data = "Grüße \U0001f600\n".encode() + b"\xff"
    assert resolved(at("a"), files=Shelf(a=Fetched(declared, data))) == (Text("Grüße \U0001f600\n\ufffd"),)


@pytest.mark.parametrize("declared", ["application/zip", "image/png", "application/pdf", ""])
def test_what_is_neither_pdf_nor_text_is_refused(declared: str) -> None:
    problem = refusal(at("a"), files=Shelf(a=Fetched(declared, b"PK\x03\x04")))
    assert problem.param == PARAM
    assert "neither a PDF nor text" in problem.message


@pytest.mark.parametrize("data", ["!!!!", "JVBERi0", "A"])
def test_base64_that_is_none_is_refused(data: str) -> None:
    assert refusal(Attachment("document", PARAM, data=data)).param == PARAM


def test_base64_as_sloppy_clients_write_it_is_read_as_that_of_pictures_is() -> None:
    """With line breaks, in the alphabet for URLs, without padding."""
    data = pdf_of("Hello?>", "\u00ff\u00fe?>~")
    text = base64.urlsafe_b64encode(data).decode().rstrip("=")
    broken = "\n".join(text[i : i + 76] for i in range(0, len(text), 76))
    assert resolved(Attachment("document", PARAM, data=broken)) == resolved(inline(data))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (pdf_of("Secret", trailer=PASSWORD), "password"),
        (pdf_of("", ""), "no text"),
        (b"%PDF-1.7\ngarbage", "cannot be read"),
        (pdf_of("Hello")[:200], "cannot be read"),
    ],
)
def test_a_pdf_without_text_is_refused_and_told_why(data: bytes, why: str) -> None:
    problem = refusal(inline(data))
    assert problem.param == PARAM
    assert PARAM in problem.message
    assert why in problem.message


# --- Sealed summaries ---


def summary(sealed: str | None) -> Attachment:
    return Attachment("summary", PARAM, data=sealed)


def test_a_summary_that_we_sealed_is_opened_and_said_to_be_one() -> None:
    sealed = seal(SECRET, "Read a.txt. B\u00e9 brief.", carried=True, purpose=SUMMARY)
    assert resolved(Text("Hi."), summary(sealed)) == (
        Text("Hi."),
        Text("Summary of the conversation so far:\n\nRead a.txt. B\u00e9 brief."),
    )


@pytest.mark.parametrize(
    "sealed",
    [
        None,
        "",
        "gAAAA",
        seal(b"another", "Hm.", carried=True, purpose=SUMMARY),
        seal(SECRET, "Hm.", carried=True, purpose=THINKING),
        seal(SECRET, "Hm.", carried=False, purpose=SUMMARY),
    ],
    ids=["none", "empty", "OpenAI's", "another secret's", "of thinking", "not carried"],
)
def test_a_summary_of_another_is_refused_with_the_way_out(sealed: str | None) -> None:
    problem = refusal(summary(sealed))
    assert problem.param == PARAM
    assert "AOP_SECRET" in problem.message
    assert "send the conversation itself" in problem.message


# --- The text of a PDF ---


def test_pages_are_numbered_and_empty_ones_left_out() -> None:
    assert extract_text(pdf_of("One", "", "Three")) == "[Page 1 of 3]\nOne\n\n[Page 3 of 3]\nThree"


def test_a_pdf_that_anybody_may_read_is_read_though_it_has_a_trailing_mess() -> None:
    assert extract_text(pdf_of("Hello") + b"\0" * 100) == "[Page 1 of 1]\nHello"


@pytest.mark.parametrize(
    ("name", "bound", "pages", "why"),
    [
        ("MOST_PAGES", 2, ["One", "Two", "Three"], "3 pages"),
        ("MOST_CHARACTERS", 5, ["One", "Two"], "longer than 5"),
        ("MOST_SECONDS", -1.0, ["One", "Two"], "took more than"),
    ],
)
def test_bounds(monkeypatch: pytest.MonkeyPatch, name: str, bound: float, pages: list[str], why: str) -> None:
    extract_text(pdf_of(*pages))
    monkeypatch.setattr(pdf, name, bound)
    with pytest.raises(NoTextError, match=why):
        extract_text(pdf_of(*pages))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"%PDF-",
        b"%PDF-1.4\n" * 1000,
        pdf_of("Hello", trailer="/Encrypt << /Filter /Custom /V 9 >>"),
        pdf_of("Hello", trailer="/Encrypt << /Filter /Standard /V 9 /R 9 /O (x) /U (y) /P -4 >> /ID [(a)(b)]"),
        pdf_of("Hello", content="/Filter /JBIG2Decode"),
        pdf_of("Hello", content="/Filter /Unheard"),
        pdf_of("Hello", content="/Filter /FlateDecode"),
        pdf_of("Hello").replace(b"/Kids [4 0 R]", b"/Kids [2 0 R]"),
        pdf_of("Hello").replace(b"/Font << /F1 3 0 R >>", b"/Font << /F1 1 0 R >>"),
    ],
)
def test_a_broken_or_strange_pdf_gives_its_text_or_the_reason(data: bytes) -> None:
    """Whatever pypdf raises is the file's fault and not ours: 400, never 500."""
    try:
        assert extract_text(data)
    except NoTextError as error:
        assert str(error)


def test_oddities_of_pdfs_are_not_printed(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    strange = pdf_of("Hello").replace(b"/BaseFont /Helvetica", b"/Encoding /Foo")
    with suppress(NoTextError):
        extract_text(strange)
    assert [record.message[:80] for record in caplog.records] == []
    assert capfd.readouterr() == ("", "")
