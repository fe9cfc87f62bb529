"""Three reverse proxies with their default timeouts, each in front of one port of ours."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

from interop.support.ports import free_port
from interop.support.process import end, listening

NGINX = """\
daemon off; pid {home}/nginx.pid; error_log {home}/error.log;
events {{}}
http {{
  access_log off;
  client_body_temp_path {home}; proxy_temp_path {home};
  fastcgi_temp_path {home}; uwsgi_temp_path {home}; scgi_temp_path {home};
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://{behind};
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection "upgrade";
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto https;
    }}
  }}
}}
"""
"""proxy_read_timeout is 60 s unless said otherwise: nothing from us for a minute, and the page is cut."""

HAPROXY = """\
global
  maxconn 100
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend pages
  bind 127.0.0.1:{port}
  option forwardfor
  http-request set-header X-Forwarded-Proto https
  default_backend offhook
backend offhook
  server one {behind}
"""
"""The example of its manual; without `timeout tunnel` the client's and server's 60 s count for a WebSocket."""

APACHE = """\
ServerRoot {home}
ServerName localhost
Listen 127.0.0.1:{port}
PidFile {home}/apache.pid
ErrorLog {home}/error.log
Mutex file:{home}
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule headers_module /usr/lib/apache2/modules/mod_headers.so
LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so
LoadModule proxy_http_module /usr/lib/apache2/modules/mod_proxy_http.so
LoadModule proxy_wstunnel_module /usr/lib/apache2/modules/mod_proxy_wstunnel.so
RequestHeader set X-Forwarded-Proto https
ProxyPass / ws://{behind}/
"""
"""Timeout is 60 s by default, and ProxyTimeout follows it."""

COMMANDS: dict[str, tuple[str, Callable[[str, Path], list[str]]]] = {
    "nginx": (NGINX, lambda program, file: [program, "-c", str(file), "-e", str(file.parent / "error.log")]),
    "haproxy": (HAPROXY, lambda program, file: [program, "-db", "-f", str(file)]),
    "apache2": (APACHE, lambda program, file: [program, "-X", "-f", str(file)]),
}


class Proxy:
    """`async with Proxy("nginx", folder, "127.0.0.1:8080") as proxy`; `proxy.url` leads through it."""

    def __init__(self, name: str, folder: Path, behind: str) -> None:
        self._name, self._home, self._behind = name, folder / name, behind

    async def __aenter__(self) -> "Proxy":
        self._home.mkdir()
        port = free_port()
        text, command = COMMANDS[self._name]
        file = self._home / "proxy.conf"
        file.write_text(text.format(home=self._home, port=port, behind=self._behind))
        program = shutil.which(self._name) or f"/usr/sbin/{self._name}"
        self._log = self._home / "output.log"
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command(program, file), stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log
            )
        self.url = f"ws://127.0.0.1:{port}/"
        await listening(self._process, "127.0.0.1", port, self._log)
        return self

    async def __aexit__(self, *_: object) -> None:
        await end(self._process)
