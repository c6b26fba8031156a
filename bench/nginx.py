"""nginx as the anchor: the least a proxy can cost, passing the same bytes and metering nothing.

It runs from a configuration of its own in a folder of its own, on loopback, with one worker,
connections kept alive on both sides and buffering off, as one would set it up for event streams.
"""

import grp
import os
import pwd
import shutil
import subprocess
from pathlib import Path

HOW_TO_GET = "nginx is not installed (on Debian or Ubuntu: apt-get install nginx-light)"

_CONFIGURATION = """\
{user}
daemon off;
master_process on;
worker_processes 1;
worker_rlimit_nofile {files};
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    tcp_nodelay on;
    keepalive_requests 1000000;
    upstream provider {{
        server 127.0.0.1:{upstream};
        keepalive 2048;
        keepalive_requests 1000000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://provider;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $proxy_host;
            proxy_buffering off;
            proxy_request_buffering off;
        }}
    }}
}}
"""


def find() -> str | None:
    """nginx's program; it often lies where an ordinary user's PATH does not look."""
    path = os.environ.get("PATH", os.defpath)
    return shutil.which("nginx", path=f"{path}:/usr/sbin:/usr/local/sbin:/sbin:/opt/homebrew/bin")


def version(program: str) -> str:
    shown = subprocess.run([program, "-v"], capture_output=True, text=True, check=False)
    return (shown.stdout + shown.stderr).strip().removeprefix("nginx version: ")


def command(program: str, folder: Path, port: int, upstream: int, files: int) -> list[str]:
    """Write the configuration below ``folder``; answers how to start it."""
    folder.mkdir(parents=True, exist_ok=True)
    # Started by root its worker would change its user, and could not enter a private folder.
    user = ""
    if os.geteuid() == 0:
        group = grp.getgrgid(os.getegid()).gr_name
        user = f"user {pwd.getpwuid(os.geteuid()).pw_name} {group};"
    configuration = folder / "nginx.conf"
    configuration.write_text(
        _CONFIGURATION.format(user=user, folder=folder, port=port, upstream=upstream, files=files)
    )
    return [program, "-p", str(folder), "-c", str(configuration)]
