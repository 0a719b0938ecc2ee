"""nginx as the floor: one process that passes each byte on at once."""

import shutil
import subprocess
from pathlib import Path

MISSING = "nginx is missing, so there are no ratios. Debian: apt-get install nginx-light; Fedora: dnf install nginx"
_CONF = """\
daemon off;
master_process off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_max_body_size 64m;
    client_body_buffer_size 32k;
    client_body_temp_path {folder}/client;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 100000000;
    upstream backend {{
        server 127.0.0.1:{backend};
        keepalive 256;
        keepalive_requests 100000000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=2048;
        location / {{
            proxy_pass http://backend;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
            proxy_request_buffering off;
        }}
    }}
}}
"""
"""Debian's defaults, but for what makes it one process that passes each byte on at once, with 32 KiB for a part of a
request's body (docs/decisions/0014-speed.md says why). As a single process it needs no rights in the folder but the
user's own.
"""


def find_nginx() -> str | None:
    """nginx' path; Debian installs it where only root's PATH leads."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def nginx_version() -> str:
    """As nginx tells it, or that there is none."""
    command = find_nginx()
    if command is None:
        return "no nginx"
    told = subprocess.run([command, "-v"], capture_output=True, text=True, timeout=10, check=False).stderr
    return told.strip().removeprefix("nginx version: ").replace("/", " ") or command


def nginx_command(command: str, folder: Path, port: int, backend: int) -> list[str]:
    """How to start it on `port`, in front of the port `backend`; `folder` gets its configuration and its files."""
    config = folder / "nginx.conf"
    config.write_text(_CONF.format(folder=folder, port=port, backend=backend), encoding="utf-8")
    return [command, "-p", str(folder), "-e", "stderr", "-c", str(config)]
