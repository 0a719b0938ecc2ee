"""What an installed proxy must do, whatever way it was installed: `python -m tests.packaging.smoke COMMAND …`.

The version, the demo with a streamed chat, a count by the tokenizer, a stored response over a restart, the health
check, several workers. Only the standard library is used, and any Python from 3.11 will do. Ends with 1 and the reason
where something fails; else prints how long it took from the start to the first answer.
"""

import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

START_SECONDS = 60
REQUEST_SECONDS = 30

LONG_WORDS = "Antidisestablishmentarianism and hippopotomonstrosesquippedaliophobia; 1234567890 {[()]}"
LONG_WORDS_TOKENS = 26
"""By the o200k tokenizer; an estimate comes to other numbers."""
ONE_TOKEN = "Hello"

VERSION = re.search(
    r'__version__ = "(.+)"', (Path(__file__).parents[2] / "src/augment_open_proxy/__init__.py").read_text("utf-8")
)


class Failed(Exception):  # noqa: N818 (an outcome)
    """What the proxy should have done."""


class Demo:
    """A demo that runs. `start` is the seconds from its start to its first answer."""

    def __init__(self, port: int, start: float) -> None:
        self.port = port
        self.start = start

    def ask(self, method: str, path: str, body: object = None) -> tuple[str, str]:
        """The content type and the text of an answer with status 200."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=REQUEST_SECONDS)
        try:
            content = None if body is None else json.dumps(body)
            connection.request(method, path, content, {"Content-Type": "application/json"} if content else {})
            reply = connection.getresponse()
            text = reply.read().decode()
            expect(reply.status == 200, f"{method} {path} to be answered with 200, not {reply.status}: {text[:500]}")
            return reply.headers.get_content_type(), text
        finally:
            connection.close()

    def ask_json(self, method: str, path: str, body: object = None) -> Any:
        return json.loads(self.ask(method, path, body)[1])


def expect(holds: bool, what: str) -> None:
    if not holds:
        raise Failed(f"expected {what}")


def main(command: Sequence[str]) -> int:
    try:
        with tempfile.TemporaryDirectory(prefix="aop-smoke-", ignore_cleanup_errors=True) as folder:
            seconds = check(command, Path(folder))
    except Failed as failure:
        sys.stderr.write(f"smoke test: {failure}\n")
        return 1
    sys.stdout.write(f"smoke test passed; from the start to the first answer: {seconds:.2f} s\n")
    return 0


def check(command: Sequence[str], folder: Path) -> float:
    """Try everything; returns the seconds from the second start to the first answer. Raises `Failed`."""
    command = [shutil.which(command[0]) or command[0], *command[1:]]
    command[0] = str(Path(command[0]).absolute())  # not resolved: a virtual environment is known by its link
    expect(VERSION is not None, "a version in the source")
    version = run(command, folder, "--version")
    expect(version.stdout == f"augment-open-proxy {VERSION and VERSION[1]}\n", f"the version, not {version.stdout!r}")
    with running(command, folder) as demo:
        expect(run(command, folder, "health", "--port", str(demo.port)).returncode == 0, "the demo to be healthy")
        check_stream(demo)
        check_tokenizer(demo)
        body = {"model": "claude-sonnet-4-5", "input": "Remember me.", "store": True}
        stored = demo.ask_json("POST", "/v1/responses", body)
        port = demo.port
    expect(run(command, folder, "health", "--port", str(port)).returncode == 1, "a stopped demo not to be healthy")
    with running(command, folder) as demo:
        found = demo.ask_json("GET", f"/v1/responses/{stored['id']}")
        expect(found["output"] == stored["output"], "a stored response to outlive a restart")
        seconds = demo.start
    if os.name == "posix":
        with running(command, folder, "--workers", "2") as demo:
            check_stream(demo)
    return seconds


def check_stream(demo: Demo) -> None:
    messages = [{"role": "user", "content": "Greetings from the smoke test"}]
    body = {"model": "claude-sonnet-4-5", "stream": True, "messages": messages}
    kind, text = demo.ask("POST", "/v1/chat/completions", body)
    expect(kind == "text/event-stream", f"a stream, not {kind}")
    *events, end = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    choices = [choice for event in events for choice in json.loads(event)["choices"]]
    said = "".join(choice["delta"].get("content") or "" for choice in choices)
    expect(len(choices) > 2 and end == "[DONE]", "several chunks and an end")
    expect("Greetings from the smoke test" in said, f"the simulator's answer, not {said!r}")


def check_tokenizer(demo: Demo) -> None:
    counts = []
    for text in (LONG_WORDS, ONE_TOKEN):
        body = {"model": "gpt-5.1", "messages": [{"role": "user", "content": text}]}
        counts.append(demo.ask_json("POST", "/v1/messages/count_tokens", body)["input_tokens"])
    tokens = counts[0] - counts[1] + 1
    expect(tokens == LONG_WORDS_TOKENS, f"{LONG_WORDS_TOKENS} tokens by the tokenizer, not {tokens}")


def run(command: Sequence[str], folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*command, *arguments],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
    )


def environment(folder: Path) -> dict[str, str]:
    """The surroundings without the user's settings, and with a store that outlives the process."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AOP_", "AUGMENT_", "PYTHON"))}
    store = f"sqlite:///{folder / 'store.db'}"
    return {**kept, "AOP_STATE_DIR": str(folder / "state"), "AOP_STORE": store, "AOP_LOGGING": "none"}


@contextmanager
def running(command: Sequence[str], folder: Path, *arguments: str) -> Iterator[Demo]:
    """A demo on a free port, stopped at the end."""
    began = time.monotonic()
    banner = folder / "banner"
    with banner.open("wb") as file:
        process = subprocess.Popen(
            [*command, "demo", "--host", "127.0.0.1", "--port", "0", *arguments],
            cwd=folder,
            env=environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=file,
        )
    try:
        demo = Demo(wait_for_port(process, banner), 0)
        demo.ask("GET", "/livez")
        demo.start = time.monotonic() - began
        yield demo
    finally:
        process.terminate()
        try:
            code = process.wait(REQUEST_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    if os.name == "posix":
        expect(code == 0, f"the demo to stop with 0, not {code}: {banner.read_text('utf-8')}")


def wait_for_port(process: "subprocess.Popen[bytes]", banner: Path) -> int:
    """The port that the banner names, once it is there."""
    end = time.monotonic() + START_SECONDS
    while True:
        text = banner.read_text("utf-8", errors="replace")
        found = re.search(r"listening on\s+http://127\.0\.0\.1:(\d+)\n", text)
        if found is not None:
            return int(found[1])
        expect(process.poll() is None and time.monotonic() < end, f"the demo to start: {text}")
        time.sleep(0.005)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
