"""Several workers on one port: one proxy to its clients and to whoever stops it."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from augment_open_proxy.simulator import Simulator
from tests.asking import CHAT
from tests.server.test_lifecycle import SLOW, STOPPED, Streaming
from tests.server.test_process import COMMAND, environment, url_in
from tests.server.test_stored_responses import eventually
from tests.servers import running_proxy

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="workers are refused there")
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
MODEL = "claude-sonnet-4-5"
RESPONSES = "/v1/responses"


class Workers:
    """A proxy with several workers, as a process of its own. `banner` is all that it wrote until it took requests."""

    def __init__(self, process: "subprocess.Popen[str]", banner: str) -> None:
        self.process = process
        self.banner = banner
        self.url = url_in(banner)

    def pids(self) -> list[int]:
        """The processes of the workers."""
        command = ["/bin/ps", "-A", "-ww", "-o", "pid=", "-o", "ppid=", "-o", "args="]
        listed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
        rows = [line.split(None, 2) for line in listed.stdout.splitlines()]
        return [int(row[0]) for row in rows if int(row[1]) == self.process.pid and "spawn_main" in row[2]]

    def ask(self, text: str = "Hi.", *, key: str = "k", model: str = MODEL) -> httpx.Response:
        """One chat completion, on a connection of its own."""
        body = {"model": model, "messages": [{"role": "user", "content": text}]}
        headers = {"authorization": f"Bearer {key}"}
        return httpx.post(f"{self.url}/v1/chat/completions", json=body, headers=headers, timeout=20)

    def call(self, method: str, path: str = "", **fields: Any) -> Any:
        """One call about responses, on a connection of its own."""
        content = json.dumps({"model": MODEL, **fields}) if method == "POST" else None
        headers = {"authorization": "Bearer k", "content-type": "application/json"}
        answer = httpx.request(method, self.url + RESPONSES + path, content=content, headers=headers, timeout=20)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[str, str]:
        """Its output and errors, once it has ended by this signal, and well."""
        self.process.send_signal(number)
        return self.ended()

    def ended(self, code: int = 0) -> tuple[str, str]:
        output, errors = self.process.communicate(timeout=20)
        assert self.process.returncode == code, errors
        return output, errors


@contextmanager
def working(tmp_path: Path, *arguments: str, script: str = "", **more: str) -> Iterator[Workers]:
    """A proxy with two workers, when it takes requests. `script` runs in the parent before the command."""
    command = list(COMMAND)
    if script:
        main = "from augment_open_proxy.cli import main; sys.exit(main())"
        command = [sys.executable, "-c", f"import sys\n{script}\n{main}"]
    process = subprocess.Popen(
        [*command, *arguments, "--port", "0", "--workers", "2"],
        env=environment(tmp_path, **more),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # so that a test can signal its group
    )
    try:
        assert process.stderr is not None
        lines: list[str] = []
        for line in process.stderr:
            lines.append(line)
            if "OPENAI_BASE_URL" in line:
                break
        yield Workers(process, "".join(lines))
    finally:
        process.kill()  # the workers end with their parent
        process.communicate()


@pytest.fixture(scope="module")
def backend() -> Iterator[Simulator]:
    with running_proxy() as proxy:
        yield proxy.simulator


def account(backend: Simulator) -> dict[str, str]:
    return {"AUGMENT_API_URL": backend.url, "AUGMENT_API_TOKEN": backend.token}


@pytest.fixture
def workers(tmp_path: Path, backend: Simulator) -> Iterator[Workers]:
    with working(tmp_path, **account(backend)) as running:
        yield running


def at_once(number: int, do: Callable[[], Any]) -> list[Any]:
    with ThreadPoolExecutor(number) as pool:
        return [future.result() for future in [pool.submit(do) for _ in range(number)]]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


# --- The port ---


def test_two_workers_start_with_one_banner(workers: Workers) -> None:
    assert len(workers.pids()) == 2
    assert "2 processes" in workers.banner
    assert [workers.ask().status_code for _ in range(6)] == [200] * 6
    output, errors = workers.stop()
    assert errors == ""
    assert len(output.splitlines()) == 6


@on_linux
def test_each_worker_has_its_part_of_the_connections(workers: Workers) -> None:
    address = workers.url.removeprefix("http://localhost:")
    with ExitStack() as stack:
        for _ in range(200):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", int(address)), timeout=10))
            connection.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert connection.recv(12) == b"HTTP/1.1 200"
        held = {pid: connections_of(pid, int(address)) for pid in workers.pids()}
    assert sum(held.values()) == 200
    assert min(held.values()) >= 60, f"30 % of the connections: {held}"


def connections_of(pid: int, port: int) -> int:
    """How many connections to the port a process has."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    established = {f"socket:[{row[9]}]" for row in rows if row[1].endswith(f":{port:04X}") and row[3] == "01"}
    descriptors = Path(f"/proc/{pid}/fd").iterdir()
    return sum(str(descriptor.readlink()) in established for descriptor in descriptors if descriptor.is_symlink())


