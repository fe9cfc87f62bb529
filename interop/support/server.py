"""A real `offhook serve` on free ports, with a data directory of its own."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from interop.support.ports import free_port
from tests.support.patience import PATIENCE

DRAIN = 5.0
"""Seconds after which a server that still waits for its calls is told to stop at once."""
UNHURRIED = {
    "OFFHOOK_LIMITS_CONNECT": "30",
    "OFFHOOK_LIMITS_DNS_LOOKUP": "10",
    "OFFHOOK_LIMITS_DOCUMENT_SECONDS": "60",
    "OFFHOOK_LIMITS_LOOP_LAG": "30",
    "OFFHOOK_LIMITS_MEDIA_TIMEOUT": "600",
    "OFFHOOK_LIMITS_TLS_HANDSHAKE": "60",
    "OFFHOOK_LIMITS_UPGRADE": "60",
    "OFFHOOK_LIMITS_WS_STALL": "60",
    "OFFHOOK_LIMITS_RELOAD_GRACE": "180",
    "OFFHOOK_LIMITS_REOPEN_LIMIT": "120",
    "OFFHOOK_LIMITS_REOPEN_SILENCE": "60",
    "OFFHOOK_MEDIA_GRACE": "300",
}
"""Browsers and phones of the test share the processor: their start is no overload of the server, and their being late no
sign that they are gone; phones of a few lines say nothing at all. A test of such a limit names its own."""
PASSED_ON = ("OFFHOOK_MEDIA_BINARY", "OFFHOOK_MEDIA_SHARDS")
"""Settings of whoever runs the tests that servers take: every test holds for any number of shards unless it names one."""


class Offhook:
    """`async with Offhook(folder) as server`. `settings` are OFFHOOK_* variables by their full names; `inside` is a command
    that runs it elsewhere, in a network namespace say, and `reached` its URL from here."""

    def __init__(
        self, home: Path, settings: Mapping[str, str] | None = None, inside: Sequence[str] = (), reached: str = ""
    ) -> None:
        self.data = home / "offhook-data"
        self.log_path = home / "offhook.log"
        self._settings = dict(settings or {})
        self._inside, self._reached = inside, reached
        # Not any free ones: a start on the same ports must find them free, though others were given theirs meanwhile.
        self._ports = {"OFFHOOK_HTTP_PORT": str(free_port()), "OFFHOOK_SIP_PORT": str(free_port())}
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> "Offhook":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self, **settings: str) -> None:
        """Starts the server, with further settings, and waits until it is ready."""
        (self.data / "running.json").unlink(missing_ok=True)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("OFFHOOK_")}
        environment |= {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        environment |= {
            "OFFHOOK_DATA": str(self.data),
            **self._ports,
            "OFFHOOK_HTTPS_PORT": "0",
            "OFFHOOK_SIPS_PORT": "0",
            "OFFHOOK_MEDIA_PORT": "0",
            "OFFHOOK_LOG_LEVEL": "debug",
            **UNHURRIED,
            **self._settings,
            **settings,
        }
        offhook = str(Path(sys.executable).with_name("offhook"))
        with self.log_path.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._inside,
                offhook,
                "serve",
                env=environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        await self._wait_until_ready()
        first = json.loads((self.data / "first-run.json").read_text())
        self.project, self.token, self.domain = first["project_id"], first["api_token"], first["domain"]
        self.passwords: dict[str, str] = {one["username"]: one["password"] for one in first["endpoints"]}
        self.http = httpx.AsyncClient(
            base_url=self._reached or self.running["http_url"],
            auth=(self.project, self.token),
            timeout=PATIENCE,
            trust_env=False,
        )

    async def _wait_until_ready(self) -> None:
        path = self.data / "running.json"
        assert self._process is not None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while self._process.returncode is None:
                    if path.exists():
                        self.running: dict[str, Any] = json.loads(path.read_text())
                        return
                    await asyncio.sleep(0.05)  # the file is the signal; nothing can be awaited for it
        raise AssertionError(f"offhook serve did not start:\n{self.log()[-4000:]}")

    async def stop(self) -> None:
        """SIGTERM, and what a person would do after that."""
        await self.http.aclose()
        if self._process is None or self._process.returncode is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._process.wait(), DRAIN)
        except TimeoutError:
            self._process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(self._process.wait(), PATIENCE)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
                raise AssertionError(f"offhook serve did not stop:\n{self.log()[-4000:]}") from None

    async def ended(self) -> int:
        """Waits until the server has stopped by itself; its exit code."""
        assert self._process is not None
        return await self._process.wait()

    async def kill(self) -> None:
        """SIGKILL to the server's process alone; the engine goes on. `start` again, on the same ports by `same_ports`."""
        assert self._process is not None
        self._process.kill()
        await self._process.wait()
        await self.http.aclose()

    def same_ports(self) -> dict[str, str]:
        """Settings that make the next start listen where this one does."""
        return {
            "OFFHOOK_HTTP_PORT": self.running["http_url"].rpartition(":")[2],
            "OFFHOOK_SIP_PORT": self.running["sip"].rpartition(":")[2],
        }

    async def hand_over(self) -> None:
        """SIGUSR2: the server stops at once and leaves its calls to the next start."""
        assert self._process is not None
        self._process.send_signal(signal.SIGUSR2)
        await asyncio.wait_for(self._process.wait(), PATIENCE)
        await self.http.aclose()

    @property
    def pid(self) -> int:
        """The server's process id."""
        assert self._process is not None
        return self._process.pid

    def log(self) -> str:
        """Everything the server has written."""
        return self.log_path.read_text(errors="replace")

    @property
    def sip(self) -> str:
        """host:port for phones."""
        return str(self.running["sip"])

    @property
    def http_url(self) -> str:
        """The page's URL."""
        return str(self.running["http_url"]) + "/"

    def uri(self, username: str) -> str:
        """sip:NAME@domain."""
        return f"sip:{username}@{self.domain}"

    @property
    def websocket_url(self) -> str:
        """ws://… for browsers."""
        return str(self.running["websocket_url"])

    @property
    def engine_pid(self) -> int:
        """The media engine's process id, as the status says it now."""
        return int(json.loads((self.data / "running.json").read_text())["engine_pid"])

    async def add_endpoint(self, username: str, password: str) -> dict[str, Any]:
        """Makes an endpoint by the API."""
        answer = await self.http.post(
            "/api/relay/rest/endpoints/sip", json={"username": username, "password": password}
        )
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    async def calls(self) -> list[dict[str, Any]]:
        """Live calls."""
        answer = await self.http.get("/api/offhook/calls?page_size=1000")
        assert answer.status_code == 200, answer.text
        return list(answer.json()["data"])

    async def call(self, ref: str) -> dict[str, Any]:
        """One call, live or ended."""
        answer = await self.http.get(f"/api/offhook/calls/{ref}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def until(
        self, ref: str, holds: Callable[[dict[str, Any]], bool], within: float = PATIENCE
    ) -> dict[str, Any]:
        """The call once `holds` is true of it."""
        call: dict[str, Any] = {}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                while not holds(call := await self.call(ref)):
                    await asyncio.sleep(0.1)  # the API is asked, as a dashboard asks
                return call
        raise AssertionError(f"not within {within} s: {json.dumps(call, indent=1)[:3000]}")

    async def until_logged(self, *texts: str) -> None:
        """Waits until all of these stand in the log."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while missing := [one for one in texts if one not in self.log()]:
                    await asyncio.sleep(0.1)  # a file; nothing can be awaited for it
                return
        raise AssertionError(f"not in the log: {missing}\n{self.log()[-4000:]}")

    async def until_idle(self, within: float = PATIENCE) -> None:
        """Waits until no call is left."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                while await self.calls():
                    await asyncio.sleep(0.1)  # as above
                return
        raise AssertionError(f"calls are left after {within} s: {await self.calls()}")

    async def status(self) -> dict[str, Any]:
        """Counts and listeners."""
        return dict((await self.http.get("/api/offhook/status")).json())

    async def until_draining(self) -> None:
        """Waits until /readyz says that the server takes no new calls."""
        async with asyncio.timeout(PATIENCE):
            while (await self.http.get("/readyz")).status_code == 200:
                await asyncio.sleep(0.05)  # as above

    async def until_ready(self, within: float = PATIENCE) -> None:
        """Waits until /readyz says that calls can be made."""
        async with asyncio.timeout(within):
            while (await self.http.get("/readyz")).status_code != 200:
                await asyncio.sleep(0.05)  # the API is asked, as a load balancer asks
