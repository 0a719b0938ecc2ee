"""Pictures in `data:` URLs and base64: their type is what their first bytes say, and an error names the field."""

import base64
import time

import pytest

from augment_open_proxy.core.conversation import Image
from augment_open_proxy.core.errors import ErrorKind, Problem, ProxyError
from augment_open_proxy.dialects.data_url import image_from_base64, image_from_data_url

PARAM = "messages[0].content[0].image_url.url"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(250, 256)) * 3


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def refusal(url: str) -> Problem:
    with pytest.raises(ProxyError) as caught:
        image_from_data_url(url, PARAM)
    problem = caught.value.problem
    assert (problem.kind, problem.param) == (ErrorKind.INVALID_REQUEST, PARAM)
    assert problem.message.startswith(PARAM)
    return problem


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "image/jpeg"),
        (b"\xff\xd8\xff\xdb", "image/jpeg"),
        (b"GIF87a\x01\x00", "image/gif"),
        (b"GIF89a\x01\x00", "image/gif"),
        (b"RIFF\x24\x00\x00\x00WEBPVP8 ", "image/webp"),
    ],
)
def test_the_first_bytes_tell_the_type(data: bytes, media_type: str) -> None:
    assert image_from_base64(encoded(data), PARAM) == Image(media_type, encoded(data))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "head",
    [
        "data:image/png;base64,",
        "DATA:IMAGE/PNG;BASE64,",
        "data:image/jpeg;base64,",  # a wrong name does no harm
        "data:application/octet-stream;base64,",
        "data:;base64,",
        "data:image/png;charset=utf-8;base64,",
    ],
)
def test_heads_of_data_urls(head: str) -> None:
    assert image_from_data_url(head + encoded(PNG), PARAM) == Image("image/png", encoded(PNG))


@pytest.mark.parametrize(
    "sloppy",
    [
        pytest.param(encoded(PNG).rstrip("="), id="without padding"),
        pytest.param(encoded(PNG).replace("+", "-").replace("/", "_"), id="in the alphabet for URLs"),
        pytest.param(base64.encodebytes(PNG * 4).decode(), id="with line breaks"),
        pytest.param(f" {encoded(PNG)}\r\n", id="with white space around"),
        pytest.param(encoded(PNG) + "==", id="with too much padding"),
    ],
)
def test_sloppy_base64_becomes_proper_base64(sloppy: str) -> None:
    image = image_from_data_url(f"data:image/png;base64,{sloppy}", PARAM)
    assert image.media_type == "image/png"
    data = base64.b64decode(image.data, validate=True)
    assert data == PNG * (len(data) // len(PNG))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "data:",
        "data:image/png;base64",
        "data:image/png,%89PNG",
        "data:image/png;base64;x=1," + encoded(PNG),
        "https://example.com/a.png",
        "file:///etc/passwd",
        " data:image/png;base64," + encoded(PNG),
        encoded(PNG),
    ],
)
def test_other_urls_are_refused(url: str) -> None:
    assert "data URL with base64" in refusal(url).message


@pytest.mark.parametrize(
    "data", ["!", "iVBOR", "iVBORw0KGgo=x", "iVBO=Rw0KGgo", "iVBORw0KGgoé", "iVBORw0K%2Bgo=", "\ud800"]
)
def test_what_is_no_base64_is_refused(data: str) -> None:
    assert "not valid base64" in refusal(f"data:image/png;base64,{data}").message


@pytest.mark.parametrize(
    "data",
    [b"", b"\x89PNG", b"<svg/>", b"BM\x00\x00", b"%PDF-1.7", b"RIFF\x24\x00\x00\x00WAVE", b"RIFFWEBP", b"GIF88a"],
)
def test_what_the_backend_does_not_read_is_refused(data: bytes) -> None:
    assert "PNG, JPEG, GIF or WebP" in refusal(f"data:image/png;base64,{encoded(data)}").message


@pytest.mark.parametrize(
    "url",
    ["data:" + ";" * 10**6, "data:" + ";a=b" * 250_000, "data:image/png;base64," + "iVBORw0KGgo\n" * 100_000 + "!"],
)
def test_a_long_url_takes_linear_time_and_is_not_repeated_in_the_error(url: str) -> None:
    start = time.process_time()
    assert len(refusal(url).message) < 200
    assert time.process_time() - start < 5
