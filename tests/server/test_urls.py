"""What a request names by URL, and files inside it, through the whole server: nothing private is ever reached."""

import base64
import socket
from collections.abc import Iterator
from typing import Any

import httpx2 as httpx
import pytest

from tests.servers import Proxy, running_proxy


@pytest.fixture
def canary() -> Iterator[socket.socket]:
    """A listener on loopback that must never be called."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.setblocking(False)
        yield listener
        with pytest.raises(BlockingIOError):
            listener.accept()


def chat(url: str) -> tuple[str, Any]:
    part = {"type": "image_url", "image_url": url}
    return "/v1/chat/completions", {"model": "gpt-5", "messages": [{"role": "user", "content": [part]}]}


def messages(url: str, kind: str = "image") -> tuple[str, Any]:
    part = {"type": kind, "source": {"type": "url", "url": url}}
    return "/v1/messages", {"model": "gpt-5", "messages": [{"role": "user", "content": [part]}]}


def documents(url: str) -> tuple[str, Any]:
    return messages(url, "document")


def responses(url: str) -> tuple[str, Any]:
    part = {"type": "input_image", "image_url": url}
    return "/v1/responses", {"model": "gpt-5", "input": [{"role": "user", "content": [part]}]}


@pytest.mark.parametrize("make", [chat, messages, documents, responses])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "127.1", "2130706433", "[::ffff:127.0.0.1]"])
def test_no_url_reaches_a_private_address(make: Any, host: str, canary: socket.socket, proxy: Proxy) -> None:
    for scheme in ("https", "http"):
        path, body = make(f"{scheme}://{host}:{canary.getsockname()[1]}/a.png")
        answer = httpx.post(proxy.url + path, json=body, timeout=20)
        assert answer.status_code == 400
        assert "cannot be fetched" in answer.json()["error"]["message"]


def test_fetching_can_be_turned_off(canary: socket.socket) -> None:
    with running_proxy(fetch_urls=False) as proxy:
        path, body = chat("https://example.com/a.png")
        answer = httpx.post(proxy.url + path, json=body, timeout=20)
        assert answer.status_code == 400
        assert "AOP_FETCH_URLS" in answer.json()["error"]["message"]


def pdf(text: str) -> bytes:
    """The smallest PDF with one line of text."""
    stream = f"BT /F1 12 Tf 10 10 Td ({text}) Tj ET".encode()
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
        b"<</Length %d>>stream\n%b\nendstream" % (len(stream), stream),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    data = b"%PDF-1.4\n"
    places = []
    for number, content in enumerate(objects, start=1):
        places.append(len(data))
        data += b"%d 0 obj%b endobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    return data + b"xref\n0 6\n0000000000 65535 f \n%btrailer<</Size 6/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (
        table,
        len(data),
    )


@pytest.mark.parametrize("api", ["messages", "chat", "responses"])
def test_the_text_of_a_pdf_reaches_the_model(api: str, proxy: Proxy) -> None:
    data = base64.b64encode(pdf("The key is 4711.")).decode()
    url = f"data:application/pdf;base64,{data}"
    paths: dict[str, tuple[str, Any]] = {
        "messages": (
            "/v1/messages",
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {
                                "type": "document",
                                "title": "note.pdf",
                                "source": {"type": "base64", "media_type": "application/pdf", "data": data},
                            }
                        ],
                    }
                ]
            },
        ),
        "chat": (
            "/v1/chat/completions",
            {
                "messages": [
                    {"role": "user", "content": [{"type": "file", "file": {"filename": "note.pdf", "file_data": url}}]}
                ]
            },
        ),
        "responses": (
            "/v1/responses",
            {
                "input": [
                    {"role": "user", "content": [{"type": "input_file", "filename": "note.pdf", "file_data": url}]}
                ]
            },
        ),
    }
    path, body = paths[api]
    assert httpx.post(proxy.url + path, json={"model": "gpt-5", **body}, timeout=20).status_code == 200
    asked = proxy.simulator.requests[-1].request
    assert asked is not None
    assert asked.message == "Document: note.pdf\n[Page 1 of 1]\nThe key is 4711."


def test_a_pdf_without_text_is_a_400_that_says_so(proxy: Proxy) -> None:
    source = {"type": "base64", "media_type": "application/pdf", "data": base64.b64encode(pdf("")).decode()}
    content = [{"type": "document", "source": source}]
    answer = httpx.post(
        f"{proxy.url}/v1/messages",
        json={"model": "gpt-5", "messages": [{"role": "user", "content": content}]},
        timeout=20,
    )
    assert answer.status_code == 400
    assert "messages[0].content[0].source.data" in answer.json()["error"]["message"]
    assert "has no text" in answer.json()["error"]["message"]


def test_a_websocket_upgrade_elsewhere_is_told_to_post(proxy: Proxy) -> None:
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Version": "13",
    }
    answer = httpx.get(f"{proxy.url}/v1/chat/completions", headers=headers, timeout=20)
    assert answer.status_code == 426
    assert httpx.get(f"{proxy.url}/v1/responses", timeout=20).status_code == 405


def test_codex_gets_a_list_that_leaves_it_what_it_knows(proxy: Proxy) -> None:
    answer = httpx.get(f"{proxy.url}/v1/models?client_version=0.169.0", timeout=20)
    assert answer.json() == {"models": []}
