"""schemathesis reads our OpenAPI document and asks for what it describes, and for what it does not."""

import os
import subprocess
import sys
from pathlib import Path

from tests.servers import running_proxy

SECONDS = 15
HOOKS = Path(__file__).parent / "schemathesis_hooks.py"
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


def test_nothing_it_thinks_of_is_an_error_of_ours_or_takes_long(tmp_path: Path) -> None:
    """Each answer has a status, a type and a shape that the document tells."""
    command = [
        Path(sys.executable).parent / "schemathesis",
        "run",
        *("--phases", "coverage,fuzzing", "--max-time", str(SECONDS)),
        *("--checks", CHECKS, "--request-timeout", "10", "--warnings", "off", "--no-color"),
        *(("--seed", "1") if os.environ.get("CI") else ()),
    ]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": str(HOOKS)}
    with running_proxy(store="memory") as proxy:
        done = subprocess.run(
            [*command, f"{proxy.url}/openapi.json"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=50,
        )
        failed = [line for line in proxy.lines if " 500 " in line]
    assert done.returncode == 0, done.stdout[-10000:] + done.stderr[-2000:]
    assert not failed
