"""LiteLLM's proxy, to compare with: in an environment of its own, which is made when it is first asked for.

It cannot speak the backend's protocol: the stand-in gives it the same answers in the shape of OpenAI's API.
"""

import os
import subprocess
import sys
from pathlib import Path

import msgspec

from benchmarks.conversation import MODEL
from benchmarks.model import BenchmarkError, Dialect

NAME = "litellm"
DIALECTS: tuple[Dialect, ...] = ("chat", "messages")
"""What it makes of OpenAI's chat API; for `/v1/responses` it asks for a backend that has it."""
START_SECONDS = 60.0
_FOLDER = Path(__file__).parent / "peers" / NAME
_LOCK = _FOLDER / "requirements.lock"
_PYTHON = _FOLDER / ".venv" / "bin" / "python"
_INSTALLED = _FOLDER / ".venv" / ".installed"
_UV = Path(__file__).parent.parent / ".tools" / "bin" / "uv"


def command(folder: Path, port: int, backend: int) -> tuple[list[str], dict[str, str]]:
    """How to start it on `port`, and its environment; `folder` gets its configuration. Raises `BenchmarkError`."""
    _install()
    parameters = {
        "model": f"hosted_vllm/{MODEL}",  # of its names for OpenAI's API, one where it asks for chats only
        "api_base": f"http://127.0.0.1:{backend}/v1",
        "api_key": "benchmark",
    }
    config = folder / "litellm.json"  # JSON is YAML
    config.write_bytes(msgspec.json.encode({"model_list": [{"model_name": MODEL, "litellm_params": parameters}]}))
    environment = {
        "HOME": str(folder),
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "LITELLM_LOG": "ERROR",
        "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",  # as the proxy asks for no key on loopback
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # it would fetch prices at its start
    }
    program = str(_PYTHON.parent / "litellm")
    return [program, "--config", str(config), "--host", "127.0.0.1", "--port", str(port)], environment


def _install() -> None:
    """Make the environment, or make it anew where the lock is newer, or it is of another interpreter than this."""
    interpreter = f"{sys.base_prefix} {sys.version}"
    if (
        _INSTALLED.exists()
        and _INSTALLED.stat().st_mtime >= _LOCK.stat().st_mtime
        and _INSTALLED.read_text(encoding="utf-8") == interpreter
    ):
        return
    try:
        subprocess.run([_UV, "venv", "-q", "--clear", "--python", sys.executable, _PYTHON.parent.parent], check=True)
        subprocess.run([_UV, "pip", "install", "-q", "-p", _PYTHON, "--require-hashes", "-r", _LOCK], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise BenchmarkError(f"{NAME} cannot be installed ({error}); `make setup` makes .tools/bin/uv") from None
    _INSTALLED.write_text(interpreter, encoding="utf-8")
