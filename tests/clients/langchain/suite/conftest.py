"""What the suite's tests share: where the proxy is, and the models, on the simulator's scenario that obeys.

The tests run in an environment of their own, and reach nobody but the proxy (`--allow-hosts`).
"""

import os
import struct
import zlib
from types import SimpleNamespace
from typing import Any

import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import chat_models as standard

URL = os.environ["AOP_SUITE_URL"]
"""The proxy's, without `/v1`."""
MODEL = "claude-sim-obedient"
THINKING_MODEL = f"{MODEL}-high"
OTHER_MODEL = "claude-sim-echo"
THINKING: dict[str, Any] = {
    "model": THINKING_MODEL,
    "max_tokens": 4000,
    "thinking": {"type": "enabled", "budget_tokens": 2000},
}
PARAMS: dict[str, dict[str, Any]] = {
    "chat": {"base_url": f"{URL}/v1", "stream_usage": True},
    "responses": {"base_url": f"{URL}/v1", "use_responses_api": True},
    "messages": {"base_url": URL},
}


def params(api: str, **more: Any) -> dict[str, Any]:
    return {"model": MODEL, "api_key": "any", "max_retries": 0, "timeout": 20, **PARAMS[api], **more}


def make(api: str, **more: Any) -> BaseChatModel:
    return (ChatAnthropic if api == "messages" else ChatOpenAI)(**params(api, **more))


def png() -> bytes:
    """A picture of one pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0\0\0\0")) + chunk(b"IEND", b"")


def pdf() -> bytes:
    """A document of one page that says “Dummy PDF file”."""
    text = b"BT /F1 24 Tf 72 720 Td (Dummy PDF file) Tj ET"
    bodies = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R"
        b" /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(text), text),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    )
    made = b"%PDF-1.4\n"
    places = []
    for number, body in enumerate(bodies, 1):
        places.append(len(made))
        made += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    count = len(bodies) + 1
    end = b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (count, len(made))
    return made + b"xref\n0 %d\n0000000000 65535 f \n%s%s" % (count, table, end)


FILES = {".png": png, ".pdf": pdf}


@pytest.fixture(autouse=True)
def files(monkeypatch: pytest.MonkeyPatch) -> None:
    """The files that standard tests download before they ask the model anything are made here instead."""

    def get(url: str, **_: Any) -> SimpleNamespace:
        return SimpleNamespace(content=FILES[url[-4:]]())

    monkeypatch.setattr(standard, "httpx", SimpleNamespace(get=get))


@pytest.fixture(params=list(PARAMS))
def api(request: pytest.FixtureRequest) -> str:
    return request.param