@pytest.mark.parametrize("number", ["1", "2"])
def test_a_second_start_on_the_port_is_refused(workers: Workers, tmp_path: Path, number: str) -> None:
    port = workers.url.rpartition(":")[2]
    again = subprocess.run(
        [*COMMAND, "--port", port, "--workers", number],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert again.returncode == 1
    assert f"port {port} on 127.0.0.1 is in use" in again.stderr
    assert workers.ask().status_code == 200


# --- Workers that end ---


def test_a_worker_that_is_killed_is_replaced(workers: Workers) -> None:
    killed, other = workers.pids()
    os.kill(killed, signal.SIGKILL)
    assert [workers.ask().status_code for _ in range(10)] == [200] * 10, "its connections wait for the next one"
    eventually(lambda: len(workers.pids()) == 2)
    assert other in workers.pids()
    _, errors = workers.stop()
    assert len(errors.splitlines()) == 1
    assert f"a worker (process {killed}) ended by SIGKILL; another takes its place" in errors


def test_a_worker_that_is_told_to_end_is_replaced_while_its_reply_goes_on(workers: Workers) -> None:
    replies = [Streaming(workers.url, CHAT, f"@@{SLOW}@@") for _ in range(4)]
    for pid in workers.pids():
        os.kill(pid, signal.SIGTERM)
    eventually(lambda: len(workers.pids()) > 2)
    assert [workers.ask().status_code for _ in range(4)] == [200] * 4
    assert [reply.rest().text for reply in replies] == ["one two three four five"] * 4
    workers.stop()


def test_a_worker_that_cannot_start_ends_the_proxy(tmp_path: Path) -> None:
    script = "import augment_open_proxy.server.workers as workers; workers._work = len"
    with pytest.raises(AssertionError), working(tmp_path, script=script) as _:
        pass  # there is no banner
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{script}\nfrom augment_open_proxy.cli import main\nsys.exit(main())"],
        env=environment(tmp_path, AOP_PORT="0", AOP_WORKERS="2"),
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.returncode == 1
    assert done.stderr.count("ended with exit code 1 before it took requests; the proxy stops") == 1


def test_a_worker_that_finds_settings_it_cannot_use_ends_the_proxy_with_their_error(
    workers: Workers, tmp_path: Path
) -> None:
    (tmp_path / "state" / "keys.json").write_text("broken")
    os.kill(workers.pids()[0], signal.SIGKILL)
    _, errors = workers.ended(2)
    assert errors.splitlines()[-1].startswith("augment-open-proxy: ")
    assert "keys.json" in errors


@on_linux
def test_workers_end_with_a_parent_that_is_killed(workers: Workers) -> None:
    pids = workers.pids()
    workers.process.kill()
    workers.process.wait(5)
    eventually(lambda: not any(is_alive(pid) for pid in pids), seconds=5)


# --- Stopping ---


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("to_all", [False, True], ids=["parent", "group"])
def test_a_signal_lets_replies_end(workers: Workers, number: signal.Signals, to_all: bool) -> None:
    replies = [Streaming(workers.url, CHAT, f"@@{SLOW}@@") for _ in range(6)]
    pids = workers.pids()
    if to_all:  # as ctrl-C in a terminal, or a service manager
        os.killpg(workers.process.pid, number)
    else:
        workers.process.send_signal(number)
    eventually(lambda: refuses(workers.url), seconds=1)
    if to_all:
        for pid in pids:
            with suppress(ProcessLookupError):  # it had none of the replies, or has ended them
                os.kill(pid, number)  # only a second one to the parent counts
    assert [reply.rest().text for reply in replies] == ["one two three four five"] * 6
    _, errors = workers.ended()
    assert errors == ""
    assert not any(is_alive(pid) for pid in pids)


def refuses(url: str) -> bool:
    try:
        httpx.get(f"{url}/livez", timeout=5)
    except httpx.ConnectError:
        return True
    except httpx.HTTPError:
        pass
    return False


def test_a_second_signal_cuts_replies_off(workers: Workers) -> None:
    replies = [Streaming(workers.url, CHAT, "Hi.", "claude-sim-stall") for _ in range(4)]
    workers.process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    workers.process.send_signal(signal.SIGTERM)
    started = time.monotonic()
    assert all(STOPPED in reply.rest().error for reply in replies)
    workers.ended()
    assert time.monotonic() - started < 5


def test_the_grace_ends_replies(tmp_path: Path, backend: Simulator) -> None:
    with working(tmp_path, **account(backend), AOP_SHUTDOWN_GRACE_MS="200") as workers:
        replies = [Streaming(workers.url, CHAT, "Hi.", "claude-sim-stall") for _ in range(4)]
        workers.process.send_signal(signal.SIGTERM)
        assert all(STOPPED in reply.rest().error for reply in replies)
        workers.ended()


def test_a_signal_before_the_workers_are_ready_ends_the_start(tmp_path: Path) -> None:
    script = (
        "import os, signal, augment_open_proxy.server.workers as workers\n"
        "start = workers.Parent._start\n"
        "def starting(self, number):\n"
        "    start(self, number)\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "workers.Parent._start = starting"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{script}\nfrom augment_open_proxy.cli import main\nsys.exit(main())"],
        env=environment(tmp_path, AOP_PORT="0", AOP_WORKERS="2"),
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert (done.returncode, done.stderr) == (0, "")


# --- What they share ---


def test_the_limit_of_turns_at_once_may_be_less_than_the_workers(tmp_path: Path, backend: Simulator) -> None:
    with working(tmp_path, **account(backend), AOP_MAX_CONCURRENCY="1") as workers:
        prompt = '@@{"scenario": "slow", "seconds": 0.05}@@'
        seen: list[int] = []
        with ThreadPoolExecutor(8) as pool:
            asked = [pool.submit(workers.ask, prompt) for _ in range(8)]
            while not all(one.done() for one in asked):
                seen.append(backend.open_calls)
                time.sleep(0.002)
        assert [one.result().status_code for one in asked] == [200] * 8
        assert max(seen) == 1


def test_a_killed_worker_gives_its_places_back(tmp_path: Path, backend: Simulator) -> None:
    with working(tmp_path, **account(backend), AOP_MAX_CONCURRENCY="1", AOP_QUEUE_TIMEOUT_MS="10000") as workers:
        held = Streaming(workers.url, CHAT, "Hi.", "claude-sim-stall")
        for pid in workers.pids():
            os.kill(pid, signal.SIGKILL)
        assert workers.ask().status_code == 200
        del held


def test_the_rate_holds_for_all_together(tmp_path: Path, backend: Simulator) -> None:
    with working(tmp_path, **account(backend), AOP_RATE_LIMIT="5", AOP_QUEUE_TIMEOUT_MS="300") as workers:
        answers = at_once(20, workers.ask)
        assert Counter(answer.status_code for answer in answers) == {200: 5, 429: 15}
        refused = next(answer for answer in answers if answer.status_code == 429)
        assert "AOP_RATE_LIMIT" in refused.text
        assert 0 < int(refused.headers["retry-after"]) <= 60


def keys(tmp_path: Path, *arguments: str) -> str:
    done = subprocess.run(
        [*COMMAND, "keys", *arguments],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )
    return done.stdout.strip()


def test_the_share_of_a_key_holds_for_all_together_and_over_a_restart(tmp_path: Path, backend: Simulator) -> None:
    key = keys(tmp_path, "create", "ci", "--requests-per-day", "7")
    with working(tmp_path, **account(backend)) as workers:
        statuses = Counter(answer.status_code for answer in at_once(20, lambda: workers.ask(key=key)))
        assert statuses == {200: 7, 429: 13}
        workers.stop()
    with working(tmp_path, **account(backend)) as workers:
        assert workers.ask(key=key).status_code == 429


def test_each_worker_takes_up_a_change_of_the_keys(tmp_path: Path, workers: Workers) -> None:
    def statuses(key: str) -> set[int]:
        return {workers.ask(key=key).status_code for _ in range(12)}

    keys(tmp_path, "create", "ci")
    key = keys(tmp_path, "create", "laptop")
    eventually(lambda: statuses("another") == {401}, seconds=5)
    assert statuses(key) == {200}
    keys(tmp_path, "revoke", "laptop")
    eventually(lambda: statuses(key) == {401}, seconds=5)


def test_a_worker_that_takes_anothers_place_asks_for_a_key_as_the_other_did(tmp_path: Path, backend: Simulator) -> None:
    key = keys(tmp_path, "create", "laptop")
    with working(tmp_path, **account(backend)) as workers:
        keys(tmp_path, "revoke", "laptop")
        eventually(lambda: {workers.ask(key=key).status_code for _ in range(12)} == {401}, seconds=5)
        for killed in workers.pids():
            os.kill(killed, signal.SIGKILL)
            eventually(lambda: killed not in (pids := workers.pids()) and len(pids) == 2)  # noqa: B023 (called here)
            assert {workers.ask().status_code for _ in range(12)} == {401}


def test_what_one_stores_the_others_know(workers: Workers) -> None:
    given = workers.call("POST", input="One.")
    for _ in range(8):
        assert workers.call("GET", f"/{given['id']}") == given
        workers.call("POST", input="Two.", previous_response_id=given["id"])


def test_a_run_of_one_is_ended_through_the_others(workers: Workers, backend: Simulator) -> None:
    begun = [workers.call("POST", input="Hi.", background=True, model="claude-sim-stall")["id"] for _ in range(4)]
    eventually(lambda: backend.open_calls == 4)
    for id_ in begun:
        assert {workers.call("GET", f"/{id_}")["status"] for _ in range(4)} == {"in_progress"}
        assert workers.call("POST", f"/{id_}/cancel")["status"] == "cancelled"
    eventually(lambda: backend.open_calls == 0)


def test_the_requests_of_a_batch_keep_to_their_limit(tmp_path: Path, backend: Simulator) -> None:
    with working(tmp_path, **account(backend), AOP_BATCH_CONCURRENCY="1") as workers:
        prompt = '@@{"scenario": "slow", "seconds": 0.02}@@'
        params = {"model": MODEL, "max_tokens": 50, "messages": [{"role": "user", "content": prompt}]}
        body = {"requests": [{"custom_id": f"r{number}", "params": params} for number in range(3)]}
        url = f"{workers.url}/v1/messages/batches"
        ids = [httpx.post(url, json=body, headers={"x-api-key": "k"}, timeout=20).json()["id"] for _ in range(4)]
        seen: list[int] = []

        def are_over() -> bool:
            seen.append(backend.open_calls)
            looks = [httpx.get(f"{url}/{id_}", headers={"x-api-key": "k"}, timeout=20).json() for id_ in ids]
            return all(look["processing_status"] == "ended" for look in looks)

        eventually(are_over, seconds=40)
        assert max(seen) == 1


def test_lines_of_the_log_stay_whole(tmp_path: Path, backend: Simulator) -> None:
    log = {"AOP_LOGGING": "body", "AOP_LOG_FORMAT": "json"}
    with working(tmp_path, **account(backend), **log) as workers, ThreadPoolExecutor(1) as pool:
        assert workers.process.stdout is not None
        reading = pool.submit(workers.process.stdout.readlines)
        text = "0123456789" * 10_000
        at_once(16, lambda: [workers.ask(text).status_code for _ in range(4)])
        workers.process.send_signal(signal.SIGTERM)
        records = [json.loads(line) for line in reading.result(20)]
    assert [record["request"]["messages"][0]["content"] == text for record in records] == [True] * 64


# --- What they need ---


def test_memory_cannot_be_shared(tmp_path: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "--port", "0", "--workers", "2"],
        env=environment(tmp_path, AOP_STORE="memory"),
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    for word in ("AOP_WORKERS=2", "AOP_STORE=memory", "AOP_WORKERS=1"):
        assert word in done.stderr


def test_without_a_state_folder_there_is_one_worker_and_a_note(tmp_path: Path, backend: Simulator) -> None:
    (tmp_path / "file").touch()
    with working(tmp_path, **account(backend) | {"AOP_STATE_DIR": str(tmp_path / "file" / "state")}) as workers:
        assert workers.pids() == []
        assert workers.ask().status_code == 200
        workers.process.terminate()
        assert workers.process.stderr is not None
        assert any("one worker instead of 2" in line for line in workers.process.stderr)


def test_the_demo_has_one_simulator_for_all(tmp_path: Path) -> None:
    with working(tmp_path, "demo") as workers:
        assert len(workers.pids()) == 2
        given = workers.call("POST", input="Hello")
        assert [workers.call("GET", f"/{given['id']}") for _ in range(6)] == [given] * 6
        store = re.search(r"store\s+(\S+)", workers.banner)
        assert store is not None
        assert Path(store[1]).exists()
        workers.stop()
        assert not Path(store[1]).parent.exists()


def test_a_single_worker_loads_nothing_of_this(tmp_path: Path) -> None:
    code = (
        "import atexit, sys\nfrom augment_open_proxy.__main__ import main\n"
        "atexit.register(lambda: print(*sys.modules))\nsys.exit(main(['--port', '0']))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        assert any("OPENAI_BASE_URL" in line for line in process.stderr)
        process.terminate()
        output, _ = process.communicate(timeout=20)
    finally:
        process.kill()
        process.communicate()
    modules = output.split()
    assert "augment_open_proxy.server.run" in modules
    assert not {"multiprocessing.spawn", "mmap", "augment_open_proxy.server.workers"} & {*modules}
