"""rtpengine as a foreign relay, with or without encryption towards us, and a phone whose media it carries."""

import asyncio
import contextlib
import re
import subprocess
from pathlib import Path

from bench.ng import NgClient, Value
from interop.support.plain_phone import PlainPhone
from interop.support.ports import free_port
from interop.support.process import end
from tests.support.patience import PATIENCE

PORTS = 40
"""Ports for one call, with some to spare."""


class Rtpengine:
    """`async with Rtpengine(folder) as relay`; its certificate is ECDSA."""

    def __init__(self, home: Path) -> None:
        self._home, self._port = home, free_port()

    async def __aenter__(self) -> "Rtpengine":
        first = free_port(count=PORTS)
        with (self._home / "rtpengine.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                "rtpengine", "--config-file=none", "--table=-1", "--num-threads=1", "--foreground",
                "--interface=127.0.0.1", f"--listen-ng=127.0.0.1:{self._port}", f"--port-min={first}",
                f"--port-max={first + PORTS - 1}", "--log-level=6", "--log-stderr", "--dtls-cert-cipher=prime256v1",
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        first_words = NgClient(self._port, timeout=0.5)
        async with asyncio.timeout(PATIENCE):
            while True:
                with contextlib.suppress(OSError):
                    first_words.request("ping")
                    break
                await asyncio.sleep(0.05)  # nothing announces that it listens
        first_words.close()
        self.control = NgClient(self._port, timeout=PATIENCE)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.control.close()
        await end(self._process)

    @property
    def log(self) -> str:
        """What it wrote."""
        return (self._home / "rtpengine.log").read_text(errors="replace")


class RelayedPhone(PlainPhone):
    """A plain phone behind the relay. `offered` are the words of rtpengine's control protocol for the side towards us; it
    always leaves the role in the handshake to us, so `setup` stands in its place."""

    def __init__(
        self, relay: Rtpengine, username: str, password: str, domain: str, server: str, setup: str, **offered: Value
    ) -> None:
        super().__init__(username, password, domain, server)
        self._relay, self._offered, self._setup = relay.control, offered, setup
        self.described = self.answered = ""
        """What was said to the server, and what it said."""
        self.heard_back: list[bytes] = []

    def _ask(self, command: str, description: str, **more: Value) -> str:
        tags: dict[str, Value] = {"call_id": self._tag, "from_tag": "phone", "replace": ["origin"], **more}
        answer = self._relay.request(command, sdp=description, **tags)
        sdp = answer["sdp"]
        assert isinstance(sdp, bytes)
        return sdp.decode()

    def _offer(self) -> str:
        if not self.described:
            offer = self._ask("offer", super()._offer(), ICE="remove", **self._offered)
            self.described = offer.replace("a=setup:actpass", f"a=setup:{self._setup}")
        return self.described

    def _answered(self, description: str) -> None:
        self.answered = description
        ours = self._ask("answer", description, to_tag="server", ICE="remove")
        found = re.search(r"m=audio (\d+)", ours)
        assert found
        self._media = ("127.0.0.1", int(found.group(1)))

    async def listen(self) -> None:
        """Keeps the packets of sound that come back."""
        loop = asyncio.get_running_loop()
        while True:
            data = await loop.sock_recv(self._rtp, 2_048)
            if len(data) > 12 and not 192 <= data[1] <= 223:
                self.heard_back.append(data)
